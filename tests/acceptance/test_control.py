"""The commands that change jobs, with real workers: what they show, what they ask, what they do."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pexpect
import psutil
import pytest
from commands import XPM, Lab
from waiting import until

from xpm.broker.broker import Broker
from xpm.broker.connect import open_client
from xpm.workspace.layout import Workspace

TASKS = '''
import subprocess, sys, time
from pathlib import Path
from xpm import Meta, Param, Task, experiment, field, tag

class Tree(Task):
    """Leaves a child that ignores SIGTERM, and a grandchild in a session of its own."""
    n: Param[int]
    pids: Meta[Path]
    def execute(self):
        grandchild = "import time; time.sleep(600)"
        child = (
            "import signal, subprocess, sys, time; signal.signal(signal.SIGTERM, signal.SIG_IGN);"
            f"p = subprocess.Popen([sys.executable, '-c', {grandchild!r}], start_new_session=True);"
            "print(p.pid, flush=True); time.sleep(600)"
        )
        process = subprocess.Popen([sys.executable, "-c", child], stdout=subprocess.PIPE, text=True)
        line = process.stdout.readline()
        self.pids.write_text(f"{process.pid} {line}")
        time.sleep(600)

class After(Task):
    tree: Param[Tree]
    def execute(self):
        return 1

if __name__ == "__main__":
    with experiment("trees"):
        tree = Tree.C(n=1, pids=Path(sys.argv[1])).submit()
        After.C(tree=tree).submit()
'''


STEER = """
import sys, time
from pathlib import Path
from plan import Size, Slow, Total
from xpm import experiment

if __name__ == "__main__":
    gate = sys.argv[1]
    with experiment("steer", check=False) as xp:
        slow = [Slow.C(n=n, size=Size.C(layers=2), kind="steer", until=gate).submit() for n in range(4)]
        total = Total.C(parts=slow).submit()

        def of(state):
            return [each.job for each in slow if each.job.state == state]

        while len(of("RUNNING")) < 2:
            time.sleep(0.02)
        running, ready = of("RUNNING"), of("READY")
        print(ready[0].hold(), ready[0].hold(), running[0].hold(), total.job.state, running[0].touches())
        print(ready[0].why()[1:], total.job.why()[0])
        print(ready[1].priority(3), ready[1].cancel(), ready[1].cancel(), ready[1].retry(), ready[1].retry())
        print(xp.hold(Slow), xp.release(), xp.release(), xp.priority(7, state=ready[0].state), xp.touches("Total"))
        print(running[0].kill(), total.job.kill())
        while running[0].state == "RUNNING":
            time.sleep(0.02)
        Path(gate).touch()
    print(sorted((job.label, job.state.value, job.reason) for job in xp.failed))
"""

WHERE = """
import sys
from pathlib import Path
from plan import Size, Slow, Total
from xpm import UsageError, experiment, tag

def wrong(call, text):
    try:
        call(where=text)
    except UsageError as error:
        print(error)

if __name__ == "__main__":
    gate = sys.argv[1]
    with experiment("where", check=False) as xp:
        xp.pause_queue("default")  # none is to run before all are held
        slow = [Slow.C(n=tag(n), size=Size.C(layers=2), kind="where", until=gate).submit() for n in range(6)]
        xp.hold(Slow)
        print(xp.release(where="n in (4, 5)"), xp.hold(where="n = 4"), xp.priority(3, Slow, where="not n < 3"))
        print(xp.touches(where="state = hold and n <= 1"), xp.cancel(where="n = 0"), xp.release(where="priority = 0"))
        for text in ("m = 3", "n <"):
            wrong(xp.rows, text)
            wrong(xp.kill, text)
        wrong(xp.rows, "queue = default")
        Path(gate).touch()
        xp.release()
        xp.resume_queue("default")
        xp.wait()
        print([row["n"] for row in xp.rows(where="n in (1, 3) or not task = Slow")])
        print(len(xp.frame(where="state = done and seconds < 1h and started > 2020 and attempt = 1")))
"""

BUSY = """
import sys, time
from plan import Size, Slow
from xpm import experiment

if __name__ == "__main__":
    gate, pause = sys.argv[1], float(sys.argv[2])
    with experiment("busy"):
        for n in range(400):
            Slow.C(n=n, size=Size.C(layers=2), kind="busy", until=gate).submit()
            time.sleep(pause)  # it is to be in the midst of it when it is cancelled
"""

STOPPED = """
import sys, time
from pathlib import Path
from xpm import Meta, Param, Task, TaskCancelled, experiment

class Slow(Task):
    n: Param[int]
    kind: Param[str]
    gate: Meta[Path]
    def execute(self):
        try:
            while not self.gate.exists():
                time.sleep(0.02)  # a file rings no bell for a task
        except TaskCancelled:
            while not self.gate.with_name("stop").exists():
                time.sleep(0.02)  # a file rings no bell for a task
            raise

if __name__ == "__main__":
    with experiment(sys.argv[1]):
        for n in range(2):
            Slow.C(n=n, kind=sys.argv[1], gate=Path(sys.argv[2])).submit()
