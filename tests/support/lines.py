"""Who may have tokens now, as one would explain it: the lines of tokens, without groups, sets or bells."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

RANK, TURN = 2**32, 2**40


@dataclass(frozen=True)
class Waiter:
    """The next of a group of jobs with equal needs, or one who waits outside of a job."""

    id: str
    group: str
    needs: Mapping[str, int]
    place: tuple[Any, ...]
    """(turn less priority, rank): smaller goes first."""
    late: float | None = None
    """Since when it was passed by others, if that is long ago."""
    attended: bool = True
    """Whether a worker could take it, and whether there is so much."""
    possible: bool = True
    """Whether there ever is so much of all that it needs where one looks from."""

    @property
    def slot(self) -> str:
        return ":".join(self.group.split(":", 2)[:2])

    @property
    def plain(self) -> bool:
        """Whether it is a job that needs neither tokens nor locks."""
        return self.group.count(":") == 1


def is_code(waiter: Waiter) -> bool:
    """Whether it waits outside of a job: it gets what it may have at once."""
    return not waiter.group


def may(
    waiters: Iterable[Waiter], free: Mapping[str, int], coming: Callable[[Waiter], bool] = is_code
) -> list[tuple[Waiter, bool]]:
    """In the order in which they are served, and whether each may be served now.

    What one lacks that is first in line for all of it is kept for it; all that a late one needs is. What one
    needs that may be served, and that is about to take it, is left to it. Nothing is kept for one that no worker could
    take. Of what each host has for itself, `free` has that of one host, of which the needs speak.
    """
    order = sorted(waiters, key=lambda one: (one.late is None, one.late or 0, one.place))
    kept: dict[str, int | None] = {}
    """How much of a resource is kept for others; None: all of it."""
    led: set[str] = set()
    found: list[tuple[Waiter, bool]] = []
    for one in order:
        short = {
            name
            for name, amount in one.needs.items()
            if kept.get(name, 0) is None or free[name] - (kept.get(name) or 0) < amount
        }
        blocked = short & set(kept)
        found.append((one, not short and one.possible))
        if not one.attended:
            continue
        if not blocked and not short & led:
            kept |= dict.fromkeys(short)
        if coming(one) if not short and one.possible else one.late is not None:
            for name, amount in one.needs.items():
                if kept.get(name, 0) is not None:
                    enough = free[name] - (kept.get(name) or 0) >= amount
                    kept[name] = (kept.get(name) or 0) + amount if enough else None
        led |= set(one.needs)
    return found
