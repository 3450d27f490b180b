from __future__ import annotations

import math
from enum import Enum, Flag, IntEnum, StrEnum
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Literal, NewType, Optional, TypeVar

import numpy as np
import pytest

from xpm.core.config import Config
from xpm.core.kinds import Mismatch, Unsupported, kind_of


class Color(Enum):
    RED = 1
    CRIMSON = 1
    BLUE = 2


class Level(IntEnum):
    LOW = 1


class Name(StrEnum):
    A = "a"


class Access(Flag):
    READ = 1
    WRITE = 2


class Model(Config):
    pass


class Number(int):
    pass


Bound = TypeVar("Bound", bound=int)
Free = TypeVar("Free")
UserId = NewType("UserId", int)


def same(left: object, right: object) -> bool:
    """Equal, and of equal types all the way down."""
    return repr(left) == repr(right) and type(left) is type(right)


@pytest.mark.parametrize(
    ("annotation", "given", "stored"),
    [
        (int, 3, 3),
        (int, 10**30, 10**30),
        (int, np.int64(3), 3),
        (int, Level.LOW, 1),
        (int, Number(4), 4),
        (float, 1.5, 1.5),
        (float, 1, 1.0),
        (float, -0.0, 0.0),
        (float, math.inf, math.inf),
        (float, np.float64(0.5), 0.5),
        (float, np.float32(0.5), 0.5),
        (float, np.int32(2), 2.0),
        (str, "a", "a"),
        (str, Name.A, "a"),
        (str, np.str_("a"), "a"),
        (bool, True, True),
        (bool, np.bool_(True), True),
        (None, None, None),
        (Path, "a//b/./c", Path("a/b/c")),
        (Path, Path("/a"), Path("/a")),
        (PurePosixPath, "a", PurePosixPath("a")),
        (Color, Color.CRIMSON, Color.RED),
        (Level, Level.LOW, Level.LOW),
        (Access, Access.READ, Access.READ),
        (Literal["a", 1], "a", "a"),
        (Literal["a", 1], np.int64(1), 1),
        (Literal[Color.RED], Color.RED, Color.RED),
        (list[int], [1, np.int8(2)], [1, 2]),
        (list[list[float]], [[1], []], [[1.0], []]),
        (tuple[int, str], (1, "a"), (1, "a")),
        (tuple[int, ...], (1, 2, 3), (1, 2, 3)),
        (tuple[()], (), ()),
        (set[int], {1}, {1}),
        (frozenset[int], {1}, frozenset({1})),
        (dict[str, float], {"a": 1}, {"a": 1.0}),
        (dict[Color, int], {Color.RED: 1}, {Color.RED: 1}),
        (dict[int, list[Path]], {1: ["a"]}, {1: [Path("a")]}),
        (dict[tuple[int, str], int], {(1, "a"): 2}, {(1, "a"): 2}),
        (Optional[int], None, None),  # noqa: UP045
        (int | None, 3, 3),
        (int | float, 1.0, 1.0),
        (float | int, 1, 1),
        (float | str, 1, 1.0),
        (int | bool, True, True),
        (bool | int, 1, 1),
        (str | Path, "a", "a"),
        (Path | str, "a", "a"),
        (Path | int, "a", Path("a")),
        (list[int] | list[str], ["a"], ["a"]),
        (dict[str, int] | None, None, None),
        (Annotated[int, "note"], 3, 3),
        (UserId, 3, 3),
        (Bound, 3, 3),
    ],
)
def test_stored_value(annotation: Any, given: Any, stored: Any) -> None:
    assert same(kind_of(annotation).check(given), stored)


def test_nan_is_one_value() -> None:
    check = kind_of(float).check
    assert check(float("nan")) is check(-float("nan")) is check(np.float64("nan"))
    assert math.isnan(check(float("nan")))


