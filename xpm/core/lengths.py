"""Lengths of time in words."""

from __future__ import annotations

import math
import re
from datetime import timedelta

from xpm.core.scalars import unwrapped
from xpm.errors import SubmissionError


def duration(seconds: float) -> str:
    """A length of time as people say it: `4.2 s`, `1 min 12 s`, `3 h 05 min`, `2 d 4 h`."""
    if seconds < 10:
        return f"{max(seconds, 0.0):.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02} s"
    if whole < 86400:
        return f"{whole // 3600} h {whole % 3600 // 60:02} min"
    return f"{whole // 86400} d {whole % 86400 // 3600} h"


Wait = float | str | timedelta | None
"""How long something is waited for: seconds, a text like `"2h"`, or a timedelta; None as long as it takes."""

_UNITS = {"": 1, "s": 1, "sec": 1, "m": 60, "min": 60, "h": 3600, "d": 86400}
_LONGEST = 10 * 365 * 86400.0
_PART = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([a-z]*)")


def seconds(value: object, what: str, *, least: float = 0.001) -> float:
    """The length of time that people mean: a number of seconds, a timedelta, or a text like `2h`, `1 h 30 min`.

    Args:
        value: what was given.
        what: whose it is, for the error.
        least: the least that it can be.

    Raises:
        SubmissionError: it is none, or too short.
    """
    found, plain = math.nan, unwrapped(value)
    if isinstance(plain, timedelta):
        found = plain.total_seconds()
    elif isinstance(plain, str):
        found = _read(plain)
    elif isinstance(plain, int | float) and not isinstance(plain, bool):
        found = float(plain)
    if not least <= found <= _LONGEST:
        raise SubmissionError(f"{what}: expected seconds, a text like '2h' or a timedelta, got {value!r}")
    return found


def _read(text: str) -> float:
    total, at = 0.0, 0
    while found := _PART.match(text, at):
        number, unit = found.groups()
        if unit not in _UNITS or (at and not unit):  # the 30 of 1h30 are minutes to people
            return math.nan
        total, at = total + float(number) * _UNITS[unit], found.end()
    return total if at and not text[at:].strip() else math.nan
