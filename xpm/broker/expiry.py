"""Taking leases from those that are gone: what workers do all the time, and who waits for what the dead may hold.

Any number may do it; each only calls guarded scripts. Taking a lease needs two looks, a third of a lease apart by
the server's clock and by this process's: a host that slept, or a server whose clock stepped, loses nothing. A look
counts only if the server could write: where it can't, nobody could have renewed. Who lives renews every quarter of a
lease, and so between two looks even if its call takes long.

Tokens are shared by the workspaces of a server, so one looks after the leases of others too where nobody does so:
those whose last worker and script have gone.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

from xpm.broker.broker import Broker
from xpm.broker.connect import beside
from xpm.types import Namespace

APART = 1 / 3
"""Part of a lease between two looks; the scripts want as much."""


@dataclass(frozen=True, slots=True)
class _Look:
    execution: int
    renewals: str
    server: int
    """When, in milliseconds of the server's clock."""
    own: float
    """When, by this process's clock."""


class _Leases:
    """One process's looks at the leases of one workspace."""

    def __init__(self, broker: Broker, clock: Callable[[], float] = time.monotonic) -> None:
        self._broker = broker
        self._clock = clock
        self._interval = broker.lease * APART
        self._looks: dict[str, _Look] = {}

    @property
    def rest(self) -> float:
        """Seconds until a second look at a lease is due; without end while none is overdue."""
        first = min((look.own for look in self._looks.values()), default=math.inf)
        return max(0.0, first + self._interval - self._clock())

    def look(self) -> list[str]:
        """Takes the leases that were overdue at two looks; returns what became of each, in words."""
        now, overdue = self._broker.overdue()
        before, self._looks = self._looks, {}
        taken: list[str] = []
        for job, execution, renewals in overdue:
            look = before.get(job)
            seen = look is not None and (look.execution, look.renewals) == (execution, renewals)
            if look is None or not seen or now < look.server:  # the last: its clock was set back
                look = _Look(execution, renewals, now, self._clock())
            if self._clock() - look.own >= self._interval * 0.99 and (told := self._take(job, look)):
                taken.append(told)
            else:
                self._looks[job] = look
        return taken

    def close(self) -> None:
        """Ends the connections to the broker."""
        self._broker.client.close()

    def _take(self, job: str, look: _Look) -> str:
        if job.startswith("@"):
            taken = self._broker.lapse(job[1:], look.renewals, look.server)
            return f"holder {job[1:]} was not heard of; its tokens and locks are free" if taken else ""
        taken = self._broker.expire(job, look.execution, look.renewals, look.server)
        return f"job {job[:8]}: its worker was not heard of; it runs again" if taken else ""


class Expiry:
    """One process's looks at the leases of all.

    Args:
        broker: of its own workspace.
        clock: this process's, in seconds.
    """

    def __init__(self, broker: Broker, clock: Callable[[], float] = time.monotonic) -> None:
        self._broker = broker
        self._clock = clock
        self._own = _Leases(broker, clock)
        self._others: dict[Namespace, _Leases] = {}
        """Of the workspaces after which nobody else looks."""
        self._next = clock() + broker.lease * APART

    @property
    def rest(self) -> float:
        """Seconds until a second look at a lease is due; without end while none is overdue."""
        return min(each.rest for each in (self._own, *self._others.values()))

    def look_at_times(self) -> bool:
        """`look`, at most once in a third of a lease: for who comes by more often. Returns whether it did."""
        if self._clock() < self._next:
            return False
        self.look()
        self._next = self._clock() + self._broker.lease * APART
        return True

    def look(self) -> list[str]:
        """Takes the leases that were overdue at two looks; returns what became of each, in words."""
        taken = self._own.look()
        for namespace, lease in self._broker.neglected().items():
            if namespace not in self._others:
                other = Broker(beside(self._broker.client), namespace, lease=lease)
                self._others[namespace] = _Leases(other, self._clock)
        for namespace, leases in list(self._others.items()):
            taken += [f"workspace {namespace}: {told}" for told in leases.look()]
            if math.isinf(leases.rest):  # nothing is overdue there
                leases.close()
                del self._others[namespace]
        return taken
