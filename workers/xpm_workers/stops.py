"""Why the processes of a job are to end before it is done, and the time that they have."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Literal

from xpm.core.lengths import duration
from xpm.moments import Moment

Why = Literal["killed", "cancelled", "timeout", "returned"]

STOP_GRACE = 1.5
"""Seconds between asking processes to end and ending them, when a person wants that at once."""

_OF_PEOPLE = ("killed", "cancelled")


@dataclass(frozen=True, slots=True)
class Stop:
    """A wish for the end of a job's processes."""

    why: Why
    text: str
    """What the task is told."""
    grace: float = STOP_GRACE
    """Seconds from SIGTERM to SIGKILL."""

    @property
    def by_people(self) -> bool:
        """Whether a person wants it, which goes before all else that may be said of the end."""
        return self.why in _OF_PEOPLE

    def pack(self) -> bytes:
        """For the file that the job's process reads when it gets SIGTERM."""
        return json.dumps([self.text, self.grace]).encode()


KILL = Stop("killed", "stopped on request")


def cancelling(grace: float) -> Stop:
    """No experiment wants the job any more."""
    return Stop("cancelled", "cancelled", grace)


def over_time(limit: float, grace: float) -> Stop:
    """The time limit is over."""
    return Stop("timeout", f"its time limit of {duration(limit)} is over", grace)


def read_stop(packed: bytes) -> tuple[str, float | None]:
    """What `Stop.pack` wrote: why, and the seconds; for what is no such thing, that nobody said."""
    try:
        text, grace = json.loads(packed)
        return str(text), float(grace)
    except (ValueError, TypeError):
        return "ended by SIGTERM", None


class Stopwatch:
    """Counts the time that a job had: that of the host's sleep too, but not that for which it was frozen."""

    def __init__(self) -> None:
        self._before = 0.0
        self._since: Moment | None = Moment.now()

    @property
    def seconds(self) -> float:
        """So much up to now."""
        return self._before + (self._since.age if self._since is not None else 0.0)

    def pause(self) -> None:
        """The job is frozen."""
        self._before, self._since = self.seconds, None

    def resume(self) -> None:
        """It goes on."""
        self._since = self._since or Moment.now()
