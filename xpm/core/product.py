"""Every combination of values of several parameters, each made when it is looked at."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from math import prod
from typing import Any, TypeVar

from xpm.core.axes import KEPT, Column
from xpm.core.canonical import PLAIN
from xpm.core.copying import copy_of
from xpm.core.fields import UNSET
from xpm.core.info import Description, Submittable, info_of, own_info
from xpm.core.kinds import shown
from xpm.core.schema import Schema
from xpm.core.settling import fresh, settle, settle_parts
from xpm.core.sources import Source
from xpm.core.tags import brought
from xpm.errors import ConfigError

T_co = TypeVar("T_co", covariant=True)

Axis = Sequence[Column]
"""Columns of one length, whose values go together."""


class Product(Source[T_co]):
    """Each description of a source, with each combination of the values of several axes; the last changes fastest."""

    def __init__(self, of: Source[T_co], axes: Sequence[Axis]) -> None:
        self._of = of
        self._axes = axes
        self._top = _Level([(at, each, each.path) for at, axis in enumerate(axes) for each in axis])
        holders = list(of.shapes())
        label = holders[0].__xpm_schema__.label
        self._top.fit(holders, label)
        self.names = tuple(dict.fromkeys(name for each in holders for name in self._top.tell_apart(each)))

    def __len__(self) -> int:
        return len(self._of) * prod(len(axis[0]) for axis in self._axes)

    def at(self, index: int) -> T_co:
        """The description at `index`."""
        digits = [0] * len(self._axes)
        for place in range(len(digits) - 1, -1, -1):
            index, digits[place] = divmod(index, len(self._axes[place][0]))
        base = self._of.at(index)
        return self._grown(base, digits, settle_parts(base))

    def __iter__(self) -> Iterator[T_co]:
        for base in self._of:
            settled = settle_parts(base)
            for digits in product(*(range(len(axis[0])) for axis in self._axes)):
                yield self._grown(base, digits, settled)

    def _grown(self, base: Any, digits: Sequence[int], settled: bool) -> Any:
        made = self._top.grown(base, digits)
        return made if settled and self._top.settled else copy_of(made)

    def shapes(self) -> Iterator[Any]:
        """Those of the source with the first values, and the first of them with all others that are no scalars."""
        columns = [each for axis in self._axes for each in axis]
        first = {each: next(iter(each.shapes())) for each in columns}
        holders = self._of.shapes()
        base = next(holders)
        yield self._top.shaped(base, first)
        for each in columns:
            for value in each.shapes():
                if value is not first[each] and type(value) not in PLAIN:
                    yield self._top.shaped(base, {**first, each: value})
        for other in holders:
            yield self._top.shaped(other, first)


class _Level:
    """What varies in one description: parameters of its own, and of those in it."""

    def __init__(self, columns: Sequence[tuple[int, Column, tuple[str, ...]]]) -> None:
        self.own = [(at, column) for at, column, path in columns if len(path) == 1]
        self.below: dict[str, _Level] = {}
        for name in dict.fromkeys(path[0] for _, _, path in columns if len(path) > 1):
            inner = [(at, each, path[1:]) for at, each, path in columns if len(path) > 1 and path[0] == name]
            self.below[name] = _Level(inner)
        self._apart: frozenset[str] = frozenset()
        """The tags whose names others have, too, with their parameters' names."""
        self._axes = sorted({at for at, _, _ in columns})
        self._made: dict[tuple[int, ...], tuple[Any, Any]] = {}
        self._settled = True

    @property
    def settled(self) -> bool:
        """Whether all that it has made so far can share its parts with others."""
        return (
            self._settled
            and all(column.settled for _, column in self.own)
            and all(level.settled for level in self.below.values())
        )

    def fit(self, holders: Sequence[Any], place: str) -> None:
        """Has all values checked by the descriptions that they are for.

        Raises:
            ConfigError: there is no such parameter, a value doesn't fit, or a way leads through what is no config.
        """
        for each in holders:
            info = info_of(each)
            if info is not None and info.promise:
                raise ConfigError(f"{place}: is what a job will return; nothing of it can vary")
        for _, column in self.own:
            for schema in {each.__xpm_schema__: None for each in holders}:
                column.fit(schema)
        for name, level in self.below.items():
            level.fit(self._held(name, holders, place), f"{place}.{name}")

    def _held(self, name: str, holders: Sequence[Any], place: str) -> list[Any]:
        """The configs that `holders` have under `name`."""
        found: list[Any] = []
        for each in holders:
            schema: Schema = each.__xpm_schema__
            if name not in schema.fields:
                raise ConfigError(schema.unknown(name))
            found.extend(self._values(name, each, place))
        further = next(iter([column.name for _, column in self.below[name].own] or self.below[name].below))
        for value in found:
            if isinstance(value, Submittable):
                raise ConfigError(f"{place}.{name}: is a task; vary {further!r} in a grid of it")
            if not isinstance(value, Description):
                raise ConfigError(f"{place}.{name}: is no config that has {further!r}, but {shown(value)}")
        return found

    def _values(self, name: str, holder: Any, place: str) -> list[Any]:
        given = next((column for _, column in self.own if column.name == name), None)
        if given is not None:
            return list(given.shapes())
        if name not in holder.__dict__:
            raise ConfigError(f"{place}.{name}: is missing; what is in it can't vary")
        return [holder.__dict__[name]]

    def tell_apart(self, holder: Any) -> list[str]:
        """The names of all tags of descriptions such as `holder`; finds those that need their parameter's name."""
        info = info_of(holder)
        varied = {column.name: column.brought for _, column in self.own}
        past = info.studied & varied.keys() if info is not None else ()
        own = dict.fromkeys(name for name in (info and info.tags) or {} if name not in past)
        own |= dict.fromkeys(column.name for _, column in self.own if column.tagged())
        sources: dict[str, list[str]] = {}
        for name in holder.__xpm_schema__.fields:
            names = list(varied[name] if name in varied else brought(holder.__dict__.get(name)))
            if name in self.below:
                inner = self._values(name, holder, "")
                names += [tag for each in inner for tag in _going_up(each, self.below[name].tell_apart(each))]
            if names:
                sources[name] = list(dict.fromkeys(names))
        counts = Counter(tag for tags in sources.values() for tag in tags)
        changing = {
            tag for name, tags in sources.items() if name in varied or name in self.below for tag in tags
        }
        apart = {
            f"{name}.{tag}"
            for name, tags in sources.items()
            for tag in tags
            if tag in changing and (counts[tag] > 1 or tag in own)
        }
        self._apart |= apart
        found = [
            told if (told := f"{name}.{tag}") in apart else tag
            for name, tags in sources.items()
            for tag in tags
        ]
        return [*found, *own]

    def grown(self, base: Any, digits: Sequence[int]) -> Any:
        """A description with the parts of `base`, but for what varies."""
        made = fresh(base)
        values = made.__dict__
        schema = made.__xpm_schema__
        tags: dict[str, Any] = {}
        for at, column in self.own:
            values[column.name], tags[column.name] = column.pick(schema, digits[at])
        for name, level in self.below.items():
            values[name] = level.shared(values[name], digits)
        self._tag(made, tags)
        return made

    def shaped(self, base: Any, values: Mapping[Column, Any]) -> Any:
        """The same with these values, whose tags have names and say nothing."""
        made = fresh(base)
        for _, column in self.own:
            made.__dict__[column.name] = values[column]
        for name, level in self.below.items():
            made.__dict__[name] = level.shaped(made.__dict__[name], values)
        self._tag(made, {column.name: None if column.tagged() else UNSET for _, column in self.own})
        return made

    def _tag(self, made: Any, tags: dict[str, Any]) -> None:
        if tags:
            info = own_info(made)
            told = {name: tag for name, tag in tags.items() if tag is not UNSET}
            # What was said of the same parameters before, holds no more.
            past = info.studied & tags.keys()
            info.tags = {**{name: tag for name, tag in (info.tags or {}).items() if name not in past}, **told}
            info.studied = (info.studied - past).union(told)
        if self._apart:
            info = own_info(made)
            info.apart = info.apart | self._apart

    def shared(self, base: Any, digits: Sequence[int]) -> Any:
        """The same for a config in another description, which many can have."""
        key = (id(base), *(digits[at] for at in self._axes))
        held, made = self._made.get(key, (None, None))
        # What is kept holds its base, so that no other can have its id.
        if held is base:
            return made
        made = self.grown(base, digits)
        if not settle(base) or not settle(made):
            self._settled = False
            return made
        if len(self._made) == KEPT:
            self._made.clear()
        self._made[key] = (base, made)
        return made


def _going_up(config: Any, names: Sequence[str]) -> Sequence[str]:
    """Those of the tags of a config that what has it as a parameter gets."""
    info = info_of(config)
    kept = frozenset[str]() if info is None else info.kept
    return () if kept is None else [name for name in names if name not in kept]
