"""Where values are in a description: for messages, and for the folders that generated paths lie in."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from enum import Enum
from typing import Any, cast

from xpm.core.cycles import Step
from xpm.core.frozen import FrozenDict, FrozenList, FrozenSet
from xpm.core.identifier import identifier
from xpm.core.info import Description, Submittable, info_of
from xpm.core.kinds import shown

Place = tuple["Place | None", object, bool]
"""Where its holder is, its parameter or key, whether that is a parameter; names are made of it only when needed."""


def elements(value: Any) -> Iterator[tuple[object, Any]]:
    """The elements of a container that may be descriptions, with their index or key."""
    kind: type[Any] = value.__class__
    if kind in (FrozenDict, dict):
        for key, each in cast("dict[Any, Any]", value).items():
            yield (key.name if isinstance(key, Enum) else key), each
    elif kind in (FrozenList, list, tuple):
        yield from enumerate(cast("list[Any]", value))
    elif kind in (FrozenSet, set, frozenset):
        for each in cast("set[Any]", value):
            # A set has no order of its own, its elements' identifiers have.
            yield (identifier(each)[:16] if isinstance(each, Description) else ""), each


def path_of(place: Place | None) -> list[Step]:
    """The parameters and keys that lead to `place`."""
    found: list[Step] = []
    while place is not None:
        place, key, parameter = place
        found.append((key, parameter))
    return found[::-1]


def steps(path: Iterable[Step]) -> str:
    """A way for a message: `.models[0].layers`."""
    return "".join(f".{key}" if parameter else f"[{shown(key)}]" for key, parameter in path)


def place_text(label: str, place: Place | None) -> str:
    """The place for a message: `Train.models[0].layers`."""
    return label + steps(path_of(place))


def folder_of(folder: str, place: Place | None) -> str:
    """The place as a folder of a job: `out/models/0`."""
    if place is None:
        return folder
    return "/".join([folder or "out", *(_segment(key) for key, _ in path_of(place))])


def folders_in(config: Any) -> dict[int, str]:
    """The folders that the generated paths of `config` and of what is in it lie in, by the descriptions' `id`.

    Those of a config that is found in two places lie where it is found first. Other tasks are left out.
    """
    found: dict[int, str] = {}

    def look(value: Any, place: Place | None) -> None:
        if not isinstance(value, Description):
            for key, each in elements(value):
                look(each, (place, key, False))
        elif id(value) not in found and (place is None or not isinstance(value, Submittable)):
            found[id(value)] = folder_of("", place)
            held: Any = value
            for name in held.__xpm_schema__.holders:
                look(held.__dict__.get(name), (place, name, True))

    look(config, None)
    info = info_of(config)
    for at, each in enumerate(() if info is None else info.init):
        look(each, ((None, "init_tasks", True), at, False))
    return found


def _segment(key: object) -> str:
    """`key` as the name of a folder."""
    text = str(key)
    safe = "".join(c if c.isascii() and (c.isalnum() or c in "_-.") else f"%{ord(c):02X}" for c in text)
    return f"%{ord(safe[0]):02X}{safe[1:]}" if safe[:1] == "." else safe or "%"
