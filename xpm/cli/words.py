"""Times, sizes and states in words."""

from __future__ import annotations

import time
from collections.abc import Mapping

from xpm.core.state import State
from xpm.types import Scalar

DIGITS = 8
"""How many digits of an identifier people are shown."""

ORDER = (
    State.RUNNING,
    State.ERROR,
    State.LOST,
    State.READY,
    State.SCHEDULED,
    State.HOLD,
    State.WAITING,
    State.CANCELLED,
    State.DONE,
)
"""The states as people are shown them: what moves and what needs them first."""


def brief(job: str) -> str:
    """An identifier as people are shown it."""
    return job[:DIGITS]


def ago(moment: float, now: float | None = None) -> str:
    """How long ago a moment was, roughly: `now`, `12s`, `3m`, `5h`, `2d`."""
    if not moment:
        return ""
    seconds = int((time.time() if now is None else now) - moment)
    if seconds < 1:
        return "now"
    for size, unit in ((86400, "d"), (3600, "h"), (60, "m")):
        if seconds >= size:
            return f"{seconds // size}{unit}"
    return f"{seconds}s"


def moment(seconds: float) -> str:
    """A moment in local time."""
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(seconds)) if seconds else ""


def size(count: int) -> str:
    """Bytes."""
    amount = float(count)
    for unit in ("B", "KiB", "MiB"):
        if amount < 1024:
            return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= 1024
    return f"{amount:.1f} GiB"


def tally(counts: Mapping[State, int]) -> list[tuple[State, int]]:
    """The states that have jobs, in the order in which people are shown them."""
    return [(state, counts[state]) for state in ORDER if counts.get(state)]


def tags_line(tags: Mapping[str, Scalar]) -> str:
    """Tags in one line."""
    return " ".join(f"{name}={_scalar(value)}" for name, value in tags.items())


def _scalar(value: Scalar) -> str:
    return f"{value:.6g}" if type(value) is float else str(value)
