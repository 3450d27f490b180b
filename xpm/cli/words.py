"""Times, sizes and states in words."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING

from xpm.core.state import State
from xpm.types import Scalar

if TYPE_CHECKING:
    from xpm.broker.views import WorkerView

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


def clock_time(seconds: float) -> str:
    """A moment of today as `12:03`, of another day with its date."""
    when = time.localtime(seconds)
    today = when[:3] == time.localtime()[:3]
    return time.strftime("%H:%M" if today else "%Y-%m-%d %H:%M", when)


def size(count: int) -> str:
    """Bytes."""
    amount = float(count)
    for unit in ("B", "KiB", "MiB"):
        if amount < 1024:
            return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= 1024
    return f"{amount:.1f} GiB"


def plural(count: int, noun: str) -> str:
    """`1 job`, `2 jobs`."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def tally(counts: Mapping[State, int]) -> list[tuple[State, int]]:
    """The states that have jobs, in the order in which people are shown them."""
    return [(state, counts[state]) for state in ORDER if counts.get(state)]


def tags_line(tags: Mapping[str, Scalar]) -> str:
    """Tags in one line."""
    return " ".join(f"{name}={_scalar(value)}" for name, value in tags.items())


def _scalar(value: Scalar) -> str:
    return f"{value:.6g}" if type(value) is float else str(value)


def unserved(queue: str, version: int, slots: Collection[str], struck: Sequence[WorkerView] = ()) -> str:
    """Why no worker can take a ready job, given all that workers serve; '' when one can.

    Args:
        queue: The job's queue.
        version: The version of its payload.
        slots: What the workers serve that get jobs, each 'queue:version'.
        struck: The workers that get none, since several died there.
    """
    if f"{queue}:{version}" in slots or any(s.startswith("*:") and int(s[2:]) >= version for s in slots):
        return ""
    if fitting := [one for one in struck if one.offers(queue, version)]:
        return _get_none(fitting)
    served = [slot.rpartition(":") for slot in slots]
    here = [int(kind) for name, _, kind in served if name in (queue, "*") and kind.isdigit()]
    if not slots:
        return f"no worker is there: xpm worker start{_option(queue)}"
    if not here:
        return f"no worker serves queue {queue}: xpm worker start{_option(queue)}"
    if version > max(here):
        return f"needs a worker of a newer xpm: payload version {version}, workers read {max(here)}"
    return f"needs a worker of an older xpm: payload version {version}, workers read {min(here)} and newer"


def _get_none(struck: Sequence[WorkerView]) -> str:
    """That these workers get no jobs, since which jobs died there, and what to do."""
    hosts = sorted({one.host for one in struck})
    died = dict.fromkeys(job[:8] for one in struck for job in one.suspects)
    return (
        f"the workers on {', '.join(hosts)} get no jobs, since {', '.join(died)} died there at once: "
        f"xpm worker drain {' '.join(hosts)}, then start them anew (an open script does that itself)"
    )


def _option(queue: str) -> str:
    return "" if queue == "default" else f" --queue {queue}"