"""


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    made = Lab()
    (made.project / "trees.py").write_text(TASKS)
    (made.project / "steer.py").write_text(STEER)
    (made.project / "busy.py").write_text(BUSY)
    (made.project / "where.py").write_text(WHERE)
    (made.project / "stopped.py").write_text(STOPPED)
    yield made
    made.close()


@pytest.fixture
def gate(tmp_path: Path) -> Iterator[Path]:
    """A file for which jobs wait; they end with the test."""
    path = tmp_path / "gate"
    yield path
    path.touch()


def counts(lab: Lab, experiment: str) -> dict[str, int]:
    found = lab.json("jobs", "-e", experiment)["counts"]
    return {state: count for state, count in found.items() if count}


def started(lab: Lab, name: str, count: int, gate: Path, running: int = 2) -> None:
    lab.run("run", "--detach", "plan.py", name, str(count), str(gate))
    until(lambda: counts(lab, name).get("RUNNING") == running)


def test_kill_ends_the_whole_tree_of_processes(lab: Lab, tmp_path: Path):
    pids = tmp_path / "pids"
    lab.run("run", "--detach", "trees.py", str(pids))
    until(lambda: pids.exists() and len(pids.read_text().split()) == 2)
    tree = [psutil.Process(int(pid)) for pid in pids.read_text().split()]
    refused = lab.run("kill", "Tree")
    assert refused.returncode == 2 and "kill 1 job: nobody to ask; say --yes" in refused.stderr
    assert "kill 1 job: 1 RUNNING\n" in refused.stdout
    assert "what needs them goes on hold until they are done: 1 job\n" in refused.stdout
    assert "experiment: trees (1)\n" in refused.stdout
    said = lab.json("kill", "Tree", "--yes")
    assert (said["jobs"], said["became"]) == (1, {"stopping": 1, "done": 0, "idle": 0})
    assert not any(process.is_running() for process in tree), "it answers when all have ended"
    job = lab.json("show", "Tree")
    assert job["state"] == "ERROR" and re.fullmatch(r"killed by \w+@\S+", job["note"])
    assert (job["failure"]["kind"], job["attempts"][-1]["end"]) == ("killed", "killed")
    assert counts(lab, "trees") == {"ERROR": 1, "HOLD": 1}
    again = lab.run("kill", "Tree", "--yes")
    assert again.returncode == 1 and "is ERROR: only what runs can be killed" in again.stderr


def test_hold_and_release_by_name_and_experiment(lab: Lab, gate: Path):
    started(lab, "holds", 4, gate)
    ready = lab.json("jobs", "-e", "holds", "--state", "READY")["jobs"]
    waiting = [job["id"] for job in sorted(ready, key=lambda job: job["label"], reverse=True)]
    assert len(waiting) == 2
    assert lab.ok("hold", waiting[0], "--yes").endswith("1 job held\n")
    # The last two are in one sum, and one of them waits, whichever began first.
    assert counts(lab, "holds") == {"RUNNING": 2, "READY": 1, "HOLD": 2, "WAITING": 1}
    held = lab.json("show", waiting[0])
    assert re.fullmatch(r"held by \S+@\S+, \d\d:\d\d", held["note"]), held["note"]
    assert held["note"] in lab.ok("jobs", "-e", "holds")
    said = lab.ok("release", "-e", "holds", "--yes").splitlines()[-1]
    assert said == "2 jobs released", "one was on hold for the other alone"
    lab.ok("hold", waiting[0], "--yes")
    dependent = lab.json("jobs", "--state", "HOLD", "-e", "holds", "--task", "Total")["jobs"][0]["id"]
    assert lab.ok("release", dependent, "--yes").splitlines()[-1] == "1 job held by nobody"
    assert lab.ok("hold", "-e", "holds", "--yes").splitlines()[-1] == "3 jobs held, 1 job held already"
    gate.touch()
    until(lambda: counts(lab, "holds") == {"DONE": 2, "HOLD": 4})
    watching = lab.spawn("attach", "holds")
    watching.expect(r"jobs that a person holds are waited for[^$]*xpm release -e holds")
    released = lab.json("release", "-e", "holds", "--yes")["became"]
    assert released == {"released": 4, "blocked": 0, "short": 0, "free": 0}, "what waits for others, too"
    watching.expect("all 6 jobs done")
    watching.expect(pexpect.EOF)


def test_retry_runs_what_failed_again(lab: Lab):
    assert lab.run("run", "plan.py", "again", "4", "fail").returncode == 1
    before = lab.job("Slow n=3", "ERROR")
    shown = lab.ok("retry", "-e", "again", "--dry-run")
    assert shown.startswith("retry 1 job: 1 ERROR\n") and "may go on when they are done" in shown
    assert lab.job("Slow n=3")["attempt"] == before["attempt"] == 1
    assert lab.ok("retry", "--task", "Slow", "--state", "error", "--yes").endswith("1 job to run again\n")
    until(lambda: lab.job("Slow n=3")["attempt"] == 2 and lab.job("Slow n=3")["state"] == "ERROR")
    wrong = lab.run("retry", "--state", "DONE", "--yes")
    assert wrong.returncode == 2 and "--state DONE: this changes jobs that are ERROR" in wrong.stderr
    lab.run("run", "plan.py", "well", "1")
    assert lab.ok("retry", "-e", "well", "--yes") == "no job to retry\n"


def test_priority_decides_what_starts_next(lab: Lab, gate: Path):
    started(lab, "first", 6, gate)
    last = lab.job("Slow n=5", "READY")["id"]
    assert lab.ok("priority", "-7", last, "--yes").endswith("1 job with priority -7 now\n")
    assert lab.json("priority", "9", last, "--yes")["priority"] == 9
    assert lab.job("Slow n=5")["priority"] == 9
    # Which of them run at first depends on how many were submitted at once: the others are to be compared.
    ready = [job["id"] for job in lab.json("jobs", "--task", "Slow", "--state", "READY")["jobs"]]
    gate.touch()
    until(lambda: lab.run("attach", "first").returncode == 0)
    started_at = {job["id"]: job["started"] for job in lab.json("jobs", "--task", "Slow")["jobs"]}
    assert min(ready, key=lambda id: started_at[id]) == last
    wrong = lab.run("priority", "5000", last, "--yes")
    assert wrong.returncode == 2 and "expected a whole number from -4095 to 4095" in wrong.stderr


def test_cancel_takes_jobs_and_states_too(lab: Lab, gate: Path):
    started(lab, "some", 4, gate)
    for word, told in (
        ("Slow", "Slow names "),
        ("Totl", "did you mean 'Total'?"),
        ("xyz", "no experiment 'xyz'"),
    ):
        wrong = lab.run("cancel", word, "--yes")
        assert wrong.returncode == 2 and told in wrong.stderr
    ready = lab.job("Slow n=3", "READY")["id"]
    said = lab.json("cancel", ready, "--yes")
    assert said == {"version": 1, "experiment": None, "cancelled": 1, "stopped": 0, "kept": 0}
    assert lab.json("cancel", "-e", "some", "--state", "ready", "--yes")["cancelled"] == 1
    assert lab.ok("cancel", "--state", "running", "--task", "Slow", "--yes").endswith(
        "0 jobs cancelled, 2 stopped\n"
    )
    assert counts(lab, "some") == {"CANCELLED": 4, "HOLD": 2}


def test_a_person_is_asked_on_a_terminal(lab: Lab, gate: Path):
    started(lab, "ask", 2, gate)
    child = lab.spawn("kill", "-e", "ask")
    child.expect(r"Kill 2 jobs\? \[y/N\]")
    child.sendline("n")
    child.expect("nothing was changed")
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 1 and counts(lab, "ask")["RUNNING"] == 2
    child = lab.spawn("kill", "-e", "ask")
    child.expect(r"\[y/N\]")
    child.sendline("y")
    child.expect("2 jobs killed")
    child.expect(pexpect.EOF)


def test_a_script_has_the_same_verbs(lab: Lab, gate: Path):
    done = lab.run("run", "steer.py", str(gate))
    assert done.returncode == 0, done.stderr
    first, why, second, third, fourth, failed = done.stdout.splitlines()
    assert first == "True False False HOLD Touch(dependents=1, experiments={'steer': 1})"
    assert re.fullmatch(r"\['\S+@\S+ holds it for [^']*: xpm release \w{8}'\] Total \w{8} is on hold", why), (
        why
    )
    assert second == "True True False True False"
    assert third == "1 2 0 2 Touch(dependents=0, experiments={'steer': 1})"
    assert fourth == "True False"
    assert re.fullmatch(
        r"\[\('Slow n=\d kind=steer', 'ERROR', 'killed by \S+@\S+'\), \('Total', 'HOLD', '.*'\)\]", failed
    ), failed


def test_filters_in_python(lab: Lab, gate: Path):
    done = lab.run("run", "where.py", str(gate))
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "2 1 3",
        "Touch(dependents=0, experiments={'where': 2}) 1 2",
        "no job has a tag 'm'; there are n",
        "no job has a tag 'm'; there are n",
        "the filter 'n <': expected a value at its end",
        "the filter 'n <': expected a value at its end",
        "where: queue: rows don't have it; xpm jobs --where does",
        "[1, 3]",
        "5",
    ]


def test_a_paused_queue_starts_nothing_until_it_is_resumed(lab: Lab, gate: Path):
    gate.touch()
    lab.run("run", "plan.py", "before", "1")
    assert lab.ok("queue", "pause", "default", "--yes").endswith("\ndefault: paused\n")
    assert lab.ok("queue", "pause", "default", "--yes").endswith("\ndefault: was paused already\n")
    lab.run("run", "--detach", "plan.py", "paused", "2", str(gate))
    (found,) = lab.json("queue")["queues"]
    assert (found["ready"], found["running"]) == (2, 0) and found["workers"] >= 1
    assert re.search(r"^default +2 +0 +\d+ +paused by \S+@\S+, \d\d:\d\d$", lab.ok("queue"), re.MULTILINE)
    assert counts(lab, "paused") == {"READY": 2, "WAITING": 1}
    ready = lab.json("jobs", "-e", "paused", "--state", "READY")["jobs"]
    assert {job["startable"] for job in ready} == {False}
    assert re.fullmatch(
        r"queue default is paused by \S+ since \d\d:\d\d: xpm queue resume default", ready[0]["note"]
    )
    wrong = lab.run("queue", "resume", "defalt", "--yes")
    assert wrong.returncode == 2 and "queue defalt is not paused; did you mean 'default'?" in wrong.stderr
    assert lab.ok("queue", "resume", "default", "--yes") == "default: resumed\n"
    assert lab.run("attach", "paused").returncode == 0


def test_a_script_says_that_its_queue_is_paused_or_all_workers_suspended(lab: Lab):
    lab.run("run", "plan.py", "before", "1")
    url = lab.ok("broker", "url").strip()
    lab.ok("queue", "pause", "default", "--yes")
    rq = str(Path(sys.executable).with_name("rq"))

    def rq_tool(verb: str) -> None:
        subprocess.run([rq, verb, "-u", url], check=True, capture_output=True)

    child = lab.spawn("run", "plan.py", "halted", "2", columns=300)
    child.expect(
        r"2 jobs wait in the queue 'default', which \S+@\S+ has paused; to go on:\s+\S+ queue resume default"
    )
    rq_tool("suspend")
    child.expect(r"all workers are suspended by RQ's tools; to go on:\s+rq resume -u")
    (job,) = lab.json("jobs", "-e", "halted", "--state", "READY", "--limit", "1")["jobs"]
    resume = 'rq resume -u "$(xpm broker url)"'
    assert job["note"] == f"all workers are suspended by RQ's tools: {resume}"
    assert f"all workers are suspended by rq: {resume} lets them go on" in lab.run("queue").stderr
    rq_tool("resume")
    lab.ok("queue", "resume", "default", "--yes")
    child.expect("3 done")
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 0


SHARED = """
import sys
from pathlib import Path
from plan import Size, Slow
from xpm import ConfigError, SubmissionError, UsageError, experiment, lock, tag, token

