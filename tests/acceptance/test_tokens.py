"""Tokens and locks as scripts, jobs and people meet them: real scripts, real workers."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from commands import XPM, Lab
from servers import Server
from waiting import until

from xpm import UsageError, lock, token
from xpm.here import this_host

PLAN = """
import sys, time
from pathlib import Path
from xpm import Meta, Param, Task, experiment, lock, tag, token

class Use(Task):
    n: Param[int]
    room: Meta[Path]
    until: Meta[str] = ""

    def execute(self):
        mine = self.room / f"{self.n}"
        mine.touch()
        there = len(list(self.room.iterdir()))
        while self.until and not Path(self.until).exists():
            time.sleep(0.01)
        time.sleep(0.02)
        mine.unlink()
        return there

gpu = token("gpu", 2)
room = Path(__file__).parent / "room"
room.mkdir(exist_ok=True)
"""


@pytest.fixture
def lab() -> Iterator[Lab]:
    made = Lab()
    made.env["XPM_WORKERS"] = "4"
    yield made
    made.close()


def write(lab: Lab, name: str, body: str) -> Path:
    path = lab.project / name
    path.write_text(PLAN + body)
    return path


def test_no_more_jobs_run_at_once_than_there_are_tokens(lab: Lab) -> None:
    write(
        lab,
        "limits.py",
        "with experiment('limits') as xp:\n"
        "    for n in range(24): Use.C(n=tag(n), room=room).submit(requires=[gpu(1)])\n"
        "print(max(row['result'] for row in xp.rows()))\n",
    )
    assert lab.ok("run", "limits.py") == "2\n"


def test_people_see_who_holds_and_who_waits_and_change_how_much_there_is(lab: Lab) -> None:
    go = lab.project / "go"
    write(
        lab,
        "held.py",
        "with experiment('held'):\n"
        f"    for n in range(5): Use.C(n=tag(n), room=room, until={str(go)!r}).submit(\n"
        "        requires=[gpu(1), lock('index').read()])\n",
    )
    lab.ok("run", "--detach", "held.py")
    room = lab.project / "room"
    until(lambda: len(list(room.iterdir())) == 2)
    shown = json.loads(lab.ok("token", "show", "gpu", "--json"))
    assert (shown["capacity"], shown["used"], shown["waiting"]) == (2, 2, 3)
    assert [(one["label"], one["amount"]) for one in shown["holders"]] == [("Use n=0", 1), ("Use n=1", 1)]
    assert [one["label"] for one in shown["waiters"]] == ["Use n=2", "Use n=3", "Use n=4"]
    assert all(one["since"] for one in (*shown["holders"], *shown["waiters"]))
    assert "Use n=2" in lab.ok("token", "show", "gpu")
    assert "2 readers" in lab.ok("lock")
    ready = lab.json("jobs", "--state", "READY")["jobs"]
    assert {job["note"] for job in ready} == {"waits for token gpu: 1 of 2, 0 free"}
    assert lab.ok("token", "set", "gpu", "4") == "token gpu: 4 (was 2)\n"
    until(lambda: len(list(room.iterdir())) == 4)
    assert json.loads(lab.ok("token", "set", "gpu", "0", "--json"))["before"] == 4
    go.touch()
    until(lambda: not list(room.iterdir()))
    held = json.loads(lab.ok("jobs", "--json", "--state", "HOLD"))["jobs"]
    assert [job["holds"] for job in held] == [["capacity"]]
    lab.ok("token", "set", "gpu", "1")
    lab.ok("attach", "held")


LOOK = """
import json
from dataclasses import asdict
from xpm import UsageError, experiment, lock, token

with experiment("look") as xp:
    gpu, index = (xp.usage(one) for one in (token("gpu"), lock("index")))
    print(json.dumps([asdict(gpu), asdict(index)]))
    xp.set_capacity(token("disk", 2, per="host"), 3, host="tuba")
    print(xp.usage(token("disk", per="host")).hosts["tuba"])
    for wrong in (token("disk"), token("gpu", per="host"), lock("none"), "gpu"):
        try:
            xp.usage(wrong)
        except UsageError as error:
            print(error)
