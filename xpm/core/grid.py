"""Grids: many descriptions as one value, made one by one when they are looked at.

A grid never changes, and neither does what it was made of. What it gives out are ordinary descriptions; configs that
several of them have are one object, sealed, wherever that is safe.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Protocol, TypeVar, Unpack, cast, overload

from xpm.core.axes import Column, Zipped, columns_of, zipped
from xpm.core.config import Config, Task
from xpm.core.copying import Copies
from xpm.core.graph import dot
from xpm.core.identifier import identifier
from xpm.core.info import Described, Description, Submittable, info_of
from xpm.core.kinds import shown
from xpm.core.matching import groups, pairs, test_of
from xpm.core.options import Options
from xpm.core.product import Product
from xpm.core.sealing import seal, unseal
from xpm.core.sources import Choice, Listed, Source, Sourced, Union
from xpm.core.table import table
from xpm.errors import ConfigError, UsageError
from xpm.types import Scalar

__all__ = ["Grid", "grid", "zipped"]

T_co = TypeVar("T_co", covariant=True)
U = TypeVar("U")
C = TypeVar("C", bound=Config)
TaskT = TypeVar("TaskT", bound=Task)


class _Produces(Protocol[T_co]):
    def task_outputs(self, dep: Any, /) -> T_co: ...


class Grid(Sourced[T_co]):
    """Many descriptions, in an order; `grid` makes it.

    It has a length, indices and slices. Each look at an element makes a new description.
    """

    __slots__ = ()

    @property
    def tags(self) -> tuple[str, ...]:
        """The names of the tags that its descriptions have, some of them or all."""
        return self.source.names

    def __len__(self) -> int:
        return len(self.source)

    def __iter__(self) -> Iterator[T_co]:
        return iter(self.source)

    @overload
    def __getitem__(self, index: int) -> T_co: ...
    @overload
    def __getitem__(self, index: slice) -> Grid[T_co]: ...
    def __getitem__(self, index: int | slice) -> Any:
        try:
            found = range(len(self))[index]
        except IndexError:
            raise IndexError(f"a grid of {len(self):,} has no element {index}") from None
        return self.source.at(found) if isinstance(found, int) else self._chosen(found)

    def __contains__(self, description: object) -> bool:
        if not isinstance(description, Description):
            return False
        wanted = identifier(description)
        return any(identifier(each) == wanted for each in self)

    def __or__(self, other: Grid[U]) -> Grid[T_co | U]:
        """The descriptions of both, in their order; equal ones once, with the tags that the first has."""
        if not isinstance(cast("object", other), Grid):
            return NotImplemented
        return Grid(Union(cast("Sequence[Source[Any]]", (self.source, other.source))))

    def _chosen(self, indices: Sequence[int]) -> Grid[T_co]:
        return Grid(Choice(self.source, lambda: indices))

    def where(self, keep: str | Callable[[T_co], object]) -> Grid[T_co]:
        """The descriptions that a filter keeps.

        Args:
            keep: a filter over tags, `task` and `label`, such as `"lr < 0.1 and model ~ CNN"`; or a function that says
                of a description whether to keep it.

        Raises:
            UsageError: it is neither, or asks for a tag that there isn't.
        """
        test = test_of(keep, self.tags) if isinstance(keep, str) else keep
        if not callable(test):
            raise UsageError(f"where: expected a filter or a function, got {shown(test)}")
        source = self.source
        return Grid(Choice(source, lambda: tuple(at for at, each in enumerate(source) if test(each))))

    def group_by(self, *tags: str) -> list[tuple[tuple[Scalar, ...], Grid[T_co]]]:
        """The descriptions with equal values of these tags together; groups in the order of their first ones.

        Args:
            tags: names. A description without one has None there.

        Returns:
            For each group the values of the tags, and the grid of its descriptions.

        Raises:
            UsageError: there is no such tag.
        """
        return [(key, self._chosen(indices)) for key, indices in groups(self.source, tags)]

    def join(self, other: Grid[U], on: str | Sequence[str] | None = None) -> list[tuple[T_co, U]]:
        """Each description of this grid with each of the other's that has the same values of some tags.

        Args:
            other: the other grid.
            on: the tags' names; by default all that both grids have. One that lacks a tag goes with none.

        Raises:
            UsageError: one of the grids has no such tag, or they have none in common.
        """
        return pairs(self.source, other.source, [on] if isinstance(on, str) else on)

    @overload
    def submit(self: Iterable[_Produces[U]], **options: Unpack[Options]) -> list[U]: ...
    @overload
    def submit(self: Grid[TaskT], **options: Unpack[Options]) -> list[TaskT]: ...
    def submit(self: Iterable[Any], **options: Any) -> list[Any]:
        """Submits all tasks to the open experiment, once all of them were checked.

        Args:
            options: as those of `Task.submit`.

        Returns:
            What `submit` returns of each, in the grid's order.

        Raises:
            NoExperiment: outside of an experiment.
            ConfigError: a parameter is missing or wrong, or there is something that is no task.
            SubmissionError: one can't become a job, or an option is wrong.
        """
        tasks = list(self)
        for task in tasks:
            if not isinstance(task, Submittable):
                raise ConfigError(f"{type(task).__name__}: is no task, and can't be submitted")
            info = info_of(task)
            if info is None or not info.sealed:
                unseal(task, seal(task))
        return [task.submit(**options) for task in tasks]

    def table(self, rows: int = 20) -> str:
        """What differs among its descriptions, as plain text: their tags, and parameters where these tell too little.

        Args:
            rows: as many at most; what is between the first and the last ones is left out then.
        """
        return table(self.source, rows)

    def graph(self) -> str:
        """The jobs that its tasks make and need, and their dependencies, in Graphviz's language DOT."""
        return dot(self.source)

    def __str__(self) -> str:
        return self.table()

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        """What IPython and notebooks show of it: its table."""
        printer.text(self.table())

    def __repr__(self) -> str:
        classes = dict.fromkeys(type(each).__name__ for each in self.source.shapes())
        return f"<Grid of {' | '.join(classes)}: {', '.join(self.tags) or 'no tags'}>"