gate = sys.argv[1]
gpu, disk = token("chips", 1), token("disk", 2, per="host")
with experiment("shared") as xp:
    Slow.C(n=tag(9), size=Size.C(layers=2), kind="shared", until=gate).submit(requires=[gpu(1)]).result()
    print(xp.pause_queue("default"), xp.pause_queue("default"), xp.resume_queue("none"))
    held = Slow.C(n=tag(1), size=Size.C(layers=2), kind="shared", until=gate).submit(requires=[gpu(1)])
    print(xp.touches().experiments, held.job.state, xp.set_capacity(gpu, 0), held.job.state)
    print(xp.set_capacity(gpu, 2), held.job.state)
    more = Slow.C(n=tag(2), size=Size.C(layers=2), kind="shared", until=gate).submit(requires=gpu(2))
    print(more.job.state, "though the script has said that there is 1")
    print(xp.set_capacity(disk, 3, host="tuba"), xp.set_capacity(disk, 2), xp.set_capacity(disk, 4))
    for wrong in (
        lambda: xp.pause_queue("a b"),
        lambda: xp.resume_queue(3),
        lambda: xp.drain_workers("nowhere"),
        lambda: xp.drain_workers(3),
        lambda: xp.kill(3),
        lambda: xp.kill(state=3),
        lambda: held.result(timeout=-1),
        lambda: xp.set_capacity(gpu, -1),
        lambda: xp.set_capacity(gpu, 2.0),
        lambda: xp.set_capacity("gpu", 2),
        lambda: xp.set_capacity(lock("gpu"), 2),
        lambda: xp.set_capacity(token("chips", per="host"), 1),
        lambda: xp.set_capacity(gpu, 1, host="tuba"),
        lambda: xp.set_capacity(disk, 1, host=""),
    ):
        try:
            wrong()
        except (ConfigError, SubmissionError, UsageError) as error:
            print(str(error).partition(" on ")[0])
    print(xp.drain_workers() > 0, xp.resume_queue("default"))
