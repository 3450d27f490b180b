"""Modules that take long to import, or for ever: what waits for them, and what goes on."""

from __future__ import annotations

import importlib
import os
import signal
import sys
from pathlib import Path

import psutil
import pytest
from jobs import Lab
from waiting import until

SOURCE = """
class Add(Task):
    a: Param[int]
    b: Param[int] = 0
    def execute(self):
        return self.a + self.b

class Wait(Task):
    n: Param[int]
    until: Meta[Path]
    def execute(self):
        while not self.until.exists():
            time.sleep(0.01)
"""

SLOW = """
import os, subprocess, sys, time
from pathlib import Path
from xpm.core.config import Meta, Param, Task

GATE = Path({gate!r})
with open({ledger!r}, "a") as file:
    file.write(f"{{os.getpid()}}\\n")
STATUS = None
if GATE.exists():
    # A child that the module waits for; nobody else may.
    STATUS = subprocess.run([sys.executable, "-c", "import sys, time; time.sleep(1.5); sys.exit(7)"]).returncode
    while GATE.exists():
        time.sleep(3600 if GATE.read_text() == "for ever" else 0.01)

class Slow(Task):
    n: Param[int]
    def execute(self):
        return [os.getppid(), STATUS, self.n]

class Slower(Slow):
    pass
"""

IMPATIENT = (
    "-c",
    "import sys; from xpm_workers import zygote; zygote.IMPORT_PATIENCE = 1.5; zygote.main(sys.argv[1:])",
)


class Slowly(Lab):
    """A lab with a second module, whose import lasts as long as the file `gate` is there."""

    def __init__(self, folder: Path) -> None:
        self.gate, self.ledger, self.until = folder / "gate", folder / "ledger", folder / "until"
        text = SLOW.format(gate=str(self.gate), ledger=str(self.ledger))
        super().__init__(folder, SOURCE, {"slow.py": text})
        self.slow = importlib.import_module("slow")
        self.ledger.unlink()
        self.path_of_zygote = ""

    def begin(self, *, patient: bool = True) -> None:
        """Starts the zygote, which has imported the first module when this returns."""
        self.path_of_zygote = self.zygote(**({} if patient else {"start": IMPATIENT}))
        assert done(self.run(self.worker(self.path_of_zygote), self.module.Add.C(a=0)))

    def asks(self, task, **changes):
        """A worker that has asked for this task to be run."""
        worker = self.worker(self.path_of_zygote)
        worker.ask(self.request(self.prepare(task), **changes))
        return worker

    @property
    def importers(self) -> list[int]:
        """The processes that have begun to import the slow module."""
        return [int(line) for line in self.ledger.read_text().split()] if self.ledger.exists() else []

    def importing(self, times: int = 1) -> None:
        until(lambda: len(self.importers) >= times)


def done(frames):
    """Whether these are the frames of a job that is done; the zygote's first and the job's own come in any order."""
    return {frame[0] for frame in frames} == {"started", "done", "exit"} and frames[-1][:2] == ["exit", 0]


@pytest.fixture
def lab(tmp_path):
    made = Slowly(tmp_path)
    yield made
    made.gate.unlink(missing_ok=True)
    made.close()
    sys.modules.pop("slow", None)


def test_a_slow_import_is_done_once_and_its_jobs_wait_for_it(lab):
    lab.gate.touch()
    lab.begin()
    workers = [lab.asks(lab.slow.Slow.C(n=n)) for n in range(3)]
    lab.importing()
    until(lambda: psutil.Process(lab.importers[0]).children())
    until(lambda: not psutil.Process(lab.importers[0]).children())  # now it waits at the gate
    lab.gate.unlink()
    for worker in workers:
        assert done(worker.rest())
    assert lab.importers == [lab.zygotes[0].pid]


