"""Values of parameters as other languages read them: as text, and as plain data for JSON and YAML."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from enum import Enum
from pathlib import PurePath
from types import FunctionType
from typing import Any, TypeGuard, cast

from xpm.core.functions import Function
from xpm.core.info import Described, Submittable, info_of
from xpm.core.live import author_class
from xpm.core.schema import schema_of


class Absent(ValueError):
    """There is no value: it is None."""


def text_of(value: object) -> str:
    """A single value as text: `true`, `0.1`, `rbf`.

    Raises:
        Absent: it is None.
        ValueError: it has parts; the message begins with "is".
    """
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Enum):
        return value.value if isinstance(value.value, str) else value.name
    if isinstance(value, PurePath):
        text = str(value)
        return f"./{text}" if text.startswith("-") else text  # the same file, and no option
    if isinstance(value, str | int | float):
        return str(value)
    if value is None:
        raise Absent("is None, which only an option(...) leaves out")
    if is_listed(value):
        raise ValueError("is a list, which only each(...) and option(...) take")
    raise ValueError("is no single value: have it written by Command(..., parameters='parameters.json')")


def is_listed(value: object) -> TypeGuard[Collection[object]]:
    """Whether it has elements that can each be an argument."""
    return isinstance(value, list | tuple | set | frozenset)


def elements(value: object) -> list[object]:
    """The elements of a list, a tuple or a set, in an order that is always the same; a single value itself."""
    if isinstance(value, set | frozenset):
        return _ordered(cast("Collection[Any]", value))
    return list(value) if is_listed(value) else [value]


def _ordered(values: Collection[Any]) -> list[Any]:
    try:
        return sorted(values)
    except TypeError:
        return sorted(values, key=repr)


def plain(value: Any) -> Any:
    """A live value as JSON has it.

    A config is an object of its parameters, a task also of its `jobpath`; an enum's member is its value where that is a
    text, else its name; sets are sorted lists; numbers that JSON lacks are the texts `nan`, `inf` and `-inf`.
    """
    if isinstance(value, Enum | PurePath):
        return text_of(value) if isinstance(value, Enum) else str(value)
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, Mapping):
        return {_key(key): plain(each) for key, each in cast("Mapping[Any, Any]", value).items()}
    if is_listed(value):
        found = [plain(each) for each in value]
        return _ordered(found) if isinstance(value, set | frozenset) else found
    if isinstance(value, Described):
        return parameters_of(value)
    if isinstance(value, FunctionType | Function):
        return f"{value.__module__}.{value.__qualname__}" if isinstance(value, FunctionType) else value.name
    return value


def parameters_of(config: Any) -> dict[str, Any]:
    """The parameters of a live config as plain data; of a task with a job, its directory, too."""
    found = {name: plain(getattr(config, name)) for name in schema_of(author_class(config)).fields}
    info = info_of(config)
    if isinstance(config, Submittable) and info is not None and info.ref is not None:
        found["jobpath"] = str(cast("Any", config).jobpath)
    return found


def _key(key: object) -> str:
    return ",".join(map(_key, cast("tuple[object, ...]", key))) if is_listed(key) else text_of(key)