"""


def test_a_script_changes_what_experiments_share(lab: Lab, gate: Path):
    gate.touch()
    (lab.project / "shared.py").write_text(SHARED)
    done = lab.run("run", "shared.py", str(gate))
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "True False False",
        "{'shared': 2} READY 1 HOLD",
        "0 READY",
        "READY though the script has said that there is 1",
        "None None 2",
        "queue 'a b': expected letters, digits, '_', '-' and '.'",
        "queue 3: expected letters, digits, '_', '-' and '.'",
        "no worker or host 'nowhere'; there are workers",
        "drain_workers(): expected names of workers or hosts, got 3",
        "expected a task, by its class or its name, got 3",
        "no state 3; there are WAITING, READY, RUNNING, DONE, ERROR, HOLD, SCHEDULED, CANCELLED, LOST",
        "result(): timeout: expected seconds, a text like '2h' or a timedelta, got -1",
        "token chips: expected a whole number from 0 to 1000000, got -1",
        "token chips: expected a whole number from 0 to 1000000, got 2.0",
        "set_capacity(): expected a token(\"gpu\"), got 'gpu'",
        "set_capacity(): expected a token(\"gpu\"), got lock('gpu')",
        "token chips is counted for all hosts together, not per host",
        "token chips counts for all hosts together: it has no capacity per host",
        "token disk: expected the name of a host, got an empty text",
        "True True",
    ]


IDLE = """
import sys
from xpm import Param, Task, experiment, token

