"""What a user sees of an experiment: real scripts, real workers, the workspace's own server."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import leftovers
import pexpect
import pytest
import redis
from servers import Server
from waiting import left, until

from xpm.broker.broker import Broker
from xpm.experiment import attach
from xpm.settings import load
from xpm.workspace.layout import Workspace

TASKS = """
import sys, time
from pathlib import Path
from xpm import Constant, Meta, Param, Task, experiment, progress, tag

HERE = Path(__file__).parent

class Make(Task):
    n: Param[int]
    pause: Meta[float] = 0.0
    home: Meta[Path]

    def execute(self) -> int:
        with open(self.home / "ledger", "a") as file:
            file.write(f"{self.n}\\n")
        progress(0.5, "half way")
        until = time.monotonic() + self.pause
        while time.monotonic() < until and not (self.home / "go").exists():
            time.sleep(0.01)
        if (self.home / f"bad{self.n}").exists():
            raise ValueError(f"number {self.n} is bad")
        return self.n

class Sum(Task):
    made: Param[list[Make]]

    def execute(self) -> dict[str, int]:
        return {"sum": sum(each.result() for each in self.made), "count": len(self.made)}

def plan(count, pause=0.0):
    made = [Make.C(n=tag(n), pause=pause, home=HERE).submit() for n in range(count)]
    return made, Sum.C(made=made).submit()

"""

PLAIN = """
if __name__ == "__main__":
    with experiment("plain") as xp:
        made, total = plan(int(sys.argv[1]), float(sys.argv[2]) if len(sys.argv) > 2 else 0.0)
    print(total.result())
"""


class Script:
    """A project with one script."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        (folder / "pyproject.toml").write_text("")
        self.environ = {**os.environ, "XPM_WORKERS": "2", "XPM_LEASE": "5", "PYTHONFAULTHANDLER": "1"}
        self.write(PLAIN)
        self.started: list[subprocess.Popen[str]] = []

    def write(self, body: str) -> None:
        (self.folder / "plan.py").write_text(TASKS + body)

    def start(self, *arguments: Any, **environ: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "plan.py", *map(str, arguments)],
            cwd=self.folder,
            env={**self.environ, **environ},
            text=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        self.started.append(process)
        return process

    def run(self, *arguments: Any, **environ: str) -> subprocess.CompletedProcess[str]:
        process = self.start(*arguments, **environ)
        out, err = process.communicate(timeout=100)
        return subprocess.CompletedProcess(process.args, process.returncode, out, err)

    def go(self) -> None:
        """Lets jobs that pause go on."""
        (self.folder / "go").touch()

    def lose_memory(self) -> None:
        """Empties the workspace's own server."""
        claim = json.loads((self.folder / "runs/.xpm/broker.json").read_text())
        with redis.Redis(unix_socket_path=claim["socket"]) as client:
            client.flushall()

    def bad(self, number: int) -> Path:
        path = self.folder / f"bad{number}"
        path.touch()
        return path

    @property
    def ledger(self) -> list[int]:
        path = self.folder / "ledger"
        return sorted(map(int, path.read_text().split())) if path.exists() else []

    @property
    def runs(self) -> list[Path]:
        return sorted((self.folder / "runs" / "experiments").glob("*/*/jobs.jsonl"))


@pytest.fixture
def script(tmp_path: Path) -> Iterator[Script]:
    made = Script(tmp_path / "project")
    yield made
    for process in made.started:
        if process.poll() is None:
            process.kill()
            process.communicate()


def test_a_plan_is_run_once_and_a_second_run_says_that_there_is_nothing_to_do(script: Script) -> None:
    first = script.run(5)
    assert (first.returncode, first.stdout) == (0, "{'sum': 10, 'count': 5}\n"), first.stderr
    assert "plain: all 6 jobs done" in first.stderr
    again = script.run(5)
    assert (again.returncode, again.stdout) == (0, first.stdout)
    assert again.stderr == "plain: nothing to do: all 6 jobs were done before\n"
    assert script.ledger == list(range(5))
    assert len(script.runs) == 1, "a run in which nothing was to do leaves no trace"
    more = script.run(6)
    assert "plain: all 7 jobs done, 5 of them before" in more.stderr
    assert script.ledger == list(range(6))


def test_a_run_says_in_its_folder_where_it_comes_from(script: Script) -> None:
    subprocess.run(["git", "init", "-q", "."], cwd=script.folder, check=True)
    subprocess.run(["git", "add", "plan.py"], cwd=script.folder, check=True)
    who = ["-c", "user.name=a", "-c", "user.email=a@b"]
    subprocess.run(["git", *who, "commit", "-qm", "first"], cwd=script.folder, check=True)
    script.write(PLAIN + "# changed\n")
    assert script.run(2).returncode == 0
    folder = script.runs[0].parent
    facts = json.loads((folder / "run.json").read_text())
    assert len(facts["commit"]) == 40 and "# changed" in (folder / facts["diff"]).read_text()
    assert facts["command"][1:] == ["plan.py", "2"] and "redis" in facts["packages"]
    lines = [json.loads(line) for line in script.runs[0].read_text().splitlines()]
    assert [line["task"] for line in lines] == ["plan.py:Make", "plan.py:Make", "plan.py:Sum"]
    assert lines[2]["inputs"] == [line["job"] for line in lines[:2]]
    assert lines[1]["tags"] == {"n": 1} and lines[1]["label"] == "Make n=1"


