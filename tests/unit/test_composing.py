"""Composition of descriptions by `@`."""

from __future__ import annotations

from typing import Any

import pytest

from xpm.core.config import Config, Constant, Param, Task
from xpm.core.provenance import provenance
from xpm.core.tags import tag
from xpm.errors import ConfigError, SealedError


class Inner(Config):
    x: Param[int] = 1


class Special(Inner): ...


class Data(Config):
    inner: Param[Inner]


class Outer(Task):
    n: Param[int] = 1
    data: Param[Data | None] = None
    special: Param[Special]
    version: Constant[str] = "1"

    def execute(self) -> None: ...


class Twins(Config):
    left: Param[Inner]
    right: Param[Inner]


def test_the_one_that_takes_it_is_filled() -> None:
    special = Special.C(x=3)
    outer = Outer.C(n=tag(2))
    made = outer @ special @ (Data.C() @ Inner.C(x=4))
    assert made is outer and made.special is special
    assert made.data is not None and made.data.inner.x == 4
    where = provenance(outer, "special")
    assert (where.kind, where.line) == (
        "set",
        test_the_one_that_takes_it_is_filled.__code__.co_firstlineno + 3,
    )
    assert dict(outer.tags) == {"n": 2}


def test_what_was_given_is_not_filled_again() -> None:
    left, right = Inner.C(), Inner.C()
    twins = Twins.C(left=left) @ right
    assert (twins.left, twins.right) == (left, right)


@pytest.mark.parametrize(
    ("outer", "inner", "message"),
    [
        (Twins.C(), Inner.C(), r"^Twins @ Inner: left and right take it; write Twins.C\(left=...\)$"),
        (Outer.C(n=2), Inner.C(), r"^Outer @ Inner: no parameter takes it \(not given yet: data, special\)$"),
        (Inner.C(x=1), Inner.C(), r"^Inner @ Inner: no parameter takes it \(all are given\)$"),
        (Outer.C(), 3, r"^Outer @: expected a description, got 3$"),
        (Outer.C(), Inner.C().instance(), r"^Outer @: expected a description, got a live Inner; use Inner.C"),
        (Inner.C().instance(), Inner.C(), r"^Inner.@: only a description has it"),
    ],
)
def test_what_fits_nowhere_is_told(outer: Any, inner: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        outer @ inner


def test_a_sealed_one_stays_as_it_is() -> None:
    twins = Twins.C(left=Inner.C(), right=Inner.C()).seal()
    with pytest.raises(ConfigError, match="all are given"):
        twins @ Inner.C()
    sealed = Outer.C(special=Special.C()).seal()
    with pytest.raises(SealedError):
        sealed @ (Data.C() @ Inner.C())
