"""Whole processes: the import, the help, the list of jobs, in milliseconds.

`--jobs`: how many jobs the broker knows. For comparison, what importing others takes.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from pathlib import Path

from benchmarks.machine import process_ms
from benchmarks.peering import Peers
from benchmarks.report import Report, Row
from benchmarks.site import Site

RUNS = 11
JOBS = 100_000


def measure(found: Report, peers: Peers, options: argparse.Namespace) -> None:
    """xpm, and rq for comparison."""
    jobs = options.jobs or JOBS
    xpm = str(Path(sys.executable).with_name("xpm"))
    with Site(options.folder) as site:
        site.plan("submit.py", jobs, XPM_DETACH="1")

        def ours(what: str, *command: str, count: int = 0) -> float:
            times = process_ms(command, found.runs, site.environ)
            return found.add(Row(what, "xpm", "ms", times, count)).median

        found.absolute("import xpm: 60 ms", ours("import", sys.executable, "-c", "import xpm"), 60)
        found.absolute("xpm --help: 120 ms", ours("--help", xpm, "--help"), 120)
        listed = ours(f"xpm jobs, {jobs:,} jobs", xpm, "jobs", count=jobs)
        found.absolute(f"xpm jobs on {jobs:,} jobs: 400 ms", listed, 400)
        names = "from xpm import Task, Param, experiment"
        ours(names, sys.executable, "-c", names)
        if peers.has("rq"):
            python = str(peers.python)
            for what, command in (("import", ["-c", "import rq"]), ("--help", ["-m", "rq.cli", "--help"])):
                found.add(Row(what, "rq", "ms", process_ms([python, *command], found.runs, site.environ)))
    bare = statistics.median(process_ms([sys.executable, "-c", "pass"]))
    found.add(Row("python -c pass", "Python", "ms", [bare]))
    found.notes += peers.missing("rq")


if __name__ == "__main__":
    from benchmarks.run import main

    sys.exit(main(["t9", *sys.argv[1:]]))
