"""Configs as plain data, and when two of them are the same experiment: an own reading of docs/identifiers.md.

Nothing here packs, sorts or hashes bytes, and nothing is taken from `xpm.core`: what a config means is nested tuples
and frozensets that Python compares.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from parameters import Class


class _Nothing:
    def __repr__(self) -> str:
        return "nothing"


NOTHING = _Nothing()
"""Where a parameter has no default."""


class _LeftOut:
    def __repr__(self) -> str:
        return "left out"


LEFT_OUT = _LeftOut()
"""The value of a parameter that holds some description which was set not to count."""


@dataclass(frozen=True, eq=False, slots=True)
class Member:
    """A member of an enum."""

    enum: str
    name: str


@dataclass(frozen=True, eq=False, slots=True)
class Route:
    """A path."""

    absolute: bool
    parts: tuple[str, ...]


@dataclass(frozen=True, eq=False, slots=True)
class Called:
    """A function."""

    name: str


@dataclass(frozen=True, eq=False, slots=True)
class Many:
    """A list, tuple, set or frozenset, as `form` says."""

    form: str
    items: tuple[Any, ...]


@dataclass(frozen=True, eq=False, slots=True)
class Table:
    """A dict."""

    pairs: tuple[tuple[Any, Any], ...]


@dataclass(eq=False, slots=True)
class Made:
    """A description; one of an `InstanceConfig` is the same one wherever this very object is."""

    of: Class
    values: dict[str, Any]
    """Of a `Meta` there is one only when it is a description that was set to count."""
    counts: bool = False
    """It was set to count."""
    init: tuple[Made, ...] = ()
    """What the task was submitted with."""
    known: Hashable = field(default=None, repr=False)
    """What it means, once that was asked."""


@dataclass(frozen=True, eq=False, slots=True)
class Output:
    """What a task gives out."""

    task: Made


def meaning(value: Any) -> Hashable:
    """What is the same for values that count alike, where an `InstanceConfig` is taken for a `Config`."""
    kind = type(value)
    if value is None or kind in (bool, int, str):
        return (kind.__name__, value)
    if kind is float:
        return ("float", "nan" if value != value else value)
    if kind is Made:
        if value.known is None:
            value.known = _made(value)
        return value.known
    if kind is Many:
        found = [meaning(each) for each in value.items]
        # A set and a frozenset of the same are one to identifiers.
        return ("set", frozenset(found)) if value.form in ("set", "frozenset") else (value.form, *found)
    if kind is Table:
        return ("dict", frozenset((meaning(key), meaning(each)) for key, each in value.pairs))
    if kind is Output:
        return ("output", _given_out(value.task), meaning(value.task))
    return _leaf(value)


def _leaf(value: Any) -> Hashable:
    if type(value) is Member:
        return ("enum", value.enum, value.name)
    if type(value) is Route:
        return ("path", value.absolute, value.parts)
    if type(value) is Called:
        return ("function", value.name)
    raise TypeError(f"{value!r} means nothing")


def _given_out(task: Made) -> Hashable:
    """What the output of `task` means but for who has made it: see `configs.OUTPUT`."""
    assert task.of.gives is not None
    return ("config", task.of.gives.known_as, frozenset({("n", meaning(task.values["n"]))}))


def _made(made: Made) -> Hashable:
    own = (made.of.known_as, frozenset((name, meaning(value)) for name, value in counting(made)))
    if not made.of.task:
        return ("config", *own)
    return ("task", *own, tuple(map(meaning, made.init)), partition(made))


def counting(made: Made) -> Iterator[tuple[str, Any]]:
    """The parameters that count, with their values."""
    for each in made.of.fields:
        if each.role == "Constant":
            yield each.name, each.default
            continue
        value = made.values.get(each.name, LEFT_OUT)
        if value is not LEFT_OUT and not (each.ignore and meaning(value) == meaning(each.default)):
            yield each.name, value


def partition(made: Made) -> Hashable:
    """Which places have one description of an `InstanceConfig`."""
    found: dict[int, list[Hashable]] = {}
    for name, value in counting(made):
        _places(value, (name,), found)
    for at, each in enumerate(made.init):
        _places(each, ("init", at), found)
    return frozenset(frozenset(places) for places in found.values())


def _places(value: Any, way: tuple[Hashable, ...], found: dict[int, list[Hashable]]) -> None:
    kind = type(value)
    if kind is Made:
        if value.of.task:
            return
        if value.of.instanced:
            found.setdefault(id(value), []).append(way)
        for name, each in counting(value):
            _places(each, (*way, name), found)
    elif kind is Many:
        named = value.form in ("set", "frozenset")
        for at, each in enumerate(value.items):
            _places(each, (*way, meaning(each) if named else at), found)
    elif kind is Table:
        for key, each in value.pairs:
            _places(each, (*way, meaning(key)), found)


def experiment(made: Made) -> Hashable:
    """What is the same for descriptions that have one identifier."""
    return meaning(made) if made.of.task else (meaning(made), partition(made))


def inside(value: Any) -> Iterator[Any]:
    """The value and all that is in it."""
    yield value
    if type(value) is Made:
        for each in (*value.values.values(), *value.init):
            yield from inside(each)
    elif type(value) is Many:
        for each in value.items:
            yield from inside(each)
    elif type(value) is Table:
        for pair in value.pairs:
            for each in pair:
                yield from inside(each)
    elif type(value) is Output:
        yield from inside(value.task)