"""


def test_a_script_sees_who_holds_and_who_waits(lab: Lab) -> None:
    go = lab.project / "go"
    write(
        lab,
        "held.py",
        "with experiment('held'):\n"
        f"    for n in range(3): Use.C(n=tag(n), room=room, until={str(go)!r}).submit(\n"
        "        requires=[gpu(1), lock('index').read()])\n"
        "    Use.C(n=tag(3), room=room).submit(requires=[lock('index').write()])\n",
    )
    lab.ok("run", "--detach", "held.py")
    until(lambda: len(list((lab.project / "room").iterdir())) == 2)
    until(lambda: len(lab.json("lock", "show", "index")["waiters"]) == 2)
    (lab.project / "look.py").write_text(LOOK)
    said, *rest = lab.ok("run", "look.py").splitlines()
    gpu, index = json.loads(said)
    for found, command in ((gpu, "token"), (index, "lock")):
        shown = lab.json(command, "show", found["name"])
        for people in ("holders", "waiters"):
            assert all(one["job"] is None or len(one["job"]) == 64 for one in found[people])
            assert [(one["job"], one["label"], one["since"]) for one in found[people]] == [
                (one["job"], one["label"], one["since"]) for one in shown[people]
            ], "a script sees what people see"
    assert (gpu["capacity"], gpu["used"], gpu["waiting"], gpu["hosts"]) == (2, 2, 1, {})
    assert [(one["label"], one["amount"], one["writes"]) for one in gpu["holders"]] == [
        ("Use n=0", 1, False),
        ("Use n=1", 1, False),
    ]
    assert all(one["host"] for one in gpu["holders"]) and gpu["waiters"][0]["label"] == "Use n=2"
    assert (index["capacity"], index["used"]) == (None, 2)
    assert {(one["label"], one["writes"]) for one in index["waiters"]} == {
        ("Use n=2", False),
        ("Use n=3", True),
    }
    assert rest == [
        "HostUsage(capacity=3, used=0)",
        "no token for all hosts together 'disk': what is submitted or acquired with it makes it",
        "no token that is counted per host 'gpu': what is submitted or acquired with it makes it",
        "no lock 'none': what is submitted or acquired with it makes it",
        'usage(): expected a token("gpu") or lock("index"), got \'gpu\'',
    ]
    go.touch()
    lab.ok("attach", "held")


def test_a_script_waits_for_a_capacity_that_somebody_has_lowered(lab: Lab) -> None:
    go = lab.project / "go"
    write(
        lab,
        "low.py",
        "with experiment('low'):\n"
        f"    uses = [Use.C(n=tag(n), room=room, until={str(go)!r}).submit(requires=[gpu(2)]) for n in range(3)]\n"
        "    print(sum(use.result() for use in uses))\n",
    )
    script = subprocess.Popen(
        [*XPM, "run", "low.py"], env=lab.env, cwd=lab.project, stderr=subprocess.PIPE, text=True
    )
    until(lambda: len(list(lab.project.glob("room/*"))) == 1)
    assert lab.ok("token", "set", "gpu", "1").endswith("; 2 jobs on hold, which need more\n")
    go.touch()
    held = lab.json("jobs", "--state", "HOLD")["jobs"]
    assert [job["note"] for job in held] == ["needs more of a token than there is"] * 2
    said = lab.ok("why", held[0]["id"])
    assert (
        "it needs 2 of token gpu, of which there are 1; when there can be more: xpm token set gpu 2\n" in said
    )
    released = lab.run("release", "--yes", held[0]["id"])
    assert released.returncode == 1 and "on hold for more of a token than there is" in released.stdout
    assert script.stderr is not None
    while "token set gpu 2" not in (line := script.stderr.readline()):
        assert line, "it has ended"
    lab.ok("token", "set", "gpu", "2")
    assert script.wait(30) == 0
    script.stderr.close()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["token", "show", "gpus"], "no token 'gpus'; did you mean 'gpu'?"),
        (["lock", "show", "none"], "no lock 'none'"),
        (["token", "set", "gpu", "many"], "expected a whole number from 0 to 1000000, got 'many'"),
        (["token", "set", "a b", "1"], "token 'a b': a name has letters"),
        (
            ["token", "set", "gpu", "1", "--host", "x"],
            "token gpu is counted for all hosts together, not per host",
        ),
    ],
)
def test_wrong_use_is_told_in_one_line(lab_with_gpu: Lab, words: list[str], said: str) -> None:
    done = lab_with_gpu.run(*words)
    assert done.returncode == 2
    assert said in done.stderr.splitlines()[-1]


@pytest.fixture(scope="module")
def lab_with_gpu() -> Iterator[Lab]:
    made = Lab()
    (made.project / "make.py").write_text("from xpm import token\nwith token('gpu', 2).acquire(): pass\n")
    made.python("make.py")
    yield made
    made.close()


@pytest.mark.parametrize(
    ("need", "said"),
    [
        ("token('none')(1)", "there is no token 'none'"),
        ("token('gpu', 3)(3)", "needs gpu(3), there are 2; 'xpm token set gpu 3' raises it"),
        ("gpu(3)", "needs gpu(3), there are 2; 'xpm token set gpu 3' raises it"),
        ("gpu", "as gpu(1) or lock('index').read(), got token('gpu', 2)"),
    ],
)
def test_more_than_there_is_is_refused_at_submission(lab_with_gpu: Lab, need: str, said: str) -> None:
    write(
        lab_with_gpu,
        "bad.py",
        f"with experiment('bad'):\n    Use.C(n=1, room=room).submit(requires=[{need}])\n",
    )
    done = lab_with_gpu.run("run", "bad.py")
    assert done.returncode == 2
    assert said in done.stderr
    assert json.loads(lab_with_gpu.ok("jobs", "--json"))["jobs"] == []


def test_a_dry_run_refuses_what_a_submission_would(lab: Lab) -> None:
    body = (
        "with experiment('bad'):\n    Use.C(n=1, room=room).submit(requires=[{0}, lock('gpu').write()])\n"
        "    Use.C(n=2, room=room).submit(requires=[{1}])\n"
    )

    def refused(*needs: str) -> str:
        write(lab, "bad.py", body.format(*needs))
        done = lab.run("run", "--dry-run", "bad.py")
        plan, _, said = done.stderr.strip().rpartition("\n")
        assert done.returncode in (0, 2) and "bad: dry run, compared with" in plan, done.stderr
        return said if done.returncode else ""

    more = "xpm: Use n=2: needs gpu(3), there are 2; 'xpm token set gpu 3' raises it"
    assert refused("gpu(1)", "gpu(3)") == more, "nobody is asked: as the script says"
    assert refused("gpu(1)", "token('gpu')(3)") == more
    assert "counted for all hosts" in refused("gpu(1)", "token('gpu', 2, per='host')(1)")
    assert refused("gpu(2)", "token('none')(1)") == "", "nobody knows"
    (lab.project / "make.py").write_text("from xpm import token\nwith token('gpu', 4).acquire(1): pass\n")
    lab.python("make.py")
    assert refused("gpu(3)", "gpu(4)") == ""
    assert refused("gpu(1)", "gpu(5)") == more.replace("3", "5").replace("2;", "4;")
    assert "there is no token 'none': token('none', N) or 'xpm token set none N'" in refused(
        "gpu(2)", "token('none')(1)"
    )
    assert "token 'gpu' is counted for all hosts together" in refused("gpu(2)", "token('gpu', per='host')(1)")
    write(lab, "bad.py", body.format("gpu(1)", "gpu(1)"))
    lab.ok("run", "bad.py")
    lab.ok("token", "set", "gpu", "0")
    assert refused("gpu(1)", "gpu(5)") == "", "what is done needs nothing"
    assert [one["token"] for one in lab.json("token")["tokens"]] == ["gpu"], "it makes none"


def test_mistakes_about_tokens_are_told_in_one_line(lab_with_gpu: Lab) -> None:
    lab = lab_with_gpu
    for words, said in (
        (("token", "show", "gpus"), "no token 'gpus'; did you mean 'gpu'?"),
        (("token", "show", "nope"), "no token 'nope'; there are "),
        (("lock", "show", "nope"), "no lock 'nope': there are none"),
        (("token", "set", "gpu", "-1"), "no option '-1', and no number below 0 is possible here"),
        (("token", "set", "gpu", "1", "--hots", "x"), "no option '--hots'; did you mean '--host'?"),
    ):
        done = lab.run(*words)
        assert done.returncode == 2 and said in done.stderr and len(done.stderr.splitlines()) <= 3, (
            done.stderr
        )
    lab.ok("token", "set", "scratch", "1", "--per-host")
    done = lab.run("token", "set", "scratch", "2", "--host", "tuba")
    assert "no worker is on host tuba now: scratch has this capacity there once one is" in done.stderr


def test_what_one_host_has_counts_at_submission(lab_with_gpu: Lab) -> None:
    lab = lab_with_gpu
    lab.ok("token", "set", "disk", "1", "--per-host")
    lab.ok("token", "set", "disk", "3", "--host", "tuba")
    body = (
        "disk = token('disk', 1, per='host')\nwith experiment('disks') as xp:\n"
        "    Use.C(n=1, room=room).submit(requires=[disk({})])\n"
    )
    write(lab, "disks.py", body.format(4))
    done = lab.run("run", "--detach", "disks.py")
    assert done.returncode == 2 and "needs disk(4), there are 3" in done.stderr
    write(lab, "disks.py", body.format(2))
    lab.ok("run", "--detach", "disks.py")
    until(lambda: len(lab.json("jobs", "--state", "READY")["jobs"]) == 1)
    (job,) = lab.json("jobs", "--state", "READY")["jobs"]
    assert job["note"] == f"needs 2 of token disk on one host, {this_host()} has most: 1"
    lab.ok("cancel", "-e", "disks", "--yes")
    write(lab, "here.py", "with token('disk', per='host').acquire(2):\n    pass\n")
    refused = lab.run("run", "here.py")
    assert refused.returncode == 2, refused.stderr
    assert refused.stderr.strip().endswith(
        f"needs disk(2), there are 1 on {this_host()}; 'xpm token set disk 2 --host {this_host()}' raises it"
    )
    write(lab, "other.py", body.replace(", per='host'", "").format(1))
    refused = lab.run("run", "--detach", "other.py")
    assert refused.returncode == 2
    assert (
        """token 'disk' is counted on each host for itself: write token("disk", per="host")"""
        in refused.stderr
    )


def test_that_no_host_with_workers_has_enough_is_said(lab: Lab) -> None:
    here = this_host()
    write(lab, "make.py", "with token('disk', 2, per='host').acquire(1): pass\n")
    lab.python("make.py")
    lab.ok("token", "set", "disk", "1", "--host", here)
    lab.ok("token", "set", "disk", "3", "--host", "tuba")
    write(
        lab,
        "low.py",
        "disk = token('disk', 2, per='host')\nwith experiment('low'):\n"
        "    for n in range(2): Use.C(n=tag(n), room=room).submit(requires=[disk(2), gpu(n + 1)])\n",
    )
    script = lab.begin("run", "low.py")
    until(lambda: len(lab.json("jobs", "--state", "READY")["jobs"]) == 2 and lab.json("worker")["workers"])
    jobs = lab.json("jobs", "--state", "READY")["jobs"]
    assert {job["note"] for job in jobs} == {f"needs 2 of token disk on one host, {here} has most: 1"}
    said = lab.ok("why", jobs[0]["id"]).splitlines()
    assert said[1:] == [
        f"it needs 2 of token disk on one host; of those that workers serve, {here} has most: 1; "
        f"xpm token set disk 2 --host {here}, or start workers on a host that has so much: tuba (3), "
        "any without a capacity of its own (2)"
    ]
    assert script.stderr is not None
    while "disk" not in (line := script.stderr.readline()):
        assert line, "it has ended"
    assert line == (
        f"2 jobs need 2 of token disk on one host; of those that workers serve, {here} has most: 1; start workers on a "
        "host that has so much: tuba (3), any without a capacity of its own (2), or raise it:\n"
    )
    assert script.stderr.readline().strip().endswith(f"token set disk 2 --host {here}")
    lab.ok("token", "set", "disk", "2", "--host", here)
    _, rest = script.communicate(timeout=30)
    assert script.returncode == 0 and "disk" not in rest, rest


def test_a_script_that_holds_what_its_jobs_wait_for_is_told(lab: Lab) -> None:
    write(
        lab,
        "own.py",
        "with experiment('own'):\n"
        "    with gpu.acquire(1), lock('index').read():\n"
        "        Use.C(n=1, room=room).submit(requires=gpu(1)).result()\n"
        "        late = [Use.C(n=tag(n), room=room).submit(requires=gpu(2)) for n in (2, 3)]\n"
        "        Use.C(n=4, room=room).submit(requires=[gpu(1), lock('index').write()])\n"
        "        try: late[0].result(timeout=12)\n"
        "        except TimeoutError: print('over')\n",
    )
    done = lab.run("run", "own.py", env={"XPM_WORKERS": "1"})
    assert done.returncode == 0 and done.stdout == "over\n", done.stderr
    told, instead = (
        "which this script holds while it waits for",
        "wait after that block, or let the jobs alone hold it",
    )
    assert sorted(line for line in done.stderr.splitlines() if told in line) == [
        f"1 job waits for lock('index').read(), {told} it: {instead}",
        f"2 jobs wait for gpu(1), {told} them: {instead}",
    ]


def test_a_script_that_holds_what_the_code_of_its_jobs_waits_for_is_told(lab: Lab) -> None:
    write(
        lab,
        "around.py",
        "class Plain(Task):\n"
        "    n: Param[int]\n"
        "    def execute(self) -> int: return self.n\n"
        "with lock('index').write():\n"  # which the job enters, too, when it loads the script
        "    with experiment('around'): Plain.C(n=1).submit()\n",
    )
    lab.env["XPM_WORKERS"] = "1"
    with lab.begin("run", "around.py") as script:
        assert script.stderr is not None
        while "script holds" not in (line := script.stderr.readline()):
            assert line, "it has ended"
        lab.ok("kill", "Plain", "--yes")
        script.stderr.read()
    assert script.returncode == 1
    assert line == (
        "the code of 1 job waits for lock('index').write(), which this script holds while it waits for it: wait after "
        "that block, or let the jobs alone hold it; what the script enters above its experiment, each job does\n"
    )


def test_a_script_that_dies_loses_what_it_held(lab: Lab) -> None:
    lab.env["XPM_LEASE"] = "1"
    body = """
