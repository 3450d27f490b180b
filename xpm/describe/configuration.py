"""Typed parameters of an experiment: a class whose values a YAML file gives, and which of them vary."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Annotated, Any, NamedTuple, TypeVar, cast, dataclass_transform, get_type_hints, overload

from xpm.core.copying import copied
from xpm.core.fields import UNSET, Field, field
from xpm.core.kinds import shown
from xpm.core.schema import own_annotations
from xpm.core.tags import plain_tag
from xpm.errors import ConfigError
from xpm.types import Scalar

T = TypeVar("T")
C = TypeVar("C")

_LIMITS = "__xpm_limits__"
"""The attribute of a configuration class that holds the limits that its body declares, by parameter."""


class Spread:
    """Notes that a parameter varies over the elements of a list."""

    def __repr__(self) -> str:
        return "Spread()"


GridSearch = Annotated[T, Spread()]
"""A parameter that is meant to vary: where a YAML file gives a list, it varies over its elements."""


class Parameter(NamedTuple):
    """One parameter of a configuration class."""

    name: str
    hint: Any
    """Its type, with its limits."""
    default: Any
    """UNSET if it must be given, or has a factory."""
    factory: Callable[[], Any] | None

    def made(self) -> Any:
        """The value when none is given; UNSET if there must be one."""
        return self.default if self.factory is None else self.factory()


@overload
@dataclass_transform(kw_only_default=True, frozen_default=True, field_specifiers=(field, dataclasses.field))
def configuration(cls: type[T], /) -> type[T]: ...
@overload
def configuration() -> Callable[[type[T]], type[T]]: ...
def configuration(cls: Any = None, /) -> Any:
    """Makes a class the parameters of an experiment that is run by a YAML file.

    It becomes a frozen dataclass whose values are given by name. A parameter can have each type that parameters of
    tasks can have, but for descriptions and functions; and another such class. `field(gt=0, choices=...)` limits it.

    Raises:
        ConfigError: it declares something impossible.

    Example:
        ```python
        @configuration
        class Params:
            layers: list[int] = [3]
            lr: float = field(default=0.01, gt=0)
        ```
    """
    return configuration if cls is None else _made(cls)


def _made(cls: type[Any]) -> type[Any]:
    if not isinstance(cast("object", cls), type):
        raise ConfigError(f"configuration: expected a class, got {shown(cls)}")
    limits: dict[str, tuple[Any, ...]] = {}
    for name in own_annotations(cls):
        given = cls.__dict__.get(name, UNSET)
        if isinstance(given, Field):
            limits[name] = given.limits
            _declare(cls, name, given)
        elif isinstance(given, (list, dict, set)):
            setattr(cls, name, dataclasses.field(default_factory=partial(copied, given)))
    try:
        made = dataclasses.dataclass(frozen=True, kw_only=True)(cls)
    except (TypeError, ValueError) as wrong:
        raise ConfigError(f"{cls.__name__}: {wrong}") from None
    setattr(made, _LIMITS, limits)
    return made


def _declare(cls: type[Any], name: str, given: Field) -> None:
    """Says to dataclasses what `field` has said."""
    if given.ignore_default:
        raise ConfigError(f"{cls.__name__}.{name}: ignore_default is for identifiers, and this has none")
    if given.default_factory is not None:
        setattr(cls, name, dataclasses.field(default_factory=given.default_factory))
    elif given.default is UNSET:
        delattr(cls, name)
    else:
        setattr(cls, name, dataclasses.field(default_factory=partial(copied, given.default)))


def is_configuration(cls: Any) -> bool:
    """Whether `cls` is a class that `configuration` has made; a subclass needs it, too."""
    return isinstance(cls, type) and _LIMITS in cls.__dict__


def parameters_of(cls: type[Any]) -> dict[str, Parameter]:
    """The parameters of a configuration class, those of base classes first.

    Raises:
        ConfigError: the type of one can't be resolved.
    """
    try:
        hints = get_type_hints(cls, include_extras=True)
    except (NameError, AttributeError, TypeError, SyntaxError) as wrong:
        raise ConfigError(f"{cls.__name__}: a type of its parameters can't be resolved: {wrong}") from None
    found: dict[str, Parameter] = {}
    for each in dataclasses.fields(cls):
        if not each.init:
            continue
        notes = next(
            (_own_limits(base)[each.name] for base in cls.__mro__ if each.name in _own_limits(base)), ()
        )
        hint = Annotated[(hints[each.name], *notes)] if notes else hints[each.name]
        default = UNSET if each.default is dataclasses.MISSING else each.default
        factory = None if each.default_factory is dataclasses.MISSING else each.default_factory
        found[each.name] = Parameter(each.name, hint, default, factory)
    return found


def _own_limits(cls: type[Any]) -> Mapping[str, tuple[Any, ...]]:
    return cls.__dict__.get(_LIMITS, {})


class Varied:
    """Stands where a parameter varies, until one of its values is chosen; it is none itself.

    Args:
        values: at least two.
        place: where they are given.
    """

    __slots__ = ("place", "values")

    def __init__(self, values: Sequence[Any], place: str) -> None:
        self.values = tuple(values)
        self.place = place

    def __bool__(self) -> bool:
        raise ConfigError(f"{self.place}: varies: take its values from helper.grid(cfg)")

    def __repr__(self) -> str:
        return f"what varies (see helper.grid) over {[*self.values]!r}"


def varies(value: Any) -> bool:
    """Whether something in `value` varies."""
    return next(_axes(value, ()), None) is not None


def made_of(cls: type[Any], values: Mapping[str, Any]) -> Any:
    """The configuration with these values; as long as some vary, what the class does at its making is left undone."""
    if not any(map(varies, values.values())):
        return cls(**values)
    bare = object.__new__(cls)
    for name, value in values.items():
        object.__setattr__(bare, name, value)
    return bare


Way = tuple[str | int, ...]
"""Names and indices that lead to a value."""


def combinations(cfg: C) -> list[tuple[C, dict[str, Scalar]]]:
    """The configurations that `cfg` stands for, the last parameter changes fastest, each with the tags of what varies.

    A tag has the last name of its parameter's way, or all of it where two would have the same. What can be no tag is
    one as text. Where nothing varies, there is one configuration without tags.
    """
    axes = [*_axes(cfg, ())]
    last = [str(way[-1]) for way, _ in axes]
    names = [
        name if isinstance(way[-1], str) and last.count(name) == 1 else dotted(way)
        for name, (way, _) in zip(last, axes, strict=True)
    ]
    ways = [way for way, _ in axes]
    return [
        (
            _chosen(cfg, dict(zip(ways, values, strict=True)), ()),
            {name: _tag(value) for name, value in zip(names, values, strict=True)},
        )
        for values in itertools.product(*(varied.values for _, varied in axes))
    ]


def dotted(way: Way) -> str:
    """The way to a value as it is written: `model.layers[2]`."""
    return "".join(f"[{each}]" if isinstance(each, int) else f".{each}" for each in way).removeprefix(".")


def _parts(value: Any) -> Mapping[str | int, Any] | None:
    """What is in `value`; None if it has no parts in which something could vary."""
    if is_configuration(type(value)):
        return {each.name: getattr(value, each.name) for each in dataclasses.fields(value) if each.init}
    if isinstance(value, dict):
        return cast("dict[str | int, Any]", value)
    if isinstance(value, (list, tuple)):
        return dict(enumerate(cast("Sequence[Any]", value)))
    return None


def _axes(value: Any, way: Way) -> Iterator[tuple[Way, Varied]]:
    if isinstance(value, Varied):
        yield way, value
        return
    for name, each in (_parts(value) or {}).items():
        yield from _axes(each, (*way, name))


def _chosen(value: Any, chosen: Mapping[Way, Any], way: Way) -> Any:
    """A copy of `value` with what was chosen in it."""
    if isinstance(value, Varied):
        return copied(chosen[way])
    parts = _parts(value)
    if parts is None:
        return value
    made: dict[Any, Any] = {name: _chosen(each, chosen, (*way, name)) for name, each in parts.items()}
    cls = cast("Any", type(value))
    if is_configuration(cls):
        return cls(**made)
    return made if isinstance(value, dict) else cls(made.values())


def _tag(value: Any) -> Scalar:
    try:
        return plain_tag("", value)
    except ConfigError:
        return shown(value)
