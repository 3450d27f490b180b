"""What a person gets wrong, and what the machine lacks: one clear line each, the right status, no traceback of ours."""

from __future__ import annotations

import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from commands import XPM, Lab
from waiting import until


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    """A finished experiment `demo`, of three jobs and two that need them."""
    made = Lab()
    assert made.run("run", "plan.py", "demo", "3").returncode == 0
    yield made
    made.close()


@pytest.fixture
def own_lab() -> Iterator[Lab]:
    """Nothing in it yet."""
    made = Lab()
    yield made
    made.close()


def refused(done: subprocess.CompletedProcess[str], status: int, said: str) -> None:
    """It ended with the status, and said this in its only line, beside the one that names the workspace."""
    lines = [line for line in done.stderr.splitlines() if not line.startswith("xpm: workspace ")]
    assert done.returncode == status and len(lines) == 1 and said in lines[0], (done.returncode, done.stderr)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["show", ""], "which job? give the first digits of its identifier"),
        (["logs", " "], "which job?"),
        (["show", "Slwo"], "'Slwo' is no job and no task with one; did you mean 'Slow'?"),
        (["logs", "Slow/zz"], "is no job and no task with one"),
        (["show", "demo"], "'demo' is no job but an experiment; xpm jobs -e demo lists its jobs"),
        (["attach", "dmo"], "no experiment 'dmo' in"),
        (["attach", "dmo"], "; did you mean 'demo'?"),
        (["cancel", "dmo"], "no experiment 'dmo'; did you mean 'demo'?"),
        (["worker", "start", "--queue", "my queue"], "queue 'my queue': expected letters, digits"),
        (["worker", "start", "--queue", ""], "queue '': expected letters, digits"),
        (["worker", "start", "--slots", "two"], "'--slots': expected a whole number, 1 or more, got 'two'"),
        (["run", "--workers", "-1", "plan.py"], "'--workers': expected a whole number, 0 or more, got '-1'"),
        (["-w", "plan.py", "jobs"], "plan.py is no directory (the command line)"),
        (["-w", "plan.py/runs", "jobs"], "no workspace at "),
        (["-w", "plan.py", "worker", "start"], "cannot use the workspace"),
        (["-w", "plan.py", "broker", "start"], "cannot use the workspace"),
        (["run", "-w", "plan.py", "plan.py", "x", "1"], "cannot use the workspace"),
        (["run", "-w", "/proc/none", "plan.py", "x", "1"], "cannot use the workspace /proc/none: "),
    ],
)
def test_a_slip_is_one_line_and_status_2(lab: Lab, words: list[str], said: str):
    refused(lab.run(*words), 2, said)


def test_a_port_that_is_taken_is_one_line(lab: Lab):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        refused(lab.run("rq-dashboard", "--port", str(port)), 2, f"port {port} of 127.0.0.1 is taken")


def test_a_file_where_the_workspace_should_be_is_a_problem(lab: Lab):
    done = lab.run("doctor", "-w", "plan.py")
    assert done.returncode == 1 and "plan.py is no directory" in done.stdout


BEFORE = "raise ValueError('mine')\n"
SCRIPTS = {
    "syntax": ("def f(:\n", 1, "SyntaxError: invalid syntax"),
    "before": (BEFORE, 1, "ValueError: mine"),
    "missing": ("import no_such_module\n", 1, "ModuleNotFoundError: No module named 'no_such_module'"),
    "open": ("with experiment('open'):\n    with experiment('open', check=3, chek=4): pass\n", 1, "unexpected keyword"),
    "typo": ("with experiment('typo'):\n    One.C(m=1)\n", 2, "xpm: One.m: no such parameter; it has n"),
    "lack": ("with experiment('lack'):\n    One.C().submit()\n", 2, "xpm: One.n: is missing"),
    "cycle": ("with experiment('c'):\n    o = One.C(n=1)\n    o.of = o\n    o.submit()\n", 2, "xpm: One.of: a cycle: "),
    "path": (
        "with experiment('p'):\n    Read.C(file=One.C(n=1).submit().jobpath / 'x').submit()\n", 2,
        "xpm: Read.file: a path in the directory of One ",
    ),
}  # fmt: skip
HEAD = """
from __future__ import annotations
from pathlib import Path
from xpm import Param, Task, experiment
class One(Task):
    n: Param[int]
    of: Param[One | None] = None
    def execute(self): pass
class Read(Task):
    file: Param[Path]
    def execute(self): pass
"""


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_script_that_is_wrong_shows_its_own_lines_only(lab: Lab, name: str):
    text, status, said = SCRIPTS[name]
    (lab.project / f"{name}.py").write_text(HEAD + text)
    done = lab.run("run", f"{name}.py")
    assert done.returncode == status
    assert said in done.stderr.splitlines()[-1]
    assert "xpm/core" not in done.stderr and "xpm/experiment" not in done.stderr