import os
with gpu.acquire(2) as first:
    if len(sys.argv) > 1:
        os.kill(os.getpid(), 9)
    print("got it")
"""
    path = write(lab, "hold.py", body)
    holder = lab.python(str(path), "die", check=False)
    assert holder.returncode == -9
    assert lab.python(str(path)).stdout == "got it\n", "no worker is there: who waits sees to it"

    assert lab.python(str(path), "die", check=False).returncode == -9
    body = "with experiment('next'):\n    Use.C(n=1, room=room).submit(requires=[gpu(2)])\n"
    write(lab, "next.py", body)
    lab.ok("run", "next.py")


WAIT = """
with gpu.acquire(1):
    print("first", flush=True)
sys.stdin.readline()
try:
    with gpu.acquire(1, timeout=2):
        print("second")
except TimeoutError as error:
    print(error)
"""


def two_steps(lab: Lab, between: Callable[[], None]) -> list[str]:
    """What a script says that acquires twice, and of which `between` comes between."""
    path = write(lab, "steps.py", WAIT)
    command = [sys.executable, str(path)]
    with subprocess.Popen(
        command, env=lab.env, cwd=lab.project, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as script:
        assert script.stdin is not None and script.stdout is not None
        assert script.stdout.readline() == "first\n"
        between()
        said, _ = script.communicate("\n", timeout=60)
        assert script.returncode == 0
    return said.splitlines()


def test_code_that_acquires_starts_a_dead_server_again(lab: Lab) -> None:
    assert two_steps(lab, lambda: os.kill(lab.json("broker")["pid"], signal.SIGKILL)) == ["second"]


def test_waiting_ends_with_its_time_though_the_broker_is_gone(
    lab: Lab, start_server: Callable[..., Server]
) -> None:
    server = start_server()
    lab.env["XPM_BROKER"] = server.url
    (said,) = two_steps(lab, server.kill)
    assert said.startswith("gpu(1): not free within 2 s: the broker does not answer")
    path = write(lab, "never.py", "with gpu.acquire(1, timeout=0.5): pass\n")
    done = lab.python(str(path), check=False)
    lines = done.stderr.splitlines()
    assert lines[-1].startswith("TimeoutError: gpu(1): not free within 0.5 s: "), done.stderr
    assert [line.split(",")[0] for line in lines if "File" in line] == [f'  File "{path}"'], (
        "none of xpm's lines"
    )


def test_a_script_that_stood_still_is_told_that_it_lost_what_it_held(lab: Lab) -> None:
    lab.env["XPM_LEASE"] = "1"
    body = """