class Quick(Task):
    n: Param[int]
    def execute(self):
        return self.n

with experiment("idle") as xp:
    if len(sys.argv) > 1:
        Quick.C(n=1).submit()
    print(xp.set_capacity(token("idle", 1), 2))
    print(xp.failed)
    xp.wait()
    if len(sys.argv) > 2:
        raise ValueError("on purpose")
"""


def test_a_script_that_has_nothing_to_run_still_changes_what_is_shared(lab: Lab):
    (lab.project / "idle.py").write_text(IDLE)
    for words, was in (((), None), ((), 2), (("job",), 2), (("job",), 2)):
        done = lab.run("run", "idle.py", *words)
        assert (done.returncode, done.stdout) == (0, f"{was}\n[]\n"), done.stderr
    assert "nothing to do" in done.stderr, done
    broken = lab.run("run", "idle.py", "job", "error")
    assert "on purpose" in broken.stderr and "no job went out" not in broken.stderr


def test_a_drained_worker_finishes_its_job_and_is_not_replaced(lab: Lab, gate: Path):
    started(lab, "drained", 3, gate)
    workers = lab.json("worker")["workers"]
    assert len(workers) == 2 and not any(one["ending"] for one in workers)
    one, other = workers
    wrong = lab.run("worker", "drain", "nowhere", "--yes")
    assert wrong.returncode == 2 and "no worker or host 'nowhere'; there are workers on" in wrong.stderr
    shown = lab.ok("worker", "drain", "--all", "--dry-run")
    assert shown.startswith("drain 2 workers: 0 idle, 2 with a job\n") and "told" not in shown
    assert not any(one["ending"] for one in lab.json("worker")["workers"])
    said = lab.json("worker", "drain", f"{one['host']}.{one['pid']}", "--yes")
    assert said == {"version": 1, "told": [one["name"]], "busy": 1, "silent": []}
    assert "(its last)" in lab.ok("worker")
    gate.touch()
    until(lambda: counts(lab, "drained") == {"DONE": 5})
    until(lambda: not psutil.pid_exists(one["pid"]))
    left = lab.json("worker")["workers"]
    assert [each["name"] for each in left] == [other["name"]], "nobody came in its place"
    last = psutil.Process(other["pid"])
    pool = last.parent()
    assert lab.ok("worker", "drain", "--all", "--yes").endswith("1 worker told to end\n")
    pool.wait(30)
    assert lab.json("worker")["workers"] == [] and lab.run("attach", "drained").returncode == 0


def test_workers_that_are_not_heard_of_are_told_apart_when_they_are_drained(lab: Lab):
    lab.run("run", "plan.py", "silent", "1")
    with open_client(lab.ok("broker", "url").strip()) as client:
        namespace = Workspace.open(lab.workspace).namespace
        broker = Broker(client, namespace)
        broker.enrol(
            f"{namespace}.elsewhere.7-ab", {"host": "elsewhere", "pid": 7, "pool": "p", "slots": "default:1"}
        )
        client.hset(f"{broker.prefix}w:{namespace}.elsewhere.7-ab", "seen", 1)
        said = lab.ok("worker", "drain", "elsewhere", "--yes").splitlines()
        assert said == [
            "drain 1 worker: 0 idle, 0 with a job, 1 not heard of lately",
            "  elsewhere.7",
            "1 worker not heard of lately: to end if they come back",
        ]
        broker.depart(f"{namespace}.elsewhere.7-ab")


BUG = """
import sys
from pathlib import Path
from xpm import Meta, Param, Task, experiment

class Bad(Task):
    n: Param[int]
    mended: Meta[Path]
    def execute(self):
        if not self.mended.exists():
            raise ZeroDivisionError(f"of {self.n}")

if __name__ == "__main__":
    with experiment("bug"):
        for n in range(12):
            Bad.C(n=n, mended=Path(sys.argv[1])).submit()
"""


def test_the_brake_stops_a_bug_and_is_released_once(tmp_path: Path):
    made = Lab()
    try:
        (made.project / "bug.py").write_text(BUG)
        mended = tmp_path / "mended"
        ran = made.run("run", "bug.py", str(mended), env={"XPM_BRAKE": "4"})
        assert ran.returncode == 1
        line = (
            "4 jobs of Bad failed alike (ZeroDivisionError): the brake holds the rest; when that is mended:"
        )
        assert ran.stderr.count(line) == 1, ran.stderr
        found = counts(made, "bug")
        assert found["ERROR"] + found["HOLD"] == 12 and 4 <= found["ERROR"] <= 5
        jobs = made.run("jobs", "-e", "bug")
        assert jobs.stderr.count("xpm release --task Bad") == 1 and "held by the brake" in jobs.stdout
        mended.touch()
        released = made.json("release", "--task", "Bad", "--yes")["became"]["released"]
        assert released == found["HOLD"]
        until(lambda: counts(made, "bug").get("DONE") == released)
        assert made.json("retry", "-e", "bug", "--yes")["became"]["retried"] == found["ERROR"]
        assert made.run("attach", "bug").returncode == 0
    finally:
        made.close()


RELEASES = """
import sys
from pathlib import Path
from bug import Bad
from xpm import experiment

