"""Holding tokens and locks while code runs, in a script, in a job, or anywhere else."""

from __future__ import annotations

import importlib
import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from types import TracebackType
from typing import Any, Protocol, cast

from xpm.core.lengths import seconds
from xpm.core.requirement import Need, check_order
from xpm.core.session import PRIORITIES, active
from xpm.errors import SubmissionError, UsageError

Wait = float | str | timedelta | None
"""How long something is waited for: seconds, a text like `"2h"`, or a timedelta; None as long as it takes."""


class Grip(Protocol):
    """What was granted, by whatever way to the broker."""

    fence: str

    @property
    def lost(self) -> bool:
        """Whether it was taken away: the holder was not heard of for too long."""
        ...

    def free(self) -> None:
        """Gives it back."""
        ...


class Held:
    """What a `with` block holds."""

    def __init__(self, grip: Grip) -> None:
        self._grip = grip

    @property
    def fence(self) -> str:
        """A number as text, of fixed width: that of each later holder is larger, as text too.

        What is protected can keep the largest it has seen, and refuse a holder that is late.
        """
        return self._grip.fence

    @property
    def lost(self) -> bool:
        """Whether it was taken away, since this process was not heard of for too long."""
        return self._grip.lost


@dataclass  # not with slots: these are shared by threads
class _Mine(threading.local):
    """What this thread holds."""

    held: list[tuple[Need, Grip]] = field(default_factory=list[tuple[Need, Grip]])


_mine = _Mine()


class _Required:
    """What a job's requirements hold for it."""

    lost = False

    def __init__(self, fence: str) -> None:
        self.fence = fence

    def free(self) -> None:
        """It comes back with the job's end."""


class Hold:
    """A `with` block that holds tokens or locks.

    Args:
        needs: what it holds.
        timeout: how long to wait; None waits as long as it takes.
        priority: higher goes first.

    Raises:
        SubmissionError: there is no such time, or no such priority.
    """

    def __init__(self, needs: tuple[Need, ...], timeout: Wait, priority: int) -> None:
        self._needs = needs
        self._timeout = None if timeout is None else seconds(timeout, "acquire(): timeout", least=0)
        if type(priority) is not int or priority not in PRIORITIES:
            raise SubmissionError(
                f"acquire(): priority {priority!r}: expected a whole number from {PRIORITIES[0]} to {PRIORITIES[-1]}"
            )
        self._priority = priority
        self._grips: list[Grip] = []

    def __enter__(self) -> Held:
        """Waits until it is granted.

        Raises:
            WouldDeadlock: this thread, or its job, holds what must be taken later.
            TimeoutError: the time is over.
            SubmissionError: there is not so much of it, or no such token.
            BrokerUnreachable: there is no broker.
        """
        session = active()
        required: tuple[tuple[Need, ...], str] = getattr(session, "required", ((), ""))
        held = [*_mine.held, *((need, cast(Grip, _Required(required[1]))) for need in required[0])]
        outer = {need: found for need in self._needs if (found := _again(need, held)) is not None}
        grips = list(outer.values())
        fresh = tuple(need for need in self._needs if need not in outer)
        if fresh:
            check_order((need for need, _ in held), fresh)
            acquire = getattr(session, "acquire", None) or _outside().acquire
            grips.append(cast(Grip, acquire(fresh, self._timeout, self._priority)))
        grip = grips[0] if len(grips) == 1 else _Several(grips)
        _mine.held += [(need, grip) for need in self._needs]
        self._grips.append(grip)
        return Held(grip)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if not self._grips:
            raise UsageError("this block was not entered")
        grip = self._grips.pop()
        _mine.held = [one for one in _mine.held if one[1] is not grip]
        grip.free()


def _again(wanted: Need, held: Iterable[tuple[Need, Grip]]) -> Grip | None:
    """The grip on a lock that is held already, to read or to write."""
    for need, grip in held:
        if need.kind == "l" and need.resource == wanted.resource and need.amount >= wanted.amount:
            return _Again(grip)
    return None


class _Several:
    """What was granted together, and locks that outer blocks hold."""

    def __init__(self, grips: Sequence[Grip]) -> None:
        self._grips = grips
        self.fence = max(grip.fence for grip in grips)

    @property
    def lost(self) -> bool:
        return any(grip.lost for grip in self._grips)

    def free(self) -> None:
        """Gives back what is not an outer block's."""
        for grip in self._grips:
            grip.free()


class _Again:
    """A lock that an outer block holds."""

    def __init__(self, outer: Grip) -> None:
        self._outer = outer
        self.fence = outer.fence

    @property
    def lost(self) -> bool:
        return self._outer.lost

    def free(self) -> None:
        """The outer block gives it back."""


def _outside() -> Any:
    """The way of this process to the broker; loaded when it is first needed."""
    module: Any = importlib.import_module("xpm.experiment.grasp")
    return module.of_process()