with lock("index").write() as held:
    print(held.fence, flush=True)
    if len(sys.argv) > 1:
        while not held.lost:
            time.sleep(0.01)  # that it is lost is to be asked, and comes as no event
        print("lost", flush=True)
"""
    path = write(lab, "still.py", body)
    command = [sys.executable, str(path), "on"]
    with subprocess.Popen(command, env=lab.env, cwd=lab.project, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        first = holder.stdout.readline().strip()
        holder.send_signal(signal.SIGSTOP)
        second = lab.python(str(path)).stdout.strip()
        holder.send_signal(signal.SIGCONT)
        assert holder.stdout.read() == "lost\n" and holder.wait(20) == 0
    assert second > first


def test_waiting_ends_with_the_time_and_with_ctrl_c(lab: Lab) -> None:
    body = """
import threading, signal, os
with gpu.acquire(2):
    pass
held, over = threading.Event(), threading.Event()
def hold():
    with gpu.acquire(2):
        held.set()
        over.wait()
thread = threading.Thread(target=hold)
thread.start()
held.wait()
try:
    with gpu.acquire(1, timeout=0.2): print("wrong")
except TimeoutError as error:
    print(error)
threading.Timer(0.3, lambda: os.kill(os.getpid(), signal.SIGINT)).start()
try:
    with gpu.acquire(1): print("wrong")
except KeyboardInterrupt:
    print("interrupted")
over.set()
thread.join()
with gpu.acquire(2, timeout=5): print("free")
"""
    path = write(lab, "wait.py", body)
    assert lab.python(str(path)).stdout == "gpu(1): not free within 0.2 s\ninterrupted\nfree\n"


def test_code_holds_several_things_all_or_none(lab: Lab) -> None:
    body = """
