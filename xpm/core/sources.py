"""Where the descriptions of a grid come from: a list, several sources, or a choice of another's."""

from __future__ import annotations

from abc import ABC, abstractmethod
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cached_property
from itertools import accumulate, chain
from typing import Any, Generic, TypeVar, cast

from xpm.core.copying import Copies, copy_of
from xpm.core.identifier import identifier
from xpm.core.info import info_of
from xpm.core.settling import fresh, settle_parts
from xpm.core.tags import tags_of
from xpm.errors import ConfigError
from xpm.types import JobId

T_co = TypeVar("T_co", covariant=True)


class Source(ABC, Generic[T_co]):
    """Descriptions that are made when they are looked at."""

    names: tuple[str, ...] = ()
    """Of the tags that some of them have."""

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def at(self, index: int) -> T_co:
        """The description at `index`, which is there; a new one each time, if it isn't sealed."""

    @abstractmethod
    def shapes(self) -> Iterator[Any]:
        """Descriptions with each class that the source can have in each place: what names and types depend on."""

    def __iter__(self) -> Iterator[T_co]:
        return map(self.at, range(len(self)))


class Sourced(Generic[T_co]):
    """What has a source: a grid, for the modules that it is built on."""

    __slots__ = ("source",)

    def __init__(self, source: Source[T_co]) -> None:
        self.source = source


class Listed(Source[T_co]):
    """Descriptions that were given: copies, but for what is sealed and can't change."""

    def __init__(self, given: Iterable[Any], copies: Copies) -> None:
        self._all = [each if _sealed(each) else _copied(each, copies) for each in given]
        self._settled = [settle_parts(each) if not _sealed(each) else True for each in self._all]
        self.names = tuple(dict.fromkeys(name for each in self._all for name in tags_of(each)))

    def __len__(self) -> int:
        return len(self._all)

    def at(self, index: int) -> T_co:
        """The description at `index`."""
        found = self._all[index]
        if _sealed(found):
            return found
        return cast("T_co", fresh(found) if self._settled[index] else copy_of(found))

    def shapes(self) -> Iterator[Any]:
        """All of them."""
        return iter(self._all)


def _sealed(config: Any) -> bool:
    info = info_of(config)
    return info is not None and info.sealed


def _copied(config: Any, copies: Copies) -> Any:
    info = info_of(config)
    if info is not None and info.callbacks:
        raise ConfigError(
            f"{type(config).__name__}: has callbacks, which the tasks of a grid would lack; give them to what submit() returns"
        )
    return copies.description(config) if info is None or info.producer is None else copy_of(config)


class Chain(Source[T_co]):
    """Several sources, one after another."""

    def __init__(self, parts: Sequence[Source[T_co]]) -> None:
        self.parts = tuple(parts)
        self.names = tuple(dict.fromkeys(name for part in self.parts for name in part.names))

    @cached_property
    def _ends(self) -> list[int]:
        return list(accumulate(map(len, self.parts)))

    def __len__(self) -> int:
        return self._ends[-1]

    def at(self, index: int) -> T_co:
        """The description at `index`."""
        part = bisect_right(self._ends, index)
        return self.parts[part].at(index - (self._ends[part - 1] if part else 0))

    def shapes(self) -> Iterator[Any]:
        """Those of all."""
        return chain.from_iterable(part.shapes() for part in self.parts)

    def __iter__(self) -> Iterator[T_co]:
        return chain.from_iterable(self.parts)


class Choice(Source[T_co]):
    """Some descriptions of a source; which, is found out when it is first asked."""

    def __init__(self, of: Source[T_co], choose: Callable[[], Sequence[int]]) -> None:
        self._of = of
        self._choose = choose
        self.names = of.names

    @cached_property
    def _indices(self) -> Sequence[int]:
        return self._choose()

    def __len__(self) -> int:
        return len(self._indices)

    def at(self, index: int) -> T_co:
        """The description at `index`."""
        return self._of.at(self._indices[index])

    def shapes(self) -> Iterator[Any]:
        """Those that there could be."""
        return self._of.shapes()


class Union(Choice[T_co]):
    """What is in several sources: in their order, equal descriptions once."""

    def __init__(self, parts: Sequence[Source[T_co]]) -> None:
        # A union of unions looks for equals once.
        flat = [inner for part in parts for inner in (part.parts if isinstance(part, Union) else (part,))]
        self.parts: tuple[Source[T_co], ...] = tuple(flat)
        whole = Chain(self.parts)
        super().__init__(whole, lambda: _distinct(whole))


def _distinct(source: Source[Any]) -> tuple[int, ...]:
    seen: dict[JobId, int] = {}
    for index, each in enumerate(source):
        seen.setdefault(identifier(each), index)
    return tuple(seen.values())
