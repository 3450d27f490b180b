"""Which descriptions of a grid are meant, and which belong together, by their tags."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

from xpm.core.info import Submittable
from xpm.core.naming import last_name
from xpm.core.sources import Source
from xpm.core.spelling import nearest
from xpm.core.tags import label_of, labelled, tags_of
from xpm.errors import UsageError
from xpm.types import Scalar

T = TypeVar("T")
U = TypeVar("U")

Key = tuple[tuple[type, Scalar], ...]
"""Values of tags, told apart by their types, too: True is not 1."""


def test_of(text: str, tags: Sequence[str]) -> Callable[[Any], bool]:
    """What says whether the filter `text` keeps a description of a grid with these tags.

    Raises:
        UsageError: it is no filter, or asks for what there isn't.
    """
    language: Any = importlib.import_module("xpm.core.filter")  # its parser takes a while to load
    wanted = language.parse(text)
    for name in wanted.names():
        if name in ("task", "label"):
            continue
        if name in language.FIELDS:
            also = f"; the tag is {language.TAG}{name}" if name in tags else ""
            raise UsageError(f"where: {name}: what isn't submitted has none{also}")
        if name not in tags:
            _refuse_unknown("where", [name.removeprefix(language.TAG)], tags)

    def keeps(config: Any) -> bool:
        its = tags_of(config)

        def look(name: str) -> Sequence[Scalar]:
            if name == "task":
                whole = config.__xpm_schema__.name
                return (whole, last_name(whole))
            if name == "label":
                return (
                    label_of(config, its)
                    if isinstance(config, Submittable)
                    else labelled(type(config).__name__, its),
                )
            tag = name if name in its else name.removeprefix(language.TAG)
            return (its[tag],) if tag in its else ()

        return wanted.keeps(look)

    return keeps


def groups(source: Source[Any], tags: Sequence[str]) -> list[tuple[tuple[Scalar, ...], list[int]]]:
    """The indices of descriptions with equal values of these tags, in the order of the first ones.

    Raises:
        UsageError: there is no such tag.
    """
    _refuse_unknown("group_by", tags, source.names)
    found: dict[Key, list[int]] = {}
    for index, each in enumerate(source):
        its = tags_of(each)
        found.setdefault(_key(its.get(name) for name in tags), []).append(index)
    return [(tuple(value for _, value in key), indices) for key, indices in found.items()]


def pairs(left: Source[T], right: Source[U], on: Sequence[str] | None) -> list[tuple[T, U]]:
    """The pairs of descriptions with equal values of these tags, by default of all that both have.

    Raises:
        UsageError: there is no such tag.
    """
    names = [name for name in left.names if name in right.names] if on is None else on
    if not names:
        raise UsageError("join: the grids have no tag in common; name some by on=")
    for source in (left, right):
        _refuse_unknown("join", names, source.names)
    others: dict[Key, list[U]] = {}
    for other in right:
        its = tags_of(other)
        if all(name in its for name in names):
            others.setdefault(_key(its[name] for name in names), []).append(other)
    found: list[tuple[T, U]] = []
    for each in left:
        its = tags_of(each)
        if all(name in its for name in names):
            found.extend((each, other) for other in others.get(_key(its[name] for name in names), ()))
    return found


def _key(values: Iterable[Scalar]) -> Key:
    return tuple((type(value), value) for value in values)


def _refuse_unknown(place: str, names: Iterable[str], tags: Sequence[str]) -> None:
    for name in names:
        if name not in tags:
            there = f"; there are {', '.join(tags)}" if tags else ": it has none"
            raise UsageError(f"{place}: the grid has no tag {name!r}{nearest(name, tags) or there}")
