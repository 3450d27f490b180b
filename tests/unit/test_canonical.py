from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import Any

import pytest

from xpm.core import canonical as module
from xpm.core.canonical import Mark, canonical
from xpm.core.config import Config
from xpm.core.frozen import freeze


class Kind(Enum):
    A = 1
    B = 1


class Empty(Config):
    pass


def form(value: Any) -> Any:
    return canonical(value, lambda config: b"digest")


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, None),
        (True, True),
        (2**80, 2**80),
        ("a", "a"),
        ([1, [2.5], "a"], [1, 1, [1, 2.5], "a"]),
        ((1, "a"), [2, 1, "a"]),
        ({3, 1, 2}, [3, 1, 2, 3]),
        ({"b", "a", 1, None}, [3, 1, "a", "b", None]),
        (frozenset(), [3]),
        ({"b": 1, "a": [2]}, [4, "a", [1, 2], "b", 1]),
        ({"bb": 1, "a": None, 3: 2.5, "b": "c"}, [4, 3, 2.5, "a", None, "b", "c", "bb", 1]),
        (Kind.B, [5, f"{__name__}.Kind", "A"]),
        (Path("a//b"), [6, "a/b"]),
        ([Path("/")], [1, [6, "/"]]),
    ],
)
def test_forms(value: Any, expected: Any) -> None:
    assert form(value) == form(freeze(value)) == expected


def test_config() -> None:
    assert form([Empty.C()]) == [1, [7, b"digest"]]


def test_what_has_none() -> None:
    with pytest.raises(TypeError, match="complex has no canonical form"):
        form(1j)


def test_constants_are_the_marks() -> None:
    for name in ("LIST", "TUPLE", "SET", "DICT", "ENUM", "PATH", "REFERENCE", "CONFIG", "OUTPUT"):
        assert getattr(module, name) == Mark[name]
    assert len({mark.value for mark in Mark}) == len(Mark.__members__)
