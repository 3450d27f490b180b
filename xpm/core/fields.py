"""How a parameter is declared: `Param`, `Meta`, `Constant`, `field`, `PathGenerator`."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from enum import Enum
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, TypedDict, TypeVar, Unpack, overload

from xpm.core.limits import LIMITS, Choices, Range
from xpm.core.spelling import nearest
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


class Carried:
    """Notes that the file of a path is saved with the description."""

    def __repr__(self) -> str:
        return "Carried()"


DataPath = Annotated[Path, Role.META, Carried()]
"""A `Meta[Path]` whose file or folder belongs to the description: `xpm.save` takes it along."""

OptionalDataPath = Annotated[Path | None, Role.META, Carried()]
"""The same, or None."""


class Unset:
    """Stands where no value was given."""

    def __repr__(self) -> str:
        return "unset"


UNSET = Unset()


class Field:
    """What `field` gives while a class is being made."""

    __slots__ = ("default", "default_factory", "ignore_default", "limits")

    def __init__(
        self,
        default: Any,
        default_factory: Callable[[], Any] | None,
        ignore_default: bool,
        limits: tuple[Any, ...] = (),
    ) -> None:
        self.default = default
        self.default_factory = default_factory
        self.ignore_default = ignore_default
        self.limits = limits


class Limits(TypedDict, total=False):
    """Limits of numbers: not less than, greater than, not greater than, less than."""

    ge: float | None
    gt: float | None
    le: float | None
    lt: float | None


_OPTIONS = ("default", "default_factory", "ignore_default", "choices")


@overload
def field(
    *,
    default: T,
    ignore_default: bool = False,
    choices: Iterable[T] | None = None,
    **limits: Unpack[Limits],
) -> T: ...
@overload
def field(
    *,
    default_factory: Callable[[], T],
    ignore_default: bool = False,
    choices: Iterable[T] | None = None,
    **limits: Unpack[Limits],
) -> T: ...
@overload
def field(
    *,
    choices: Iterable[Any] | None = None,
    **limits: Unpack[Limits],
) -> Any: ...
def field(
    *,
    default: Any = UNSET,
    default_factory: Callable[[], Any] | None = None,
    ignore_default: bool = False,
    choices: Iterable[Any] | None = None,
    **limits: Unpack[Limits],
) -> Any:
    """Declares a parameter's default, and the limits of its values.

    Args:
        default: the value when none is given; part of the identifier like any other.
        default_factory: called for each description to make that value; or a `PathGenerator`.
        ignore_default: leave the parameter out of the identifier while its value is the default, so
            that a parameter can be added to a class and old results stay valid.
        choices: the values that there are.
        limits: of a number: `ge`, `gt`, `le`, `lt`: not less than, greater than, not greater than, less than.

    Raises:
        ConfigError: these don't go together.
    """
    if default is not UNSET and default_factory is not None:
        raise ConfigError("field: give default or default_factory, not both")
    if ignore_default and default is UNSET and default_factory is None:
        raise ConfigError("field: ignore_default needs a default")
    notes: list[Any] = [] if choices is None else [Choices(choices)]
    for name in limits.keys() - set(LIMITS):
        raise ConfigError(f"field: no option {name!r}{nearest(name, (*_OPTIONS, *LIMITS))}")
    if limits:
        notes.append(Range(**limits))
    return Field(default, default_factory, ignore_default, tuple(notes))


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