def test_a_failure_is_shown_with_the_users_lines_and_run_again_alone(script: Script) -> None:
    bad = script.bad(3)
    failed = script.run(5)
    assert failed.returncode == 1 and failed.stdout == ""
    assert "plain: 1 failed, 1 on hold, 4 done" in failed.stderr
    assert "ValueError: number 3 is bad" in failed.stderr and 'raise ValueError(f"number' in failed.stderr
    assert "ExperimentFailed" not in failed.stderr and "NotAllDone" not in failed.stderr
    job = re.search(r"xpm logs ([0-9a-f]{8})", failed.stderr)
    assert job and f"xpm show {job[1]}" in failed.stderr
    assert re.search(r"python\S* plan.py 5 +goes on", failed.stderr)
    assert "plain: 1 failed, 1 on hold, 4 done, 4 of them before" in script.run(5).stderr
    bad.unlink()
    again = script.run(5)
    assert (again.returncode, again.stdout) == (0, "{'sum': 10, 'count': 5}\n"), again.stderr
    assert script.ledger == [0, 1, 2, 3, 3, 3, 4]


def test_the_script_can_look_at_what_failed_itself(script: Script) -> None:
    script.bad(1)
    script.write("""
from xpm import ExperimentFailed, JobFailed, JobHeld, UsageError
with experiment("look", check=False) as xp:
    made, total = plan(3)
    assert made[0].result() == 0
    try:
        made[1].result()
    except JobFailed as error:
        print("JobFailed", "number 1 is bad" in str(error), "raise ValueError" in str(error))
    try:
        total.result(timeout=20)
    except JobHeld as error:
        print("JobHeld", error)
print([(job.label, str(job.state)) for job in xp.failed])
print([row["state"] for row in xp.rows()], xp.rows("Make")[2]["n"], xp.rows(Sum)[0]["result.sum"] if 0 else "")
print(made[1].job.state, made[1].job.path == made[1].jobpath, made[1].job.stderr.name, "_ask" not in repr(made[1].job))
for row in xp.rows():
    assert (row["started"] is None) == (row["state"] == "HOLD"), row
    assert ("result" in row and row["result"] is None) == (row["state"] != "DONE"), row
try:
    xp.rows("Mak")
except UsageError as error:
    assert str(error) == "no job is of a task 'Mak'; did you mean 'Make'?", error
try:
    with experiment("look") as xp:
        made, total = plan(3)
except ExperimentFailed as error:
    print(error)
""")
    done = script.run()
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0] == "JobFailed True True"
    assert re.fullmatch(
        r"JobHeld Sum \w{8} is on hold: Make n=1 \w{8}, which it needs, failed: ValueError: number 1 is bad",
        lines[1],
    )
    assert lines[2] == "[('Make n=1', 'ERROR'), ('Sum', 'HOLD')]"
    assert lines[3] == "['DONE', 'ERROR', 'DONE', 'HOLD'] 2 "
    assert lines[4] == "ERROR True stderr.log True"
    assert lines[5] == "look: 2 jobs not done"


def test_rows_and_frame_have_tags_results_times_and_parameters(script: Script) -> None:
    script.write("""
with experiment("rows") as xp:
    made, total = plan(2)
    xp.wait()
    extra = Make.C(n=tag(7), home=HERE).submit()
    print(extra.result(timeout=50), extra.job.state)
for row in xp.rows(Make, params=True):
    print(row["n"], row["state"], row["result"], row["task"], row["params.n"], row["ended"] >= row["started"])
print({name: row for name, row in xp.rows(Sum)[0].items() if name.startswith("result") or name == "n"})
frame = xp.frame()
print(list(frame.columns)[:3], len(frame), frame["result.sum"].dropna().tolist())
""")
    done = script.run()
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0] == "7 DONE"
    assert lines[1:4] == [f"{n} DONE {n} plan.py:Make {n} True" for n in (0, 1, 7)]
    assert lines[4] == "{'result.sum': 1, 'result.count': 2}"
    assert lines[5] == "['n', 'state', 'result'] 4 [1.0]"


def test_a_deleted_directory_is_made_again_and_nothing_else(script: Script) -> None:
    assert script.run(4).returncode == 0
    gone = next((script.folder / "runs" / "jobs").glob("*Sum*/*/*"))
    subprocess.run(["rm", "-r", str(gone)], check=True)
    again = script.run(4)
    assert (again.returncode, again.stdout) == (0, "{'sum': 6, 'count': 4}\n"), again.stderr
    assert "all 5 jobs done, 4 of them before" in again.stderr
    assert script.ledger == list(range(4)) and gone.is_dir()


def test_results_of_other_code_are_reused_and_a_line_says_so(script: Script) -> None:
    assert script.run(2).returncode == 0
    (script.folder / "unrelated.py").write_text("# nobody imports it\n")
    assert "other code" not in script.run(2).stderr
    script.write(PLAIN + "# other code\n")
    again = script.run(2)
    assert again.returncode == 0
    assert "3 of the 3 jobs done before were made by other code than today's" in again.stderr
    assert script.ledger == [0, 1]


