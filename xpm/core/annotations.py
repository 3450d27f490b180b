"""From the annotation of a parameter to the kind of its values."""

from __future__ import annotations

import sys
import types
from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from enum import Enum
from pathlib import PurePath
from types import FunctionType
from typing import (
    Annotated,
    Any,
    ForwardRef,
    Generic,
    Literal,
    TypeVar,
    Union,
    get_args,
    get_origin,
    get_type_hints,
)

from xpm.core.info import Described
from xpm.core.kinds import (
    ANYTHING,
    FUNCTION,
    SCALARS,
    Kind,
    Mismatch,
    Unsupported,
    config_of,
    dict_of,
    enum_of,
    list_of,
    literal_of,
    path_of,
    row_of,
    set_of,
    tuple_of,
    union_of,
)
from xpm.core.limits import limited

FIELDS = "__xpm_fields__"
"""The attribute of a config class that holds what its body declares."""


def kind_of(annotation: Any) -> Kind:
    """The kind of the type `annotation`.

    Raises:
        Unsupported: parameters cannot have this type.
    """
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return limited(kind_of(arguments[0]), arguments[1:])
    if annotation is Any:
        return ANYTHING
    found = SCALARS.get(annotation) if getattr(annotation, "__hash__", None) else None
    if found is not None:
        return found
    if _is_union(origin):
        return union_of(tuple(kind_of(each) for each in arguments))
    if origin is Literal:
        return literal_of(arguments)
    if origin is not None:
        return _generic(annotation, origin, arguments)
    if isinstance(annotation, TypeVar):
        if annotation.__constraints__:
            return union_of(tuple(kind_of(each) for each in annotation.__constraints__))
        return kind_of(_limit(annotation))
    if hasattr(annotation, "__supertype__"):
        return kind_of(annotation.__supertype__)
    if isinstance(annotation, type):
        return _class(annotation)
    if hasattr(annotation, "__value__"):  # type X = ...
        return kind_of(annotation.__value__)
    raise Unsupported(f"{annotation!r} is no type of parameters")


def _is_union(origin: Any) -> bool:
    return origin is Union or origin is types.UnionType


def _limit(variable: TypeVar) -> Any:
    """What a type variable stands for at the most."""
    bound: Any = variable.__bound__
    return Any if bound is None else _evaluated(bound, variable.__module__)


def _evaluated(annotation: Any, module: str) -> Any:
    """`annotation`, or if that is a text, what it names in `module`."""
    if not isinstance(annotation, ForwardRef):
        return annotation
    name = annotation.__forward_arg__
    found = sys.modules.get(module)
    carrier = type("Carrier", (), {"__annotations__": {"it": name}})
    try:
        return get_type_hints(carrier, vars(found) if found else {})["it"]
    except NameError as wrong:
        raise Unsupported(f"the type {name!r} can't be resolved: {wrong}") from None


def _generic(annotation: Any, origin: Any, arguments: tuple[Any, ...]) -> Kind:
    if origin is tuple:
        if len(arguments) == 2 and arguments[1] is ...:
            return row_of(kind_of(arguments[0]))
        return tuple_of(tuple(kind_of(each) for each in arguments if each != ()))
    if isinstance(origin, type) and issubclass(origin, Described):
        return _of_arguments(annotation, origin, arguments)
    kinds = [kind_of(each) for each in arguments]
    if origin in (dict, Mapping):
        return dict_of(kinds[0], kinds[1])
    if origin is list:
        return list_of(kinds[0])
    if origin is Sequence:
        return union_of((list_of(kinds[0]), row_of(kinds[0])), f"Sequence[{kinds[0].name}]")
    if origin in (set, frozenset):
        return set_of(kinds[0], origin)
    if origin is AbstractSet:
        return union_of((set_of(kinds[0], set), set_of(kinds[0], frozenset)), f"Set[{kinds[0].name}]")
    raise Unsupported(
        f"{annotation} is no type of parameters; there are list, tuple, set, frozenset, dict, Sequence, Set, Mapping"
    )


def _class(cls: type[Any]) -> Kind:
    if issubclass(cls, Described):
        return config_of(cls)
    if issubclass(cls, Enum):
        return enum_of(cls)
    if issubclass(cls, PurePath):
        return path_of(cls)
    if cls is FunctionType:
        return FUNCTION
    if cls in (list, tuple, set, frozenset, dict, Sequence, AbstractSet, Mapping):
        raise Unsupported(
            f"{cls.__name__} needs the type of its elements, as in "
            f"{cls.__name__}[{'str, ' * (cls in (dict, Mapping))}int]"
        )
    raise Unsupported(f"{cls.__name__} is no type of parameters")


