"""What the jobs noted, in the order in which they did: one file that all append to, and the driver too."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from math import inf
from pathlib import Path
from typing import NamedTuple

WORDS = ("begin", "take", "tick", "free", "end")


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
    took: int | None = None
    """Where its code has acquired something."""
    freed: int | None = None
    """Where its code was about to give it back."""


class Rerun(NamedTuple):
    """A line after which a job may run again, and the fence of the result that it had."""

    place: int
    fence: str


class Helpless(NamedTuple):
    """Lines between which a pool's supervisor did not run."""

    pool: str
    first: int
    last: float


class Hold(NamedTuple):
    """Lines between which another workspace's code had something, to the end of its own accord."""

    name: str
    needs: str
    first: int
    last: int


@dataclass(slots=True)
class Ledger:
    """All executions of each job, in the order of their beginnings; and what the driver noted."""

    executions: dict[str, list[Execution]] = field(default_factory=dict)
    reruns: dict[str, list[Rerun]] = field(default_factory=dict)
    """What users asked for, for each job that was done."""
    helpless: list[Helpless] = field(default_factory=list)
    """When a pool had no supervisor that could freeze its jobs."""
    woken: set[int] = field(default_factory=set)
    """Jobs that were stopped and let go on by the driver, and so perhaps woken though they were frozen."""

    holds: list[Hold] = field(default_factory=list)

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
    had: dict[str, Hold] = {}
    for place, line in enumerate(lines):
        word, *rest = line.split()
        if word in WORDS:
            _execution(ledger, place, word, rest)
        elif word == "rerun":
            ledger.reruns.setdefault(rest[0], []).append(Rerun(place, rest[1]))
        elif word == "killed":
            ledger.helpless.append(Helpless(rest[0], place, place))
        elif word == "stopped":
            ledger.helpless.append(Helpless(rest[0], place, inf))
        elif word == "resumed":  # one signal ends all stops
            ledger.helpless = [
                each._replace(last=place) if each.pool == rest[0] and each.last == inf else each
                for each in ledger.helpless
            ]
        elif word == "has":
            had[rest[0]] = Hold(*rest, place, place)
        elif word == "gives":
            had[rest[0]] = had[rest[0]]._replace(last=place)
        elif word == "gave":
            ledger.holds.append(had[rest[0]])
        elif word == "woken":
            ledger.woken.add(int(rest[0]))
    return ledger


def _execution(ledger: Ledger, place: int, word: str, fields: Sequence[str]) -> None:
    node, fence, attempt, pid, pool, published = fields
    known = ledger.executions.setdefault(node, [])
    if word == "begin":
        known.append(Execution(node, fence, int(attempt), int(pid), pool, place, published == "1"))
    execution = next(each for each in reversed(known) if each.fence == fence)
    execution.last = place
    if word == "end":
        execution.end = place
    elif word == "take":
        execution.took = place
    elif word == "free":
        execution.freed = place


def read(path: Path) -> Ledger:
    """The ledger in a file."""
    return parse(path.read_text().splitlines()) if path.exists() else Ledger()
