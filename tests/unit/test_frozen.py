from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from typing import Any

import pytest

from xpm.core.frozen import FrozenDict, FrozenList, FrozenSet, freeze, thaw
from xpm.errors import SealedError

CHANGES: list[tuple[Any, Callable[[Any], Any]]] = [
    *(([3, 1], change) for change in (
        lambda it: it.append(1), lambda it: it.extend([1]), lambda it: it.insert(0, 1), lambda it: it.pop(),
        lambda it: it.remove(1), lambda it: it.clear(), lambda it: it.sort(), lambda it: it.reverse(),
        lambda it: it.__setitem__(0, 1), lambda it: it.__delitem__(0), lambda it: it.__iadd__([1]),
        lambda it: it.__imul__(2),
    )),
    *(({1: 2}, change) for change in (
        lambda it: it.update(a=1), lambda it: it.pop(1), lambda it: it.popitem(), lambda it: it.clear(),
        lambda it: it.setdefault(3, 1), lambda it: it.__setitem__(1, 1), lambda it: it.__delitem__(1),
        lambda it: it.__ior__({1: 3}),
    )),
    *(({1, 2}, change) for change in (
        lambda it: it.add(3), lambda it: it.discard(1), lambda it: it.remove(1), lambda it: it.pop(),
        lambda it: it.clear(), lambda it: it.update({3}), lambda it: it.difference_update({1}),
        lambda it: it.intersection_update({1}), lambda it: it.symmetric_difference_update({1}),
        lambda it: it.__ior__({3}), lambda it: it.__iand__({1}), lambda it: it.__isub__({1}), lambda it: it.__ixor__({1}),
    )),
]  # fmt: skip


@pytest.mark.parametrize(("value", "change"), CHANGES)
def test_no_change(value: Any, change: Callable[[Any], Any]) -> None:
    frozen = freeze(value)
    assert frozen == value
    assert isinstance(frozen, type(value))
    with pytest.raises(SealedError, match=f"this {type(value).__name__} belongs to a sealed description"):
        change(frozen)
    assert frozen == value


@pytest.mark.parametrize(("kind", "frozen"), [(list, FrozenList), (dict, FrozenDict), (set, FrozenSet)])
def test_every_method_that_changes_is_refused(kind: type, frozen: type) -> None:
    """A method that a later Python adds to the mutable type would show up here."""
    reading = {
        list: {"__getitem__", "__len__", "copy", "count", "index"},
        dict: {"copy", "fromkeys", "get", "items", "keys", "values"},
        set: {
            "copy",
            "difference",
            "intersection",
            "isdisjoint",
            "issubset",
            "issuperset",
            "symmetric_difference",
            "union",
        },
    }[kind]
    public = {name for name in dir(kind) if not name.startswith("__")}
    assert public - set(vars(frozen)) <= reading


def test_all_the_way_down() -> None:
    frozen = freeze({"a": [({1}, [2])]})
    for change in (
        lambda: frozen["a"].append(1),
        lambda: frozen["a"][0][0].add(2),
        lambda: frozen["a"][0][1].append(1),
    ):
        with pytest.raises(SealedError):
            change()


def test_copies_are_ordinary() -> None:
    value = {"a": [({1}, [2], frozenset({3}))]}
    frozen = freeze(value)
    for copied in (
        thaw(frozen, lambda leaf: leaf),
        copy.deepcopy(frozen),
        pickle.loads(pickle.dumps(frozen)),
    ):
        assert copied == value
        assert [type(copied), type(copied["a"]), type(copied["a"][0][0])] == [dict, list, set]