if __name__ == "__main__":
    mended = Path(sys.argv[1])
    with experiment("mended", check=False) as xp:
        for n in range(4):
            Bad.C(n=100 + n, mended=mended).submit()
        xp.wait()
        mended.touch()
        print(xp.release(task=Bad))
        for n in range(4):
            Bad.C(n=200 + n, mended=mended).submit()
    print(len(xp.failed))
"""


def test_a_person_takes_the_brake_off_a_task_of_which_nothing_is_held(tmp_path: Path):
    made = Lab()
    try:
        (made.project / "bug.py").write_text(BUG.replace("range(12)", "range(4)"))
        assert made.run("run", "bug.py", str(tmp_path / "mended"), env={"XPM_BRAKE": "4"}).returncode == 1
        released = made.run("release", "--task", "Bad", "--yes")
        assert "the brake is off bug.py:Bad, of which no job was on hold" in released.stderr
        assert "the brake is off" not in made.run("release", "--task", "Bad", "--yes").stderr
    finally:
        made.close()


def test_a_script_takes_the_brake_off_a_task_of_which_nothing_is_held_yet(tmp_path: Path):
    made = Lab()
    try:
        (made.project / "bug.py").write_text(BUG)
        (made.project / "releases.py").write_text(RELEASES)
        ran = made.run("run", "releases.py", str(tmp_path / "mended"), env={"XPM_BRAKE": "4"})
        assert ran.stdout.split() == ["0", "4"], ran.stderr
    finally:
        made.close()


def test_a_script_that_is_run_again_after_mending_meets_no_brake(tmp_path: Path):
    made = Lab()
    try:
        (made.project / "bug.py").write_text(BUG)
        mended = tmp_path / "mended"
        assert made.run("run", "bug.py", str(mended), env={"XPM_BRAKE": "4"}).returncode == 1
        held = made.json("jobs", "-e", "bug", "--state", "hold")["jobs"][0]["id"]
        made.ok("hold", held, "--yes")
        mended.touch()
        again = subprocess.Popen(
            [*XPM, "run", "bug.py", str(mended)],
            env=made.env,
            cwd=made.project,
            stderr=subprocess.PIPE,
            text=True,
        )
        until(lambda: counts(made, "bug") == {"DONE": 11, "HOLD": 1})
        made.ok("release", held, "--yes")
        assert "the brake on Bad is off: this run tries its jobs again" in again.communicate()[1]
        assert again.returncode == 0
    finally:
        made.close()


LINKS = """
from pathlib import Path
from xpm import Meta, Param, State, Task, UsageError, experiment

class Link(Task):
    before: Param["Link | None"] = None
    ledger: Meta[Path]
    def execute(self):
        with open(self.ledger, "a") as file:
            file.write("x")

if __name__ == "__main__":
    import sys
    ledger = Path(sys.argv[1])
    with experiment("again") as xp:
        first = Link.C(ledger=ledger).submit()
        last = Link.C(before=first, ledger=ledger).submit()
        xp.wait()
        print(last.job.rerun(), len(ledger.read_text()) >= 2)
        xp.wait()
        print(first.job.rerun(with_dependents=True), xp.retry(state="done"), xp.hold(state=[State.ERROR]))
        xp.wait()
        print(len(ledger.read_text()), xp.rerun(Link, "DONE", with_dependents=True))
        xp.wait()
        print(len(ledger.read_text()))
        try:
            xp.retry(state="FOO")
        except UsageError as error:
            print(error)
"""


def test_a_script_reruns_jobs_with_what_depends_on_them(tmp_path: Path):
    made = Lab()
    try:
        (made.project / "links.py").write_text(LINKS)
        said = made.ok("run", "links.py", str(tmp_path / "ledger")).splitlines()
        assert said[:4] == ["True True", "True 0 0", "5 2", "7"]
        assert said[4].startswith("no state 'FOO'; there are WAITING, READY")
    finally:
        made.close()


def test_why_says_what_is_in_the_way(lab: Lab, gate: Path):
    started(lab, "why", 4, gate)
    running, ready = (
        lab.json("jobs", "-e", "why", "--state", state)["jobs"][0] for state in ("RUNNING", "READY")
    )

    def why(job: dict[str, object] | str) -> str:
        return lab.ok("why", job if isinstance(job, str) else str(job["id"])[:12])

    assert re.match(r"Slow n=\d[^\n]* is running for \d[^\n]* on \S+\n", why(running))
    assert re.search(r"of queue default( before it)?: all 2 workers are busy", why(ready))
    totals = lab.json("jobs", "-e", "why", "--task", "Total")["jobs"]
    waiting = max(totals, key=lambda one: one["inputs"])
    said = why(waiting)
    assert re.match(r"Total \w+ waits for 4 of its 4 inputs\n", said)
    assert re.search(r"^  Slow n=\d[^\n]* \w{8} is RUNNING: for \d", said, re.MULTILINE)
    lab.ok("hold", ready["id"], "--yes")
    assert re.search(
        rf"^\S+@\S+ holds it for \d[^\n]*: xpm release {ready['id'][:8]}$", why(ready), re.MULTILINE
    )
    assert re.search(r"^  Slow n=\d[^\n]* is HOLD: held by \S+@\S+, \d\d:\d\d$", why(waiting), re.MULTILINE)
    lab.ok("queue", "pause", "default", "--yes")
    lab.ok("release", ready["id"], "--yes")
    assert re.search(
        r"^queue default is paused by \S+ for \d[^\n]*: xpm queue resume default$", why(ready), re.M
    )
    lab.ok("queue", "resume", "default", "--yes")
    gate.touch()
    assert lab.run("attach", "why").returncode == 0
    assert "is done" in why(ready)
    again = gate.with_name("again")
    lab.run("run", "--detach", "plan.py", "other", "2", str(again))
    near = until(lambda: lab.json("why", lab.job("Slow n=1", "RUNNING")["id"])["nearest"])
    again.touch()
    assert near["label"].startswith("Slow n=") and {one["name"] for one in near["differences"]} >= {"kind"}
    nobody = {"XPM_WORKSPACE": str(lab.home / "nobody"), "XPM_WORKERS": "0"}
    lab.run("run", "--detach", "plan.py", "idle", "2", env=nobody)
    alone = lab.json("jobs", "--state", "READY", env=nobody)["jobs"][0]["id"]
    assert "no worker is there: xpm worker start" in lab.ok("why", alone, env=nobody)


DEEP = """
from xpm import Param, Task, experiment

