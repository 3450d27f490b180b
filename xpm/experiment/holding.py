"""Holding tokens and locks while code runs, in a script, in a job, or anywhere else."""

from __future__ import annotations

import importlib
import os
import sys
import threading
import warnings
import weakref
from collections.abc import Iterable
from dataclasses import dataclass
from types import TracebackType
from typing import Any

from xpm.core.lengths import Wait, seconds
from xpm.core.requirement import ALL, Need, check_order
from xpm.core.session import Grip, active, open_anywhere, priority_of
from xpm.errors import UsageError, WouldDeadlock


class Held:
    """What a `with` block holds."""

    def __init__(self, grips: Iterable[Grip]) -> None:
        self._grips = tuple(grips)

    @property
    def fence(self) -> str:
        """A number as text, of fixed width: that of each later holder is larger, as text too.

        What is protected can keep the largest it has seen, and refuse a holder that is late.
        """
        return max(grip.fence for grip in self._grips)

    @property
    def lost(self) -> bool:
        """Whether it was taken away, since this process was not heard of for too long."""
        return any(grip.lost for grip in self._grips)


class _Here(threading.local):
    """The thread that looks at it."""

    def __init__(self) -> None:
        self.thread = object()  # its number goes to another thread once it has ended


_here = _Here()


@dataclass(frozen=True, slots=True, eq=False)
class _Entered:
    """A block that runs: the value behind its `with`, what that holds, and whose it is."""

    block: object
    held: tuple[tuple[Need, Grip], ...]
    process: int
    thread: object
    task: weakref.ref[object] | None
    """Of asyncio; not kept alive, since a coroutine that is dropped leaves its blocks."""

    @property
    def grips(self) -> frozenset[Grip]:
        """What it holds by, be it another block's."""
        return frozenset(grip for _, grip in self.held)

    @property
    def here(self) -> bool:
        """Whether this thread of this process has entered it."""
        return self.thread is _here.thread and self.process == os.getpid()

    def of(self, task: object) -> bool:
        """Whether this task has entered it; None is code in no task."""
        return task is None if self.task is None else task is self.task()


_entered: list[_Entered] = []
"""All blocks that run, those entered last at the end; looked at in copies, since all threads change it.

In a forked process also those of its parent, which it has no part in.
"""

_told: set[_Entered] = set()
"""Of its parent's, those that this process has said it may wait for."""


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
        self._priority = priority_of(priority, "acquire(): priority")
        self._used = False

    def __enter__(self) -> Held:
        """Waits until it is granted.

        Raises:
            WouldDeadlock: this thread, one of its coroutines, or its job holds what must be taken later.
            TimeoutError: the time is over.
            SubmissionError: there is not so much of it, or no such token.
            UsageError: of several workspaces it is not clear in which.
            BrokerUnreachable: there is no broker.
        """
        self._used = True
        return enter(self, self._needs, self._timeout, self._priority)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        leave(self)

    def __getstate__(self) -> dict[str, Any]:
        self._used = True  # by whoever gets the copy
        return self.__dict__

    def __del__(self) -> None:
        # Without the attribute it was refused; at the end of a program, all that it has kept is dropped.
        if not getattr(self, "_used", True) and not sys.is_finalizing():
            told = f"{self!r} was never entered, and held nothing: write  with ...acquire(...):"
            warnings.warn(told, RuntimeWarning, stacklevel=2)

    def __repr__(self) -> str:
        return f"acquire({', '.join(map(str, self._needs))})"


def enter(block: object, needs: tuple[Need, ...], timeout: float | None = None, priority: int = 0) -> Held:
    """Begins a `with` block: waits until `needs` are granted; raises what `Hold.__enter__` does.

    Args:
        block: the value behind the `with`, which any number of threads may enter, and enter again.
        needs: what it holds.
        timeout: how long to wait, in seconds; None waits as long as it takes.
        priority: higher goes first.
    """
    session = active()
    required, fence = ((), "") if session is None else session.required
    task = _task()
    here = [each for each in tuple(_entered) if each.here]
    held = [pair for each in here if each.of(task) for pair in each.held]
    by_job = [(need, _Required(fence)) for need in required]
    found = {need: outer for need in needs if (outer := _again(need, held + by_job)) is not None}
    fresh = tuple(need for need in needs if need not in found)
    if fresh:
        try:
            check_order([need for need, _ in held], fresh, required)
            _check_others([each for each in here if not each.of(task)], fresh)
        except WouldDeadlock:
            if session is None:  # else whoever opened the experiment, or runs the job, shows it
                importlib.import_module("xpm.experiment.ending").plainly()
            raise
        if timeout is None:
            _tell_inherited(fresh)
        way = _elsewhere() if session is None else session
        found |= dict.fromkeys(fresh, way.acquire(fresh, timeout, priority))
    mark = None if task is None else weakref.ref(task)
    entered = _Entered(block, tuple(found.items()), os.getpid(), _here.thread, mark)
    _entered.append(entered)
    return Held(entered.grips)


