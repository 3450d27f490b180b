"""How a parameter is declared: `Param`, `Meta`, `Constant`, `field`, `PathGenerator`."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from enum import Enum
from pathlib import Path, PurePath, PurePosixPath
from typing import Annotated, Any, NamedTuple, TypedDict, TypeVar, Unpack, cast, overload

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


class Help:
    """Notes what a parameter is: `Annotated[Param[int], Help("how many layers")]`.

    Args:
        text: a sentence; `xpm.describe_parameters` gives it.
    """

    def __init__(self, text: str) -> None:
        self.text = text

    def __repr__(self) -> str:
        return f"Help({self.text!r})"


class Foreign:
    """Notes that the configs in a parameter may have generated paths in the directory of another job."""

    def __repr__(self) -> str:
        return "Foreign()"


class Groups:
    """Notes the groups that a parameter is in.

    Args:
        groups: for `partial`.
    """

    def __init__(self, groups: Iterable[ParameterGroup]) -> None:
        self.groups = _groups(groups)

    def __repr__(self) -> str:
        return f"Groups({', '.join(sorted(each.name for each in self.groups))})"


class ParameterGroup(NamedTuple):
    """Parameters that are looked at together, by a `partial`."""

    name: str


class Partial:
    """What `partial` gives: some of the parameters of a task.

    Args:
        exclude: parameters of these groups don't count.
        include: parameters of these do, whatever else is said.
        exclude_no_group: parameters that are in no group don't count.
        exclude_all: no others do.
    """

    __slots__ = ("_exclude", "_include", "exclude_all", "exclude_no_group", "name")

    def __init__(
        self,
        exclude: Iterable[ParameterGroup],
        include: Iterable[ParameterGroup],
        *,
        exclude_no_group: bool,
        exclude_all: bool,
    ) -> None:
        self._exclude, self._include = _groups(exclude), _groups(include)
        self.exclude_no_group = exclude_no_group
        self.exclude_all = exclude_all
        self.name = ""
        """The attribute that it is; empty of one that is none."""

    def __set_name__(self, owner: type[Any], name: str) -> None:
        self.name = name

    def counts(self, groups: frozenset[ParameterGroup]) -> bool:
        """Whether a parameter that is in these groups counts."""
        if groups & self._include:
            return True
        if self.exclude_all or (self.exclude_no_group and not groups):
            return False
        return not groups & self._exclude


def param_group(name: str) -> ParameterGroup:
    """A group for parameters: `epochs: Param[int] = field(groups=[training])`; equal names are one group."""
    return ParameterGroup(name)


def partial(
    *,
    exclude_groups: Iterable[ParameterGroup] = (),
    include_groups: Iterable[ParameterGroup] = (),
    exclude_no_group: bool = False,
    exclude_all: bool = False,
) -> Partial:
    """Some of the parameters of a task: tasks that are equal in these can share a directory.

    Args:
        exclude_groups: parameters of these groups don't count.
        include_groups: parameters of these do, whatever else is said.
        exclude_no_group: parameters that are in no group don't count.
        exclude_all: no others do.

    Example:
        ```python
        length = param_group("length")

        class Train(Task):
            lr: Param[float]
            epochs: Param[int] = field(groups=[length])

            whatever_length = partial(exclude_groups=[length])
            checkpoints: Meta[Path] = field(default_factory=PathGenerator("checkpoints", partial=whatever_length))
        ```

    Raises:
        ConfigError: something else than a group was given.
    """
    return Partial(exclude_groups, include_groups, exclude_no_group=exclude_no_group, exclude_all=exclude_all)


def _groups(given: object) -> frozenset[ParameterGroup]:
    single = isinstance(given, ParameterGroup) or not isinstance(given, Iterable)
    found: list[object] = [given] if single else list(cast("Iterable[object]", given))
    for each in found:
        if single or not isinstance(each, ParameterGroup):
            raise ConfigError(f"groups: expected a list of param_group(...), got {each!r}")
    return frozenset(cast("list[ParameterGroup]", found))


class Unset:
    """Stands where no value was given."""

    def __repr__(self) -> str:
        return "unset"


UNSET = Unset()


class Field:
    """What `field` gives while a class is being made."""

    __slots__ = ("default", "default_factory", "ignore_default", "notes")

    def __init__(
        self,
        default: Any,
        default_factory: Callable[[], Any] | None,
        ignore_default: bool,
        notes: tuple[Any, ...] = (),
    ) -> None:
        self.default = default
        self.default_factory = default_factory
        self.ignore_default = ignore_default
        self.notes = notes


class Limits(TypedDict, total=False):
    """Limits of numbers: not less than, greater than, not greater than, less than."""

    ge: float | None
    gt: float | None
    le: float | None
    lt: float | None


_OPTIONS = ("default", "default_factory", "ignore_default", "ignore_generated", "groups", "choices")


@overload
def field(
    *,
    default: T,
    ignore_default: bool = False,
    ignore_generated: bool = False,
    groups: Iterable[ParameterGroup] = (),
    choices: Iterable[T] | None = None,
    **limits: Unpack[Limits],
) -> T: ...
@overload
def field(
    *,
    default_factory: Callable[[], T],
    ignore_default: bool = False,
    ignore_generated: bool = False,
    groups: Iterable[ParameterGroup] = (),
    choices: Iterable[T] | None = None,
    **limits: Unpack[Limits],
) -> T: ...
@overload
def field(
    *,
    ignore_generated: bool = False,
    groups: Iterable[ParameterGroup] = (),
    choices: Iterable[Any] | None = None,
    **limits: Unpack[Limits],
) -> Any: ...
def field(
    *,
    default: Any = UNSET,
    default_factory: Callable[[], Any] | None = None,
    ignore_default: bool = False,
    ignore_generated: bool = False,
    groups: Iterable[ParameterGroup] = (),
    choices: Iterable[Any] | None = None,
    **limits: Unpack[Limits],
) -> Any:
    """Declares a parameter's default, and the limits of its values.

    Args:
        default: the value when none is given; part of the identifier like any other.
        default_factory: called for each description to make that value; or a `PathGenerator`.
        ignore_default: leave the parameter out of the identifier while its value is the default, so
            that a parameter can be added to a class and old results stay valid.
        ignore_generated: take a config that belongs to another task, too, though its generated paths lie in the
            directory of that one's job, for which this one does not wait.
        groups: the groups that it is in, for `partial`.
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
    if ignore_generated:
        notes.append(Foreign())
    if groups:
        notes.append(Groups(groups))
    for name in limits.keys() - set(LIMITS):
        raise ConfigError(f"field: no option {name!r}{nearest(name, (*_OPTIONS, *LIMITS))}")
    if limits:
        notes.append(Range(**limits))
    return Field(default, default_factory, ignore_default, tuple(notes))


