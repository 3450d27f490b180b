"""The script of a finished plan again, the whole process, in seconds.

`--jobs`: the size; by default 10,000 and 100,000. The tasks are those of T3. The finished workspace is made by writing
the records of all jobs as a worker writes them. "emptied": the broker knows nothing, and every record is looked at.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
import time
from typing import Any

from benchmarks.peering import Peers
from benchmarks.report import Report, Row
from benchmarks.site import Site
from xpm.core import session
from xpm.core.message import parameters
from xpm.core.submission import Prepared, prepare
from xpm.types import Fence
from xpm.workspace.results import RECORD, Record, pack_record

RUNS = 3
LIMITS = {10_000: 0.5, 100_000: 5.0}
FENCE = Fence(f"{1:026d}")


class Finisher:
    """A session that keeps what is submitted."""

    def __init__(self) -> None:
        self.prepared: list[Prepared] = []

    def submit(self, task: Any, _options: Any) -> None:
        """Keeps a task."""
        self.prepared.append(prepare(task))


def measure(found: Report, _peers: Peers, options: argparse.Namespace) -> None:
    """xpm alone: what others take is known and long (10,000: experimaestro 33 s, snakemake 5.8, luigi 1.1)."""
    for jobs in [options.jobs] if options.jobs else LIMITS:
        with Site(options.folder) as site:
            finish(site, jobs)
            emptied = [_again(site, jobs, forget=True) for _ in range(found.runs)]
            known = [_again(site, jobs, forget=False) for _ in range(found.runs)]
        row = found.add(Row(f"{jobs:,} jobs", "xpm", "s", known, jobs))
        lost = found.add(Row(f"{jobs:,} jobs, broker emptied", "xpm", "s", emptied, jobs))
        if jobs in LIMITS:
            found.absolute(f"{jobs:,}: {LIMITS[jobs]} s", row.median, LIMITS[jobs])
            found.absolute(f"{jobs:,}, broker emptied: {LIMITS[jobs]} s", lost.median, LIMITS[jobs])
    found.notes.append(
        "10,000 jobs in others, measured apart: experimaestro 33 s, snakemake 5.8 s, luigi 1.1 s"
    )


def finish(site: Site, jobs: int) -> None:
    """Writes the records of all jobs of the plan `again.py`."""
    finisher: Any = Finisher()
    token = session.current.set(finisher)
    sys.path.insert(0, str(site.project))
    try:
        for task in importlib.import_module("tasks").describe(jobs):
            task.submit()
    finally:
        sys.path.remove(str(site.project))
        for name in ("tasks", "journal"):
            sys.modules.pop(name, None)
        session.current.reset(token)
    for one in finisher.prepared:
        _write(site, one)
    os.sync()  # else the disk is at it while the script runs


def _write(site: Site, job: Prepared) -> None:
    now = time.time()
    record = Record(
        job=job.id,
        task=job.task,
        label=job.label,
        parameters=parameters(job.payload, job.types),
        payload=job.payload,
        types={key: info.pack() for key, info in job.types.items()},
        execution=1,
        attempt=1,
        host="bench",
        user="bench",
        worker="bench",
        pid=1,
        started=now,
        ended=now,
        code="",
        result=1,
        fence=FENCE,
    )
    path = site.workspace.jobpath(job.task, job.id) / RECORD
    path.parent.mkdir(parents=True)
    path.write_bytes(pack_record(record))


def _again(site: Site, jobs: int, *, forget: bool) -> float:
    if forget:
        site.forget()
    begun = time.perf_counter()
    said = site.plan("again.py", jobs)["said"]
    seconds = time.perf_counter() - begun
    if f"{jobs:,} jobs" not in said or "nothing to do" not in said:
        raise SystemExit(f"the plan was not found finished:\n{said}")
    return seconds


if __name__ == "__main__":
    from benchmarks.run import main

    sys.exit(main(["t7", *sys.argv[1:]]))
