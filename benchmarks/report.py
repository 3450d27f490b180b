"""What a case has found: rows, targets, and the tables of them."""

from __future__ import annotations

import json
import re
import statistics
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from benchmarks import machine

Unit = Literal["/s", "s", "ms"]
DOCS = Path(__file__).parents[1] / "docs" / "benchmarks.md"


@dataclass(slots=True)
class Row:
    """One system in one situation."""

    what: str
    system: str
    unit: Unit
    runs: list[float]
    jobs: int = 0
    """Jobs that were proven to have run, or to be there; 0 where that means nothing."""
    ratio: float | None = None
    """How many times faster than rq in the same situation."""
    note: str = ""

    @property
    def median(self) -> float:
        """Of the runs."""
        return statistics.median(self.runs)


@dataclass(slots=True)
class Target:
    """What was aimed at."""

    text: str
    limit: float
    found: float | None
    """None when what it compares with was not measured."""
    met: bool | None
    scaled: float = 1.0
    """By what the limit was multiplied, since the machine is slower than the one that the target was set for."""


@dataclass(slots=True)
class Report:
    """One case."""

    case: str
    title: str
    runs: int
    rows: list[Row] = field(default_factory=list[Row])
    targets: list[Target] = field(default_factory=list[Target])
    notes: list[str] = field(default_factory=list[str])
    machine: dict[str, Any] = field(default_factory=dict[str, Any])
    versions: dict[str, str] = field(default_factory=dict[str, str])
    peers: dict[str, str] = field(default_factory=dict[str, str])
    when: str = ""
    seconds: float = 0.0
    """How long the whole case took."""

    def add(self, row: Row) -> Row:
        """Adds a row, and says so."""
        self.rows.append(row)
        print(f"  {row.what}: {row.system}: {_figure(row.median, row.unit)} {row.unit}", flush=True)
        return row

    def find(self, what: str, system: str) -> Row | None:
        """The row of a system in a situation, if it was measured."""
        return next((row for row in self.rows if (row.what, row.system) == (what, system)), None)

    def compare(self) -> None:
        """Fills in the ratios to rq."""
        for row in self.rows:
            base = self.find(row.what, "rq")
            if base is not None:
                quicker = row.median / base.median if row.unit == "/s" else base.median / row.median
                row.ratio = round(quicker, 2)

    def relative(self, text: str, ours: Row, theirs: Row | None, times: float) -> None:
        """A target in comparison with a peer: at least so many times as fast."""
        found = None
        if theirs is not None:
            found = ours.median / theirs.median if ours.unit == "/s" else theirs.median / ours.median
        self.targets.append(Target(text, times, found, None if found is None else found >= times))

    def absolute(self, text: str, found: float, limit: float, *, least: bool = False) -> None:
        """A target in figures: at most, or at least, `limit`; scaled on a machine that is slow."""
        scale = machine.scale(self.machine)
        bound = limit / scale if least else limit * scale
        self.targets.append(Target(text, limit, found, found >= bound if least else found <= bound, scale))

    def write(self, folder: Path) -> None:
        """Writes `<case>.json` and `<case>.md`."""
        folder.mkdir(parents=True, exist_ok=True)
        content = asdict(self)
        for row, packed in zip(self.rows, content["rows"], strict=True):
            packed["median"] = row.median
        (folder / f"{self.case}.json").write_text(json.dumps(content, indent=1) + "\n")
        (folder / f"{self.case}.md").write_text(self.table())

    def table(self) -> str:
        """All of it as Markdown."""
        lines = [f"**{self.case.upper()}: {self.title}**", ""]
        lines += [
            "| what | system | median | fastest - slowest | jobs | times rq |",
            "|---|---|--:|--:|--:|--:|",
        ]
        lines += [_row(row) for row in self.rows]
        if self.targets:
            lines += ["", "| target | found | met |", "|---|--:|---|"]
            lines += [_target(target) for target in self.targets]
        lines += ["", *(f"- {note}" for note in self.notes), f"- {self._circumstances()}", ""]
        return "\n".join(lines)

    def _circumstances(self) -> str:
        m = self.machine
        parts = [
            f"{self.when}, {self.runs} run(s), {self.seconds:.0f} s in all",
            f"{m['cpu']}, {m['cores']} cores, {m['memory_gib']} GiB, {m['system']}, load {m['load']} at the start",
            f"Python {m['python']} (`python -c pass` {m['python_pass_ms']} ms)",
            ", ".join(f"{name} {version}" for name, version in self.versions.items()),
        ]
        if self.peers:
            parts.append("peers: " + ", ".join(f"{name} {version}" for name, version in self.peers.items()))
        return "; ".join(parts)


def begin(case: str, title: str, runs: int, peers: dict[str, str]) -> Report:
    """An empty report of what begins now."""
    return Report(
        case,
        title,
        runs,
        machine=machine.describe(),
        versions=machine.versions(),
        peers=peers,
        when=time.strftime("%Y-%m-%d %H:%M"),
    )


def publish(case: str, table: str, page: Path = DOCS) -> None:
    """Puts a table between its markers in the documentation."""
    text = page.read_text()
    between = re.compile(rf"(<!-- {case} -->\n).*?(<!-- /{case} -->)", re.DOTALL)
    if not between.search(text):
        raise SystemExit(f"{page} has no place for {case}: write <!-- {case} --> and <!-- /{case} -->")
    page.write_text(between.sub(lambda found: f"{found[1]}\n{table}\n{found[2]}", text))


def _figure(value: float, unit: Unit) -> str:
    if unit == "/s":
        return f"{value:,.0f}" if value >= 100 else f"{value:.1f}"
    return f"{value:.0f}" if value >= 100 else f"{value:.2f}"


def _row(row: Row) -> str:
    best, worst = (max, min) if row.unit == "/s" else (min, max)
    spread = (
        ""
        if len(row.runs) == 1
        else f"{_figure(best(row.runs), row.unit)} - {_figure(worst(row.runs), row.unit)}"
    )
    name = f"{row.system} ({row.note})" if row.note else row.system
    cells = [
        row.what,
        name,
        f"{_figure(row.median, row.unit)} {row.unit}",
        spread,
        f"{row.jobs:,}" if row.jobs else "",
        "" if row.ratio is None else f"{row.ratio:g}",
    ]
    return f"| {' | '.join(cells)} |"


def _target(target: Target) -> str:
    found = "not measured" if target.found is None else f"{target.found:,.4g}"
    met = {True: "yes", False: "**no**", None: ""}[target.met]
    scaled = f" (here x {target.scaled:.2f})" if target.scaled > 1 else ""
    return f"| {target.text}{scaled} | {found} | {met} |"