def test_a_broker_that_never_heard_of_the_results_learns_by_which_code_they_were_made(
    script: Script, start_server: Callable[..., Server]
) -> None:
    assert script.run(2).returncode == 0
    script.write(PLAIN + "# other code\n")
    script.environ["XPM_BROKER"] = start_server(options=("--appendonly", "yes")).url
    again = script.run(3)
    assert again.returncode == 0, again.stderr
    assert "2 of the 2 jobs done before were made by other code than today's" in again.stderr
    assert script.ledger == [0, 1, 2]
    assert "2 done by other code" in script.run(3, XPM_DRY_RUN="1").stderr


def test_a_dry_run_says_how_the_plan_differs_and_changes_nothing(script: Script) -> None:
    fresh = script.run(3, XPM_DRY_RUN="1")
    assert fresh.returncode == 0 and fresh.stdout == "", fresh.stderr
    assert "4 new: plan.py:Make 3, plan.py:Sum 1" in fresh.stderr and "no server" in fresh.stderr
    assert not (script.folder / "runs").exists()
    script.bad(1)
    assert script.run(2).returncode == 1
    before = sorted(path for path in (script.folder / "runs").rglob("*") if ".xpm/logs" not in str(path))
    known = script.run(3, XPM_DRY_RUN="1")
    assert known.returncode == 0
    assert "1 done already: plan.py:Make 1" in known.stderr
    assert "1 failed before: plan.py:Make 1" in known.stderr
    assert "2 new: plan.py:Make 1, plan.py:Sum 1" in known.stderr
    held = script.run(2, XPM_DRY_RUN="1").stderr
    assert "1 on hold: plan.py:Sum 1" in held
    assert re.search(r"would run:\n  Make n=1 .*  failed before\n  Sum .*  on hold\n", held)
    script.write(PLAIN + "# other code\n")
    assert "1 done by other code" in script.run(1, XPM_DRY_RUN="1").stderr
    after = sorted(path for path in (script.folder / "runs").rglob("*") if ".xpm/logs" not in str(path))
    assert after == before and script.ledger == [0, 1]


def test_a_dry_run_that_needs_a_result_stops_there(script: Script) -> None:
    script.write("""
with experiment("ask") as xp:
    first = Make.C(n=1, home=HERE).submit()
    Make.C(n=first.result() + 1, home=HERE).submit()
print("after the block")
""")
    dry = script.run(XPM_DRY_RUN="1")
    assert dry.returncode == 0 and dry.stdout == ""
    assert "asks for the result of plan.py:Make" in dry.stderr and "1 new" in dry.stderr
    assert script.run().stdout == "after the block\n"
    dry = script.run(XPM_DRY_RUN="1")
    assert "2 done already" in dry.stderr and "nothing to do" in dry.stderr


def test_ctrl_c_detaches_and_attach_comes_back(
    script: Script, monkeypatch: pytest.MonkeyPatch, capfd
) -> None:
    process = script.start(3, 60)
    until(lambda: len(script.ledger) == 2)
    process.send_signal(signal.SIGINT)
    out, err = left(process, timeout=20)
    assert (process.returncode, out) == (130, "")
    assert "xpm attach plain" in err and "Traceback" not in err
    script.go()
    monkeypatch.setenv("XPM_WORKERS", "2")
    assert attach("plain", load(script=script.folder / "plan.py")) == 0
    assert "plain: all 4 jobs done" in capfd.readouterr().err
    assert script.ledger == [0, 1, 2]


def test_a_second_ctrl_c_cancels(script: Script) -> None:
    process = script.start(4, 60)
    until(lambda: len(script.ledger) == 2)
    process.send_signal(signal.SIGINT)
    assert process.stderr is not None
    while "again within" not in (line := process.stderr.readline()):
        assert line
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 4, err
    assert "cancelled 3 jobs, asked 2 running to stop" in err
    script.go()
    again = script.run(4)
    assert (again.returncode, again.stdout) == (0, "{'sum': 6, 'count': 4}\n"), again.stderr


def test_an_exception_in_the_block_is_the_users_and_jobs_go_on(script: Script) -> None:
    script.write("""
with experiment("broken") as xp:
    made, total = plan(2, 60)
    try:
        total.result(timeout=0.2)
    except TimeoutError as error:
        print(error)
    raise KeyError("mine")
""")
    done = script.run()
    assert done.returncode == 1
    assert re.fullmatch(r"plan.py:Sum [0-9a-f]{8}: no result yet, it is WAITING\n", done.stdout)
    assert "KeyError: 'mine'" in done.stderr and "all 3 jobs submitted so far go on" in done.stderr
    until(lambda: script.ledger == [0, 1])


ASKS = """
with experiment("asks") as xp:
    made, total = plan(4, 60)
    print(total.result() if sys.argv[1] == "result" else xp.wait())
    Make.C(n=9, home=HERE).submit()
"""


def ctrl_c_after(process: subprocess.Popen[str], after: str) -> None:
    """Reads up to a line with `after` and presses Ctrl-C."""
    assert process.stderr is not None
    while after not in (line := process.stderr.readline()):
        assert line
    process.send_signal(signal.SIGINT)


@pytest.mark.parametrize("what", ["wait", "result"])
def test_ctrl_c_in_the_block_detaches_and_says_so_once(script: Script, what: str) -> None:
    script.write(ASKS)
    process = script.start(what)
    until(lambda: len(script.ledger) == 2)
    process.send_signal(signal.SIGINT)
    out, err = left(process, timeout=20)
    assert (process.returncode, out) == (130, "") and "Traceback" not in err
    assert err.count("detached") == err.count("xpm attach asks") == 1 and "submitted" not in err, err
    script.go()
    until(lambda: sums(script) == 1)