@pytest.mark.parametrize(
    ("annotation", "given", "message"),
    [
        (int, "three", "expected int, got 'three'"),
        (int, True, "expected int, got True"),
        (int, 1.0, "expected int, got 1.0"),
        (int, None, "expected int, got None"),
        (int, np.bool_(True), "expected int"),
        (int, np.float64(1), "expected int"),
        (float, True, "expected float, got True"),
        (float, "1", "expected float, got '1'"),
        (float, 10**400, "beyond the range"),
        (float, 2**53 + 1, "no float holds exactly"),
        (str, 3, "expected str, got 3"),
        (str, Path("a"), "expected str"),
        (bool, 1, "expected bool, got 1"),
        (Path, 3, "expected Path, got 3"),
        (Path, "", "empty string"),
        (Color, "RED", "expected Color, got 'RED'"),
        (Color, 1, "expected Color, got 1"),
        (Access, Access.READ | Access.WRITE, "one member"),
        (Literal["a", 1], True, "expected Literal['a', 1], got True"),
        (Literal["a"], ["a"], "expected Literal['a']"),
        (list[int], (1, 2), "expected list[int], got (1, 2)"),
        (list[int], "ab", "expected list[int], got 'ab'"),
        (tuple[int, str], (1,), "got 1 values"),
        (tuple[int, ...], [1], "expected tuple[int, ...]"),
        (set[int], [1], "expected set[int]"),
        (set[int], frozenset({1}), "expected set[int]"),
        (dict[str, int], [("a", 1)], "expected dict[str, int]"),
        (dict[Path, int], {"a": 1, Path("a"): 2}, "two keys that are one"),
        (int | None, "a", "expected int | None, got 'a'"),
        (int | str, True, "expected int | str, got True"),
        (int, np.zeros(3), "expected int"),
        (int, np.datetime64("2020-01-01"), "expected int"),
        (Model, 3, "expected Model, got 3"),
        (Model, Model, "use Model.C(...)"),
    ],
)
def test_refused_value(annotation: Any, given: Any, message: str) -> None:
    with pytest.raises(Mismatch) as caught:
        kind_of(annotation).check(given)
    assert message in caught.value.message


@pytest.mark.parametrize(
    ("annotation", "given", "where"),
    [
        (list[int], [1, "a"], "[1]"),
        (list[list[int]], [[], [1, "a"]], "[1][1]"),
        (dict[str, list[int]], {"k": ["a"]}, "['k'][0]"),
        (dict[int, int], {"k": 1}, "['k']"),
        (tuple[int, str], (1, 2), "[1]"),
        (tuple[int, ...], (1, "a"), "[1]"),
        (list[int] | None, [1, "a"], "[1]"),
        (set[int], {"a"}, "['a']"),
    ],
)
def test_place_of_the_culprit(annotation: Any, given: Any, where: str) -> None:
    with pytest.raises(Mismatch) as caught:
        kind_of(annotation).check(given)
    assert caught.value.where == where


def test_a_live_object_is_no_description() -> None:
    with pytest.raises(Mismatch, match=r"expected a description, got a live Model; use Model.C"):
        kind_of(Model).check(Model.C().instance())


def test_a_long_value_is_cut_in_messages() -> None:
    with pytest.raises(Mismatch) as caught:
        kind_of(int).check("x" * 1000)
    assert len(caught.value.message) < 100


def test_containers_are_copied() -> None:
    given = {"a": [1]}
    stored = kind_of(dict[str, list[int]]).check(given)
    given["a"].append(2)
    assert stored == {"a": [1]}


@pytest.mark.parametrize(
    "annotation",
    [
        list,
        dict,
        set,
        tuple,
        Any,
        object,
        complex,
        bytes,
        type,
        dict[Model, int],
        dict[list[int], int],
        Free,
        "x",
        type[int],
    ],
)
def test_unsupported_type(annotation: Any) -> None:
    with pytest.raises(Unsupported):
        kind_of(annotation)
