"""What declarations mean in classes that were written for experimaestro."""

from __future__ import annotations

import types
from collections.abc import Callable, Iterable
from pathlib import PurePath
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from xpm.core.fields import UNSET, Field, Foreign, Groups, ParameterGroup, PathContext, PathGenerator, Role
from xpm.core.limits import Choices
from xpm.core.rules import Converted, Declaration, Rules
from xpm.errors import ConfigError


class Missing(AttributeError, KeyError):
    """A parameter has no value yet: code that was written for experimaestro expects a `KeyError`."""

    __str__ = AttributeError.__str__


def field(
    *,
    default: Any = None,
    default_factory: Callable[[], Any] | None = None,
    ignore_default: Any = None,
    ignore_generated: bool = False,
    overrides: bool = False,
    groups: Iterable[ParameterGroup] | None = None,
) -> Any:
    """Declares a parameter's default.

    Args:
        default: the value when none is given; None is no default.
        default_factory: called for each description to make that value; or a `PathGenerator`.
        ignore_default: True to leave the parameter out of the identifier while its value is the default; any other
            value is the default itself, which is left out.
        ignore_generated: take a config that belongs to another task, too, where its generated paths lie.
        overrides: the parameter is one of a base class, too, which needs no saying here.
        groups: the groups that it is in, for `partial`.

    Raises:
        ConfigError: these don't go together.
    """
    if ignore_default is not None and not isinstance(ignore_default, bool):
        if default is not None:
            raise ConfigError("field: give the default once, as default=... with ignore_default=True")
        default, ignore_default = ignore_default, True
    if default is not None and default_factory is not None:
        raise ConfigError("field: give default or default_factory, not both")
    notes: tuple[Any, ...] = (Foreign(),) if ignore_generated else ()
    if groups:
        notes = (*notes, Groups(groups))
    return Field(UNSET if default is None else default, default_factory, bool(ignore_default), notes)


def pathgenerator(name: str | Callable[[PathContext, Any], str | PurePath]) -> PathGenerator:
    """A note, beside `Path` in `Annotated`, that the path is made at submission."""
    return PathGenerator(name)


def _as_int(value: Any) -> Any:
    """A bool, a whole float or a text of digits as an int."""
    if isinstance(value, bool) or (isinstance(value, float) and value.is_integer()):
        return int(value)
    return _parsed(int, value)


def _as_float(value: Any) -> Any:
    """A bool or a text as a float."""
    return float(value) if isinstance(value, bool) else _parsed(float, value)


_BOOLS = {
    **dict.fromkeys(("1", "true", "t", "yes", "y", "on"), True),
    **dict.fromkeys(("0", "false", "f", "no", "n", "off"), False),
}


def _as_bool(value: Any) -> Any:
    """0, 1, and the words for them."""
    if isinstance(value, str):
        return _BOOLS.get(value.lower(), value)
    return bool(value) if isinstance(value, int | float) and value in (0, 1) else value


def _parsed(number: Callable[[str], Any], value: Any) -> Any:
    if not isinstance(value, str):
        return value
    try:
        return number(value)
    except ValueError:
        return value


_LAX = {int: Converted(_as_int), float: Converted(_as_float), bool: Converted(_as_bool)}


def _lax(hint: Any) -> Any:
    """The type `hint`, which takes also what converts to its numbers and bools."""
    if isinstance(hint, type) and hint in _LAX:
        return Annotated[hint, _LAX[hint]]
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return Annotated[(_lax(arguments[0]), *arguments[1:])]
    if origin is None or origin is Literal:
        return hint
    inner = tuple(each if each is ... else _lax(each) for each in arguments)
    if origin is Union or origin is types.UnionType:
        return Union[inner]  # noqa: UP007 - of how many there are
    if origin in (list, tuple, set, frozenset, dict):
        container: Any = origin
        return container[inner]
    return hint


def _is_optional(hint: Any) -> bool:
    return get_origin(hint) in (Union, types.UnionType) and type(None) in get_args(hint)


def _is_path(hint: Any) -> bool:
    if _is_optional(hint):
        return all(each is type(None) or _is_path(each) for each in get_args(hint))
    return isinstance(hint, type) and issubclass(hint, PurePath)


def read(declaration: Declaration) -> Declaration:
    """What a declaration means, in xpm's own terms."""
    of, notes, given = declaration
    role = next((note for note in notes if isinstance(note, Role)), None)
    generator = next((note for note in notes if isinstance(note, PathGenerator)), None)
    if role is None:
        if generator is None and not any(isinstance(note, Choices) for note in notes):
            return declaration
        role = Role.PARAM
    others = tuple(note for note in notes if note is not role and note is not generator)
    if generator is not None:
        given = Field(UNSET, generator, False)
    elif given is not UNSET and not isinstance(given, Field):
        given = Field(given, None, role is not Role.CONSTANT)
    elif _is_optional(of) and (given is UNSET or (given.default is UNSET and given.default_factory is None)):
        given = Field(None, None, True, () if given is UNSET else given.notes)
    if role is Role.PARAM and _is_path(of):
        role = Role.META  # paths never count there
    return Declaration(_lax(of), (role, *others), given)


RULES = Rules(read, open=True, unset=Missing)
"""Those of experimaestro 2: bare defaults and paths don't count, an `Optional` has the default None, numbers may be texts."""
