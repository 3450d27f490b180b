"""The sweeper: takes leases from workers that are gone, and makes RQ's view true again.

Any number may run; each only calls guarded scripts.
"""

from __future__ import annotations

import logging
import os

from xpm.broker.broker import Broker
from xpm.broker.expiry import Expiry
from xpm.core.state import State
from xpm.moments import Moment
from xpm_workers.board import Numbers

log = logging.getLogger("xpm.sweeper")

PAGE = 100
"""Jobs whose projection one call looks at."""

WINDOW = 10_000
"""The registries show so many jobs; beyond them nothing is repaired."""

SHOWN_AT_ONCE = 1_000
"""Of the waiting jobs their submission shows so many; the rest of the window is filled here."""


PART = 0.24
"""Of a lease between two sweeps: a worker with a job comes by whenever it has renewed its lease, every quarter of it."""

LATE = 1.5
"""So many times the pause between two sweeps, and another worker of the pool does it from then on."""


class Turn:
    """Whose duty it is among the workers of a pool: made before they are.

    It stays with one, whose second look so follows its first, until that one is stopped, or hangs, or is gone.
    """

    def __init__(self) -> None:
        self._numbers = Numbers(2)
        self._numbers.write(0, Moment.now().steady)

    def take(self, pause: float) -> bool:
        """Whether this process is to do it now, `pause` seconds after the last time."""
        now = Moment.now().steady
        mine = self._numbers.read(1) in (0, os.getpid())
        if now - self._numbers.read(0) < pause * (1.0 if mine else LATE) * 1e9:
            return False
        self._numbers.write(0, now)
        self._numbers.write(1, os.getpid())
        return True


class Sweeper:
    """One process's duty; `sweep()` returns at once when it is not due, or another's turn."""

    def __init__(self, broker: Broker, turn: Turn) -> None:
        self._broker = broker
        self._turn = turn
        self._expiry = Expiry(broker)
        self._interval = broker.lease * PART
        self._page = 0

    def sweep(self) -> None:
        """Look after leases and the projection, at most once in a quarter of a lease."""
        if not self._turn.take(self._interval):
            return
        for taken in self._expiry.look():
            log.warning("%s", taken)
        self._broker.revisit()  # and lets start what is due, be all workers busy or not
        self.project()

    @property
    def rest(self) -> float:
        """Seconds until a second look at a lease is due; without end while none is overdue."""
        return self._expiry.rest

    def project(self) -> None:
        """Repair what RQ's tools see: the running jobs, the next ready ones, and of each other state the first page and
        one of the rest.
        """
        self._broker.refill_all()
        self._broker.repair(State.RUNNING, 0, 250)
        shown = sum(
            self._show(state, first)
            for state in State
            if state not in (State.READY, State.RUNNING)
            for first in sorted({0, self._page})  # the first shows at once when somebody has emptied the list
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
