"""From the values of YAML files to the typed configuration of an experiment."""

from __future__ import annotations

import types
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import replace
from enum import Enum
from typing import Annotated, Any, Union, cast, get_args, get_origin

from xpm.core.annotations import kind_of
from xpm.core.fields import UNSET
from xpm.core.kinds import Mismatch, Unsupported, shown
from xpm.core.spelling import nearest
from xpm.describe.configuration import (
    Spread,
    Varied,
    Way,
    dotted,
    is_configuration,
    made_of,
    parameters_of,
    varies,
)
from xpm.describe.forms import form_of, given_by
from xpm.describe.yamls import Node
from xpm.errors import ConfigError

Layers = tuple[Node, ...]
"""What is given for one value, the strongest last; at least one."""


def typed(cls: type[Any], layers: Layers, *, beside: Iterable[str] = ()) -> Any:
    """The configuration of the class `cls` that some documents give.

    Args:
        cls: a configuration class.
        layers: the documents, the strongest last.
        beside: keys of the documents that are no parameters, unless the class has them.

    Raises:
        ConfigError: a value doesn't fit, is missing, or no parameter has its name; with its place and dotted way.
    """
    return _configuration(cls, layers, (), UNSET, tuple(beside))


def _configuration(cls: type[Any], layers: Layers, way: Way, base: Any, beside: tuple[str, ...] = ()) -> Any:
    given = _merged(layers, dotted(way) or "the parameters")
    parameters = parameters_of(cls)
    for name, nodes in given.items():
        if name not in parameters and name not in beside:
            hint = (
                nearest(name, parameters)
                or nearest(name, beside)
                or f"; there are {', '.join(parameters) or 'none'}"
            )
            raise nodes[-1].wrong(f"{dotted((*way, name))}: no such parameter{hint}")
    values: dict[str, Any] = {}
    for name, each in parameters.items():
        default = each.made() if base is UNSET else getattr(base, name)
        inner = (*way, name)
        if name in given:
            values[name] = fitted(given[name], each.hint, inner, default)
        elif default is UNSET:
            written = next((node for node in reversed(layers) if node.line), layers[-1])
            raise written.wrong(f"{dotted(inner)}: is missing; expected {named(each.hint)}")
        else:
            values[name] = _default(cls, name, each.hint, default)
    try:
        return made_of(cls, values)
    except ValueError as wrong:  # of its __post_init__
        raise layers[-1].wrong(f"{dotted(way) or cls.__name__}: {wrong}") from wrong


def _merged(layers: Layers, what: str) -> dict[str, Layers]:
    """What the mappings give by name, but for those below something else, which hides them."""
    found: dict[str, Layers] = {}
    for node in _visible(layers):
        for name, each in node.mapping(what).items():
            found[name] = (*found.get(name, ()), each)
    return found


def _visible(layers: Layers) -> Layers:
    least = max((at for at, node in enumerate(layers) if not isinstance(node.value, dict)), default=-1)
    return layers[-1:] if least == len(layers) - 1 else layers[least + 1 :]


def _default(cls: type[Any], name: str, hint: Any, value: Any) -> Any:
    """A default, checked as a given value is, unless it is, or has in it, a configuration."""
    try:
        return kind_of(hint).check(value)
    except Unsupported:
        return value
    except Mismatch as wrong:
        raise ConfigError(f"{cls.__name__}.{name}{wrong.where}: {wrong.message}") from None


def fitted(layers: Layers, hint: Any, way: Way, default: Any = UNSET) -> Any:
    """The value of the type `hint` that is given; a `Varied` where several are.

    Args:
        layers: what is given.
        hint: the parameter's type.
        way: the way to the parameter.
        default: what a configuration has where nothing is given.

    Raises:
        ConfigError: it doesn't fit.
    """
    node = layers[-1]
    kinds = {_form(each) for each in _members(hint)}
    if isinstance(node.value, list) and list not in kinds and _is_spread(hint):
        node = replace(node, value={"grid_search": node}, text=None)
    form = form_of(node, takes_mappings=dict in kinds)
    if form is not None:
        values = given_by(form, node, dotted(way))
        if list in kinds and form != "grid_search":
            return fitted((replace(node, value=values),), hint, way)
        chosen = [fitted((each,), hint, way, default) for each in values]
        if len(chosen) == 1:
            return chosen[0]
        _refuse_varied(node, way, chosen)
        return Varied(chosen, node.place)
    value = _bare(layers, hint, way, default)
    if get_origin(hint) is Annotated:
        return checked(node, hint, way, value)
    return value


def _bare(layers: Layers, hint: Any, way: Way, default: Any) -> Any:
    """The value, without a look at limits."""
    members = _members(hint)
    if len(members) > 1:
        return _one_of(layers, hint, way, default)
    of, node = members[0], layers[-1]
    if is_configuration(of):
        base = default if type(default) is of else UNSET
        if not isinstance(node.value, dict):
            raise _mismatch(node, way, of)
        return _configuration(of, layers, way, base)
    if isinstance(node.value, dict) and _form(of) is dict:
        return _mapping(layers, of, way)
    if isinstance(node.value, list) and _form(of) is list:
        return _sequence(node, of, way)
    if isinstance(of, type) and issubclass(of, Enum):
        return _member(node, of, way)
    try:
        return checked(node, of, way, node.plain())
    except ConfigError as wrong:
        if isinstance(node.value, list):
            raise ConfigError(f"{wrong}; to vary it, write {{values_list: [...]}}") from None
        raise


