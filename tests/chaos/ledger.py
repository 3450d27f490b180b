"""What the jobs noted, in the order in which they did: one file that all append to, and the driver too."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

WORDS = ("begin", "tick", "end")


@dataclass(slots=True)
class Execution:
    """One execution of a job; places are numbers of lines."""

    node: str
    fence: str
    attempt: int
    pid: int
    pool: str
    begin: int
    published: bool
    """A record of the job was in place when it began."""
    end: int | None = None
    last: int = 0
    """Its last line."""


@dataclass(slots=True)
class Ledger:
    """All executions of each job, in the order of their beginnings; and what the driver noted."""

    executions: dict[str, list[Execution]] = field(default_factory=dict)
    stopped: list[tuple[int, str]] = field(default_factory=list)
    """Where a pool, its supervisor included, was stopped or killed."""

    @property
    def count(self) -> int:
        return sum(map(len, self.executions.values()))


def note(path: Path, text: str) -> None:
    """Appends a line of the driver's own."""
    file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(file, f"{text}\n".encode())
    os.close(file)


def parse(lines: Iterable[str]) -> Ledger:
    """The ledger in `lines`."""
    ledger = Ledger()
    for place, line in enumerate(lines):
        word, *rest = line.split()
        if word == "stopped":
            ledger.stopped.append((place, rest[0]))
        if word not in WORDS:
            continue
        node, fence, attempt, pid, pool, published = rest
        known = ledger.executions.setdefault(node, [])
        if word == "begin":
            known.append(Execution(node, fence, int(attempt), int(pid), pool, place, published == "1"))
        execution = next(each for each in reversed(known) if each.fence == fence)
        execution.last = place
        if word == "end":
            execution.end = place
    return ledger


def read(path: Path) -> Ledger:
    """The ledger in a file."""
    return parse(path.read_text().splitlines()) if path.exists() else Ledger()
