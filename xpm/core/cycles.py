"""Cycles among descriptions, looked for only when something has gone wrong already.

A task is submitted before those that use it, so the graph can have none; who tries is told where it lies.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterator, Mapping
from enum import Enum
from typing import Any, cast

from xpm.core.info import Description, info_of

Step = tuple[object, bool]
"""A parameter's name and True, or an element's key and False."""


def way_back(config: Any, to: Collection[int]) -> tuple[Step, ...] | None:
    """The shortest way from the description `config` to one whose `id` is in `to`, None if there is none."""
    seen = {id(config)}
    ways: deque[tuple[Any, tuple[Step, ...]]] = deque([(config, ())])
    while ways:
        here, way = ways.popleft()
        for step, each in _below(here):
            if id(each) in to:
                return (*way, step)
            if id(each) not in seen:
                seen.add(id(each))
                ways.append((each, (*way, step)))
    return None


def _below(value: Any) -> Iterator[tuple[Step, Any]]:
    """What the description or the container `value` holds."""
    if isinstance(value, Description):
        held: Any = value
        info = info_of(held)
        if info is not None and info.sealed:  # what is below was looked at then, and is as it was
            return
        for name in held.__xpm_schema__.holders:
            if name in held.__dict__:
                yield (name, True), held.__dict__[name]
    elif isinstance(value, Mapping):
        for key, each in cast("Mapping[Any, Any]", value).items():
            yield (key.name if isinstance(key, Enum) else key, False), each
    elif isinstance(value, (list, tuple)):
        for place, each in enumerate(cast("list[Any]", value)):
            yield (place, False), each
    elif isinstance(value, (set, frozenset)):
        for each in cast("set[Any]", value):
            yield ("", False), each
