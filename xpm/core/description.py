"""Descriptions: what `X.C(...)` makes.

For each config class a subclass is generated whose instances hold parameters and check them. The class
itself stays as its author wrote it, so a live object pays nothing when it sets its attributes.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

from xpm.core.copying import copy_of
from xpm.core.deprecation import amended
from xpm.core.fields import Role
from xpm.core.info import HIDDEN, Description, Info, JobRef, allocate, allocator, info_of, own_info
from xpm.core.jobpath import in_directory, within
from xpm.core.kinds import Mismatch, shown
from xpm.core.naming import last_name
from xpm.core.provenance import at, frame_above, note_set
from xpm.core.schema import SCHEMA, Schema, schema_of
from xpm.core.tags import Tagged, follow_tag, note_given
from xpm.core.valued import config_class
from xpm.errors import ConfigError, SealedError

_MAKER = "__xpm_maker__"


class _Behaviour(Description):
    """The methods of all descriptions; goes before the author's class in the generated one."""

    # An author's `__eq__` is about live objects; a description is what it is, also in a set.
    __eq__ = object.__eq__
    __hash__ = object.__hash__

    def __init_subclass__(cls) -> None:
        # Deliberately not passed on: the author's own hooks must not meet the generated class.
        pass

    def __setattr__(self, name: str, value: Any) -> None:
        itself: Any = self
        schema: Schema = itself.__xpm_schema__
        if schema.rules.open and name not in schema.fields:
            object.__setattr__(self, name, value)
            return
        _open(self, name)
        if name not in schema.fields and isinstance(getattr(type(self), name, None), property):
            object.__setattr__(self, name, value)
            return
        note_set(own_info(self), name, at(frame_above(1)))
        tagged = type(value) is Tagged
        self.__dict__[name] = stored = schema.admit(name, value.value if tagged else value)
        if tagged:
            note_given(self, name, value, stored)
        else:
            follow_tag(self, name, stored)

    def __delattr__(self, name: str) -> None:
        schema = _open(self, name)
        if name not in schema.fields or schema.fields[name].role is Role.CONSTANT:
            raise ConfigError(f"{schema.label}.{name}: can't be deleted")
        self.__dict__.pop(name, None)
        follow_tag(self, name)

    def __getattr__(self, name: str) -> Any:
        schema = schema_of(type(self))
        info = info_of(self)
        if info is not None and info.promise and info.producer is not None and name in schema.fields:
            raise AttributeError(f"{schema.label}.{name}: is known when {shown_job(info.producer)} is done")
        if name in schema.generated:
            return generated_path(self, name, f"{schema.label}.{name}")
        if name in schema.fields:
            raise schema.rules.unset(f"{schema.label}.{name}: has no value yet")
        raise AttributeError(f"{schema.label} has no attribute {name!r}")

    def __repr__(self) -> str:
        return _shown(self, 3)

    def __copy__(self) -> Any:
        return copy_of(self)

    def __deepcopy__(self, memo: object) -> Any:
        return copy_of(self)

    def __reduce_ex__(self, protocol: Any) -> tuple[Any, ...]:
        info = info_of(self)
        if info is not None and info.producer is not None:
            raise ConfigError(f"{schema_of(type(self)).label}: what a task gives out can't be pickled")
        values = {name: value for name, value in self.__dict__.items() if name != HIDDEN}
        hidden = {} if info is None else {name: vars(info)[name] for name in _KEPT if name in vars(info)}
        return (_restored, (schema_of(type(self)).cls, values, hidden))


def _open(config: Any, name: str) -> Schema:
    schema: Schema = config.__xpm_schema__
    info = info_of(config)
    if info is not None and info.sealed:
        what = "is sealed" if info.asked is None else "was submitted"
        raise SealedError(f"{schema.label}.{name}: the description {what}; change a .copy() of it")
    return schema


_KEPT = ("tags", "studied", "apart", "kept", "meta")
"""What of the hidden part of a description goes with it to another process."""


def _restored(cls: type[Any], values: dict[str, Any], hidden: dict[str, Any]) -> Any:
    config = allocate(described_class(cls))
    config.__dict__.update(values)
    if hidden:
        vars(own_info(config)).update(hidden)
    return config


