"""Types of parameters as they are written in YAML: `list[int]`, `Model | None`."""

from __future__ import annotations

import ast
from collections.abc import Collection
from pathlib import Path
from typing import Any, ForwardRef, Union

from xpm.core.spelling import nearest

_PLAIN: dict[str, Any] = {
    "int": int,
    "float": float,
    "str": str,
    "bool": bool,
    "path": Path,
    "any": Any,
    "None": None,
}
_GENERIC: dict[str, Any] = {"list": list, "set": set, "dict": dict, "tuple": tuple}


class NoType(Exception):
    """A text that is no type; the message says why."""


def type_of(text: str, defined: Collection[str]) -> Any:
    """The type that `text` names; a defined one stands in it by a forward reference.

    Args:
        text: as it is written.
        defined: the names of types and tasks.

    Raises:
        NoType: there is none of a name, or the text isn't made like a type.
    """
    try:
        found = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError):
        raise NoType(f"{text!r} is no type, as int, list[float] or Model | None are") from None
    return _read(found, text, defined)


def _read(node: ast.expr, text: str, defined: Collection[str]) -> Any:
    match node:
        case ast.Constant(value=None):
            return None
        case ast.Name(id=name) if name in defined:
            return ForwardRef(name)
        case ast.Name(id=name) if name in _PLAIN:
            return _PLAIN[name]
        case ast.Name(id=name):
            known = [*_PLAIN, *defined]
            hint = nearest(name, known) or f"; there are {', '.join(known)}"
            raise NoType(f"no type {name!r}{hint}")
        case ast.BinOp(left=left, op=ast.BitOr(), right=right):
            return Union[_read(left, text, defined), _read(right, text, defined)]  # noqa: UP007 - a forward reference has no `|`
        case ast.Subscript(value=ast.Name(id=name), slice=of) if name in _GENERIC:
            arguments = of.elts if isinstance(of, ast.Tuple) else [of]
            return _GENERIC[name][tuple(_element(each, text, defined) for each in arguments)]
        case _:
            raise NoType(f"{text!r} is no type, as int, list[float] or Model | None are")


def _element(node: ast.expr, text: str, defined: Collection[str]) -> Any:
    return ... if isinstance(node, ast.Constant) and node.value is ... else _read(node, text, defined)