@pytest.mark.parametrize("what", ["wait", "result"])
def test_a_second_ctrl_c_in_the_block_cancels_and_ends_the_script(script: Script, what: str) -> None:
    script.write(ASKS)
    process = script.start(what)
    until(lambda: len(script.ledger) == 2)
    process.send_signal(signal.SIGINT)
    ctrl_c_after(process, "again within")
    out, err = process.communicate(timeout=30)
    assert (process.returncode, out) == (4, "") and "Traceback" not in err
    assert "cancelled 3 jobs, asked 2 running to stop" in err and "go on" not in err, err
    assert "asks: 5 cancelled" in err and re.search(r"python\S* plan.py \w+ +goes on", err), err
    assert len(script.ledger) == 2, "nothing more was started"


def test_who_does_not_wait_until_cancelled_jobs_have_stopped_is_told_nothing_false(script: Script) -> None:
    script.write(ASKS)
    process = script.start("wait")
    until(lambda: len(script.ledger) == 2)
    for one in leftovers.processes(Path(os.environ["HOME"])):
        if any("xpm_workers" in word for word in one.cmdline()):
            one.suspend()
    process.send_signal(signal.SIGINT)
    ctrl_c_after(process, "again within")
    ctrl_c_after(process, "cancelled 3 jobs")
    _, err = left(process, timeout=20)
    assert process.returncode == 4
    assert err == "not waiting until what runs has stopped\n"


WITH_CTRL_C = """
import os, signal, threading

def frames():
    frame, found = sys._current_frames()[threading.main_thread().ident], set()
    while frame is not None:
        found.add(frame.f_code.co_name)
        frame = frame.f_back
    return found

# Presses it each time the main thread has come to the next place: names of functions that it is in.
def ctrl_c(*places, first=lambda: None):
    def press():
        for names in places:
            while not frames() >= set(names.split()):
                time.sleep(0.001)
            first()
            os.kill(os.getpid(), signal.SIGINT)
    threading.Thread(target=press, daemon=True).start()

def server(number):
    os.kill(int(os.environ["SERVER"]), number)

"""
"""Lets a script press Ctrl-C, and stop its broker, at a certain point."""


@pytest.fixture
def broker(script: Script, start_server: Callable[..., Server]) -> Iterator[Server]:
    """A shared broker, which the script can stop and let go on."""
    server = start_server()
    assert server.process is not None
    script.environ |= {"XPM_BROKER": server.url, "SERVER": str(server.process.pid)}
    yield server
    if server.process is not None:
        server.process.send_signal(signal.SIGCONT)


def known(broker: Server) -> int:
    """How many jobs the broker knows."""
    with broker.client() as client:
        return sum(1 for _ in client.scan_iter(match="xpm:*:j:*", count=10_000))


SLOW_TO_GO_OUT = """
with experiment("slow") as xp:
    plan(2)
    xp.rows()
    server(signal.SIGSTOP)
    made = [Make.C(n=n, home=HERE).submit() for n in range(2, 2000)]
    if sys.argv[1] == "answers":
        ctrl_c("_end flush", first=lambda: server(signal.SIGCONT))
    else:
        ctrl_c(*["_end flush", "_stop flush"][:int(sys.argv[2])])
"""

REST = """
with experiment("slow"):
    plan(2)
    made = [Make.C(n=n, home=HERE).submit() for n in range(2, 2000)]
"""


def test_ctrl_c_while_the_plan_goes_out_leaves_the_rest_for_the_next_run(
    script: Script, broker: Server
) -> None:
    script.write(WITH_CTRL_C + SLOW_TO_GO_OUT)
    done = script.run("answers")
    assert done.returncode == 130 and "Traceback" not in done.stderr, done.stderr
    said = re.search(
        r"^slow: (\d+) of 2,001 jobs went out and go on; running the script again submits the rest:\n"
        r"    python\S* plan.py answers\ndetached: .*\n.*xpm attach slow",
        done.stderr,
        re.MULTILINE,
    )
    # A script that gets no turn between the server's answer and its own interrupt finds that all has gone out.
    assert said or "slow: all 2,001 jobs submitted so far go on" in done.stderr, done.stderr
    count = int(said[1]) if said else 2001
    assert 3 <= count <= 2001 and known(broker) == count
    until(lambda: len(script.ledger) == count - 1)
    script.write(REST)
    again = script.run(XPM_DETACH="1")
    assert again.returncode == 0, again.stderr
    assert known(broker) == 2001


@pytest.mark.parametrize("times", [1, 2])
def test_ctrl_c_while_the_broker_does_not_answer_gives_the_terminal_back(
    script: Script, broker: Server, times: int
) -> None:
    script.write(WITH_CTRL_C + SLOW_TO_GO_OUT)
    process = script.start("silent", times)
    _, err = left(process, timeout=20)
    assert process.returncode == 130 and "Traceback" not in err, err
    assert "slow: 3 of 2,001 jobs went out and go on; running the script again submits the rest:" in err
    assert err.count("xpm attach slow") == 1