import threading
from xpm import WouldDeadlock, XpmError, acquire
licence, index = token("licence", 1), lock("index")
held, over = threading.Event(), threading.Event()
def hold():
    with licence.acquire(1):
        held.set()
        over.wait(30)
thread = threading.Thread(target=hold)
thread.start()
held.wait(30)
try:
    with acquire(gpu(1), gpu(1), licence(1), index.write(), timeout=0.2): print("wrong")
except TimeoutError as error:
    print(error)
with gpu.acquire(2, timeout=5), index.write().acquire(timeout=5): print("nothing was kept")
over.set()
thread.join()
with index.write() as outer, acquire(index.read(), licence(1), timeout=5) as inner:
    print(inner.fence > outer.fence, inner.lost)
    try:
        with acquire(gpu(1), index.read()): print("wrong")
    except WouldDeadlock as error:
        print(str(error).rpartition(": ")[2])
with acquire(gpu(2), licence(1), index.write(), timeout=5): print("all is back")
for wrong in ((), (gpu,), (gpu(2), gpu(1))):
    try:
        with acquire(*wrong): print("wrong")
    except XpmError as error:
        print(error)
"""
    path = write(lab, "several.py", body)
    assert lab.python(str(path)).stdout.splitlines() == [
        "lock('index').write() and gpu(2) and licence(1): not free within 0.2 s",
        "nothing was kept",
        "True False",
        "acquire(gpu(1), licence(1))",
        "all is back",
        'acquire(): nothing to hold; name it, as in acquire(gpu(1), lock("index").read())',
        "acquire(): expected amounts of tokens, and locks to read or to write, as gpu(1) or lock('index').read(), "
        "got token('gpu', 2)",
        "needs gpu(3), there are 2; 'xpm token set gpu 3' raises it",
    ]


IN_JOBS = """
from xpm import WouldDeadlock, acquire

class Inside(Task):
    n: Param[int]
    room: Meta[Path]

    def execute(self):
        with lock("door").write() as held:
            there = [one.name for one in self.room.iterdir()]
            mine = self.room / str(self.n)
            mine.touch()
            time.sleep(0.05)
            mine.unlink()
        return {"alone": not there, "fence": held.fence}

class Holder(Task):
    def execute(self):
        import os
        with lock("door").write() as held, lock("door").read() as again:
            same = held.fence == again.fence == os.environ["XPM_FENCE"]
        with acquire(lock("door").read(), lock("zoo").write(), timeout=9) as both:
            same = same and both.fence > os.environ["XPM_FENCE"]
        for wanted in token("aa", 1)(1), gpu(1):
            try:
                with acquire(wanted), lock("zoo").read(): return "no"
            except WouldDeadlock as error:
                same = same and str(error).partition("; ")[2]
            print(same)
        with lock("zoo").read():
            try:
                with token("aa", 1).acquire(1): return "no"
            except WouldDeadlock as error: print(str(error).partition("; ")[2])
            try:
                with token("yak", 1).acquire(1): return "no"
            except WouldDeadlock as error: print(str(error).partition("; ")[2])
        return bool(same)
"""


WRITER = """
class Writer(Task):
    def execute(self):
        with lock("paper").write(): pass

