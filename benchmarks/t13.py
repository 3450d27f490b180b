"""Until a job runs again whose worker, or whose whole pool, was killed with -9, in seconds.

`--jobs`: how many workers are killed, one after another, each with its job. `--lease`: what the second waits for; all
processes of a pool go at once, as when a host loses its power, and another pool waits.
"""

from __future__ import annotations

import argparse
import os
import signal
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil

from benchmarks.peering import Peers
from benchmarks.plans.journal import await_lines, marks
from benchmarks.report import Report, Row
from benchmarks.site import PATIENCE, Process, Site

RUNS = 3
JOBS = 10


def measure(found: Report, peers: Peers, options: argparse.Namespace) -> None:
    """xpm; rq waits for 61 to 90 s at least in both situations."""
    jobs, lease = options.jobs or JOBS, options.lease
    workers = [statistics.median(_workers(options, jobs)) for _ in range(found.runs)]
    pools = [_pools(options, lease) for _ in range(found.runs)]
    one = found.add(Row("a worker under a living pool", "xpm", "s", workers, jobs))
    all_of_it = found.add(Row(f"a pool, lease {lease:g} s", "xpm", "s", pools, 1))
    found.absolute("a worker: 2 s", one.median, 2)
    found.absolute("a pool: twice the lease", max(all_of_it.runs), 2 * lease)


def _workers(options: argparse.Namespace, jobs: int) -> list[float]:
    with Site(options.folder) as site, site.pool(slots=1):
        return [_again(site, n, lambda site=site: _kill_worker(site)) for n in range(jobs)]


def _pools(options: argparse.Namespace, lease: float) -> float:
    option = ("--lease", str(lease))
    with Site(options.folder) as site, site.pool(*option, slots=1) as pool:
        _begin(site, 0, 1)
        with site.pool(*option, slots=1):
            _await(lambda: len(site.views().workers()) == 2)
            return _killed(site, 0, 1, lambda: _kill_all(pool))


def _again(site: Site, n: int, kill: Callable[[], None]) -> float:
    _begin(site, n, 2 * n + 1)
    return _killed(site, n, 2 * n + 1, kill)


def _begin(site: Site, n: int, lines: int) -> None:
    site.plan("recover.py", n, XPM_DETACH="1")
    if not await_lines(str(site.log), lines, PATIENCE):
        raise SystemExit(f"job {n} did not start:\n{site.output()}")


def _killed(site: Site, n: int, lines: int, kill: Callable[[], None]) -> float:
    """Seconds from the kill to the job's second line."""
    at = time.time()
    kill()
    if not await_lines(str(site.log), lines + 1, PATIENCE):
        raise SystemExit(f"job {n} did not start again:\n{site.output()}")
    took = marks(str(site.log))[-1][1] - at
    Path(f"{site.log}.{n}").touch()
    _await(lambda: not any(worker.job for worker in site.views().workers()))
    return took


def _kill_worker(site: Site) -> None:
    (worker,) = [worker for worker in site.views().workers() if worker.job]
    os.kill(worker.pid, signal.SIGKILL)


def _kill_all(pool: Process) -> None:
    family = [psutil.Process(pool.pid), *psutil.Process(pool.pid).children(recursive=True)]
    for number in (signal.SIGSTOP, signal.SIGKILL):
        for process in family:
            process.send_signal(number)


def _await(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not true():
        if time.monotonic() > deadline:
            raise SystemExit("waited in vain")
        time.sleep(0.01)


if __name__ == "__main__":
    from benchmarks.run import main

    sys.exit(main(["t13", *sys.argv[1:]]))
