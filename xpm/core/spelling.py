"""What was meant by a name that there isn't."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable
from typing import Any


def nearest(
    name: str, names: Iterable[str], written: Callable[[str], str] = str, *, least: float = 0.5
) -> str:
    """The end of a message about an unknown name: `; did you mean 'gpu'?`, as the user would have written it, or nothing.

    Args:
        name: that there isn't.
        names: those that there are.
        written: how the user would have written one of them.
        least: how like it the nearest must be at least, from 0 to 1.
    """
    difflib: Any = importlib.import_module("difflib")  # only for mistakes
    close = difflib.get_close_matches(name, list(names), n=1, cutoff=least)
    return f"; did you mean '{written(close[0])}'?" if close else ""
