"""Idle workers: what they ask of the broker, in commands a second.

`--jobs`: how many workers. Commands are counted as clients send them, by MONITOR, not as scripts call them.
"""

from __future__ import annotations

import argparse
import sys
import time

from benchmarks.peering import Peers
from benchmarks.report import Report, Row, Target
from benchmarks.site import PATIENCE, Site
from xpm.broker.connect import open_client

RUNS = 1
WORKERS = 1000
SECONDS = 40.0
"""For how long is listened: some rounds of a worker."""


def measure(found: Report, _peers: Peers, options: argparse.Namespace) -> None:
    """xpm alone: rq's own workers poll by a blocking call of some minutes, and heartbeat in between."""
    count = options.jobs or WORKERS
    runs = [_commands(options, count) for _ in range(found.runs)]
    row = found.add(Row(f"{count:,} idle workers, commands", "xpm", "/s", runs))
    found.targets.append(Target("200 commands a second", 200, row.median, row.median <= 200))


def _commands(options: argparse.Namespace, count: int) -> float:
    with (
        Site(options.folder) as site,
        site.pool(slots=count),
        open_client(site.url, timeout=SECONDS) as client,
    ):
        deadline = time.monotonic() + PATIENCE
        while sum(1 for worker in site.views().workers() if worker.seen) < count:
            if time.monotonic() > deadline:
                raise SystemExit(f"the workers did not come up:\n{site.output()}")
            time.sleep(1.0)
        time.sleep(20.0)  # until each has asked for a job, and waits
        heard = 0
        with client.monitor() as monitor:
            end = time.monotonic() + SECONDS
            for command in monitor.listen():
                heard += command["client_type"] != "lua"
                if time.monotonic() > end:
                    break
        return heard / SECONDS


if __name__ == "__main__":
    from benchmarks.run import main

    sys.exit(main(["t11", *sys.argv[1:]]))