def test_an_exception_in_the_block_tells_how_to_come_back(lab: Lab):
    (lab.project / "inside.py").write_text(
        HEAD + "with experiment('inside'):\n    One.C(n=1).submit()\n    raise ValueError('mine')\n"
    )
    done = lab.run("run", "inside.py")
    assert done.returncode == 1 and done.stderr.endswith("ValueError: mine\n")
    assert "inside: the one job submitted so far goes on\n" in done.stderr
    assert lab.run("attach", "inside").returncode == 0


def test_two_experiments_of_one_name_at_once_both_end(lab: Lab):
    gate = lab.home / "gate"
    scripts = [lab.spawn("run", "plan.py", "twin", count, f"as={count}", str(gate)) for count in ("2", "3")]
    for one in scripts:
        one.expect("running|ready")
    gate.touch()
    for one, count in zip(scripts, (3, 5), strict=True):
        one.expect(f"twin: all {count} jobs done")
        one.wait()
        assert one.exitstatus == 0


@contextmanager
def mounted(folder: Path, *options: str) -> Iterator[None]:
    """A file system on the folder; a root whose rights don't go that far skips the test."""
    folder.mkdir()
    if subprocess.run(["mount", *options, str(folder)], capture_output=True).returncode != 0:
        pytest.skip("mounting is not allowed")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def remount(folder: Path, how: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{how},bind", str(folder)], check=True)


@pytest.mark.root
def test_a_workspace_that_cannot_be_written(lab: Lab):
    disk = lab.home / "disk"
    with mounted(disk, "--bind", str(disk)):
        here = ("-w", str(disk / "runs"))
        assert lab.run("run", *here, "plan.py", "demo", "2").returncode == 0
        lab.ok("broker", "stop", "--force", *here)  # with the workers, who write a log there
        lab.ok("broker", "start", *here)
        remount(disk, "ro")
        refused(lab.run("run", *here, "plan.py", "more", "4"), 2, "Read-only file system")
        for _ in range(2):  # while the server runs, and when it is started once more
            assert lab.ok("jobs", *here).startswith("3 jobs: 3 DONE")
            assert lab.ok("broker", "stop", *here) == "stopped\n"
        remount(disk, "rw")
        lab.ok("broker", "stop", *here)
        remount(disk, "ro")
        refused(lab.run("jobs", *here), 2, f"{disk}/runs/.xpm: not writable: Read-only file system")
        refused(lab.run("worker", "start", *here), 2, "not writable: Read-only file system")
        refused(lab.run("broker", "start", *here), 2, "not writable: Read-only file system")
        again = lab.run("run", *here, "plan.py", "demo", "2")
        assert again.returncode == 0 and "nothing to do" in again.stderr, "what is done can be read"
        assert "cannot be written to" in lab.run("doctor", *here).stdout


@pytest.mark.root
def test_a_workspace_on_a_full_disk(lab: Lab):
    disk = lab.home / "small"
    (lab.project / "large.py").write_text(
        HEAD.replace(
            "def execute(self): pass", "def execute(self): Path('x').write_bytes(bytes(5_000_000))", 1
        )
        + "import sys\nwith experiment('large'):\n    One.C(n=int(sys.argv[1])).submit()\n"
    )
    with mounted(disk, "-t", "tmpfs", "-o", "size=600k", "tmpfs"):
        here = ("-w", str(disk / "runs"))
        failed = lab.run("run", *here, "large.py", "1")
        assert failed.returncode == 1 and "OSError: [Errno 28] No space left on device" in failed.stderr
        refused(lab.run("run", *here, "large.py", "2"), 2, "No space left on device")
        assert "ERROR" in lab.ok("jobs", *here)
        full = lab.run("doctor", *here)
        assert full.returncode == 1 and "make room: jobs fail when it is full" in full.stdout
        lab.ok("broker", "stop", *here)


def test_bytes_that_are_no_text_are_shown_and_harm_nobody(lab: Lab):
    (lab.project / "noise.py").write_text(
        "import sys; from xpm import Task, experiment\n"
        "class Noise(Task):\n    def execute(self):\n"
        "        sys.stdout.buffer.write(b'\\xff\\xfe caf\\xe9\\n')\n"
        "        print('gr\\u00fcn', flush=True)\n"
        "with experiment('noise'): Noise.C().submit()\n"
    )
    assert lab.run("run", "noise.py", env={"PYTHONUTF8": "1"}).returncode == 0
    assert lab.json("logs", "Noise")["logs"]["stdout"]["text"] == "\ufffd\ufffd caf\ufffd\ngr\u00fcn\n"
    raw = subprocess.run(
        [*XPM, "logs", "Noise"], cwd=lab.project, env=lab.env, capture_output=True, check=True
    )
    assert raw.stdout == b"\xff\xfe caf\xe9\ngr\xc3\xbcn\n"


def test_letters_that_a_terminal_cannot_show_do_not_stop_a_command(lab: Lab):
    (lab.project / "letters.py").write_text(
        "from xpm import Param, Task, experiment, tag\n"
        "class Letters(Task):\n    s: Param[str]\n    def execute(self): return self.s\n"
        "with experiment('letters'): Letters.C(s=tag('na\\u00efve \\u65e5')).submit()\n"
    )
    ascii_only = {"PYTHONIOENCODING": "ascii"}
    ran = lab.run("run", "letters.py", env=ascii_only)
    assert ran.returncode == 0, ran.stderr
    assert "Letters s=na\\xefve \\u65e5" in lab.ok("jobs", "-e", "letters", env=ascii_only)
    assert lab.run("show", "Letters", env=ascii_only).returncode == 0


SPAWNS = """
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from xpm import Param, Task, experiment

def square(n): return n * n

class Squares(Task):
    n: Param[int]
    def execute(self) -> list[int]:
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
            return list(pool.map(square, range(self.n)))
"""

PLAN = """
with experiment("spawns") as xp:
    Squares.C(n=3).submit()
"""


def test_a_script_without_a_guard_is_not_run_again_by_a_jobs_processes(lab: Lab) -> None:
    path = lab.project / "spawns.py"
    path.write_text(SPAWNS + PLAN)
    done = lab.run("run", "spawns.py")
    assert done.returncode == 1 and "BrokenProcessPool" in done.stderr
    (job,) = lab.json("jobs", "-e", "spawns")["jobs"]
    assert job["state"] == "ERROR" and "__mp_main__" not in job["task"]
    said = lab.ok("logs", job["id"])
    assert "would open the experiment spawns once more: put what follows the classes below" in said
    path.write_text(SPAWNS + "if __name__ == '__main__':" + PLAN.replace("\n", "\n    "))
    lab.ok("run", "spawns.py")


def test_a_workspace_that_is_deleted_ends_the_script_that_waits(own_lab: Lab) -> None:
    command = [*XPM, "run", "plan.py", "gone", "3", str(own_lab.project / "gate")]
    with subprocess.Popen(
        command, env=own_lab.env, cwd=own_lab.project, stderr=subprocess.PIPE, text=True
    ) as script:
        until(lambda: "RUNNING" in own_lab.run("jobs").stdout)
        shutil.rmtree(own_lab.workspace, ignore_errors=True)
        _, said = script.communicate(timeout=60)
    assert script.returncode == 2
    assert "is no workspace here" in said and "Traceback" not in said


def test_doctor_tells_what_people_have_stopped(lab: Lab) -> None:
    lab.ok("queue", "pause", "default", "--yes")
    found = [one for one in lab.json("doctor")["findings"] if one["about"] == "queues"]
    lab.ok("queue", "resume", "default", "--yes")
    assert [(one["grade"], one["cure"]) for one in found] == [("note", "xpm queue resume default")]
    assert "queue default is paused" in found[0]["text"]