def generated_path(config: Any, name: str, label: str) -> Path:
    """The generated path of the parameter `name` of the description `config`.

    Raises:
        AttributeError: it has no job yet.
    """
    info = info_of(config)
    home = None if info is None else info.home
    taken = None if home is None else info_of(home.task)
    if home is None or taken is None or taken.asked is None:
        raise AttributeError(f"{label}: the path is known once the task is submitted")
    path = str(taken.asked.jobpath(home.task) / home.folder)
    return in_directory(Path(within(path, home.names[name])), taken.ref)


def shown_job(ref: JobRef) -> str:
    """A job for a message: `train 3fa4c0de`."""
    return f"{last_name(ref.task)} {ref.id[:8]}"


def _shown(value: Any, depth: int) -> str:
    if not isinstance(value, Description):
        return shown(value)
    info = info_of(value)
    if info is not None and info.promise and info.producer is not None:
        return f"{type(value).__name__}(of {shown_job(info.producer)})"
    schema = schema_of(type(value))
    if depth == 0:
        return f"{schema.label}(...)"
    pairs = [(name, value.__dict__[name]) for name in schema.fields if name in value.__dict__]
    return f"{schema.label}({', '.join(f'{name}={_shown(each, depth - 1)}' for name, each in pairs)})"


def described_class(cls: type[Any]) -> type[Any]:
    """The class of the descriptions of `cls`."""
    return maker_of(cls).described


def stand_in(cls: type[Any], ref: JobRef) -> Any:
    """A description of the task `cls` that stands for the job `ref`, and has no values."""
    made = allocate(described_class(cls))
    info = own_info(made)
    info.sealed, info.digest, info.total, info.ref = True, bytes.fromhex(ref.id), {}, ref
    return made


class Maker:
    """What `X.C` does: makes descriptions of one class."""

    __slots__ = ("described", "make")

    def __init__(self, cls: type[Any]) -> None:
        schema = schema_of(cls)
        abstract = getattr(cls, "__abstractmethods__", None)
        body = {"__module__": cls.__module__, "__qualname__": cls.__qualname__, "__doc__": cls.__doc__}
        metaclass: Callable[..., type[Any]] = cls.__class__
        self.described = metaclass(cls.__name__, (_Behaviour, cls), {**body, SCHEMA: schema})
        if abstract:
            self.make: Any = _refusal(
                f"{schema.label}: is abstract ({', '.join(sorted(abstract))}); use one of its subclasses"
            )
        elif (of := config_class(cls)) is not cls:
            self.make = _refusal(
                f"{schema.label}: is the value class of {of.__name__}; use {of.__name__}.C(...)"
            )
        else:
            self.make = amended(schema, _constructor(schema, self.described))


def _refusal(reason: str) -> Callable[..., NoReturn]:
    def make(*args: Any, **values: Any) -> NoReturn:
        raise ConfigError(reason)

    return make


def _constructor(schema: Schema, described: type[Any]) -> Callable[..., Any]:
    exact = schema.exact.get
    checks = schema.checks.get
    admit = schema.admit
    fields = len(schema.stored)
    defaults = schema.fixed_defaults
    factories = schema.factories
    new = allocator(described)

    def make(*args: Any, **values: Any) -> Any:
        if args:
            raise ConfigError(f"{schema.label}.C: takes parameters by name only")
        tagged: list[tuple[str, Tagged]] | None = None
        for name, value in values.items():
            if type(value) is not exact(name):
                if type(value) is Tagged:
                    tagged = [(name, value)] if tagged is None else [*tagged, (name, value)]
                    value = value.value
                check = checks(name)
                try:
                    values[name] = admit(name, value) if check is None else check(value)
                except Mismatch:
                    admit(name, value)
        config = new(described)
        stored = config.__dict__
        stored[HIDDEN] = info = Info()
        frame = frame_above(1)
        info.at, info.given = (frame.f_code, frame.f_lasti), tuple(values)
        if len(values) != fields:
            stored.update(defaults)
        stored.update(values)
        for name, factory in factories:
            if name not in values:
                stored[name] = factory()
        if tagged:
            for name, given in tagged:
                note_given(config, name, given, stored[name])
        return config

    return make


def maker_of(cls: type[Any]) -> Maker:
    """The maker of `cls`, made on first use."""
    found = cls.__dict__.get(_MAKER)
    if found is None:
        found = Maker(cls)
        setattr(cls, _MAKER, found)
    return found
