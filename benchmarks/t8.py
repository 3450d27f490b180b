"""From submit() to the first line of execute(), one job after another on idle workers, in milliseconds.

`--jobs`: how many. Two workers wait; each job is submitted when the one before has long ended.
"""

from __future__ import annotations

import argparse
import sys

from benchmarks.peering import Peers
from benchmarks.report import Report, Row
from benchmarks.site import Site

RUNS = 3
JOBS = 200


def measure(found: Report, peers: Peers, options: argparse.Namespace) -> None:
    """xpm and rq."""
    jobs = options.jobs or JOBS
    ours = [_ours(options, jobs) for _ in range(found.runs)]
    half, most = _rows(found, "xpm", ours, jobs)
    if peers.has("rq"):
        _rows(found, "rq", [_rq(peers, options, jobs) for _ in range(found.runs)], jobs, "fork workers")
    found.notes += peers.missing("rq")
    found.absolute("p50: 5 ms", half.median, 5)
    found.absolute("p99: 15 ms", most.median, 15)


def _rows(found: Report, system: str, runs: list[list[float]], jobs: int, note: str = "") -> tuple[Row, Row]:
    rows = [
        found.add(Row(what, system, "ms", [_quantile(run, part) * 1e3 for run in runs], jobs, note=note))
        for what, part in (("p50", 0.5), ("p99", 0.99))
    ]
    return rows[0], rows[1]


def _quantile(delays: list[float], part: float) -> float:
    return sorted(delays)[min(int(len(delays) * part), len(delays) - 1)]


def _ours(options: argparse.Namespace, jobs: int) -> list[float]:
    with Site(options.folder) as site, site.pool():
        return site.plan("latency.py", jobs)["delays"]


def _rq(peers: Peers, options: argparse.Namespace, jobs: int) -> list[float]:
    with Site(options.folder) as site, peers.rq_workers(site):
        return peers.rq(site, "latency", jobs)["delays"]


if __name__ == "__main__":
    from benchmarks.run import main

    sys.exit(main(["t8", *sys.argv[1:]]))
