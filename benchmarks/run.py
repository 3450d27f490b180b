"""Runs cases: `python benchmarks/run.py [CASE ...|all] [--runs N] [--jobs N] [--docs]`.

Writes benchmarks/out/<case>.md and .json, and with --docs the tables of docs/benchmarks.md.
"""

from __future__ import annotations

import argparse
import importlib
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol, cast

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).parents[1])

from benchmarks import peering, report
from benchmarks.peering import Peers
from benchmarks.report import Report
from benchmarks.site import sweep

CASES = ("t1", "t3", "t4", "t7", "t8", "t9", "t11", "t13", "crowd")


class Case(Protocol):
    """What the module of a case has; its name and first line are the case's."""

    RUNS: int

    def measure(self, found: Report, peers: Peers, options: argparse.Namespace) -> None:
        """Fills a report."""
        ...


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="benchmarks/run.py", description="Measure xpm, with others beside it."
    )
    parser.add_argument(
        "cases", nargs="*", default=["all"], metavar="CASE", help=f"{', '.join(CASES)}, or all"
    )
    parser.add_argument("--jobs", type=int, help="the size of a case; each has its own")
    parser.add_argument("--runs", type=int, help="runs of which the median counts")
    parser.add_argument(
        "--lease", type=float, default=30.0, help="seconds of a lease whose end is waited for"
    )
    parser.add_argument("--large", action="store_true", help="also what takes a minute by itself")
    parser.add_argument(
        "--peers", default="auto", help="auto, none, here (this environment), or an interpreter"
    )
    parser.add_argument("--folder", type=Path, help="where workspaces lie; by default with temporary files")
    parser.add_argument("--out", type=Path, default=peering.HERE / "out", help="where tables are written")
    parser.add_argument("--docs", action="store_true", help="put the tables into docs/benchmarks.md")
    given = parser.parse_args(arguments)
    given.cases = list(CASES) if given.cases == ["all"] else given.cases
    if unknown := [case for case in given.cases if case not in CASES]:
        parser.error(f"no case {unknown[0]}; there are {', '.join(CASES)}")
    return given


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the cases that are asked for; 1 when a target is missed."""
    options = parse(arguments)
    peers = peering.choose(options.peers)
    missed: list[str] = []
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # else servers and workers would stay
    try:
        for name in options.cases:
            found = run(name, peers, options)
            print(f"\n{found.table()}", flush=True)
            missed += [f"{name}: {target.text}" for target in found.targets if target.met is False]
    finally:
        sweep()
    if missed:
        print("missed:", *missed, sep="\n  ")
    return 1 if missed else 0


def run(name: str, peers: Peers, options: argparse.Namespace) -> Report:
    """Runs one case and writes what it found."""
    module = importlib.import_module(f"benchmarks.{name}")
    title = str(module.__doc__).splitlines()[0].rstrip(".")
    case = cast(Case, module)
    print(f"{name}: {title}", flush=True)
    found = report.begin(name, title, options.runs or case.RUNS, peers.versions)
    begun = time.monotonic()
    case.measure(found, peers, options)
    found.seconds = time.monotonic() - begun
    found.compare()
    found.write(options.out)
    if options.docs:
        report.publish(name, found.table())
    return found


if __name__ == "__main__":
    sys.exit(main())