@overload
def grid(
    base: type[C], /, *varied: Mapping[str, Iterable[Any]] | Zipped, **values: Iterable[Any]
) -> Grid[C]: ...
@overload
def grid(base: C, /, *varied: Mapping[str, Iterable[Any]] | Zipped, **values: Iterable[Any]) -> Grid[C]: ...
@overload
def grid(
    base: Iterable[C], /, *varied: Mapping[str, Iterable[Any]] | Zipped, **values: Iterable[Any]
) -> Grid[C]: ...
def grid(base: Any, /, *varied: Mapping[str, Iterable[Any]] | Zipped, **values: Iterable[Any]) -> Grid[Any]:
    """The descriptions with all combinations of some values; those of the last parameter change fastest.

    Each value becomes the tag of its parameter, also when it is the only one. A config has its own tags; it is a tag,
    by its class's name, where the classes differ.

    Args:
        base: a description to begin with, such as `Train.C(data=data)`, its class, or several: a list or a grid.
        varied: values by the way to their parameter, such as `{"model.layers": [2, 3]}`; or what `zipped` makes.
        values: values by the name of their parameter: a list, or a grid.

    Raises:
        ConfigError: there is no such parameter, a value doesn't fit, or no list was given.

    Example:
        ```python
        models = grid(CNN, layers=[2, 3]) | grid(ViT, heads=[4, 8])
        plan = grid(Train, model=models, lr=[0.1, 0.01])
        print(plan)
        with experiment("train"):
            trained = plan.submit()
        ```
    """
    copies = Copies()
    source = _source(base, copies)
    place = next(source.shapes()).__xpm_schema__.label
    given: list[Mapping[str, Any]] = []
    for each in (*varied, values):
        if isinstance(each, Zipped):
            given.append(each.columns)
        elif isinstance(cast("object", each), Mapping):
            given.extend({path: one} for path, one in columns_of(place, each).items())
        else:
            raise ConfigError(
                f"{place}: expected {{'model.layers': [2, 3]}} or zipped(...), got {shown(each)}"
            )
    given = [each for each in given if each]
    paths = [path for each in given for path in each]
    for path in paths:
        if paths.count(path) > 1:
            raise ConfigError(f"{place}.{path}: is varied twice")
    axes = [[Column(path, one, copies) for path, one in each.items()] for each in given]
    return Grid(Product(source, axes) if axes else source)


def _source(base: Any, copies: Copies) -> Source[Any]:
    if isinstance(base, Grid):
        return cast("Grid[Any]", base).source
    if isinstance(base, type) and issubclass(base, Config):
        return Listed([base.C()], copies)
    found: list[Any] = [base]
    if isinstance(base, Iterable) and not isinstance(base, (str, bytes, Mapping, Described)):
        found = list(cast("Iterable[Any]", base))
        if not found:
            raise ConfigError("grid: expected at least one description, got none")
    for each in found:
        if not isinstance(each, Description):
            raise ConfigError(
                f"grid: expected a description such as Train.C(...), its class, or several, got {shown(each)}"
            )
    return Listed(found, copies)
