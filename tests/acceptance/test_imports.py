"""Code that hangs or dies when a worker imports it, in a pool."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from farm import Farm, farm
from servers import Server

from xpm.core.state import State

CODE = """
import os, signal, time
from pathlib import Path
from xpm.core.config import Param, Task

HERE = Path({here!r})
if (HERE / "gate").exists():
    (HERE / "importer").write_text(str(os.getpid()))
    if (HERE / "gate").read_text() == "die":
        os.abort()
    if (HERE / "gate").read_text() == "deaf":
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGALRM])
    time.sleep(3600)

class Slow(Task):
    n: Param[int]
    def execute(self) -> int:
        return self.n
"""


@pytest.fixture
def works(server: Server, tmp_path: Path) -> Iterator[Farm]:
    with farm(tmp_path, server.url, CODE.format(here=str(tmp_path))) as made:
        yield made
    with server.client() as client:
        client.flushall()


def importing(works: Farm, folder: Path, how: str = "") -> psutil.Process:
    """A pool whose zygote hangs in an import; that zygote."""
    (folder / "gate").write_text(how)
    works.send(works.run(), works.tasks.Slow.C(n=1))
    pool = works.pool(XPM_GRACE="60")
    works.until((folder / "importer").exists)
    zygote = psutil.Process(int((folder / "importer").read_text()))
    assert zygote.ppid() == pool.pid
    return zygote


def test_a_job_whose_code_is_being_imported_can_be_cancelled(works: Farm, tmp_path: Path) -> None:
    importing(works, tmp_path)
    job = works.job("Slow n=1")
    assert works.broker.cancel(job.runs[0].partition(".")[0], [job.id]) == (0, 1, 0)
    works.until(works.in_state("Slow n=1", State.CANCELLED))


def test_a_job_of_a_zygote_that_no_signal_reaches_can_be_cancelled(works: Farm, tmp_path: Path) -> None:
    zygote = importing(works, tmp_path, "deaf")
    job = works.job("Slow n=1")
    assert works.broker.cancel(job.runs[0].partition(".")[0], [job.id]) == (0, 1, 0)
    works.until(works.in_state("Slow n=1", State.CANCELLED))
    (pool,) = works.pools
    pool.terminate()
    assert pool.wait(20) == 0
    assert not zygote.is_running()


def test_a_pool_can_be_stopped_while_code_is_being_imported(works: Farm, tmp_path: Path) -> None:
    zygote = importing(works, tmp_path)
    (pool,) = works.pools
    pool.terminate()
    works.until(lambda: "may end within 60 s" in works.told())
    pool.terminate()
    assert pool.wait(20) == 0
    job = works.job("Slow n=1")
    assert (job.state, job.attempt, job.crashes) == (State.READY, 0, 0)
    assert not zygote.is_running()


def test_code_that_dies_when_it_is_imported_is_a_failure_of_its_job(works: Farm, tmp_path: Path) -> None:
    (tmp_path / "gate").write_text("die")
    works.send(works.run(), works.tasks.Slow.C(n=1))
    works.pool()
    job = works.until(works.in_state("Slow n=1", State.ERROR))
    failure = works.views.failure(job.id)
    assert failure is not None and (failure.type, failure.message) == (
        "SIGABRT",
        "the process died of Aborted",
    )