class First(Task):
    def execute(self): return 1

class Second(Task):
    first: Param[First]
    def execute(self): return 2

class Third(Task):
    second: Param[Second]
    def execute(self): return 3

if __name__ == "__main__":
    with experiment("deep"):
        Third.C(second=Second.C(first=First.C().submit()).submit()).submit()
"""


def test_why_names_who_holds_what_is_far_above(lab: Lab):
    (lab.project / "deep.py").write_text(DEEP)
    lab.run("run", "--detach", "deep.py", env={"XPM_WORKERS": "0", "XPM_WORKSPACE": str(lab.home / "deep")})
    there = ("-w", str(lab.home / "deep"))
    lab.ok("hold", "First", "--yes", *there)
    held = r"^  Second \w{8} is HOLD: First \w{8}, which it needs: held by \S+@\S+, \d\d:\d\d$"
    assert re.search(held, lab.ok("why", "Third", *there), re.MULTILINE)


def test_kill_ends_when_all_workers_are_dead(lab: Lab, gate: Path):
    env = {"XPM_WORKSPACE": str(lab.home / "dead"), "XPM_LEASE": "1.5"}
    lab.ok("run", "--detach", "plan.py", "dead", "2", str(gate), env=env)
    until(lambda: lab.json("jobs", env=env)["counts"]["RUNNING"] == 2)
    workers = [psutil.Process(one["pid"]) for one in lab.json("worker", env=env)["workers"]]
    for process in {*(worker.parent() for worker in workers), *workers}:
        assert process is not None
        process.kill()
    killed = lab.json("kill", "-e", "dead", "--state", "RUNNING", "--yes", env=env)
    assert killed["became"]["stopping"] == 2
    assert lab.json("jobs", env=env)["counts"]["ERROR"] == 2


AGAIN = """
import sys, time
from pathlib import Path
from xpm import Meta, Param, PathGenerator, Task, experiment, field

class Make(Task):
    here: Meta[Path]
    weights: Meta[Path] = field(default_factory=PathGenerator("weights"))
    def execute(self):
        if (self.here / "fail").exists():
            print("no luck", flush=True)
            raise ValueError("no luck")
        while (self.here / "slow").exists():
            time.sleep(0.02)
        count = len(list(self.here.glob("run*")))
        (self.here / f"run{count}").touch()
        self.weights.write_text(str(count))
        assert self.weights.parent == Path.cwd() == self.jobpath
        return {"count": count, "weights": self.weights}

class Use(Task):
    made: Param[Make]
    def execute(self):
        return self.made.result()["count"] + 10 * int(self.made.weights.read_text())

if __name__ == "__main__":
    with experiment("again") as xp:
        made = Make.C(here=Path(sys.argv[1])).submit()
        used = Use.C(made=made).submit()
    print(made.result()["count"], made.result()["weights"].read_text(), used.result())
