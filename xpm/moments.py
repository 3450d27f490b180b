"""Moments, and the time that has passed since them, the sleep of a laptop included."""

from __future__ import annotations

import time
from typing import NamedTuple

_BOOTTIME: int | None = getattr(time, "CLOCK_BOOTTIME", None)


class Moment(NamedTuple):
    """A moment, in nanoseconds; the same for all processes of a host since it was started.

    Where no clock goes on while the host sleeps, the wall clock tells of the sleep: it may be set, but the larger
    progress of the two is never less than what has passed.
    """

    steady: int
    wall: int
    """0 where the other goes on while the host sleeps."""

    @classmethod
    def now(cls) -> Moment:
        """This one."""
        if _BOOTTIME is not None:
            return cls(time.clock_gettime_ns(_BOOTTIME), 0)
        return cls(time.monotonic_ns(), time.time_ns())

    @property
    def age(self) -> float:
        """Seconds that have passed since."""
        steady, wall = Moment.now()
        return max(steady - self.steady, wall - self.wall) / 1e9
