"""Numbers of other libraries, where people give one."""

from __future__ import annotations

from operator import index
from typing import Any, SupportsIndex


def numpy_scalar(value: object) -> bool:
    """Whether `value` is a scalar of numpy, without importing it."""
    return any(base.__name__ == "generic" and base.__module__ == "numpy" for base in type(value).__mro__)


def unwrapped(value: Any) -> Any:
    """A numpy scalar as Python's, anything else as it is."""
    return value.item() if numpy_scalar(value) else value


def whole(value: object) -> int | None:
    """`value` as a whole number, if it is one, whoever's; None if not, as of a bool."""
    plain = unwrapped(value)
    if isinstance(plain, bool) or not isinstance(plain, SupportsIndex):
        return None
    try:
        return index(plain)
    except TypeError:  # arrays are numbers only if they have one element
        return None
