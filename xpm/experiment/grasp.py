"""Acquiring tokens and locks from a process that finds the broker: a script, a notebook, anything but a job.

What is held is kept by a thread that renews its lease; a process that dies loses it within two leases.
"""

from __future__ import annotations

import os
import secrets
import sys
import threading
import time
import weakref
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import TypeVar

from xpm.broker import ledger
from xpm.broker.broker import Broker
from xpm.broker.expiry import Expiry
from xpm.broker.resources import SHARE, Grant
from xpm.broker.views import Views
from xpm.core.requirement import Need, needs_of, needs_text, not_free, refuse_excess
from xpm.core.state import State
from xpm.errors import BrokerError, BrokerUnreachable, UsageError, WouldDeadlock
from xpm.experiment.ending import PLAIN, plainly
from xpm.experiment.link import Link
from xpm.experiment.script import name_script
from xpm.experiment.voice import Voice
from xpm.here import this_host, this_user
from xpm.moments import Moment
from xpm.settings import Settings, load, own_job
from xpm.types import JobId
from xpm.workspace.layout import Workspace

T = TypeVar("T")


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
        self._settings = settings
        self.unlock()
        _grasps.add(self)

    def unlock(self) -> None:
        """In a forked process nobody is left who would give the lock back that a thread of its parent had just taken."""
        self._lock = threading.Lock()

    def acquire(self, needs: Sequence[Need], timeout: float | None, priority: int) -> Grip:
        """Waits until `needs` are granted.

        Raises:
            TimeoutError: the time is over.
            SubmissionError: there is not so much of it, or no such token.
            BrokerUnreachable: there is no broker.
        """
        try:
            return self._acquired(needs, timeout, priority)
        except PLAIN:
            plainly(whole=self._settings.verbose)
            raise
        except (TimeoutError, KeyboardInterrupt) as error:
            plainly(whole=self._settings.verbose, called=error)
            raise

    def _acquired(self, needs: Sequence[Need], timeout: float | None, priority: int) -> Grip:
        end = None if timeout is None else time.monotonic() + timeout
        name = f"{this_host()}-{os.getpid()}-{secrets.token_hex(4)}"
        try:
            with self._lock:
                if not self._link.open:
                    self._link.connect()
                found = self._link.ask(lambda: declare(self._link.broker, needs, self._voice), end)
            refuse_excess(found, needs)
            broker = self._link.broker
            self._refuse_own(needs, found, end)
            # There may be no worker to see that who holds it is gone.
            look = Expiry(broker).look
            heard = Heard()
            fence = broker.await_grant(
                name, lambda: self._ask(name, needs, priority, end, heard), timeout, look
            )
            if fence is None:
                raise TimeoutError(not_free(needs, timeout))
            return Grip(broker, name, fence, heard)
        except BrokerUnreachable as error:
            # Nor could it be given back now: the lease of the wish ends by itself.
            if end is not None and time.monotonic() >= end:
                cause = error if self._settings.verbose else None  # all of a client's lines, for nothing new
                raise TimeoutError(f"{not_free(needs, timeout)}: {error}") from cause
            raise
        except BaseException:
            self._give_up(name)
            raise

    def _refuse_own(self, needs: Sequence[Need], capacities: Mapping[str, int], end: float | None) -> None:
        """A process that a job has started would wait for ever for what that job holds from its beginning to its end.

        Raises:
            WouldDeadlock: it is one of a job that holds too much of the `needs`.
        """
        id, fence = own_job()
        job = self._link.ask(lambda: Views(self._link.broker).job(JobId(id)), end) if id else None
        if job is None or job.state is not State.RUNNING or job.fence != fence:
            return
        held = {need.resource: need for need in needs_of(job.needs)}
        for need in needs:
            other = held.get(need.resource)
            if other is not None and other.amount + need.amount > capacities[need.resource]:
                raise WouldDeadlock(
                    f"{need} is wanted by a process of the job {job.label}, which holds {other} to its end, so it would "
                    "never get it: take it in the job's own process, where it is held already"
                )

    def _ask(
        self, name: str, needs: Sequence[Need], priority: int, end: float | None, heard: Heard
    ) -> str | None:
        def acquire() -> Grant:
            return self._link.broker.acquire(
                name,
                needs_text(needs),
                priority=priority,
                host=this_host(),
                facts={
                    "user": this_user(),
                    "pid": os.getpid(),
                    "what": sys.argv[0] or "python",
                    "workspace": str(self._link.workspace.path),
                },
            )

        with self._lock:
            return self._link.ask(lambda: heard.of(acquire), end).fence_or_none

    def _give_up(self, name: str) -> None:
        if not self._link.open:
            return
        try:
            self._link.broker.free(name)
        except BrokerError:  # its lease runs out instead
            return


_grasps: weakref.WeakSet[Grasp] = weakref.WeakSet()


def _unlock_all() -> None:
    for grasp in tuple(_grasps):
        grasp.unlock()


os.register_at_fork(after_in_child=_unlock_all)


class Heard:
    """When the broker has heard of a holder at the earliest: at the sending of the last call that it has answered."""

    def __init__(self) -> None:
        self.at = Moment.now()

    def of(self, call: Callable[[], T]) -> T:
        """What `call` returns, which asks the broker."""
        sent = Moment.now()
        answer = call()
        self.at = sent
        return answer


class Grip:
    """What was granted; a thread keeps it."""

    def __init__(self, broker: Broker, name: str, fence: str, heard: Heard) -> None:
        self.fence = fence
        self._heard = heard
        self._broker = broker
        self._name = name
        self._gone = self._lost_at_end = False
        self._freed = threading.Event()
        self._thread = threading.Thread(target=self._keep, name=f"xpm keeps {name}", daemon=True)
        self._thread.start()

    @property
    def lost(self) -> bool:
        """Whether it was taken away, or may be, as the broker has not answered for a lease."""
        silent = self._heard.at.age >= self._broker.lease
        return self._gone or (self._lost_at_end if self._freed.is_set() else silent)

    def of(self, broker: Broker) -> bool:
        """Whether it was granted in the workspace of `broker`."""
        return self._broker.prefix == broker.prefix

    def _keep(self) -> None:
        while not self._freed.wait(self._broker.lease / SHARE):
            try:
                self._gone = not self._heard.of(lambda: self._broker.keep(self._name))
            except BrokerError:  # it is away; what it says when it is back counts
                continue
            if self._gone:
                return

    def free(self) -> None:
        """Gives it back; when the broker is away, its lease does."""
        self._lost_at_end = self.lost
        self._freed.set()
        try:
            self._broker.free(self._name)
        except BrokerError:
            return


def declare(broker: Broker, needs: Sequence[Need], voice: Voice) -> dict[str, int]:
    """Makes the tokens and locks that don't exist, and says which have another capacity than the script gives.

    Returns:
        What there is of each, see `xpm.broker.ledger.declare`.
    """
    found, differing = ledger.declare(broker, needs)
    for told in differing:
        voice.once(told)
    return found


@cache
def of_process() -> Grasp:
    """The tokens of the workspace that the settings name.

    Raises:
        UsageError: this is a dry run.
    """
    settings = load(script=name_script())
    if settings.dry_run:
        plainly(whole=settings.verbose)
        raise UsageError("acquire(): a dry run holds nothing, and what needs it is not to be done without")
    return Grasp(
        Workspace.open(settings.workspace), settings, Voice(plain=settings.no_color, quiet=settings.quiet)
    )