# Generic configs


def _of_arguments(annotation: Any, origin: Any, arguments: tuple[Any, ...]) -> Kind:
    """Descriptions of the generic class `origin` whose parameters have the types that `arguments` say."""
    kind = config_of(origin)._replace(name=f"{origin.__name__}[{', '.join(map(_name, arguments))}]")
    inner = kind.check
    given = dict(zip(origin.__parameters__, arguments, strict=False))
    kinds: dict[str, Kind] = {}

    def check(value: Any) -> Any:
        stored = inner(value)
        if not kinds:
            kinds.update(_open_kinds(origin, given))
        for name, each in kinds.items():
            if name in stored.__dict__:
                try:
                    each.check(stored.__dict__[name])
                except Mismatch as wrong:
                    raise wrong.below(f".{name}") from None
        return stored

    return kind._replace(check=check)


def _name(annotation: Any) -> str:
    return annotation.__name__ if isinstance(annotation, type) else str(annotation)


def _open_kinds(cls: Any, given: Mapping[Any, Any]) -> Iterator[tuple[str, Kind]]:
    """The parameters of `cls` whose types depend on its type variables, with the kinds that they have for `given`."""
    bound = {cls: given, **bindings(cls, given)}
    for base in cls.__mro__:
        for declared in base.__dict__.get(FIELDS, {}).values():
            hint = substituted(declared.hint, bound.get(base, {}))
            if hint is not declared.hint:
                yield declared.name, kind_of(hint)


def bindings(cls: Any, given: Mapping[Any, Any] | None = None) -> dict[Any, dict[Any, Any]]:
    """What the type variables of the bases of `cls` stand for, by the base.

    Args:
        cls: a class.
        given: what its own type variables stand for.
    """
    found: dict[Any, dict[Any, Any]] = {}
    for base in cls.__dict__.get("__orig_bases__", cls.__bases__):
        origin = get_origin(base) or base
        if origin in (Generic, object) or not isinstance(origin, type):
            continue
        arguments = [substituted(_evaluated(each, cls.__module__), given or {}) for each in get_args(base)]
        found[origin] = dict(zip(getattr(origin, "__parameters__", ()), arguments, strict=False))
        found |= bindings(origin, found[origin])
    return found


def substituted(annotation: Any, given: Mapping[Any, Any]) -> Any:
    """`annotation` with its type variables replaced, as far as `given` has them."""
    if isinstance(annotation, TypeVar):
        return given.get(annotation, annotation)
    variables = getattr(annotation, "__parameters__", ())
    if isinstance(annotation, type) or not any(each in given for each in variables):
        return annotation
    return annotation[tuple(given.get(each, each) for each in variables)]


# Overridden parameters


def narrows(new: Any, old: Any) -> bool:
    """Whether each value of the type `new` is one of the type `old`."""
    new, old = _plain(new), _plain(old)
    if old is Any or new == old:
        return True
    if _is_union(get_origin(new)):
        return all(narrows(each, old) for each in get_args(new))
    if _is_union(get_origin(old)):
        return any(narrows(new, each) for each in get_args(old))
    if get_origin(new) is Literal:
        values: tuple[Any, ...] = get_args(new)
        if get_origin(old) is Literal:
            return {(type(each), each) for each in values} <= {(type(each), each) for each in get_args(old)}
        return all(type(each) is old for each in values)
    if isinstance(new, type) and isinstance(old, type):
        return issubclass(new, old) and new is not bool
    origin, base = get_origin(new) or new, get_origin(old) or old
    if not (isinstance(origin, type) and isinstance(base, type) and issubclass(origin, base)):
        return False
    arguments, wanted = get_args(new), get_args(old)
    if not wanted or origin is not base:
        return True
    return len(arguments) == len(wanted) and all(map(narrows, arguments, wanted))


def _plain(annotation: Any) -> Any:
    """`annotation` without notes, and of a name or a variable what stands behind it."""
    if get_origin(annotation) is Annotated:
        return _plain(get_args(annotation)[0])
    if annotation is None:
        return type(None)
    if isinstance(annotation, TypeVar):
        return _plain(_limit(annotation))
    behind = getattr(annotation, "__supertype__", None) or getattr(annotation, "__value__", None)
    return annotation if behind is None or isinstance(annotation, type) else _plain(behind)
