"""Acquiring tokens and locks from a process that finds the broker: a script, a notebook, anything but a job.

What is held is kept by a thread that renews its lease; a process that dies loses it within two leases.
"""

from __future__ import annotations

import os
import platform
import secrets
import sys
import threading
import time
from collections.abc import Callable, Sequence
from functools import cache

from xpm.broker.broker import Broker
from xpm.core.requirement import ALL, Need, needs_text
from xpm.errors import BrokerError, SubmissionError
from xpm.experiment.link import Link
from xpm.experiment.rundir import user
from xpm.experiment.script import name_script
from xpm.experiment.voice import Voice
from xpm.settings import Settings, load
from xpm.workspace.layout import Workspace

SHARE = 3
"""A lease is renewed after this part of it."""


class Grasp:
    """The way of a process to the tokens and locks of one workspace.

    Args:
        workspace: whose tokens.
        settings: which broker.
        voice: says what the user should know.
    """

    def __init__(self, workspace: Workspace, settings: Settings, voice: Voice) -> None:
        self._link = Link(workspace, settings, voice)
        self._voice = voice
        self._lock = threading.Lock()

    def acquire(self, needs: Sequence[Need], timeout: float | None, priority: int) -> Grip:
        """Waits until `needs` are granted.

        Raises:
            TimeoutError: the time is over.
            SubmissionError: there is not so much of it, or no such token.
            BrokerUnreachable: there is no broker.
        """
        with self._lock:
            if not self._link.open:
                self._link.connect()
        broker = self._link.broker
        refuse_excess(declare(broker, needs, self._voice), needs)
        name = f"{platform.node()}-{os.getpid()}-{secrets.token_hex(4)}"
        try:
            fence = wait_for(lambda: self._ask(name, needs, priority), broker, name, timeout)
            if fence is None:
                raise TimeoutError(f"{' and '.join(map(str, needs))}: not free within {timeout:g} s")
            return Grip(broker, name, fence)
        except BaseException:
            self._give_up(name)
            raise

    def _ask(self, name: str, needs: Sequence[Need], priority: int) -> str | None:
        with self._lock:
            granted = self._link.ask(
                lambda: self._link.broker.acquire(
                    name,
                    needs_text(needs),
                    priority=priority,
                    host=platform.node(),
                    facts={"user": user(), "pid": os.getpid(), "what": sys.argv[0] or "python"},
                )
            )
        if granted.outcome == "over":  # it was lowered meanwhile
            raise SubmissionError(f"{granted.resource[2:]}: there is not so much of it any more")
        return granted.fence if granted.outcome == "granted" else None

    def _give_up(self, name: str) -> None:
        try:
            self._link.broker.free(name)
        except BrokerError:  # its lease runs out instead
            return


class Grip:
    """What was granted; a thread keeps it."""

    def __init__(self, broker: Broker, name: str, fence: str) -> None:
        self.fence = fence
        self._broker = broker
        self._name = name
        self._lost = False
        self._freed = threading.Event()
        self._thread = threading.Thread(target=self._keep, name=f"xpm keeps {name}", daemon=True)
        self._thread.start()

    @property
    def lost(self) -> bool:
        """Whether it was taken away."""
        return self._lost

    def _keep(self) -> None:
        while not self._freed.wait(self._broker.lease / SHARE):
            try:
                self._lost = self._lost or not self._broker.keep(self._name)
            except BrokerError:  # it is away; what it says when it is back counts
                continue

    def free(self) -> None:
        """Gives it back; when the broker is away, its lease does."""
        self._freed.set()
        try:
            self._broker.free(self._name)
        except BrokerError:
            return


def wait_for(ask: Callable[[], str | None], broker: Broker, name: str, timeout: float | None) -> str | None:
    """Asks for something until it is granted; between two times, waits for the bell.

    Returns:
        The fence; None when `timeout` seconds are over.
    """
    end = None if timeout is None else time.monotonic() + timeout
    while (fence := ask()) is None:
        patience = broker.lease / SHARE
        if end is not None:
            patience = min(patience, end - time.monotonic())
            if patience <= 0:
                return None
        try:
            broker.wait(f"@{name}", patience)
        except BrokerError:  # the next question waits for it
            continue
    return fence


def declare(broker: Broker, needs: Sequence[Need], voice: Voice) -> dict[str, int]:
    """Makes the tokens and locks that don't exist, and says which have another capacity than the script gives.

    Returns:
        The capacity of each resource; -1 for a token that doesn't exist and was given none.
    """
    wanted = {need.resource: ALL if need.kind == "l" else need.capacity or 0 for need in needs}
    found = broker.declare(wanted)
    for need in needs:
        there = found[need.resource]
        if need.kind != "l" and need.capacity is not None and there != need.capacity:
            voice.once(
                f"token {need.name}: the script gives it {need.capacity}, it has {there}, which holds; "
                f"'xpm token set {need.name} {need.capacity}' changes it"
            )
    return found


def refuse_excess(capacities: dict[str, int], needs: Sequence[Need], what: str = "") -> None:
    """Refuses needs beyond what there is.

    Raises:
        SubmissionError: there is not so much of it, or no such token.
    """
    head = f"{what}: " if what else ""
    for need in needs:
        there = capacities[need.resource]
        if there < 0:
            raise SubmissionError(
                f"{head}there is no token {need.name!r}: token({need.name!r}, N) or "
                f"'xpm token set {need.name} N' makes one of capacity N"
            )
        if need.amount > there:
            raise SubmissionError(
                f"{head}needs {need}, there are {there}; 'xpm token set {need.name} {need.amount}' raises it"
            )


@cache
def of_process() -> Grasp:
    """The tokens of the workspace that the settings name."""
    settings = load(script=name_script())
    return Grasp(
        Workspace.open(settings.workspace), settings, Voice(plain=settings.no_color, quiet=settings.quiet)
    )