def _one_of(layers: Layers, hint: Any, way: Way, default: Any) -> Any:
    """The value of a union: as the one member that takes such a form, or the first that takes it."""
    node = layers[-1]
    form = type(node.value) if isinstance(node.value, (dict, list)) else object
    able = [each for each in _members(hint) if _form(each) is form]
    able.sort(key=lambda each: each is not type(node.value))
    if len(able) == 1:
        return fitted(layers, able[0], way, default)
    for each in able:
        try:
            return fitted(layers, each, way, default)
        except ConfigError:
            continue
    raise _mismatch(node, way, hint)


def _mapping(layers: Layers, of: Any, way: Way) -> Any:
    key, value = get_args(of) or (Any, Any)
    merged: dict[Any, Layers] = {}
    for node in _visible(layers):
        for name, each in cast("dict[Any, Node]", node.value).items():
            merged[name] = (*merged.get(name, ()), each)
    found: dict[Any, Any] = {}
    for name, nodes in merged.items():
        inner = (*way, str(name))
        named = replace(nodes[-1], value=name, text=None)
        found[fitted((named,), key, inner)] = fitted(nodes, value, inner)
    return found


def _sequence(node: Node, of: Any, way: Way) -> Any:
    origin: Any = get_origin(of)
    arguments = get_args(of)
    items = cast("list[Node]", node.value)
    fixed = origin is tuple and arguments[-1:] != (...,)
    if fixed and len(arguments) != len(items):
        raise node.wrong(f"{dotted(way)}: expected {named(of)}, got {len(items)} values")
    hints = arguments if fixed else arguments[:1] * len(items)
    values = [fitted((each,), hints[at], (*way, at)) for at, each in enumerate(items)]
    if origin in (list, Sequence):
        return values
    if origin is tuple:
        return tuple(values)
    _refuse_varied(node, way, values)
    return (frozenset if origin is frozenset else set)(values)


def _refuse_varied(node: Node, way: Way, values: Iterable[Any]) -> None:
    if any(map(varies, values)):
        raise node.wrong(f"{dotted(way)}: nothing can vary in a value of a set, or of what varies itself")


def _member(node: Node, of: type[Enum], way: Way) -> Enum:
    """A member of an enum, by its name; by its value where that is none."""
    given = node.plain()
    for each in of:
        if given == each.name or (given == each.value and type(given) is type(each.value)):
            return each
    names = [each.name for each in of]
    hint = nearest(given, names) if isinstance(given, str) else ""
    raise node.wrong(f"{dotted(way)}: expected one of {', '.join(names)}, got {shown(given)}{hint}")


def checked(node: Node, hint: Any, way: Way, value: Any) -> Any:
    """The value as xpm's kind of the type stores it.

    Args:
        node: where it is given.
        hint: the type.
        way: the way to the parameter.
        value: what is given, as far as it was read already.

    Raises:
        ConfigError: it doesn't fit.
    """
    try:
        kind = kind_of(hint)
    except Unsupported as why:
        if _has_configuration(hint):
            return value
        raise node.wrong(f"{dotted(way)}: {why}") from None
    try:
        return kind.check(value)
    except Mismatch as wrong:
        if not node.line and isinstance(node.text, str) and value is not node.text:
            # On the command line the type tells what is a text, and nobody writes quotes.
            try:
                return kind.check(node.text)
            except Mismatch:
                pass
        advice = _advice(node, kind.name) if value == node.plain() else ""
        raise node.wrong(f"{dotted(way)}{wrong.where}: {wrong.message}{advice}") from None


def _is_spread(hint: Any) -> bool:
    return any(isinstance(note, Spread) for note in getattr(hint, "__metadata__", ()))


def _has_configuration(hint: Any) -> bool:
    return is_configuration(hint) or any(_has_configuration(each) for each in get_args(hint))


def _mismatch(node: Node, way: Way, hint: Any) -> ConfigError:
    return node.wrong(f"{dotted(way)}: expected {named(hint)}, got {shown(node.plain())}")


_SAID = {"yes": "true", "on": "true", "y": "true", "no": "false", "off": "false", "n": "false"}


def _advice(node: Node, kind: str) -> str:
    """What to do about a value that doesn't fit, where that is known."""
    value = node.value
    if kind.startswith("bool") and isinstance(value, str) and value.lower() in _SAID:
        return f"; write {_SAID[value.lower()]}"
    if kind.startswith("str") and node.text and not isinstance(value, str):
        return f"; write '{node.text}' in quotes"
    return ""


def _members(hint: Any) -> list[Any]:
    """The types of a union, or the one; without limits."""
    origin = get_origin(hint)
    if origin is Annotated:
        return _members(get_args(hint)[0])
    if origin is Union or origin is types.UnionType:
        return [each for inner in get_args(hint) for each in _members(inner)]
    return [hint]


_LISTS = (list, tuple, set, frozenset, Sequence, AbstractSet)


def _form(hint: Any) -> type:
    """What a document has for a value of this type: a mapping (dict), a list, or a scalar (object)."""
    if is_configuration(hint):
        return dict
    origin = get_origin(hint)
    if origin in (dict, Mapping):
        return dict
    return list if origin in _LISTS else object


def named(hint: Any) -> str:
    """A type as messages say it."""
    members = _members(hint)
    if len(members) > 1:
        return " | ".join(named(each) for each in members)
    if is_configuration(members[0]):
        return str(members[0].__name__)
    try:
        return kind_of(hint).name
    except Unsupported:
        return str(hint)
