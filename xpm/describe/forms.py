"""The forms in which a document says several values at once: `{range: [0, 1, 0.1]}` and the like."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from decimal import ROUND_CEILING, Decimal, Overflow
from math import isfinite
from typing import Any, cast

from xpm.core.kinds import shown
from xpm.describe.yamls import Node

MOST = 100_000
"""Values of one form."""
_LARGEST = Decimal(10) ** 27
"""Whole numbers below it are exact."""


def form_of(node: Node, *, takes_mappings: bool) -> str | None:
    """The form that `node` has; None if it is a plain value.

    Args:
        node: what is given.
        takes_mappings: the parameter is one that mappings are for; only `grid_search` is a form there.
    """
    if not isinstance(node.value, dict) or len(node.value) != 1:
        return None
    (name,) = node.value
    if name == "grid_search" or (name in _FORMS and not takes_mappings):
        return str(name)
    return None


def given_by(form: str, node: Node, way: str) -> list[Node]:
    """The values that `node`, which has the form `form`, gives.

    Raises:
        ConfigError: there are none, or what is said makes no sense.
    """
    (inner,) = cast("dict[str, Node]", node.value).values()
    values = _FORMS[form](inner, way)
    if not values:
        raise inner.wrong(f"{way}: {form}: gives no value")
    return values


def _range(node: Node, way: str) -> list[Node]:
    """As Python's `range`: the end is none of the values."""
    numbers = _numbers(node, way, "range: expected [start, end] or [start, end, step]", (2, 3))
    start, end, step = (*numbers, Decimal(1))[:3]
    if not step:
        raise node.wrong(f"{way}: range: the step is 0")
    count = max(0, ((end - start) / step).to_integral_value(ROUND_CEILING))
    return _made(node, way, count, lambda at: start + at * step)


def _range_mult(node: Node, way: str) -> list[Node]:
    form = "range_mult: expected [start, count, factor]"
    start, count, factor = _numbers(node, way, form, (3, 3))
    if count != int(count) or not factor:
        raise node.wrong(f"{way}: {form}, got {shown(node.plain())}")
    return _made(node, way, count, lambda at: start * factor**at)


def _numbers(node: Node, way: str, form: str, lengths: tuple[int, int]) -> list[Decimal]:
    """Decimal, as they are written: 0.1 three times is 0.3."""
    values: Any = node.plain()
    least, most = lengths
    if (
        not isinstance(values, list)
        or not least <= len(numbers := cast("list[int | float]", values)) <= most
        or not all(type(each) in (int, float) and isfinite(each) for each in numbers)
    ):
        raise node.wrong(f"{way}: {form}, got {shown(node.plain())}")
    return [Decimal(repr(each)) for each in numbers]


def _made(node: Node, way: str, count: Decimal | int, value: Callable[[int], Decimal]) -> list[Node]:
    """So many numbers, each by its index; whole ones where all that is written is whole."""
    if count > MOST:
        raise node.wrong(f"{way}: gives more than {MOST:,} values")
    whole = all(type(each) is int for each in node.plain())
    try:
        found = [value(at) for at in range(int(count))]
        if whole and not all(abs(each) < _LARGEST for each in found):
            raise Overflow
        return [replace(node, value=int(each) if whole else float(each)) for each in found]
    except (Overflow, OverflowError):
        raise node.wrong(f"{way}: gives numbers that are too large") from None


def _value(node: Node, way: str) -> list[Node]:
    return [node]


def _values_list(node: Node, way: str) -> list[Node]:
    if not isinstance(node.value, list):
        raise node.wrong(f"{way}: values_list: expected a list, got {shown(node.plain())}")
    return node.value


def _grid_search(node: Node, way: str) -> list[Node]:
    """A list, or another form."""
    if isinstance(node.value, list):
        return node.value
    form = form_of(node, takes_mappings=False)
    if form in (None, "grid_search"):
        known = ", ".join(each for each in _FORMS if each != "grid_search")
        raise node.wrong(f"{way}: grid_search: expected a list or one of {known}, got {shown(node.plain())}")
    return given_by(form, node, way)


_FORMS: dict[str, Callable[[Node, str], list[Node]]] = {
    "range": _range,
    "range_mult": _range_mult,
    "value": _value,
    "values_list": _values_list,
    "grid_search": _grid_search,
}