"""


def test_why_tells_how_to_raise_what_running_code_has_too_little_of(lab: Lab) -> None:
    go = lab.project / "go"
    write(
        lab,
        "raise.py",
        "class Both(Task):\n    def execute(self):\n        with token('gpu').acquire(2): pass\n\n"
        "with experiment('raise'):\n"
        f"    Use.C(n=1, room=room, until={str(go)!r}).submit(requires=[gpu(1)])\n"
        "    Both.C().submit()\n",
    )
    lab.ok("run", "--detach", "raise.py")
    until(lambda: [one["amount"] for one in lab.json("token", "show", "gpu")["waiters"]] == [2])
    lab.ok("token", "set", "gpu", "1")
    said = lab.ok("why", lab.job("Both", "RUNNING")["id"])
    assert (
        "\nits code needs 2 of token gpu, of which there are 1; when there can be more: xpm token set gpu 2\n"
        in said
    ), said
    assert re.search(r"^  Use n=1 \w{8} has 1 for ", said, re.MULTILINE), said
    lab.ok("token", "set", "gpu", "2")
    go.touch()
    lab.ok("attach", "raise")


def test_the_job_is_named_whose_code_holds_something_or_waits(lab: Lab) -> None:
    go = lab.project / "go"
    write(
        lab,
        "named.py",
        "class Keep(Use):\n    def execute(self):\n        with gpu.acquire(2): super().execute()\n\n"
        "with experiment('named'):\n"
        f"    for n in range(2): Keep.C(n=tag(n), room=room, until={str(go)!r}).submit()\n"
        "    while not list(room.iterdir()): time.sleep(0.01)\n"
        "    Use.C(n=tag(2), room=room).submit(requires=[gpu(1)])\n",
    )
    lab.ok("run", "--detach", "named.py")
    until(lambda: len(lab.json("token", "show", "gpu")["waiters"]) == 2)
    shown = lab.json("token", "show", "gpu")
    (holder,), waiters = shown["holders"], shown["waiters"]
    ids = {one["label"]: one["id"] for one in lab.json("jobs")["jobs"]}
    assert {one["label"]: one["job"] for one in (holder, *waiters)} == ids
    said = lab.ok("token", "show", "gpu")
    assert all(id[:8] in said for id in ids.values()), said
    assert f"\n  {holder['label']} {holder['job'][:8]} has 2 for " in lab.ok("why", ids["Use n=2"])
    go.touch()
    lab.ok("attach", "named")


def test_it_is_said_who_is_served_next_and_what_running_code_waits_for(lab: Lab) -> None:
    go = lab.project / "go"
    write(
        lab,
        "served.py",
        "with experiment('served'):\n"
        f"    use = Use.C(n=9, room=room, until={str(go)!r})\n"
        "    use.submit(requires=[lock('paper').read(), gpu(1)])\n",
    )
    lab.ok("run", "--detach", "served.py")
    until(lambda: lab.json("lock", "show", "paper")["holders"])
    write(
        lab,
        "next.py",
        f"{WRITER}with experiment('next'):\n"
        "    for n in range(3): Use.C(n=tag(n), room=room).submit(requires=[gpu(2)], priority=n)\n"
        "    Use.C(n=tag(5), room=room).submit(requires=[gpu(1)], priority=-1)\n"
        "    Writer.C().submit()\n",
    )
    lab.ok("run", "--detach", "next.py")
    until(lambda: len(lab.json("token", "show", "gpu")["waiters"]) == 4)
    shown = lab.json("token", "show", "gpu")
    assert [one["label"] for one in shown["waiters"]] == ["Use n=2", "Use n=1", "Use n=0", "Use n=5"]
    notes = {job["label"]: job["note"] for job in lab.json("jobs", "--state", "READY")["jobs"]}
    assert notes["Use n=2"] == "waits for token gpu: 2 of 2, 1 free"
    assert notes["Use n=5"] == "after Use n=2 in line for token gpu"
    write(
        lab,
        "nowhere.py",
        "with experiment('nowhere'):\n    Use.C(n=tag(6), room=room).submit(requires=[gpu(2)], priority=9, queue='mars')\n"
        "    Use.C(n=tag(7), room=room).submit(requires=[gpu(1)], queue='mars')\n",
    )
    lab.ok("queue", "pause", "mars", "--yes")
    lab.ok("run", "--detach", "nowhere.py")
    until(lambda: lab.json("token", "show", "gpu")["waiters"][0]["label"] == "Use n=6")
    notes = {job["label"]: job["note"] for job in lab.json("jobs", "--state", "READY")["jobs"]}
    assert notes["Use n=6"].startswith("queue mars is paused by ")
    assert notes["Use n=5"] == "after Use n=2 in line for token gpu", "the one before it can't be served"
    said = lab.ok("why", lab.job("Use n=6", "READY")["id"]).splitlines()
    assert said[1].startswith("queue mars is paused by ")
    assert said[2] == "besides, it waits for token gpu: 2 of 2, 1 free"
    said = lab.ok("why", lab.job("Use n=7", "READY")["id"])
    assert "is paused by" in said and "gpu" not in said, "it is free, and what stops the job is the queue"
    lab.ok("cancel", "-e", "nowhere", "--yes")
    lab.ok("queue", "resume", "mars", "--yes")
    until(lambda: lab.json("lock", "show", "paper")["waiters"])
    (writer,) = (job for job in lab.json("jobs", "--state", "RUNNING")["jobs"] if "Writer" in job["label"])
    assert writer["note"].endswith("s, its code waits for lock paper, to write: it is read by 1")
    said = lab.ok("why", writer["id"])
    assert "\nits code waits for lock paper, to write: it is read by 1\n" in said
    assert "is reading it for " in said
    go.touch()
    lab.ok("attach", "served")
    lab.ok("attach", "next")


def test_code_in_jobs_holds_tokens_and_locks_and_knows_what_its_job_requires(lab: Lab) -> None:
    write(
        lab,
        "inside.py",
        IN_JOBS + "with experiment('inside') as xp:\n"
        "    for n in range(6): Inside.C(n=tag(n), room=room).submit()\n"
        "    holder = Holder.C().submit(requires=[lock('door').write(), gpu(1)])\n"
        "    print(holder.result())\n"
        "print(holder.job.stdout.read_text(), end='')\n"
        "rows = xp.rows(Inside)\n"
        "print(all(row['result.alone'] for row in rows), len({row['result.fence'] for row in rows}))\n",
    )
    assert lab.ok("run", "inside.py").splitlines() == [
        "True",
        "name aa(1) in requires=, too",
        "take all of it by requires=",
        "name aa(1) in requires=, too",
        "take them in the order of names (yak, zoo), or both at once: acquire(yak(1), lock('zoo').read())",
        "True 6",
    ]


SHARED = """
import threading
from concurrent.futures import ThreadPoolExecutor
shared, plain = lock("shared").read(), lock("shared")
first_in, second_in, first_out, second_out = (threading.Event() for _ in range(4))
def writer():
    try:
        with plain.write().acquire(timeout=0): return "free"
    except TimeoutError: return "held"
def first():
    with shared:
        first_in.set(); second_in.wait(30)
    first_out.set(); second_out.wait(30)
    before = aside.submit(writer).result()
    with plain.read(): within = aside.submit(writer).result()
    with plain.write().acquire(timeout=0): return [before, within]
def second():
    first_in.wait(30)
    with shared:
        second_in.set(); first_out.wait(30)
        other = aside.submit(writer).result()
    second_out.set()
    return other
slot, inside, most = gpu.acquire(1), [], []
def use(_):
    with slot:
        inside.append(1); most.append(len(inside)); inside.pop()
with ThreadPoolExecutor(4) as pool, ThreadPoolExecutor(1) as aside:
    print([one.result() for one in [pool.submit(first), pool.submit(second)]])
    print(len(list(pool.map(use, range(12)))), max(most) <= 2)
outer, inner = plain.write(), plain.read()
outer.__enter__()
inner.__enter__()
outer.__exit__(None, None, None)
with ThreadPoolExecutor(1) as aside: print(aside.submit(writer).result())
with ThreadPoolExecutor(1) as aside: aside.submit(inner.__exit__, None, None, None).result()
print(writer())
"""


def test_threads_share_the_value_behind_a_block_and_each_holds_for_itself(lab_with_gpu: Lab) -> None:
    path = write(lab_with_gpu, "shared.py", SHARED)
    assert lab_with_gpu.python(str(path)).stdout.splitlines() == [
        "[['free', 'held'], 'held']",
        "12 True",
        "held",
        "free",
    ]


FORKED = """
import os
from concurrent.futures import ThreadPoolExecutor
from multiprocessing import get_context

