"""Submission: tasks of 10 parameters and 3 edges, from Python objects to a graph in Redis.

`--jobs`: how many. Counted from the opening of the experiment to the end of its block, which detaches: describing,
checking, identifiers, the code's snapshot, the run's own files, all calls to the broker. All is imported before. rq
enqueues as many jobs of ten parameters, without edges and identifiers, 1,000 a call.
"""

from __future__ import annotations

import argparse
import sys

from benchmarks.peering import Peers
from benchmarks.report import Report, Row
from benchmarks.site import Site

RUNS = 3
JOBS = 20_000
WHAT = "submission"


def measure(found: Report, peers: Peers, options: argparse.Namespace) -> None:
    """xpm and rq."""
    jobs = options.jobs or JOBS
    ours = [_ours(options, jobs) for _ in range(found.runs)]
    row = found.add(Row(WHAT, "xpm", "/s", [jobs / one["seconds"] for one in ours], jobs))
    found.add(
        Row("the same, without the sending", "xpm", "/s", [jobs / one["described"] for one in ours], jobs)
    )
    if peers.has("rq"):
        runs = [_rq(peers, options, jobs) for _ in range(found.runs)]
        found.add(Row(WHAT, "rq", "/s", runs, jobs, note="enqueue_many, no edges"))
    found.notes += peers.missing("rq")
    found.notes.append(
        "without the sending: until the script's last submit() is back; the rest goes out meanwhile"
    )
    found.absolute("25,000 tasks/s", row.median, 25_000, least=True)


def _ours(options: argparse.Namespace, jobs: int) -> dict[str, float]:
    with Site(options.folder) as site:
        said = site.plan("submit.py", jobs, XPM_DETACH="1")
        there = sum(site.views().counts().values())
        if there != jobs + 1:  # with the one that warmed it up
            raise SystemExit(f"{there} jobs in the broker, expected {jobs + 1}")
        return said


def _rq(peers: Peers, options: argparse.Namespace, jobs: int) -> float:
    with Site(options.folder) as site:
        said = peers.rq(site, "submit", jobs)
        if said["count"] != jobs:
            raise SystemExit(f"{said['count']} jobs in rq's queue, expected {jobs}")
        return jobs / said["seconds"]


if __name__ == "__main__":
    from benchmarks.run import main

    sys.exit(main(["t3", *sys.argv[1:]]))
