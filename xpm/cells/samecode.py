"""Whether two pieces of compiled code do the same, wherever they stand."""

from __future__ import annotations

from types import CodeType
from typing import Any


def same_code(one: CodeType, other: CodeType) -> bool:
    """Whether they are equal but for the places of their lines, and the file."""
    return (
        one.co_code == other.co_code
        and one.co_names == other.co_names
        and one.co_varnames == other.co_varnames
        and one.co_freevars == other.co_freevars
        and len(one.co_consts) == len(other.co_consts)
        and all(map(_same, one.co_consts, other.co_consts))
    )


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, CodeType) and isinstance(other, CodeType):
        return same_code(one, other)
    return type(one) is type(other) and (one == other or one != one)
