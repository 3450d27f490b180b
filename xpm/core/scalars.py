"""Scalars: Python's own, and the numbers of other libraries where people give one."""

from __future__ import annotations

from collections.abc import Iterable
from operator import index
from typing import Any, SupportsIndex

PLAIN: frozenset[type[Any]] = frozenset({type(None), bool, int, float, str})
"""The types whose values stand for themselves in canonical forms and payloads."""


def all_plain(values: Iterable[Any]) -> bool:
    """Whether all of `values` stand for themselves; told in C, since lists may be long."""
    return PLAIN.issuperset(map(type, values))


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