class PathContext(NamedTuple):
    """What the function of a `PathGenerator` is told of the place that its path is for."""

    folder: str
    """The folder in the job's directory: empty for that itself, `out/model` for a config in the task."""

    def currentpath(self) -> Path:
        """That folder, to which what the function gives is relative."""
        return Path()


class PathGenerator:
    """Makes a path in the job's directory: `weights: Meta[Path] = field(default_factory=PathGenerator("w.npz"))`.

    In the task itself the path is `<job>/w.npz`; in a config that is its parameter `model`, it is
    `<job>/out/model/w.npz`. It can be read as soon as the task is submitted.

    Args:
        name: the path; or a function that takes a `PathContext` and the complete description, and gives it. May be
            left out with `partial`.
        partial: the path lies in a directory that all tasks share which are equal in these parameters. One job with
            it runs at a time.
    """

    __slots__ = ("_name", "partial")

    def __init__(
        self,
        name: str | Callable[[PathContext, Any], str | PurePath] = "",
        *,
        partial: Partial | None = None,
    ) -> None:
        given = cast("object", partial)
        if not isinstance(given, Partial | None):
            raise ConfigError(f"PathGenerator: partial: expected partial(...), got {given!r}")
        self.partial = partial
        whole = partial is not None and name == ""
        self._name = name if callable(name) or whole else _below(name, "PathGenerator")

    @property
    def fixed(self) -> str | None:
        """The path, where it is the same for all descriptions."""
        return None if callable(self._name) else self._name

    def name_for(self, config: Any, folder: str, label: str) -> str:
        """The path of the description `config`, relative to the `folder` that it lies in.

        Raises:
            ConfigError: the function for the parameter `label` gives no path, or one that leads elsewhere.
        """
        if not callable(self._name):
            return self._name
        return _below(self._name(PathContext(folder), config), f"{label}: PathGenerator")

    def __call__(self) -> Path:
        """The path relative to the job's directory (this is what makes it a factory for type checkers)."""
        return Path(self.fixed or "")

    def __repr__(self) -> str:
        return f"PathGenerator({self._name!r})"


def _below(name: object, where: str) -> str:
    path = PurePosixPath(name) if isinstance(name, str | PurePath) else PurePosixPath()
    if path.is_absolute() or ".." in path.parts or not path.parts:
        raise ConfigError(f"{where}: expected a path below the job's directory, got {name!r}")
    return path.as_posix()