def leave(block: object) -> None:
    """Ends a `with` block: what no other block holds by the same grip is given back.

    Where a process was forked in the block, its parent does that.

    Raises:
        UsageError: it was not entered.
    """
    found = [each for each in tuple(_entered) if each.block is block]
    if not found:
        raise UsageError("this block was not entered")
    found = [each for each in found if each.process == os.getpid()]
    if not found:
        return
    here, task = [each for each in found if each.here], _task()
    # What is entered in one place and left in another, as generators can be, is whoever's that is left to end.
    last = ([each for each in here if each.of(task)] or here or found)[-1]
    _entered.remove(last)
    others = (each.grips for each in tuple(_entered) if each.process == last.process)
    for grip in last.grips.difference(*others):
        grip.free()


def held_here() -> list[tuple[Need, Grip]]:
    """What the blocks hold that this thread has entered, in whichever coroutine; a grip that several share, once."""
    found = {id(grip): (need, grip) for each in tuple(_entered) if each.here for need, grip in each.held}
    return list(found.values())


def _again(wanted: Need, held: Iterable[tuple[Need, Grip]]) -> Grip | None:
    """The grip on a lock that is held already, to read or to write."""
    for need, grip in held:
        if need.kind == "l" and need.resource == wanted.resource and need.amount >= wanted.amount:
            return grip
    return None


def _check_others(others: Iterable[_Entered], wanted: Iterable[Need]) -> None:
    """Makes sure that a wait of this thread is none for what only this thread could give back.

    Raises:
        WouldDeadlock: a coroutine would stop the event loop, and with it who holds what is waited for.
    """
    first = min(wanted, key=lambda one: one.order)
    for other in others:
        last = max((need for need, _ in other.held), key=lambda one: one.order)
        if last.order < first.order:
            continue
        if other.task is None:
            raise WouldDeadlock(
                f"{first} is wanted in a coroutine while {last} is held around its event loop, which a coroutine has "
                "no part in; take it at one of the two places"
            )
        raise WouldDeadlock(
            f"{first} is wanted while another coroutine of this thread holds {last}: waiting for it would stop the "
            "event loop, and so the other, for ever; put each such block into a function of its own, and await "
            "asyncio.to_thread(function)"
        )


def _tell_inherited(wanted: Iterable[Need]) -> None:
    """Says, once, what may be waited for in vain: a parent that waits for its child in a block does not leave it."""
    inherited = [each for each in tuple(_entered) if each.process != os.getpid() and each not in _told]
    for need, block in ((need, block) for need in wanted for block in inherited):
        for other, _ in block.held:
            if other.resource == need.resource and (need.kind != "l" or ALL in (need.amount, other.amount)):
                told = f"{other} was held when this process was forked: {need} waits for its end"
                sys.stderr.write(f"xpm: {told}\n")
                _told.add(block)
                return


def _task() -> object:
    """The task of asyncio that runs in this thread; None outside of tasks."""
    # Where another thread is just importing asyncio, it has not all of its names yet, and runs no task.
    current: Any = getattr(sys.modules.get("asyncio"), "current_task", None)
    try:
        return None if current is None else current()
    except RuntimeError:  # this thread runs no event loop
        return None


def _elsewhere() -> Any:
    """The way to the broker of code that has no session: by what is open in other threads, else that of this process.

    Raises:
        UsageError: experiments in several workspaces are open.
    """
    known = open_anywhere()
    if len(known) > 1:
        raise UsageError(
            "acquire(): this thread has no experiment of its own, and those that are open have several workspaces: "
            f"{', '.join(map(str, known))}; open one in the thread, or start the thread's code by "
            "contextvars.copy_context().run(function)"
        )
    if known:
        return next(iter(known.values()))
    module: Any = importlib.import_module("xpm.experiment.grasp")  # few scripts need it
    return module.of_process()
