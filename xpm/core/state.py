"""The states of a job and the transitions between them.

The table `TRANSITIONS` names each verb once; a verb is also the name of its Lua file and of the
broker's method (a test compares the three).
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from xpm.errors import UsageError


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

    @classmethod
    def of(cls, name: str) -> State:
        """The state of that name, in small or capital letters.

        Raises:
            UsageError: there is none.
        """
        found = cls.__members__.get(str(name).upper())
        if found is None:
            raise UsageError(f"no state {name!r}; there are {', '.join(cls)}")
        return found


ENDED = frozenset({State.DONE, State.ERROR, State.CANCELLED, State.LOST})
"""States that a job leaves only when somebody asks."""

PENDING = frozenset({State.WAITING, State.READY, State.HOLD, State.SCHEDULED})
"""States of a job that was not started and is still wanted."""

_PLACES = PENDING
"""Where a job can stand that may still start; which of them, its inputs, its holds and the clock say."""

_CANCELLED = frozenset({State.CANCELLED})
_UNDONE = _CANCELLED | {State.ERROR}
"""Where a job can end whose end somebody asked for: cancelled, or killed; one that was done before is DONE again."""

Transitions = Mapping[State | None, frozenset[State]]
"""From a state (None: there was no such job) to those that may follow."""


def _table(*parts: Transitions) -> Transitions:
    table: dict[State | None, frozenset[State]] = {}
    for part in parts:
        for state, to in part.items():
            table[state] = table.get(state, frozenset()) | to
    return table


_NONE: Transitions = {}
_SETTLE: Transitions = {state: _PLACES - {state} for state in _PLACES}
"""What news of its inputs, or its moment, does to a job; any call that may move jobs goes on with what earlier calls left of this."""

_GRANT = _table(_SETTLE, {State.READY: frozenset({State.RUNNING})})
"""What a worker's call does that fetches a job."""

_END: Transitions = {State.RUNNING: _PLACES | _UNDONE | {State.DONE}}
"""What the end of an execution does that has published no result."""

TRANSITIONS: Mapping[str, Transitions] = {
    # scripts
    "hello": _NONE,
    "open": _NONE,
    "submit": _table(
        _SETTLE,
        {None: _PLACES | {State.DONE}},
        dict.fromkeys((State.DONE, State.ERROR, State.CANCELLED, State.LOST), _PLACES),
    ),
    "drain": _SETTLE,
    # people
    "call_off": _NONE,
    "cancel": _table(_SETTLE, dict.fromkeys(PENDING, _CANCELLED | {State.DONE})),
    "kill": _SETTLE,
    "hold": _table(_SETTLE, {State.SCHEDULED: frozenset({State.HOLD})}),
    "release": _SETTLE,
    "retry": _table(_SETTLE, dict.fromkeys((State.ERROR, State.CANCELLED, State.LOST), _PLACES)),
    "rerun": _table(_SETTLE, {State.DONE: _PLACES}),
    "priority": _SETTLE,
    "lift": _NONE,
    "pause": _NONE,
    "resume": _NONE,
    "dismiss": _NONE,
    "rank": _NONE,
    # tokens and locks
    "declare": _NONE,
    "resize": _SETTLE,
    "acquire": _SETTLE,
    "keep": _NONE,
    "free": _SETTLE,
    # workers
    "enrol": _NONE,
    "claim": _GRANT,
    "take": _GRANT,
    "finish": _table(_GRANT, {State.RUNNING: frozenset({State.DONE})}),
    "fail": _table(_GRANT, _END),
    "crash": _table(_GRANT, _END),
    "hand_back": _table(_GRANT, _END),
    "adjourn": _table(_GRANT, _END),
    "miss": _table(_GRANT, _END, {State.DONE: _PLACES}),
    "renew": _NONE,
    "depart": _table(_SETTLE, _END),
    # the sweeper
    "overdue": _NONE,
    "neglected": _NONE,
    "expire": _table(_SETTLE, _END),
    "lapse": _SETTLE,
    "revisit": _SETTLE,
    "refill": _NONE,
    "repair": _NONE,
}
"""What each verb may do to jobs: those that it names, and those that its news reaches."""
