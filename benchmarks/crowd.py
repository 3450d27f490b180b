"""10,000 jobs that need nothing, while 100,000 wait for two tokens of capacity 2.

`--jobs`: how many need nothing; ten times as many wait. The same without the waiting ones is beside it.
"""

from __future__ import annotations

import argparse
import subprocess
import sys

from benchmarks.peering import Peers
from benchmarks.plans.journal import await_lines
from benchmarks.report import Report, Row
from benchmarks.site import PATIENCE, Site, rate

RUNS = 3
JOBS = 10_000
WAITING = 10
"""How many wait for each that runs."""


def measure(found: Report, _peers: Peers, options: argparse.Namespace) -> None:
    """xpm alone."""
    jobs = options.jobs or JOBS
    runs = [(_rate(options, 0, jobs), _rate(options, WAITING * jobs, jobs)) for _ in range(found.runs)]
    alone = found.add(Row("nobody waits", "xpm", "/s", [one for one, _ in runs], jobs))
    beside = found.add(Row(f"{WAITING * jobs:,} wait", "xpm", "/s", [other for _, other in runs], jobs))
    found.relative("0.9 x as fast as when nobody waits", beside, alone, 0.9)


def _rate(options: argparse.Namespace, waiting: int, jobs: int) -> float:
    with Site(options.folder) as site:
        command = [sys.executable, str(site.project / "crowd.py"), str(waiting), str(jobs)]
        crowd = subprocess.Popen(
            command, env={**site.environ, "XPM_DETACH": "1"}, cwd=site.project, stdout=subprocess.PIPE
        )
        try:
            assert crowd.stdout is not None, "piped"
            if crowd.stdout.readline() != b"submitted\n":
                raise SystemExit(f"the jobs were not submitted: {crowd.wait()}")
            with site.pool():
                if not await_lines(str(site.log), jobs, PATIENCE):
                    raise SystemExit(f"not all jobs ran:\n{site.output()}")
            return rate(site.times(jobs))
        finally:
            crowd.kill()
            crowd.wait()


if __name__ == "__main__":
    from benchmarks.run import main

    sys.exit(main(["crowd", *sys.argv[1:]]))