def test_jobs_under_way_end_and_take_signals_during_an_import(lab):
    lab.gate.touch()
    lab.begin()
    until = lab.gate.with_name("until")
    ending = lab.asks(lab.module.Wait.C(n=1, until=until))
    killed = lab.asks(lab.module.Wait.C(n=2, until=until.with_name("never")))
    for worker in (ending, killed):
        worker.until("started")
    slow = lab.asks(lab.slow.Slow.C(n=1))
    lab.importing()
    until.touch()
    assert ending.until("exit")[1] == 0
    killed.signal(signal.SIGKILL)
    assert os.WTERMSIG(killed.until("exit")[1]) == signal.SIGKILL
    lab.gate.unlink()
    slow.until("done")
    zygote = psutil.Process(lab.zygotes[0].pid)
    assert slow.until("exit")[1] == 0 and not zygote.children()


def test_children_of_a_module_are_left_to_it_while_jobs_end(lab):
    lab.gate.touch()
    lab.begin()
    until = lab.gate.with_name("until")
    busy = lab.asks(lab.module.Wait.C(n=1, until=until))
    busy.until("started")
    slow = lab.asks(lab.slow.Slow.C(n=1))
    lab.importing()
    until.touch()
    assert busy.until("exit")[1] == 0
    lab.gate.unlink()
    slow.until("exit")
    assert lab.record(lab.prepare(lab.slow.Slow.C(n=1))).result == [lab.zygotes[0].pid, 7, 1]


@pytest.mark.parametrize("how", ["signal", "leave"])
def test_a_job_that_waits_for_an_import_can_be_given_up(lab, how):
    lab.gate.touch()
    lab.begin()
    first, second = (lab.asks(lab.slow.Slow.C(n=n)) for n in range(2))
    lab.importing()
    for worker in (first, second):
        if how == "signal":
            worker.signal(signal.SIGTERM)
            status = worker.until("exit")[1]
            assert os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGTERM
        else:
            worker.close()
    third = lab.asks(lab.slow.Slow.C(n=2))
    lab.gate.unlink()
    assert done(third.rest())
    assert not any(lab.record(lab.prepare(lab.slow.Slow.C(n=n))) for n in range(2))


def test_an_import_without_end_hurts_only_its_jobs(lab):
    lab.gate.write_text("for ever")
    lab.begin(patient=False)
    stuck = [lab.asks(lab.slow.Slow.C(n=n)) for n in range(2)]
    lab.importing(3)  # the zygote, and each job for itself
    zygote, *jobs = lab.importers
    assert zygote == lab.zygotes[0].pid and zygote not in jobs
    for a in (1, 2):  # of a module that is there
        assert done(lab.run(lab.worker(lab.path_of_zygote), lab.module.Add.C(a=a)))
    late = lab.asks(lab.slow.Slower.C(n=9))
    lab.importing(4)
    for worker in (*stuck, late):
        worker.signal(signal.SIGTERM)
        assert os.WTERMSIG(worker.until("exit")[1]) == signal.SIGTERM
    until(lambda: not any(psutil.pid_exists(job) for job in jobs))


def test_an_import_that_lasts_longer_than_jobs_wait_is_still_of_use(lab):
    lab.gate.touch()
    lab.begin(patient=False)
    first = lab.asks(lab.slow.Slow.C(n=1))
    lab.importing(2)
    lab.gate.unlink()
    first.until("done")
    assert first.until("exit")[1] == 0
    second = lab.asks(lab.slow.Slow.C(n=2))
    assert done(second.rest())
    assert len(lab.importers) == 2


@pytest.mark.parametrize("end", ["pool", "retired"])
def test_a_zygote_ends_in_the_middle_of_an_import(lab, end):
    lab.gate.write_text("for ever")
    lab.begin()
    worker = lab.asks(lab.slow.Slow.C(n=1))
    lab.importing()
    (zygote,) = lab.zygotes
    if end == "pool":
        zygote.stdin.close()
    else:
        zygote.terminate()
        worker.close()
        for each in lab.workers:
            each.close()
    assert zygote.wait(10) == 0
