"""What the declarations of a class mean: xpm's own rules, or those of a library whose classes stand on xpm's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple


class Declaration(NamedTuple):
    """`name: Annotated[of, *notes] = given` in the body of a class."""

    of: Any
    """The type."""
    notes: tuple[Any, ...]
    """Among them the role, if it has one."""
    given: Any
    """The default, what `field` gave, or `UNSET`."""


class Rules(NamedTuple):
    """How the bodies of classes are read; the attribute `__xpm_rules__` of a class, also for its subclasses."""

    read: Callable[[Declaration], Declaration] | None = None
    """Gives what a declaration means, in xpm's own terms."""
    open: bool = False
    """Descriptions take attributes that are no parameters."""
    unset: type[AttributeError] = AttributeError
    """What is raised for a parameter that has no value yet."""


NATIVE = Rules()


class Converted:
    """Notes that values are converted before they are checked.

    Args:
        convert: gives another value, or the same one.
    """

    def __init__(self, convert: Callable[[Any], Any]) -> None:
        self.convert = convert

    def __repr__(self) -> str:
        return f"Converted({self.convert.__name__})"
