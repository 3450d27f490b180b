"""A host whose workers can make nothing in the workspace stops itself, and no job fails of it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from farm import LEASE, Farm, farm
from servers import Server

from xpm.broker import rq as rqnames
from xpm.broker.jobview import JobView
from xpm.core.state import State
from xpm.workspace.results import complete

CODE = """
import time
from pathlib import Path
from xpm.core.config import Meta, Param, Task

class Step(Task):
    n: Param[int]
    until: Meta[Path]
    def execute(self) -> int:
        self.until.with_suffix(f".{self.n}").touch()
        while not self.until.exists():
            time.sleep(0.01)  # a file is what a job can be told by, whatever its host sees
        return self.n

class After(Task):
    step: Param[Step]
    def execute(self) -> int:
        return self.step.result()
"""

APART = ("unshare", "--mount")
"""A pool that sees file systems as they are mounted on a host of its own."""

BREAKS = {
    "unmounted": ("mount -t tmpfs none {}", "is no workspace here (No such file or directory"),
    "read-only": ("mount --bind {0} {0} && mount -o remount,ro,bind {0}", "(Read-only file system)"),
}

RQ = str(Path(sys.executable).with_name("rq"))

pytestmark = pytest.mark.namespaces


@pytest.fixture
def works(server: Server, tmp_path: Path) -> Iterator[Farm]:
    with farm(tmp_path / "farm", server.url, CODE) as made:
        yield made


def break_host(works: Farm, pool: subprocess.Popen[bytes], how: str) -> None:
    command = BREAKS[how][0].format(works.workspace.path)
    subprocess.run(["nsenter", f"--target={pool.pid}", "--mount", "sh", "-c", command], check=True)


def log_of(works: Farm, pool: subprocess.Popen[bytes]) -> str:
    return (works.workspace.path / f"pool{works.pools.index(pool)}.log").read_text()


@pytest.mark.parametrize("how", BREAKS)
def test_a_host_without_its_mount_ends_its_pool_and_fails_no_job(
    works: Farm, tmp_path: Path, how: str
) -> None:
    now, later = tmp_path / "now", tmp_path / "later"
    now.touch()
    run = works.run()
    pool = works.pool(slots=2, under=APART)
    works.send(run, works.tasks.Step.C(n=0, until=now), works.tasks.Step.C(n=1, until=later))
    works.until(works.in_state("Step n=0", State.DONE))
    works.until(later.with_suffix(".1").exists)
    break_host(works, pool, how)
    works.send(run, *(works.tasks.Step.C(n=n, until=now) for n in range(2, 6)))

    # The job that runs goes on to its end; for the others this host is no place.
    works.until(lambda: BREAKS[how][1] in log_of(works, pool))
    waiting = [State.RUNNING, *[State.READY] * 4]
    works.until(lambda: [job_of(works, n).state for n in range(1, 6)] == waiting)
    later.touch()
    assert pool.wait(20) == 1
    last = log_of(works, pool).splitlines()[-1]
    assert BREAKS[how][1] in last and last.endswith("this pool ends")

    works.pool(slots=2)
    works.until(lambda: all(job_of(works, n).state is State.DONE for n in range(6)))
    for n in range(1, 6):
        job = job_of(works, n)
        assert (job.attempt, job.crashes) == (1, 0), "it counts as nothing"
        assert complete(str(works.workspace.jobpath(job.task, job.id))), "what was made is here"


@pytest.mark.parametrize("how", BREAKS)
def test_an_input_that_such_a_host_does_not_see_is_not_made_again(
    works: Farm, tmp_path: Path, how: str
) -> None:
    now = tmp_path / "now"
    now.touch()
    run, step = works.run(), works.tasks.Step.C(n=0, until=now)
    pool = works.pool(under=APART)
    works.send(run, step)
    first = works.until(works.in_state("Step n=0", State.DONE))
    break_host(works, pool, how)
    works.send(run, works.tasks.After.C(step=step))
    assert pool.wait(20) == 1
    works.pool()
    works.until(lambda: works.views.counts()[State.DONE] == 2)
    assert job_of(works, 0) == first, "it stayed done, as it was"


def job_of(works: Farm, n: int) -> JobView:
    return works.job(f"Step n={n}")


def broken(works: Farm) -> tuple[str, ...]:
    """A command that starts another one where the workspace can't be written to."""
    return (*APART, "sh", "-c", BREAKS["read-only"][0].format(works.workspace.path) + ' && exec "$@"', "sh")


def test_no_pool_starts_where_it_could_make_nothing(works: Farm) -> None:
    pool = works.pool(under=broken(works))
    assert pool.wait(20) == 2
    told = log_of(works, pool)
    assert told.startswith("xpm: error: ") and len(told.splitlines()) == 1
    assert str(works.workspace.path) in told


def test_a_stock_worker_there_fails_the_job_and_does_not_take_it_again_and_again(
    works: Farm, tmp_path: Path
) -> None:
    now = tmp_path / "now"
    now.touch()
    works.send(works.run(), works.tasks.Step.C(n=0, until=now))
    command = [*broken(works), RQ, "worker", "-u", works.url, "-S", "xpm.broker.rq.Serializer", "--burst"]
    queue = rqnames.queue(works.workspace.namespace, "default")
    environ = {**os.environ, "XPM_WORKSPACE": str(works.workspace.path), "XPM_LEASE": str(LEASE)}
    subprocess.run([*command, queue], env=environ, timeout=60, capture_output=True, check=True)
    job = job_of(works, 0)
    assert job.state is State.ERROR and "Read-only file system" in str(works.views.failure(job.id))
