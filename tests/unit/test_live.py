from __future__ import annotations

import copy
import pickle
from pathlib import Path
from types import FunctionType
from typing import Any

import pytest
from sessions import Recorder

from xpm.core.config import Config, Meta, Param, PathGenerator, Task, field
from xpm.core.live import animate, deferred, is_filled
from xpm.errors import ConfigError


class Leaf(Config):
    size: Param[int] = 1
    order: list[str]

    def __init__(self) -> None:
        self.order = ["init"]

    def __post_init__(self) -> None:
        self.order.append(f"post {self.size}")


class Module:
    """Like torch's: nothing can be set before `__init__`."""

    def __init__(self) -> None:
        object.__setattr__(self, "parts", {})

    def __setattr__(self, name: str, value: Any) -> None:
        self.parts[name] = value
        object.__setattr__(self, name, value)


class Network(Config, Module):
    leaf: Param[Leaf]
    leaves: Param[dict[str, list[Leaf]]] = field(default_factory=dict)
    names: Param[set[str]] = field(default_factory=set)


class Tree(Module, Config):
    leaf: Param[Leaf]


class Scored(Config):
    function: Param[FunctionType]
    others: Param[list[FunctionType | None]] = field(default_factory=list)


def score(size: int) -> int:
    return size + 1


class Train(Task):
    leaf: Param[Leaf] = Leaf.C()
    file: Meta[Path] = field(default_factory=PathGenerator("f"))
    before: Param[Train | None] = None

    def execute(self) -> str:
        assert self.before is not None
        return f"{self.before.result()} {self.before.file}"


def test_a_deferred_object_can_be_pickled_and_copied() -> None:
    def fill(live: Any) -> None:
        animate(live, {"size": 3})

    leaf = deferred(Leaf, fill)
    copied = copy.deepcopy(leaf)
    again = pickle.loads(pickle.dumps(leaf))
    assert is_filled(leaf) and not is_filled(copied)
    assert type(again) is type(leaf) is Leaf
    assert [each.size for each in (leaf, again, copied)] == [3, 3, 3]
    assert copied.order == ["init", "post 3"]


def test_an_instance_has_functions_themselves() -> None:
    live = Scored.C(function=score, others=[score, None]).copy().instance()
    assert live.function is score
    assert live.others == [score, None]


def test_instance() -> None:
    leaf = Leaf.C(size=3)
    live = Network.C(leaf=leaf, leaves={"a": [leaf, Leaf.C()]}, names={"x"}).instance()
    assert type(live) is Network
    assert live.leaf.order == ["init", "post 3"]
    assert live.leaves["a"][0] is live.leaf
    assert live.leaves["a"][1] is not live.leaf
    assert set(live.parts) == {"leaf", "leaves", "names"}
    live.leaves["b"] = []
    live.leaf.size = "anything"
    live.extra = 3


def test_the_order_of_bases_is_the_author_s() -> None:
    described = Tree.C(leaf=Leaf.C())
    with pytest.raises(ConfigError):
        described.leaf = 3
    assert set(described.instance().parts) == {"leaf"}


def test_instances_share_nothing_with_the_description() -> None:
    described = Network.C(leaf=Leaf.C(), leaves={"a": []})
    live = described.instance()
    live.leaves["a"].append(live.leaf)
    assert described.leaves == {"a": []}
    assert described.instance().leaf is not live.leaf


def test_instance_of_a_task() -> None:
    with pytest.raises(ConfigError, match=r"Train.file: the path is known once the task is submitted"):
        Train.C().instance()
    with Recorder() as session:
        first = Train.C().submit()
        live = Train.C(before=first).submit().instance()
    assert live.execute() == f"{(session.prepared[0].id, None)} {first.jobpath / 'f'}"


def test_missing() -> None:
    with pytest.raises(ConfigError, match=r"Network.leaf: is missing"):
        Network.C().instance()


class Undescribed(Config):
    """Never described in this process, as in a worker."""

    size: Param[int] = 1
    names: Param[list[str]] = field(default_factory=list)


def test_deferred_without_any_description() -> None:
    live = deferred(Undescribed, lambda live: vars(live).update(size=5, names=["a"]))
    assert (live.size, live.names) == (5, ["a"])


def test_deferred() -> None:
    filled: list[object] = []

    def fill(live: Leaf) -> None:
        filled.append(live)
        live.size = 4

    live = deferred(Leaf, fill)
    assert isinstance(live, Leaf)
    assert not hasattr(live, "__nothing__")
    assert filled == []
    assert live.size == 4
    assert type(live) is Leaf
    assert filled == [live]
    changed = deferred(Leaf, fill)
    changed.size = 5
    assert (changed.size, type(changed)) == (5, Leaf)