def test_ctrl_c_detaches_from_a_broker_that_is_away(script: Script, broker: Server) -> None:
    process = script.start(4, 60)
    until(lambda: len(script.ledger) == 2)
    broker.kill()
    ctrl_c_after(process, "does not answer: waiting for it")
    _, err = left(process, timeout=20)
    assert process.returncode == 130 and "Traceback" not in err, err
    assert err.count("xpm attach plain") == 1 and "cancels" not in err, "nobody could be told to cancel"


def test_a_cancel_that_a_broker_away_does_not_hear_is_told(script: Script, broker: Server) -> None:
    process = script.start(4, 60)
    until(lambda: len(script.ledger) == 2)
    broker.kill()
    process.send_signal(signal.SIGINT)
    ctrl_c_after(process, "again within")
    _, err = process.communicate(timeout=30)
    assert process.returncode == 3 and "Traceback" not in err, err
    assert re.search(
        r"^not cancelled: the broker does not answer: .*; when it does:\n    \S*xpm cancel plain\n", err
    )


LEFT_BY_A_RESULT = """
with experiment("left") as xp:
    made, total = plan(3, 60)
    bad = Make.C(n=9, home=HERE).submit() if sys.argv[1:] else None
    Sum.C(made=[bad] if bad else made[:1]).submit()
    (bad or total).result()
"""


def test_who_waits_for_a_result_that_is_cancelled_is_not_told_that_anything_goes_on(script: Script) -> None:
    script.write(LEFT_BY_A_RESULT)
    process = script.start()
    until(lambda: len(script.ledger) == 2)
    cancel = [sys.executable, "-m", "xpm.cli", "cancel", "left", "--yes"]
    subprocess.run(cancel, cwd=script.folder, env=script.environ, timeout=60, check=True)
    _, err = left(process, timeout=20)
    assert process.returncode == 4 and "was cancelled" in err, err
    # What ran may have stopped already.
    assert re.search(r"^left: (2 stopping, 3|1 stopping, 4|5) cancelled$", err, re.MULTILINE), err
    assert not any(word in err for word in ("go on", "goes on", "detached", "attach")), err


def test_who_leaves_by_a_result_that_failed_is_told_how_many_jobs_go_on(script: Script) -> None:
    script.write(LEFT_BY_A_RESULT)
    script.bad(9)
    done = script.run("bad", XPM_WORKERS="4")
    assert done.returncode == 1 and "number 9 is bad" in done.stderr, done.stderr
    said = "left: 4 of 6 jobs submitted so far go on (1 failed, 1 on hold)\ndetached: left goes on"
    assert said in done.stderr and done.stderr.count("xpm attach left") == 1, done.stderr


FAILS_WITH_ALL_OUT = """
with experiment("out") as xp:
    made, total = plan(2, 60)
    xp.rows()
    server(signal.SIGSTOP)
    raise KeyError("mine")
"""


def test_an_exception_in_the_block_asks_no_broker_for_long(script: Script, broker: Server) -> None:
    script.write(WITH_CTRL_C + FAILS_WITH_ALL_OUT)
    process = script.start()
    _, err = left(process, timeout=20)
    assert process.returncode == 1 and err.endswith("KeyError: 'mine'\n"), err
    assert "out: all 3 jobs submitted so far go on\n" in err and err.count("xpm attach out") == 1, err


FAILS_WITHOUT_BROKER = """
with experiment("fails") as xp:
    plan(2)
    xp.rows()
    server(signal.SIGKILL)
    for n in range(2, 20):
        Make.C(n=n, home=HERE).submit()
    if sys.argv[1:]:
        ctrl_c("_leave flush")
    raise KeyError("mine")
"""


@pytest.mark.parametrize("interrupted", [False, True])
def test_an_exception_in_the_block_does_not_wait_for_a_broker_that_is_away(
    script: Script, broker: Server, interrupted: bool
) -> None:
    script.write(WITH_CTRL_C + FAILS_WITHOUT_BROKER)
    process = script.start(*["interrupted"] * interrupted)
    _, err = left(process, timeout=20)
    assert process.returncode == 1 and err.count("Traceback") == 1, err
    assert err.endswith("KeyError: 'mine'\n") and "KeyboardInterrupt" not in err
    assert "fails: 3 of 21 jobs went out and go on; running the script again submits the rest:" in err
    assert "xpm attach fails" in err


RESULT = """
with experiment("result") as xp:
    made, total = plan(4, 60)
    print(total.result(float(sys.argv[1]) if sys.argv[1:] else None), flush=True)
"""


def test_a_result_is_waited_for_though_the_broker_loses_its_memory(script: Script) -> None:
    script.write(RESULT)
    process = script.start()
    until(lambda: len(script.ledger) == 2)
    script.lose_memory()
    script.go()
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (0, "{'sum': 6, 'count': 4}\n"), err


def test_waiting_for_a_result_that_nobody_will_make_is_told_with_the_command(
    script: Script, broker: Server
) -> None:
    script.write(RESULT)
    process = script.start(XPM_WORKERS="0")
    line = line_after(process, "no worker")
    assert line == "no worker serves the queue 'default', in which 4 jobs wait: start one with\n"


def test_the_time_for_a_result_ends_while_the_broker_is_away(script: Script, broker: Server) -> None:
    script.write(RESULT)
    process = script.start(3)
    until(lambda: len(script.ledger) == 2)
    broker.kill()
    _, err = process.communicate(timeout=30)
    assert process.returncode == 1 and "TimeoutError: plan.py:Sum" in err, err
    assert "no result yet: the broker does not answer" in err