def writes(timeout=0):
    try:
        with lock("forked").write().acquire(timeout=timeout): return "free"
    except TimeoutError: return "held"

def waits():
    for _ in range(2):
        with lock("forked").read(): pass

def left_by_a_child():
    try:
        with lock("forked").write():
            child = os.fork()
            if not child: sys.exit()
            assert os.waitpid(child, 0)[1] == 0
            with ThreadPoolExecutor(1) as aside: return aside.submit(writes).result()
    except SystemExit: os._exit(0)

def forked():
    with lock("forked").write():
        with get_context("fork").Pool(1) as pool: within = pool.apply(writes)
        patient = get_context("fork").Process(target=waits)
        patient.start()
    patient.join(30)
    return [within, left_by_a_child(), writes(30), patient.exitcode]

class Forks(Task):
    def execute(self): return forked()
"""


def test_a_forked_process_holds_nothing_of_what_its_parent_does_and_frees_nothing(lab: Lab) -> None:
    body = "with experiment('forks'):\n    done = Forks.C().submit()\n    print(done.result())\nprint(forked())\n"
    write(lab, "forks.py", FORKED + body + "print(done.job.stderr.read_text(), file=sys.stderr)\n")
    done = lab.run("run", "forks.py")
    assert done.stdout.splitlines() == ["['held', 'held', 'free', 0]"] * 2, done.stderr
    told = "xpm: lock('forked').write() was held when this process was forked: lock('forked').read() waits for its end"
    assert done.stderr.splitlines().count(told) == 2


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (
            "with gpu.acquire(1):\n    with gpu.acquire(1): pass\n",
            "xpm: gpu(1) is wanted while gpu(1) is held: two that do so wait",
        ),
        ("with experiment('e') as xp:\n    xp.usage('gpu')\n", "xpm: usage(): expected a token"),
    ],
)
def test_wrong_use_in_code_shows_the_script_s_line_and_none_of_xpm_s(
    lab_with_gpu: Lab, body: str, said: str
) -> None:
    path = write(lab_with_gpu, "wrong.py", body)
    done = lab_with_gpu.python(str(path), check=False)
    assert done.returncode == 2
    lines = done.stderr.splitlines()
    assert lines[-1].startswith(said)
    assert [line for line in lines if "File" in line] == [
        f'  File "{path}", line {len(PLAN.splitlines()) + 2}, in <module>'
    ]


def test_a_dry_run_takes_nothing_and_ends_where_it_would_have_to(lab: Lab) -> None:
    write(
        lab,
        "dry.py",
        "if 'outside' in sys.argv:\n    gpu.acquire(1).__enter__()\n"
        "with experiment('dry'):\n"
        "    Use.C(n=1, room=room).submit(requires=gpu(1))\n"
        "    with lock('index').write(), gpu.acquire(1): print('within')\n",
    )
    done = lab.run("run", "--dry-run", "dry.py")
    assert done.returncode == 0 and done.stdout == ""
    assert "asks for lock('index').write(), which a dry run can't give: the plan up to here" in done.stderr
    assert "1 new" in done.stderr
    outside = lab.run("run", "--dry-run", "dry.py", "outside")
    assert outside.returncode == 2
    assert outside.stderr.splitlines()[-1].startswith("xpm: acquire(): a dry run holds nothing")
    assert not lab.workspace.exists()


COROUTINES = """
import asyncio
from xpm import WouldDeadlock
index, inside, most = lock("index").write(), [], []

async def own(name, turns=1):
    with lock(name).write(), lock(name).read():
        inside.append(name); most.append(len(inside))
        for _ in range(turns): await asyncio.sleep(0)
        inside.pop()
    return name

def alone():
    with index:
        inside.append("alone"); most.append(len(inside))
        time.sleep(0.01)  # for others to come in, if they wrongly may
        inside.pop()

async def child():
    with index: return await asyncio.create_task(own("index"))

async def main():
    print(*await asyncio.gather(own("index"), own("index"), return_exceptions=True), sep="\\n")
    print(await asyncio.gather(own("a"), own("b", 2), own("c")), max(most))
    print((await asyncio.gather(child(), return_exceptions=True))[0] is not None)
    most.clear()
    await asyncio.gather(*(asyncio.to_thread(alone) for _ in range(3)))
    print(max(most))

asyncio.run(main())
with index:
    try: asyncio.run(own("index"))
    except WouldDeadlock as error: print(error)
with index: print("free")
"""


def test_a_coroutine_holds_for_itself_and_stops_no_other_for_ever(lab_with_gpu: Lab) -> None:
    path = write(lab_with_gpu, "coroutines.py", COROUTINES)
    assert lab_with_gpu.python(str(path)).stdout.splitlines() == [
        "index",
        "lock('index').write() is wanted while another coroutine of this thread holds lock('index').write(): waiting "
        "for it would stop the event loop, and so the other, for ever; put each such block into a function of its own, "
        "and await asyncio.to_thread(function)",
        "['a', 'b', 'c'] 3",
        "True",
        "1",
        "lock('index').write() is wanted in a coroutine while lock('index').write() is held around its event loop, "
        "which a coroutine has no part in; take it at one of the two places",
        "free",
    ]


def test_a_script_is_told_that_it_may_have_lost_what_it_holds_while_the_broker_is_silent(lab: Lab) -> None:
    lab.env["XPM_LEASE"] = "1"
    body = """