"""


def test_rerun_keeps_the_old_result_until_the_new_one_is_there(tmp_path: Path):
    made = Lab()
    try:
        (made.project / "again.py").write_text(AGAIN)

        def results() -> str:
            return made.ok("run", "again.py", str(tmp_path)).strip()

        assert results() == "0 0 0"
        refused = made.run("retry", "Make", "--yes")
        assert refused.returncode == 1 and "is DONE: only what ended without a result" in refused.stderr
        assert made.ok("rerun", "Make", "--yes").endswith("1 job to run again\n")
        until(lambda: made.json("show", "Make")["result"]["count"] == 1)
        assert results() == "1 1 0", "what was done with the old one stays as it is"
        shown = made.ok("rerun", "--task", "Make", "--with-dependents", "--dry-run")
        assert shown.startswith("rerun 2 jobs: 2 DONE\n")
        assert made.json("rerun", "Make", "--with-dependents", "--yes")["became"]["rerun"] == 2
        until(lambda: made.run("attach", "again").returncode == 0)
        assert results() == "2 2 22"
        (tmp_path / "fail").touch()
        made.ok("rerun", "Make", "--yes")
        until(lambda: made.json("show", "Make")["note"].startswith("kept: ValueError: no luck"))
        assert results() == "2 2 22"
        kept = made.json("show", "Make")
        assert kept["state"] == "DONE" and "ValueError: no luck" in [
            one["message"] for one in kept["attempts"]
        ]
        logs = [Path(path) / "stdout.log" for path in kept["earlier"]]
        assert "no luck\n" in [log.read_text() for log in logs if log.exists()]
        (tmp_path / "fail").unlink()
        (tmp_path / "slow").touch()
        made.ok("rerun", "Make", "--yes")
        until(lambda: made.json("show", "Make")["state"] == "RUNNING")
        pid = until(lambda: next((one["pid"] for one in made.json("worker")["workers"] if one["job"]), 0))
        os.kill(pid, 9)
        until(lambda: made.json("jobs", "Make")["jobs"][0]["attempt"] == 6)
        assert made.json("show", "Make")["result"]["count"] == 2, "while it runs, after its worker was killed"
        said = made.ok("kill", "Make", "--yes")
        assert said.endswith("1 job killed\n") and "what needs" not in said
        assert "\ndone before, with results that stay: 1 job\n" in said
        assert results() == "2 2 22"
        made.ok("rerun", "Make", "--yes")
        (tmp_path / "slow").unlink()
        until(lambda: results() == "3 3 22")
    finally:
        made.close()


TOKENS = """
import sys, time
from pathlib import Path
from xpm import Meta, Param, Task, experiment, token

class Hold(Task):
    n: Param[int]
    until: Meta[Path]
    def execute(self):
        while not self.until.exists():
            time.sleep(0.02)

if __name__ == "__main__":
    gpu = token("gpu", 3)
    with experiment("gpus"):
        for n in range(2):
            Hold.C(n=n, until=Path(sys.argv[1])).submit(requires=[gpu(2)])
"""


def test_why_names_the_token_and_who_holds_it(lab: Lab, gate: Path):
    (lab.project / "gpus.py").write_text(TOKENS)
    lab.run("run", "--detach", "gpus.py", str(gate))
    until(lambda: counts(lab, "gpus") == {"RUNNING": 1, "READY": 1})
    said = lab.ok("why", lab.json("jobs", "-e", "gpus", "--state", "READY")["jobs"][0]["id"])
    assert "\nit waits for token gpu: 2 of 3, 1 free\n" in said
    assert re.search(r"^  Hold n=\d \w{8} has 2 for \d", said, re.MULTILINE), said
    gate.touch()
    assert lab.run("attach", "gpus").returncode == 0


def test_an_experiment_is_cancelled_while_its_script_submits(lab: Lab, gate: Path):
    lab.ok("broker", "start")
    script = lab.begin("run", "busy.py", str(gate), "0.02")
    until(lambda: any(one["name"] == "busy" for one in lab.json("experiments")["experiments"]))
    until(lambda: counts(lab, "busy").get("READY", 0) > 5)
    assert re.search(r"busy: \d+ jobs cancelled, 2 stopped\n$", lab.ok("cancel", "busy", "--yes"))
    _, said = script.communicate(timeout=30)
    assert script.returncode == 4
    lines = [
        line for line in said.splitlines() if "cancelled" in line or "go on" in line or "Traceback" in line
    ]
    assert len(lines) == 1, said
    assert re.fullmatch(
        r"xpm: busy was cancelled by \S+@\S+: nothing more of it is submitted; to begin it anew, run the script again",
        lines[0],
    )
    assert set(counts(lab, "busy")) == {"CANCELLED"}
    gate.touch()
    again = lab.run("run", "busy.py", str(gate), "0")
    assert again.returncode == 0, again.stderr
    assert counts(lab, "busy") == {"DONE": 400}


@pytest.mark.parametrize(("verb", "end"), [("cancel", "CANCELLED"), ("kill", "ERROR")])
def test_who_stops_jobs_does_not_wait_for_those_that_are_submitted_again_meanwhile(
    lab: Lab, gate: Path, verb: str, end: str
):
    name = f"stopped by {verb}"
    run = ("run", "--detach", "stopped.py", name, str(gate))
    lab.ok(*run)
    until(lambda: counts(lab, name) == {"RUNNING": 2})
    command = lab.begin(verb, "-e", name, "--yes")
    assert command.stderr is not None
    while "waiting until 2 jobs stopped" not in (line := command.stderr.readline()):
        assert line
    process = psutil.Process(command.pid)
    process.suspend()  # it shall see the jobs when they run again, and never in between
    gate.with_name("stop").touch()
    until(lambda: counts(lab, name) == {end: 2})
    lab.ok(*run)
    until(lambda: counts(lab, name) == {"RUNNING": 2})
    process.resume()
    _, said = command.communicate(timeout=30)
    assert command.returncode == 0, said
    assert counts(lab, name) == {"RUNNING": 2}
    gate.touch()
    until(lambda: counts(lab, name) == {"DONE": 2})
