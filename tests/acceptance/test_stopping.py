"""How workers and pools stop: what runs may end, is handed back uncounted, and runs again elsewhere."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from farm import Farm, farm
from servers import Server
from waiting import ended

from xpm.core.state import State

CODE = '''
import os, signal, time
from pathlib import Path
from xpm.core.config import Meta, Param, Task, field

class Wait(Task):
    """Runs until a file is there; notes process and attempt at each start."""
    n: Param[int]
    ledger: Meta[Path]
    until: Meta[Path]
    ignore: Meta[bool] = field(default=False)
    def execute(self) -> int:
        if self.ignore:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
        with open(self.ledger, "a") as file:
            file.write(f"{os.getpid()}:{os.environ['XPM_ATTEMPT']}\\n")
        while not self.until.exists():
            time.sleep(0.02)
        return self.n
'''


@pytest.fixture
def works(server: Server, tmp_path: Path) -> Iterator[Farm]:
    with farm(tmp_path, server.url, CODE) as made:
        yield made
    with server.client() as client:
        client.flushall()


class Waiting:
    """A job that waits for a file."""

    def __init__(self, works: Farm, folder: Path, *, count: int = 1, ignore: bool = False) -> None:
        self.works = works
        self.ledger, self.until = folder / "ledger", folder / "until"
        works.send(
            works.run(),
            *[
                works.tasks.Wait.C(n=n, ledger=self.ledger, until=self.until, ignore=ignore)
                for n in range(count)
            ],
        )

    @property
    def starts(self) -> list[tuple[int, int]]:
        """Process and attempt of each start."""
        text = self.ledger.read_text() if self.ledger.exists() else ""
        return [(int(pid), int(attempt)) for pid, attempt in (line.split(":") for line in text.split())]

    def started(self, times: int = 1) -> int:
        """Waits for so many starts; the process of the last."""
        self.works.until(lambda: len(self.starts) >= times)
        assert len(self.starts) == times
        return self.starts[-1][0]

    def given_back(self) -> None:
        """The job waits as if nobody had begun it, and runs elsewhere as its first attempt."""
        job = self.works.job("Wait n=0")
        assert (job.state, job.attempt, job.crashes) == (State.READY, 0, 0)
        assert not psutil.pid_exists(self.starts[0][0])
        self.works.pool()
        self.ran_again()

    def ran_again(self) -> None:
        """It is begun a second time, still as its first attempt, and ends."""
        self.started(2)
        assert self.works.job("Wait n=0").crashes == 0
        self.until.touch()
        job = self.works.until(self.works.in_state("Wait n=0", State.DONE))
        assert (job.attempt, job.crashes, job.execution) == (1, 0, 2)
        assert [attempt for _, attempt in self.starts] == [1, 1]
        assert not psutil.pid_exists(self.starts[0][0])


# A pool


def test_first_sigterm_lets_the_job_end(works: Farm, tmp_path: Path) -> None:
    waiting = Waiting(works, tmp_path, count=2)
    pool = works.pool(XPM_GRACE="60")
    waiting.started()
    pool.terminate()
    works.until(lambda: "jobs may end" in works.told())
    waiting.until.touch()
    assert pool.wait(30) == 0
    assert works.job("Wait n=0").state is State.DONE
    assert works.job("Wait n=1").state is State.READY
    assert len(waiting.starts) == 1


@pytest.mark.parametrize("ignore", [False, True])
def test_first_sigterm_hands_the_job_back_uncounted_when_its_time_is_over(
    works: Farm, tmp_path: Path, ignore: bool
) -> None:
    waiting = Waiting(works, tmp_path, ignore=ignore)
    pool = works.pool(XPM_GRACE="1")
    process = waiting.started()
    stopped = time.monotonic()
    pool.terminate()
    psutil.wait_procs([psutil.Process(process)], timeout=20)
    assert time.monotonic() - stopped >= 1
    assert pool.wait(20) == 0
    waiting.given_back()


@pytest.mark.parametrize("ignore", [False, True])
def test_second_sigterm_hands_the_job_back_at_once_and_uncounted(
    works: Farm, tmp_path: Path, ignore: bool
) -> None:
    waiting = Waiting(works, tmp_path, ignore=ignore)
    pool = works.pool(XPM_GRACE="60")
    waiting.started()
    pool.terminate()
    works.until(lambda: "jobs may end" in works.told())
    pool.terminate()
    assert pool.wait(20) == 0
    waiting.given_back()


def test_a_terminal_that_is_closed_stops_a_pool_as_sigterm_does(works: Farm, tmp_path: Path) -> None:
    waiting = Waiting(works, tmp_path)
    pool = works.pool(XPM_GRACE="60")
    waiting.started()
    os.killpg(pool.pid, signal.SIGHUP)
    works.until(lambda: "jobs may end" in works.told())
    waiting.until.touch()
    assert pool.wait(30) == 0
    assert works.job("Wait n=0").state is State.DONE


# A worker


def test_ctrl_z_does_not_leave_jobs_behind_whose_leases_nobody_renews(works: Farm, tmp_path: Path) -> None:
    waiting = Waiting(works, tmp_path)
    pool = works.pool()
    waiting.started()
    os.killpg(pool.pid, signal.SIGTSTP)
    works.until(lambda: "not suspended" in works.told())
    states = {process.status() for process in (psutil.Process(pool.pid), *works.workers(pool))}
    assert psutil.STATUS_STOPPED not in states
    waiting.until.touch()
    assert works.until(works.in_state("Wait n=0", State.DONE)).attempt == 1


def test_a_workers_first_sigterm_lets_its_job_end_and_another_takes_the_next(
    works: Farm, tmp_path: Path
) -> None:
    waiting = Waiting(works, tmp_path, count=2)
    pool = works.pool(XPM_GRACE="60")
    waiting.started()
    (worker,) = works.workers(pool)
    worker.terminate()
    waiting.until.touch()
    works.until(works.in_state("Wait n=1", State.DONE))
    first, second = works.job("Wait n=0"), works.job("Wait n=1")
    assert (first.state, first.execution, second.execution) == (State.DONE, 1, 1)
    assert first.place[1] == str(worker.pid) != second.place[1]


@pytest.mark.parametrize("signals", [1, 2])
def test_a_worker_hands_its_job_back_uncounted(works: Farm, tmp_path: Path, signals: int) -> None:
    waiting = Waiting(works, tmp_path)
    pool = works.pool(XPM_GRACE="1" if signals == 1 else "60")
    waiting.started()
    (worker,) = works.workers(pool)
    worker.terminate()
    if signals == 2:
        works.until(lambda: "may end within 60 s" in works.told())
        worker.terminate()
    waiting.ran_again()  # by the worker that the pool started in its place


# All processes at once, as service managers and batch systems do it


def test_one_sigterm_for_a_pool_and_its_workers_is_one(works: Farm, tmp_path: Path) -> None:
    waiting = Waiting(works, tmp_path)
    pool = works.pool(XPM_GRACE="60")
    waiting.started()
    os.killpg(pool.pid, signal.SIGTERM)
    works.until(lambda: "may end within 60 s" in works.told() and "jobs may end" in works.told())
    key = f"{works.broker.prefix}j:{works.job('Wait n=0').id[:32]}"
    renewals = int(works.client.hget(key, "ln"))
    works.until(lambda: int(works.client.hget(key, "ln")) >= renewals + 2)  # it goes on
    waiting.until.touch()
    assert pool.wait(30) == 0
    assert works.job("Wait n=0").state is State.DONE
    assert len(waiting.starts) == 1


def test_a_job_that_is_told_to_end_with_its_pool_is_not_counted(works: Farm, tmp_path: Path) -> None:
    waiting = Waiting(works, tmp_path)
    pool = works.pool(XPM_GRACE="60")
    process = waiting.started()
    supervisor = psutil.Process(pool.pid)
    rest = [each for each in supervisor.children(recursive=True) if each.pid != process]
    os.kill(process, signal.SIGTERM)
    works.until(lambda: ended(process))  # the worker hears of it before it is told itself
    for each in (*rest, supervisor):
        each.terminate()
    assert pool.wait(20) == 0
    waiting.given_back()
