"""Graphs, each job in a process of its own, 2 workers: seconds from the first submission to the last job's start.

`--jobs`: the size of fan-in and chain; the others follow. Workers have run a job before. rq is measured on the shapes
that it can end, once; dask runs its jobs in two standing processes, without isolation, records or logs.
`--large`: also a fan-in of 20,000.
"""

from __future__ import annotations

import argparse
import sys

from benchmarks.peering import Peers
from benchmarks.plans.journal import marks
from benchmarks.plans.shapes import LAYERS, graph
from benchmarks.report import Report, Row
from benchmarks.site import Site, rate

RUNS = 3
JOBS = 1000
LARGE = 20_000
RQ_PATIENCE = 120
"""Seconds after which rq's try is given up."""


def measure(found: Report, peers: Peers, options: argparse.Namespace) -> None:
    """xpm, dask and rq, shape by shape."""
    jobs = options.jobs or JOBS
    sizes = {"fan-in": jobs, "wide": 5 * jobs, "layers": max(jobs // 2, 4), "chain": jobs}
    for shape, size in sizes.items():
        what = name(shape, size)
        count = len(graph(shape, size))
        ours = found.add(
            Row(what, "xpm", "s", [_ours(options, shape, size) for _ in range(found.runs)], count)
        )
        if peers.has("distributed"):
            runs = [_dask(peers, options, shape, size) for _ in range(found.runs)]
            found.add(Row(what, "dask", "s", runs, count))
        if peers.has("rq") and shape != "wide":
            _rq(found, peers, options, shape, size)
        _first(found, what, ours)
    found.notes += peers.missing("rq", "distributed")
    if peers.has("rq"):
        found.notes.append(
            "rq does not end 1-5,000-1 in minutes: each of its jobs looks at all inputs of the last"
        )
    if options.large:
        _large(found, options)


def name(shape: str, size: int) -> str:
    """A shape as the tables call it."""
    return {
        "independent": f"{size:,} independent",
        "fan-in": f"fan-in of {size:,}",
        "wide": f"1 to {size:,} to 1",
        "layers": f"{LAYERS} layers of {size:,}, 3 edges each",
        "chain": f"chain of {size:,}",
    }[shape]


def _first(found: Report, what: str, ours: Row) -> None:
    others = [row for row in found.rows if row.what == what and row is not ours]
    best = min(others, key=lambda row: row.median, default=None)
    found.relative(f"{what}: first among all", ours, best, 1)


def _ours(options: argparse.Namespace, shape: str, size: int) -> float:
    with Site(options.folder) as site, site.pool():
        said = site.plan("shape.py", shape, size)
        return site.times(len(graph(shape, size)))[-1] - said["begun"]


def _dask(peers: Peers, options: argparse.Namespace, shape: str, size: int) -> float:
    with Site(options.folder) as site:
        said = peers.ask(site, "dask_side.py", "shape", shape, size, 100)
        return site.times(len(graph(shape, size)))[-1] - said["begun"]


def _rq(found: Report, peers: Peers, options: argparse.Namespace, shape: str, size: int) -> None:
    what, count = name(shape, size), len(graph(shape, size))
    with Site(options.folder) as site, peers.rq_workers(site):
        said = peers.rq(site, "shape", shape, size, RQ_PATIENCE)
        lines = marks(str(site.log))
        if len(lines) < count:
            found.notes.append(f"rq, {what}: {len(lines):,} of {count:,} jobs had run after {RQ_PATIENCE} s")
            return
        found.add(Row(what, "rq", "s", [site.times(count)[-1] - said["begun"]], count, note="fork workers"))


def _large(found: Report, options: argparse.Namespace) -> None:
    """What the graph of a large fan-in costs beyond its jobs' own time, which is that of independent ones."""
    with Site(options.folder) as site, site.pool():
        site.plan("shape.py", "independent", LARGE // 10)
        alone = rate(site.times(LARGE // 10))
    with Site(options.folder) as site, site.pool():
        said = site.plan("shape.py", "fan-in", LARGE)
        total = site.times(LARGE + 1)[-1] - said["begun"]
    found.add(Row(name("fan-in", LARGE), "xpm", "s", [total], LARGE + 1))
    found.absolute(
        f"fan-in of {LARGE:,}: within 5 s beyond the jobs' own time ({alone:,.0f}/s)",
        total - LARGE / alone,
        5,
    )


if __name__ == "__main__":
    from benchmarks.run import main

    sys.exit(main(["t4", *sys.argv[1:]]))
