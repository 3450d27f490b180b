"""Classes and parameters that were replaced: a description of an old class stands for one of the new."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from functools import partial
from types import FrameType, FunctionType
from typing import Any, ClassVar, TypeVar, overload

from xpm.core.fields import Role
from xpm.core.info import Described, Description, Info, Submittable, own_info
from xpm.core.naming import class_name, found_in
from xpm.core.provenance import at, frame_above, made_at, users_frame
from xpm.core.schema import DEPRECATED, Schema, schema_of
from xpm.core.tags import Tagged, note_tag
from xpm.errors import ConfigError

T = TypeVar("T")

_CONVERT = "__convert__"

_FORMER = "__xpm_former__"
"""The attribute of a class that lists those which were only given its name."""

_converting: ContextVar[bool] = ContextVar("xpm_converting", default=False)
"""True while a description is converted: what that itself uses of the deprecated is no news."""


class Deprecation:
    """That a class was replaced.

    Args:
        cls: the old class.
        target: the new one.
        replace: `.C(...)` of the old class makes a description of the new one at once.
    """

    known: ClassVar[int] = 0
    """How many there are in this process."""

    def __init__(self, cls: type[Any], target: type[Any], *, replace: bool) -> None:
        self.cls, self.target, self.replace = cls, target, replace
        Deprecation.known += 1

    @property
    def renamed(self) -> bool:
        """Whether nothing but the name is another."""
        convert = getattr(self.cls, _CONVERT, None)
        return convert is None or (
            issubclass(self.cls, self.target) and convert is getattr(self.target, _CONVERT, None)
        )

    @property
    def targets(self) -> Iterator[type[Any]]:
        """What a description can be of that this one stands for: of the new class, or of what replaces that at once."""
        yield self.target
        following: Deprecation | None = self.target.__dict__.get(DEPRECATED)
        if following is not None and following.replace:
            yield from following.targets

    @property
    def in_use(self) -> type[Any]:
        """What is to be written instead: what isn't deprecated itself."""
        following: Deprecation | None = self.target.__dict__.get(DEPRECATED)
        return self.target if following is None else following.in_use

    def check(self, schema: Schema) -> None:
        """Refuses parameters of its own in a class that can't say what they mean now.

        Raises:
            ConfigError: naming the first.
        """
        if not self.renamed:
            return
        if not issubclass(self.cls, self.target):
            raise ConfigError(
                f"{schema.label}: is deprecated in favour of {self.target.__name__}: derive it from that, or give it "
                "a method __convert__(self)"
            )
        known = schema_of(self.target).fields
        for name, declared in schema.fields.items():
            if declared is not known.get(name):
                raise ConfigError(
                    f"{schema.label}.{name}: a deprecated class with parameters of its own needs a method "
                    f"__convert__(self) that gives a description of {self.target.__name__}"
                )

    def convert(self, config: Any) -> Any:
        """The description that `config` stands for; its class may be deprecated, too.

        Raises:
            ConfigError: a parameter is missing, or `__convert__` gives something else.
        """
        schema: Schema = config.__xpm_schema__
        missing = schema.missing(config.__dict__)
        if missing:
            raise ConfigError(f"{schema.label}.{missing[0]}: is missing{made_at(config)}")
        with _silently():
            found = self._same(config, schema) if self.renamed else config.__convert__()
        if not isinstance(found, Description) or not isinstance(found, tuple(self.targets)):
            raise ConfigError(
                f"{schema.label}.__convert__: expected a description of {self.target.__name__}, got {found!r}"
            )
        return found

    def _same(self, config: Any, schema: Schema) -> Any:
        values = config.__dict__
        return self.target.C(
            **{
                name: values[name]
                for name in schema.stored
                if schema.fields[name].role is not Role.CONSTANT and name in values
            }
        )


@contextmanager
def _silently() -> Generator[None]:
    token = _converting.set(True)
    try:
        yield
    finally:
        _converting.reset(token)


def meant(config: Any, known: dict[int, tuple[Any, Any]] | None = None) -> Any:
    """The description of a class that is in use which `config` stands for: itself, if its class is.

    Args:
        config: a description.
        known: remembers what was converted, of descriptions that may still change.

    Raises:
        ConfigError: it can't be converted.
    """
    deprecation: Deprecation | None = config.__xpm_schema__.deprecation
    if deprecation is None:
        return config
    info = own_info(config)
    if info.sealed:
        if info.meant is None:
            info.meant = meant(deprecation.convert(config))
        return info.meant
    found = None if known is None else known.get(id(config))
    if found is None:
        found = (config, meant(deprecation.convert(config), known))
        if known is not None:
            known[id(config)] = found
    return found[1]


def former_names(schema: Schema) -> list[str]:
    """The names that a class has had: its own, then those of the classes which were only given another name."""
    found: list[str] = []
    with suppress(ConfigError):  # what has no name has done nothing under it
        found.append(class_name(schema.cls))
    for each in schema.cls.__dict__.get(_FORMER, ()):
        found.extend(former_names(schema_of(each)))
    return found or [schema.name]


class Renamed(property):
    """A parameter's old name: setting it calls a function, which sets the parameters that there are.

    Args:
        function: takes the description and the value.
    """

    def __init__(self, function: Callable[[Any, Any], object]) -> None:
        name = function.__name__

        def take(config: Any, value: Any) -> None:
            warn(f"{type(config).__name__}.{name}: the parameter is deprecated")
            if type(value) is Tagged:
                note_tag(config, name, value.value)
                value = value.value
            function(config, value)

        super().__init__(fset=take, doc=function.__doc__)


