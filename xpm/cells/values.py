"""What of a notebook's variables can be written as source: plain values as they are, and what a line makes anew."""

from __future__ import annotations

import math
import re
import sys
import typing
from collections.abc import Callable, Iterable
from dataclasses import fields, is_dataclass
from enum import Enum
from functools import partial
from logging import Logger
from pathlib import PurePath
from types import BuiltinFunctionType, FunctionType, GenericAlias, ModuleType, UnionType
from typing import Any, cast

from xpm.core.info import Description, info_of

LARGEST = 64 << 10
"""The longest text that a value may take as source: more is data."""

_MADE_ANEW = (
    *(ModuleType, type, FunctionType, BuiltinFunctionType, partial, GenericAlias, UnionType),
    *(PurePath, re.Pattern, Enum, Logger),
)
"""Of these, the line that made one makes an equal one."""

_SHAPES: dict[type, Callable[[list[str]], str]] = {
    list: lambda parts: f"[{', '.join(parts)}]",
    tuple: lambda parts: f"({', '.join(parts)}{',' * (len(parts) == 1)})",
    set: lambda parts: f"{{{', '.join(sorted(parts))}}}" if parts else "set()",
    frozenset: lambda parts: f"frozenset({{{', '.join(sorted(parts))}}})" if parts else "frozenset()",
}


def literal(value: Any) -> str | None:
    """A plain value as source: a number, a text, `None`, or a container of them; None of anything else."""
    kind = cast("type[Any]", type(value))
    if kind in (bool, int, str, bytes, type(None), type(...), complex, range):
        return repr(value)
    if kind is float:
        return repr(value) if math.isfinite(value) else f"float({str(value)!r})"
    if kind is dict:
        pairs = cast("dict[Any, Any]", value).items()
        parts = _all(part for pair in pairs for part in pair)
        if parts is None:
            return None
        return f"{{{', '.join(f'{key}: {of}' for key, of in zip(parts[::2], parts[1::2], strict=True))}}}"
    if kind in _SHAPES:
        parts = _all(value)
        return None if parts is None else _SHAPES[kind](parts)
    return None


def _all(values: Iterable[Any]) -> list[str] | None:
    found: list[str] = []
    for value in values:
        text = literal(value)
        if text is None:
            return None
        found.append(text)
    return found


def made_anew(value: Any) -> bool:
    """Whether the line that made `value` makes an equal one elsewhere: a class, a module, a path, a type, or some of them."""
    if isinstance(value, _MADE_ANEW) or type(value).__module__ in ("typing", "typing_extensions"):
        return True
    if isinstance(value, Description):
        info = info_of(value)  # one that was submitted or changed is not what its line says
        return info is not None and info.ref is None and not info.places
    return _parts_made_anew(value, cast("type[Any]", type(value)))


def _parts_made_anew(value: Any, kind: type[Any]) -> bool:
    if is_dataclass(kind) and getattr(kind, "__dataclass_params__").frozen:  # noqa: B009 - no type knows it
        return all(made_anew(getattr(value, each.name)) for each in fields(kind))
    if kind is dict:
        return all(made_anew(part) for pair in value.items() for part in pair)
    if kind in _SHAPES or (tuple in kind.__mro__ and hasattr(kind, "_fields")):
        return all(map(made_anew, value))
    return literal(value) is not None or isinstance(value, typing.TypeVar)


def importable(value: Any) -> tuple[str, str] | None:
    """The module and the name that give `value`, if it comes from a module; the name is empty for a module itself."""
    if isinstance(value, ModuleType):
        return (value.__name__, "") if sys.modules.get(value.__name__) is value else None
    module, name = getattr(value, "__module__", None), getattr(value, "__qualname__", None)
    if not isinstance(module, str) or not isinstance(name, str) or module == "__main__" or "." in name:
        return None
    return (module, name) if getattr(sys.modules.get(module), name, None) is value else None
