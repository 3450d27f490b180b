"""Limits of parameters beside their types: `Choices`, `Range`."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable
from typing import Any, cast

from xpm.core.kinds import Kind, Mismatch, Unsupported, shown
from xpm.core.rules import Converted
from xpm.core.spelling import nearest
from xpm.errors import ConfigError


class Choices:
    """The values that a parameter can have: `Annotated[Param[str], Choices(["relu", "gelu"])]`.

    Args:
        values: at least one; each must be of the parameter's type.
    """

    def __init__(self, values: Iterable[Any]) -> None:
        given = cast("object", values)
        if isinstance(given, str) or not isinstance(given, Iterable):
            raise ConfigError(f"Choices: expected a list of values, got {given!r}")
        self.values = tuple(values)
        if not self.values:
            raise ConfigError(f"Choices: expected a list of values, got {given!r}")

    def __repr__(self) -> str:
        return f"Choices({list(self.values)!r})"


class Range:
    """The limits of a number: `Annotated[Param[float], Range(gt=0, le=1)]`.

    Args:
        ge: it is not less than this.
        gt: it is greater.
        le: it is not greater.
        lt: it is less.
    """

    def __init__(
        self,
        *,
        ge: float | None = None,
        gt: float | None = None,
        le: float | None = None,
        lt: float | None = None,
    ) -> None:
        self.ge, self.gt, self.le, self.lt = ge, gt, le, lt

    def __repr__(self) -> str:
        return f"Range({', '.join(f'{name}={limit!r}' for name, limit in vars(self).items() if limit is not None)})"


_SIGNS = {"ge": ">=", "gt": ">", "le": "<=", "lt": "<"}
_HOLDS: dict[str, Callable[[Any, Any], bool]] = {
    "ge": operator.ge,
    "gt": operator.gt,
    "le": operator.le,
    "lt": operator.lt,
}
LIMITS = tuple(_SIGNS)


def limited(kind: Kind, notes: Iterable[Any]) -> Kind:
    """The kind of the values of `kind` that are within the limits among `notes`; others notes say nothing here.

    Limits of the library annotated-types, such as `Gt(0)` or `Interval(ge=0, lt=1)`, are limits, too.

    Raises:
        Unsupported: a choice isn't of that kind, or a limit isn't for it.
    """
    for note in notes:
        if isinstance(note, Choices):
            kind = _chosen(kind, note)
        elif isinstance(note, Converted):
            kind = _converted(kind, note)
        else:
            limits = {name: limit for name in _SIGNS if (limit := getattr(note, name, None)) is not None}
            if limits and not isinstance(note, type):
                kind = _within(kind, limits)
    return kind


def _converted(kind: Kind, note: Converted) -> Kind:
    inner, convert = kind.check, note.convert

    def check(value: Any) -> Any:
        return inner(convert(value))

    return kind._replace(check=check)


def _chosen(kind: Kind, choices: Choices) -> Kind:
    try:
        allowed = [kind.check(value) for value in choices.values]
    except Mismatch as wrong:
        raise Unsupported(f"a choice is wrong: {wrong.message}") from None
    inner = kind.check

    def check(value: Any) -> Any:
        stored = inner(value)
        if not any(stored == each and type(stored) is type(each) for each in allowed):
            hint = (
                nearest(stored, [each for each in allowed if isinstance(each, str)])
                if isinstance(stored, str)
                else ""
            )
            raise Mismatch(f"expected one of {', '.join(map(shown, allowed))}, got {shown(value)}{hint}")
        return stored

    return kind._replace(check=check, exact=False)


def _within(kind: Kind, limits: dict[str, Any]) -> Kind:
    if not kind.number:
        raise Unsupported(f"a range is for numbers, not for {kind.name}")
    name = f"{kind.name} {' and '.join(f'{_SIGNS[each]} {limit!r}' for each, limit in limits.items())}"
    inner = kind.check
    bounds = [(_HOLDS[each], limit) for each, limit in limits.items()]

    def check(value: Any) -> Any:
        stored = inner(value)
        if stored is not None:
            for holds, limit in bounds:
                if not holds(stored, limit):
                    raise Mismatch(f"expected {name}, got {shown(value)}")
        return stored

    return kind._replace(name=name, check=check, exact=False)
