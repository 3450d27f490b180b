"""Independent jobs that do nothing, each in a process of its own, 2 workers.

`--jobs`: how many; rq runs fewer, since it takes long. The rate counts from the first job's first line to the
last one's; every job appends its line to a file, and each must be there once.
"""

from __future__ import annotations

import argparse
import sys

from benchmarks.peering import Peers
from benchmarks.report import Report, Row
from benchmarks.site import Site, rate

RUNS = 3
JOBS = 5000
PLAIN, NUMPY = "no-op", "no-op, numpy imported"


def measure(found: Report, peers: Peers, options: argparse.Namespace) -> None:
    """xpm, rq and HyperQueue."""
    jobs = options.jobs or JOBS
    plain = _ours(found, options, PLAIN, "tasks", jobs)
    numpy = _ours(found, options, NUMPY, "tasks_numpy", jobs // 2)
    if peers.has("rq"):
        _rq(found, peers, options, PLAIN, "rq_jobs.noop", max(jobs // 5, 2))
    if peers.has("numpy"):
        _rq(found, peers, options, NUMPY, "rq_jobs_numpy.noop", max(jobs // 100, 2))
    if peers.has("hyperqueue"):
        count = max(jobs // 2, 2)
        runs = [_hyperqueue(peers, options, count) for _ in range(found.runs)]
        found.add(Row(PLAIN, "HyperQueue", "/s", runs, count, note="spawns `true`, keeps no output"))
    found.notes += peers.missing("rq", "hyperqueue", "numpy")
    found.relative("8 x rq fork", plain, found.find(PLAIN, "rq"), 8)
    found.relative("2 x HyperQueue", plain, found.find(PLAIN, "HyperQueue"), 2)
    found.relative("with numpy 80 x rq fork", numpy, found.find(NUMPY, "rq"), 80)


def _ours(found: Report, options: argparse.Namespace, what: str, module: str, jobs: int) -> Row:
    runs: list[float] = []
    for _ in range(found.runs):
        with Site(options.folder) as site:
            site.plan("fill.py", module, jobs, XPM_DETACH="1")
            with site.pool("--burst") as pool:
                site.await_end(pool)
            runs.append(rate(site.times(jobs)))
    return found.add(Row(what, "xpm", "/s", runs, jobs))


def _rq(
    found: Report, peers: Peers, options: argparse.Namespace, what: str, function: str, jobs: int
) -> None:
    runs: list[float] = []
    for _ in range(found.runs):
        with Site(options.folder) as site:
            peers.rq(site, "fill", function, jobs)
            with peers.rq_workers(site, "--burst") as workers:
                site.await_end(*workers)
            runs.append(rate(site.times(jobs)))
    found.add(Row(what, "rq", "/s", runs, jobs, note="fork workers"))


def _hyperqueue(peers: Peers, options: argparse.Namespace, jobs: int) -> float:
    with Site(options.folder) as site:
        return jobs / peers.ask(site, "hq_side.py", jobs)["seconds"]


if __name__ == "__main__":
    from benchmarks.run import main

    sys.exit(main(["t1", *sys.argv[1:]]))
