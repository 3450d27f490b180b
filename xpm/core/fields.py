"""How a parameter is declared: `Param`, `Meta`, `Constant`, `field`, `PathGenerator`."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, TypeVar, overload

from xpm.errors import ConfigError

T = TypeVar("T")


class Role(Enum):
    """What a parameter means for the identifier."""

    PARAM = "Param"
    META = "Meta"
    CONSTANT = "Constant"


Param = Annotated[T, Role.PARAM]
"""An experimental parameter: part of the identifier."""

Meta = Annotated[T, Role.META]
"""A parameter that doesn't change the result, such as a path or a number of threads: not in the identifier."""

Constant = Annotated[T, Role.CONSTANT]
"""A value that belongs to the class and is always in the identifier; change it to make old results invalid."""


class Unset:
    """Stands where no value was given."""

    def __repr__(self) -> str:
        return "unset"


UNSET = Unset()


class Field:
    """What `field` gives while a class is being made."""

    __slots__ = ("default", "default_factory", "ignore_default")

    def __init__(self, default: Any, default_factory: Callable[[], Any] | None, ignore_default: bool) -> None:
        self.default = default
        self.default_factory = default_factory
        self.ignore_default = ignore_default


@overload
def field(*, default: T, ignore_default: bool = False) -> T: ...
@overload
def field(*, default_factory: Callable[[], T], ignore_default: bool = False) -> T: ...
@overload
def field() -> Any: ...
def field(
    *, default: Any = UNSET, default_factory: Callable[[], Any] | None = None, ignore_default: bool = False
) -> Any:
    """Declares a parameter's default.

    Args:
        default: the value when none is given; part of the identifier like any other.
        default_factory: called for each description to make that value; or a `PathGenerator`.
        ignore_default: leave the parameter out of the identifier while its value is the default, so
            that a parameter can be added to a class and old results stay valid.
    """
    if default is not UNSET and default_factory is not None:
        raise ConfigError("field: give default or default_factory, not both")
    if ignore_default and default is UNSET and default_factory is None:
        raise ConfigError("field: ignore_default needs a default")
    return Field(default, default_factory, ignore_default)


class PathGenerator:
    """Makes a path in the job's directory: `weights: Meta[Path] = field(default_factory=PathGenerator("w.npz"))`.

    In the task itself the path is `<job>/w.npz`; in a config that is its parameter `model`, it is
    `<job>/out/model/w.npz`. It can be read as soon as the task is submitted.
    """

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        path = PurePosixPath(name)
        if path.is_absolute() or ".." in path.parts or not path.parts:
            raise ConfigError(f"PathGenerator: expected a path below the job's directory, got {name!r}")
        self.name = path.as_posix()

    def __call__(self) -> Path:
        """The path relative to the job's directory (this is what makes it a factory for type checkers)."""
        return Path(self.name)

    def __repr__(self) -> str:
        return f"PathGenerator({self.name!r})"
