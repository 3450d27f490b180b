"""Containers of a sealed description: ordinary lists, dicts and sets that refuse to change."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, NoReturn

from xpm.core.scalars import all_plain
from xpm.errors import SealedError


def _refuse(self: object, *args: object, **kwargs: object) -> NoReturn:
    raise SealedError(
        f"this {type(self).__name__[6:].lower()} belongs to a sealed description; change a .copy() of it"
    )


class FrozenList(list[Any]):
    """A list that cannot change."""

    __slots__ = ()
    __setitem__ = __delitem__ = __iadd__ = __imul__ = _refuse  # type: ignore[assignment]
    append = clear = extend = insert = pop = remove = reverse = sort = _refuse  # type: ignore[assignment]

    def __reduce__(self) -> tuple[Any, ...]:
        return (list, (list(self),))


class FrozenDict(dict[Any, Any]):
    """A dict that cannot change."""

    __slots__ = ()
    __setitem__ = __delitem__ = __ior__ = _refuse  # type: ignore[assignment]
    clear = pop = popitem = setdefault = update = _refuse  # type: ignore[assignment]

    def __reduce__(self) -> tuple[Any, ...]:
        return (dict, (dict(self),))


class FrozenSet(set[Any]):
    """A set that cannot change; a `set` still, as its parameter says, so not a `frozenset`."""

    __slots__ = ()
    __iand__ = __ior__ = __isub__ = __ixor__ = _refuse  # type: ignore[assignment]
    add = clear = discard = pop = remove = update = _refuse  # type: ignore[assignment]
    difference_update = intersection_update = symmetric_difference_update = _refuse  # type: ignore[assignment]

    def __reduce__(self) -> tuple[Any, ...]:
        return (set, (set(self),))


def freeze(value: Any) -> Any:
    """`value` with all its lists, dicts and sets frozen."""
    make = _FREEZE.get(value.__class__)
    return value if make is None else make(value)


def united(value: Any, same: Callable[[Any], object]) -> Any:
    """The frozen `value` with one element left in its sets of those that `same` gives one answer for."""
    make: Callable[[Iterable[Any]], Any] = value.__class__
    if make is FrozenSet or make is frozenset:
        return make({same(each): each for each in (united(each, same) for each in value)}.values())
    if make is FrozenList or make is tuple:
        return make(united(each, same) for each in value)
    if make is FrozenDict:
        return FrozenDict((key, united(each, same)) for key, each in value.items())
    return value


def thaw(value: Any, leaf: Callable[[Any], Any]) -> Any:
    """A fresh copy of `value` in ordinary containers, with `leaf` applied to all that is no container."""
    kind: type[Any] = value.__class__
    if kind is tuple:
        return tuple(thaw(each, leaf) for each in value)
    if kind is frozenset:
        return frozenset(thaw(each, leaf) for each in value)
    if kind is list or kind is FrozenList:
        return [thaw(each, leaf) for each in value]
    if kind is dict or kind is FrozenDict:
        return {thaw(key, leaf): thaw(each, leaf) for key, each in value.items()}
    if kind is set or kind is FrozenSet:
        return {thaw(each, leaf) for each in value}
    return leaf(value)


_FREEZE: dict[type, Callable[[Any], Any]] = {
    list: lambda value: FrozenList(value if all_plain(value) else map(freeze, value)),
    dict: lambda value: FrozenDict(
        value if all_plain(value.values()) else ((key, freeze(each)) for key, each in value.items())
    ),
    set: FrozenSet,
    tuple: lambda value: value if all_plain(value) else tuple(map(freeze, value)),
}