QUEUES = """
with experiment("queues") as xp:
    Make.C(n=0, pause=60, home=HERE).submit()
    for n in range(1, 4):
        Make.C(n=n, home=HERE).submit(queue="gpu")
"""


def line_after(process: subprocess.Popen[str], beginning: str) -> str:
    """The first line that begins so."""
    assert process.stderr is not None
    while not (line := process.stderr.readline()).startswith(beginning):
        assert line
    return line


def test_a_queue_without_workers_is_told_though_jobs_run_in_another(script: Script, broker: Server) -> None:
    script.write(QUEUES)
    script.environ |= {"XPM_WORKERS": "0", "XPM_WORKSPACE": str(script.folder / "runs")}
    process = script.start()
    until(lambda: known(broker) == 4)
    worker = [sys.executable, "-m", "xpm.cli", "worker", "start", "--slots", "1", "--queue", "default"]
    pool = subprocess.Popen(worker, cwd=script.folder, env=script.environ, stderr=subprocess.DEVNULL)
    try:
        until(lambda: script.ledger == [0])
        assert line_after(process, "no worker") == (
            "no worker serves the queue 'gpu', in which 3 jobs wait: start one with\n"
        )
    finally:
        pool.kill()
        pool.wait()


BROKEN = """
import os, signal

class Frail(Task):
    n: Param[int]
    home: Meta[Path]
    def execute(self) -> int:
        (self.home / f"begun{self.n}").touch()
        while len(list(self.home.glob("begun*"))) < 3:
            time.sleep(0.01)  # they look for each other's files, which ring no bell
        if not (self.home / "mended").exists():
            os.kill(os.getpid(), signal.SIGKILL)
        return self.n

if __name__ == "__main__":
    with experiment("broken") as xp:
        for n in range(3):
            Frail.C(n=n, home=HERE).submit()
"""