def amended(schema: Schema, make: Callable[..., Any]) -> Callable[..., Any]:
    """`make`, which makes descriptions, with what is deprecated of their class.

    Raises:
        ConfigError: its deprecation is impossible.
    """
    names = {
        name
        for base in schema.cls.__mro__
        for name, each in base.__dict__.items()
        if isinstance(each, Renamed) and name not in schema.fields
    }
    deprecation: Deprecation | None = schema.deprecation
    if deprecation is not None:
        deprecation.check(schema)
    elif not names:
        return make

    def amend(*args: Any, **values: Any) -> Any:
        old = {name: values.pop(name) for name in names & values.keys()}
        frame = users_frame()
        if deprecation is not None:
            warn(f"{schema.label} is deprecated; use {deprecation.in_use.__name__}")
        config = make(*args, **values)
        info = own_info(config)
        info.at = at(frame)
        for name, value in old.items():
            _set(config, info, name, value)
        if deprecation is not None and deprecation.replace:
            return _replaced(deprecation.convert(config), info)
        return config

    return amend


def _set(config: Any, info: Info, name: str, value: Any) -> None:
    """Sets a parameter by its old name, of a description that is being made."""
    before = info.places
    setattr(config, name, value)
    twice = (info.places.keys() - before.keys()) & set(info.given)
    if twice:
        raise ConfigError(
            f"{type(config).__name__}.{name}: is the old name of {min(twice)}, which is given, too"
        )


def _replaced(new: Any, info: Info) -> Any:
    """The description `new`, with the place and the tags of the one that it was made for."""
    hidden = own_info(new)
    hidden.at = info.at
    for name, value in (info.tags or {}).items():
        note_tag(new, name, value)
    return new


def warn(message: str) -> None:
    """Tells of something deprecated, with the line of the user; Python tells it once for each place."""
    if _converting.get():
        return
    frame = users_frame()
    warnings.warn_explicit(
        message,
        DeprecationWarning,
        frame.f_code.co_filename,
        frame.f_lineno,
        frame.f_globals.get("__name__", "<string>"),
        frame.f_globals.setdefault("__warningregistry__", {}),
    )


@overload
def deprecate(old: type[T], /) -> type[T]: ...
@overload
def deprecate(old: Callable[[Any, Any], object], /) -> Any: ...
@overload
def deprecate() -> Callable[[type[T]], type[T]]: ...
@overload
def deprecate(*, to: type[Any], replace: bool = False) -> Callable[[type[T]], type[T]]: ...
@overload
def deprecate(to: type[Any], /, *, replace: bool) -> Callable[[type[T]], type[T]]: ...
def deprecate(of: Any = None, /, *, to: type[Any] | None = None, replace: bool = False) -> Any:
    """Says that a class, or the name of a parameter, was replaced; who uses it gets a `DeprecationWarning`.

    A description of the old class stands for one of the new: it has the identifier of that, and a task is submitted as
    that. What was done under the old name is found under the new.

    Args:
        of: a class that is derived from the one which replaces it and declares nothing; or a method of a config that
            is called as the old name of a parameter, `X.C(size=3)`, and sets those that there are.
        to: the class that replaces the decorated one, where that has a method `__convert__(self)` which gives a
            description of it. May be given as `of`, too.
        replace: `.C(...)` of the old class makes a description of the new one at once.

    Example:
        ```python
        @deprecate
        class Net(Network): ...

        @deprecate(to=Network)
        class Layered(Config):
            layers: Param[int]

            def __convert__(self) -> Network:
                return Network.C(sizes=[8] * self.layers)

        class Network(Config):
            sizes: Param[list[int]]

            @deprecate
            def size(self, value: int) -> None:
                self.sizes = [value]
        ```

    Raises:
        ConfigError: it is neither.
    """
    if of is None and to is None:
        return deprecate
    if isinstance(of, FunctionType):
        return Renamed(of)
    if of is not None and to is None and (replace or _is_bound(of, frame_above(1))):
        of, to = None, of
    if to is not None and of is None:
        return partial(_deprecated, target=to, replace=replace)
    if to is not None or of is None or not _is_config(of):
        raise ConfigError(f"deprecate: expected a config class or a method of one, got {of!r}")
    base = next(each for each in of.__mro__[1:] if issubclass(each, Described))
    if base.__module__.partition(".")[0] == "xpm":
        raise ConfigError(
            f"{of.__name__}: deprecated in favour of what? Derive it from the class that replaces it, or write "
            "@deprecate(to=New) and give it a method __convert__(self)"
        )
    return _deprecated(of, base, replace=False)


def _is_config(cls: Any) -> bool:
    return isinstance(cls, type) and issubclass(cls, Described)


def _is_bound(cls: Any, frame: FrameType) -> bool:
    """Whether `cls` has its name already: one that is being decorated has not."""
    module = sys.modules.get(getattr(cls, "__module__", ""))
    found = found_in(module, getattr(cls, "__qualname__", ""))
    return found is cls or any(each is cls for each in frame.f_locals.values())


def _deprecated(cls: Any, target: Any, *, replace: bool) -> Any:
    for each in (cls, target):
        if not _is_config(each):
            raise ConfigError(f"deprecate: expected a config class, got {each!r}")
    if DEPRECATED in cls.__dict__:
        raise ConfigError(f"{cls.__name__}: is deprecated already")
    if issubclass(cls, Submittable) != issubclass(target, Submittable):
        raise ConfigError(f"{cls.__name__}: a task can only be replaced by a task, a config by a config")
    if issubclass(target, cls):
        raise ConfigError(f"{cls.__name__}: can't be replaced by {target.__name__}, which is derived from it")
    made = Deprecation(cls, target, replace=replace)
    setattr(cls, DEPRECATED, made)
    if made.renamed:
        setattr(target, _FORMER, (*target.__dict__.get(_FORMER, ()), cls))
    return cls
