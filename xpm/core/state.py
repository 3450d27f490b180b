"""The states of a job and the transitions between them.

The table `TRANSITIONS` names each verb once; a verb is also the name of its Lua file and of the
broker's method (a test compares the three).
"""

from __future__ import annotations

from enum import StrEnum


class State(StrEnum):
    """Where a job is; every job is in exactly one state."""

    WAITING = "WAITING"
    """A dependency is not done."""
    READY = "READY"
    """Queued for a worker."""
    RUNNING = "RUNNING"
    """A worker holds its lease."""
    DONE = "DONE"
    """Its result exists."""
    ERROR = "ERROR"
    """Its last attempt failed."""
    HOLD = "HOLD"
    """Held back, for the reasons it carries."""
    SCHEDULED = "SCHEDULED"
    """A start time lies ahead."""
    CANCELLED = "CANCELLED"
    """No experiment wants it any more."""
    LOST = "LOST"
    """Done, but its only outputs are gone."""


ENDED = frozenset({State.DONE, State.ERROR, State.CANCELLED, State.LOST})
"""States that a job leaves only when somebody asks."""

PENDING = frozenset({State.WAITING, State.READY, State.HOLD, State.SCHEDULED})
"""States of a job that was not started and is still wanted."""