with lock("index").write() as held:
    for lost in False, True, False:
        while held.lost is not lost:
            time.sleep(0.01)  # it is to be asked, and comes as no event
        print(lost, flush=True)
time.sleep(1.1)  # more than a lease, which ends with the block
print(held.lost)
"""
    command = [sys.executable, str(write(lab, "silent.py", body))]
    with subprocess.Popen(command, env=lab.env, cwd=lab.project, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "False\n"
        server = lab.json("broker")["pid"]
        os.kill(server, signal.SIGSTOP)
        try:
            assert holder.stdout.readline() == "True\n"
        finally:
            os.kill(server, signal.SIGCONT)
        assert holder.stdout.read() == "False\nFalse\n" and holder.wait(20) == 0


THREADS = """
from concurrent.futures import ThreadPoolExecutor
from xpm import UsageError
only = token("only", 1)
def use():
    try:
        with only.acquire(1, timeout=0): return "free"
    except (TimeoutError, UsageError) as error: return str(error)

with ThreadPoolExecutor(1) as aside:
    def say(): print(aside.submit(use).result())
    with experiment("one", workspace="first"), only.acquire(1):
        say()
        with experiment("two", workspace="first"): say()
        with experiment("two", workspace="second"): say()
        say()
    say()
"""


def test_threads_of_an_experiment_hold_in_its_workspace(lab: Lab) -> None:
    held = "only(1): not free within 0 s"
    first, second = (lab.project.resolve() / name for name in ("first", "second"))
    path = write(lab, "threads.py", THREADS)
    assert lab.python(str(path)).stdout.splitlines() == [
        held,
        held,
        f"acquire(): this thread has no experiment of its own, and those that are open have several workspaces: {first}, "
        f"{second}; open one in the thread, or start the thread's code by contextvars.copy_context().run(function)",
        held,
        "free",
    ]


UNUSED = """
import pickle
from xpm import acquire
gpu.acquire(1)
lock("index").write().acquire(timeout=5)
kept, sent = gpu.acquire(1), gpu.acquire(1)
pickle.dumps(sent)
for made in (gpu.acquire(1), acquire(gpu(1), lock("index").read())):
    with made: pass
needs = [lock("index").write(), gpu(1)]
del made, sent, needs
if len(sys.argv) > 1:
    with experiment("unused"): Use.C(n=1, room=room).submit(requires=[gpu.acquire(1)])
"""


def test_what_is_acquired_without_a_block_is_told(lab_with_gpu: Lab) -> None:
    path = write(lab_with_gpu, "unused.py", UNUSED)
    first, line, second, other = lab_with_gpu.python(str(path)).stderr.splitlines()
    assert first.startswith(f"{path}:") and line == "  gpu.acquire(1)"
    assert first.endswith(
        "RuntimeWarning: acquire(gpu(1)) was never entered, and held nothing: write  with ...acquire(...):"
    )
    assert "acquire(lock('index').write()) was never entered" in second and "timeout=5" in other
    refused = lab_with_gpu.python(str(path), "requires", check=False)
    assert refused.stderr.count("never entered") == 2
    assert refused.stderr.endswith("lock('index').read(), got acquire(gpu(1))\n")


def test_a_value_that_is_no_block_says_what_to_write() -> None:
    for value, said in (
        (lock("ix"), "lock('ix') is read or written: write  with lock('ix').read():  or  with lock('ix').write():"),
        (token("gpu", 2), "token('gpu', 2) is held in amounts: write  with token('gpu', 2).acquire(1):"),
        (token("gpu", 2)(1), "gpu(1) is an amount, for requires=: write  with acquire(gpu(1)):"),
    ):  # fmt: skip
        block: Any = value
        with pytest.raises(UsageError, match=f"^{re.escape(said)}$"), block:
            pass


@pytest.fixture
def neighbour(lab: Lab, start_server: Callable[..., Server]) -> Iterator[Lab]:
    """Another project, with the same broker."""
    made = Lab()
    made.env["XPM_BROKER"] = lab.env["XPM_BROKER"] = start_server().url
    yield made
    made.close()


def test_projects_that_share_a_broker_share_its_tokens(lab: Lab, neighbour: Lab) -> None:
    go = lab.project / "go"
    write(
        lab,
        "held.py",
        f"with experiment('held'):\n    Use.C(n=tag(0), room=room, until={str(go)!r}).submit(requires=[gpu(2)])\n",
    )
    lab.ok("run", "--detach", "held.py")
    until(lambda: len(list((lab.project / "room").iterdir())) == 1)
    write(
        neighbour,
        "waits.py",
        "with experiment('waits'):\n    Use.C(n=tag(1), room=room).submit(requires=[gpu(1)])\n",
    )
    neighbour.ok("run", "--detach", "waits.py")
    place = os.path.realpath(lab.workspace)
    (holder,) = neighbour.json("token", "show", "gpu")["holders"]
    assert (holder["label"], holder["amount"], holder["workspace"]) == ("Use n=0", 2, place)
    (waiter,) = neighbour.json("token", "show", "gpu")["waiters"]
    assert (waiter["label"], waiter["workspace"]) == ("Use n=1", None)
    assert place in neighbour.ok("token", "show", "gpu")
    assert f"Use n=0 {holder['job'][:8]} of {place}" in neighbour.ok("why", waiter["job"])
    (seen,) = lab.json("token", "show", "gpu")["waiters"]
    assert seen["workspace"] == os.path.realpath(neighbour.workspace)
    go.touch()
    neighbour.ok("attach", "waits")
    code = "from xpm import token\nwith token('gpu').acquire(2): print('alone')\n"
    (neighbour.project / "alone.py").write_text(code)
    assert neighbour.python("alone.py").stdout == "alone\n"
    lab.ok("token", "set", "gpu", "3")
    assert neighbour.json("token", "show", "gpu")["capacity"] == 3
