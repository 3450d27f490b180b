"""The sweeper: takes leases from workers that are gone, and makes RQ's view true again.

Any number may run; each only calls guarded scripts. Taking a lease needs two looks, a third of a lease apart by
the server's clock and by this process's: a host that slept, or a server whose clock stepped, loses nothing.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass

from xpm.broker.broker import Broker
from xpm.core.state import State

log = logging.getLogger("xpm.sweeper")

PAGE = 100
"""Jobs whose projection one call looks at."""

WINDOW = 10_000
"""The registries show so many jobs; beyond them nothing is repaired."""

SHOWN_AT_ONCE = 1_000
"""Of the waiting jobs their submission shows so many; the rest of the window is filled here."""


@dataclass(frozen=True, slots=True)
class _Look:
    execution: int
    renewals: str
    server: int
    """When, in milliseconds of the server's clock."""
    own: float
    """When, by this process's clock."""


class Sweeper:
    """One process's duty; `sweep()` returns at once when it is not due."""

    def __init__(self, broker: Broker, clock: Callable[[], float] = time.monotonic) -> None:
        self._broker = broker
        self._clock = clock
        self._interval = broker.lease / 3
        self._due = clock() + self._interval
        self._looks: dict[str, _Look] = {}
        self._page = 0

    def sweep(self) -> None:
        """Look after leases and the projection, at most once in a third of a lease."""
        if self._clock() < self._due:
            return
        self._due = self._clock() + self._interval
        self.expire()
        self._broker.revisit()
        self.project()

    def expire(self) -> int:
        """Take the leases that were overdue at two looks; returns how many."""
        now, overdue = self._broker.overdue()
        before, self._looks = self._looks, {}
        taken = 0
        for job, execution, renewals in overdue:
            look = before.get(job)
            if look is None or (look.execution, look.renewals) != (execution, renewals):
                look = _Look(execution, renewals, now, self._clock())
            if self._clock() - look.own >= self._interval * 0.99 and self._take(job, look):
                taken += 1
            else:
                self._looks[job] = look
        return taken

    def _take(self, job: str, look: _Look) -> bool:
        if job.startswith("@"):
            if taken := self._broker.lapse(job[1:], look.renewals, look.server):
                log.warning("holder %s was not heard of; its tokens and locks are free", job[1:])
            return taken
        if taken := self._broker.expire(job, look.execution, look.renewals, look.server):
            log.warning("job %s: its worker was not heard of; it runs again", job[:8])
        return taken

    def project(self) -> None:
        """Repair what RQ's tools see: the running jobs, the next ready ones, and a page of each other state."""
        for slot in self._broker.slots():
            self._broker.refill(slot)
        self._broker.repair(State.RUNNING, 0, 250)
        shown = sum(
            self._show(state, self._page) for state in State if state not in (State.READY, State.RUNNING)
        )
        shown += self._show(State.WAITING, SHOWN_AT_ONCE)
        self._page = self._page + PAGE if self._page + PAGE < WINDOW else 0
        if shown:
            log.info("showed %d jobs to RQ again", shown)

    def _show(self, state: State, first: int) -> int:
        """Repair a page of a state, and the next ones until one is right."""
        shown = 0
        for page in range(first, WINDOW, PAGE):
            found = self._broker.repair(state, page, PAGE)
            shown += found
            if not found:
                break
        return shown
