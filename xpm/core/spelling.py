"""What was meant by a name that there isn't."""

from __future__ import annotations

import importlib
from collections.abc import Iterable
from typing import Any


def nearest(name: str, names: Iterable[str]) -> str:
    """The end of a message about an unknown name: `; did you mean 'gpu'?`, or nothing."""
    difflib: Any = importlib.import_module("difflib")  # only for mistakes
    close = difflib.get_close_matches(name, list(names), n=1, cutoff=0.5)
    return f"; did you mean '{close[0]}'?" if close else ""