def test_workers_that_get_no_jobs_are_told_with_the_command_that_ends_it(
    script: Script, broker: Server
) -> None:
    script.write(BROKEN)
    script.environ["XPM_WORKSPACE"] = str(script.folder / "runs")
    process = script.start(XPM_WORKERS="3")
    line = line_after(process, "3 jobs wait in the queue 'default', and the workers on")
    assert "get no jobs, since" in line and "and this script starts others, with" in line
    assert process.stderr is not None
    command = process.stderr.readline().split()
    (script.folder / "mended").touch()
    drain = [sys.executable, "-m", "xpm.cli", *command[command.index("worker") :], "--yes"]
    done = subprocess.run(drain, cwd=script.folder, env=script.environ, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    _, err = process.communicate(timeout=60)
    assert process.returncode == 0, err


def test_workers_that_cannot_read_what_waits_do_not_serve_it(script: Script, broker: Server) -> None:
    process = script.start(3, XPM_WORKERS="0")
    until(lambda: known(broker) == 4)
    with broker.client() as client:
        namespace = Workspace.open(script.folder / "runs").namespace
        Broker(client, namespace).enrol("w", {"host": "h", "pid": 1, "pool": "p", "slots": "default:7"})
        assert line_after(process, "no worker") == (
            "no worker of the queue 'default', in which 3 jobs wait, reads payloads of version 1: start one with\n"
        )


def test_two_runs_of_one_experiment_at_once_both_end(script: Script) -> None:
    first = script.start(6, 0.4)
    until(lambda: len(script.ledger) >= 2)
    second = script.start(8, 0.4)
    ended = [(*process.communicate(timeout=100), process.returncode) for process in (first, second)]
    assert [end[0] for end in ended] == ["{'sum': 15, 'count': 6}\n", "{'sum': 28, 'count': 8}\n"], ended
    assert script.ledger == list(range(8))


FAILING = """
import sys, time
from xpm import Param, Task, experiment

class Some(Task):
    n: Param[int]
    def execute(self) -> int:
        time.sleep(0.05)
        if self.n == 9:
            raise ValueError("a bad one")
        return self.n

if __name__ == "__main__":
    with experiment("twice"):
        for n in range(16):
            Some.C(n=n).submit()
            time.sleep(0.02)
"""


def test_a_run_whose_jobs_a_later_one_took_over_tells_their_failure_too(script: Script) -> None:
    (script.folder / "failing.py").write_text(FAILING)
    started = []
    for _ in range(2):
        started.append(
            subprocess.Popen(
                [sys.executable, "failing.py"],
                cwd=script.folder,
                env=script.environ,
                stderr=subprocess.PIPE,
                text=True,
            )
        )
        time.sleep(0.6)
    told = [process.communicate(timeout=100)[1] for process in started]
    assert [process.returncode for process in started] == [1, 1], told
    assert all("1 failed, 15 done" in text for text in told), told


STOPS_SLOWLY = """
from xpm import TaskCancelled

class Saves(Make):
    def execute(self) -> None:
        try:
            super().execute()
        except TaskCancelled:
            while not (self.home / "go").exists():
                time.sleep(0.01)  # a file rings no bell for a task
            raise

if __name__ == "__main__":
    with experiment("saves"):
        for n in range(4):
            Saves.C(n=n, pause=60, home=HERE).submit()
"""


def test_a_run_whose_jobs_a_later_one_took_over_waits_until_they_have_stopped(script: Script) -> None:
    script.write(STOPS_SLOWLY)
    first = script.start()
    until(lambda: len(script.ledger) == 2)
    second = script.run(XPM_DETACH="1")
    assert second.returncode == 0, second.stderr
    cancel = subprocess.Popen(
        [sys.executable, "-m", "xpm.cli", "cancel", "saves", "--yes"],
        cwd=script.folder,
        env=script.environ,
        stderr=subprocess.PIPE,
        text=True,
    )
    script.started.append(cancel)
    line_after(cancel, "xpm: waiting until 2 jobs")  # a second after the script has heard of it
    script.go()
    _, err = first.communicate(timeout=30)
    assert first.returncode == 4 and "saves: 4 cancelled" in err and "go on" not in err, err
    assert cancel.wait(30) == 0


def test_a_queue_that_cannot_be_is_refused(script: Script) -> None:
    text = FAILING.replace(".submit()", ".submit(queue='a b')")
    (script.folder / "failing.py").write_text(text)
    done = subprocess.run(
        [sys.executable, "failing.py"], cwd=script.folder, env=script.environ, capture_output=True, text=True
    )
    assert done.returncode == 2
    assert "queue 'a b': expected letters, digits" in done.stderr


def test_a_broker_that_loses_its_memory_is_told_again(script: Script) -> None:
    process = script.start(4, 60)
    until(lambda: len(script.ledger) == 2)
    script.lose_memory()
    script.go()
    out, err = process.communicate(timeout=100)
    assert (process.returncode, out) == (0, "{'sum': 6, 'count': 4}\n"), err


DONE_ELSEWHERE = """
with experiment("elsewhere") as xp:
    made, total = plan(int(sys.argv[1]), float(sys.argv[2]))
    print("submitted", flush=True)
    %s
"""


@pytest.fixture
def elsewhere(script: Script, start_server: Callable[..., Server]) -> Script:
    """A project of which three jobs are done, and a broker that has never heard of them."""
    assert script.run(3).returncode == 0
    script.environ["XPM_BROKER"] = start_server().url
    return script


def sums(script: Script) -> int:
    """How many jobs of the last step are done."""
    return len(list(script.folder.glob("runs/jobs/*Sum*/*/*/.xpm/result.json")))


def test_a_result_is_waited_for_whose_inputs_the_broker_has_never_heard_of(elsewhere: Script) -> None:
    elsewhere.write(DONE_ELSEWHERE % "print(total.result(timeout=30))")
    done = elsewhere.run(4, 0)
    assert (done.returncode, done.stdout) == (0, "submitted\n{'sum': 6, 'count': 4}\n"), done.stderr
    assert elsewhere.ledger == [0, 1, 2, 3]


def test_what_a_failed_script_leaves_needs_none_of_the_inputs_that_were_done_elsewhere(
    elsewhere: Script,
) -> None:
    elsewhere.write(DONE_ELSEWHERE % "raise KeyError('mine')")
    done = elsewhere.run(4, 0)
    assert done.returncode == 1 and "all 5 jobs submitted so far go on" in done.stderr, done.stderr
    until(lambda: sums(elsewhere) == 2)


def test_what_an_interrupted_script_leaves_needs_none_of_the_inputs_that_were_done_elsewhere(
    elsewhere: Script,
) -> None:
    # Many short sleeps: Python loses an interrupt that comes between its last look for signals and a call that
    # blocks, until that call ends; 3 of 1,000 scripts do that which have a thread and sleep once.
    elsewhere.write(DONE_ELSEWHERE % "while True: time.sleep(0.1)")
    process = elsewhere.start(4, 0)
    assert process.stdout is not None and process.stdout.readline() == "submitted\n"
    process.send_signal(signal.SIGINT)
    _, err = left(process, timeout=20)
    assert process.returncode == 130 and "all 5 jobs submitted so far go on" in err, err
    until(lambda: sums(elsewhere) == 2)


def test_local_workers_that_die_are_started_again(script: Script) -> None:
    process = script.start(4, 60)
    until(lambda: len(script.ledger) == 2)
    (pool,) = [
        one
        for one in leftovers.processes(Path(os.environ["HOME"]))
        if "--lock" in one.cmdline() and one.ppid() == 1
    ]
    pool.kill()
    script.go()
    out, err = process.communicate(timeout=100)
    assert (process.returncode, out) == (0, "{'sum': 6, 'count': 4}\n"), err


def test_a_broker_that_takes_no_changes_is_waited_for(
    script: Script, start_server: Callable[..., Server]
) -> None:
    told = "fewer replicas are there than its min-replicas-to-write (NOREPLICAS: "
    server = start_server()
    script.environ["XPM_BROKER"] = server.url
    process = script.start(4, 60)
    until(lambda: len(script.ledger) == 2)
    with server.client() as client:
        client.config_set("min-replicas-to-write", 1)
        script.go()
        assert process.stderr is not None
        while told not in (line := process.stderr.readline()):
            assert line
        assert line.endswith("): waiting for that to be mended; no job is lost\n")
        doctor = subprocess.run(
            (sys.executable, "-m", "xpm.cli", "doctor"),
            cwd=script.folder,
            env=script.environ,
            capture_output=True,
            text=True,
        )
        assert doctor.returncode == 1 and f"the broker takes no changes: {told}" in " ".join(
            doctor.stdout.split()
        )
        client.config_set("min-replicas-to-write", 0)
    out, err = process.communicate(timeout=100)
    assert (process.returncode, out) == (0, "{'sum': 6, 'count': 4}\n"), err
    assert script.ledger == [0, 1, 2, 3] and "no changes" not in err


def test_a_shared_broker_that_goes_away_is_waited_for(
    script: Script, start_server: Callable[..., Server]
) -> None:
    server = start_server(options=("--appendfsync", "always"))
    script.environ["XPM_BROKER"] = server.url
    process = script.start(4, 60)
    until(lambda: len(script.ledger) == 2)
    server.kill()
    assert process.stderr is not None
    killed = time.monotonic()
    for told in ("does not answer: waiting for it", "answers again, after"):
        while told not in (line := process.stderr.readline()):
            assert line
        if told.startswith("does"):
            away = time.monotonic() - killed
            server.start()
    assert float(line.rpartition("after ")[2].removesuffix(" s\n")) >= away - 0.1, (
        "it counts from the kill on"
    )
    script.go()
    out, err = process.communicate(timeout=100)
    assert (process.returncode, out) == (0, "{'sum': 6, 'count': 4}\n"), err
    assert script.ledger == [0, 1, 2, 3]


def test_jobs_that_nobody_serves_are_told_with_the_command(
    script: Script, start_server: Callable[..., Server]
) -> None:
    script.environ["XPM_BROKER"] = start_server().url
    del script.environ["XPM_WORKERS"]
    process = script.start(2)
    line = line_after(process, "no worker")
    assert line == "no worker serves the queue 'default', in which 2 jobs wait: start one with\n"
    program, *words = process.stderr.readline().split()
    assert program.endswith("xpm") and words == ["worker", "start", "--queue", "default"]


def test_a_broker_that_does_not_answer_is_one_line(script: Script) -> None:
    done = script.run(2, XPM_BROKER="redis://127.0.0.1:1")
    assert done.returncode == 3 and done.stdout == ""
    assert done.stderr.startswith("xpm: redis://127.0.0.1:1") and len(done.stderr.splitlines()) == 1


def test_a_disk_that_cannot_take_the_end_costs_a_warning(
    script: Script, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    process = script.start(2, 60)
    until(lambda: len(script.ledger) == 2)
    (script.runs[0].parent / ".end.json.tmp").mkdir()  # as good as a full disk, for root too
    script.go()
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (0, "{'sum': 1, 'count': 2}\n"), err
    warning = r"warning: cannot note the end in \S+: Is a directory: the next run asks the broker again\n"
    assert re.search(warning + "plain: all 3 jobs done", err), err
    monkeypatch.setenv("XPM_WORKERS", "2")
    assert attach("plain", load(script=script.folder / "plan.py")) == 0
    assert re.search(warning + "plain: all 3 jobs done", capfd.readouterr().err)


def test_a_server_that_cannot_be_started_is_one_line(script: Script) -> None:
    (script.folder / "state").touch()
    done = script.run(2, XDG_STATE_HOME=str(script.folder / "state"))
    assert done.returncode == 3 and done.stdout == ""
    assert re.fullmatch(
        r"xpm: \S+/state/\S+: cannot be made: Not a directory; set XDG_STATE_HOME .*\n", done.stderr
    )


def test_wrong_settings_are_one_line(script: Script) -> None:
    done = script.run(2, XPM_WORKRES="3")
    assert done.returncode == 2
    assert done.stderr == "xpm: XPM_WORKRES: no such setting; did you mean 'XPM_WORKERS'?\n"


def test_the_live_display_shows_what_runs(script: Script) -> None:
    environ = {**script.environ, "TERM": "xterm", "COLUMNS": "100", "LINES": "30"}
    child = pexpect.spawn(
        sys.executable, ["plan.py", "5", "60"], cwd=str(script.folder), env=environ, encoding="utf8",
        dimensions=(30, 100), timeout=40,
    )  # fmt: skip
    child.expect("plain.*0/6")
    child.expect("2 running.*3 ready.*1 waiting")
    child.expect(r"Make n=\d.*half way")
    script.go()
    child.expect("plain: all 6 jobs done")
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 0


def test_on_a_terminal_a_second_ctrl_c_asks_first(script: Script) -> None:
    child = pexpect.spawn(
        sys.executable, ["plan.py", "3", "60"], cwd=str(script.folder), env=script.environ, encoding="utf8",
        timeout=40,
    )  # fmt: skip
    child.expect("2 running")
    child.sendintr()
    child.expect("xpm attach plain")
    child.expect("again within 2 s cancels")
    child.sendintr()
    child.expect(r"cancel 4 jobs of plain\? \[y/N\]")
    child.sendline("y")
    child.expect("cancelled 2 jobs, asked 2 running to stop")
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 4


def test_a_log_gets_few_lines(script: Script) -> None:
    done = script.run(8, 0.8)
    assert done.returncode == 0
    lines = done.stderr.splitlines()
    assert re.fullmatch(r"plain: \d of 9 done, \d running, .*1 waiting(; about \d.* left)?", lines[0])
    assert len(lines) <= 4 and lines[-1].startswith("plain: all 9 jobs done")
