from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from enum import Enum, Flag, IntEnum, StrEnum
from pathlib import Path, PurePosixPath
from types import SimpleNamespace
from typing import Annotated, Any, Literal, NewType, Optional, TypeVar

import numpy as np
import pytest

from xpm.core.annotations import kind_of, narrows
from xpm.core.config import Config
from xpm.core.frozen import freeze
from xpm.core.kinds import Mismatch, Unsupported
from xpm.core.limits import Choices, Range


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


class Deep(Model):
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
        (Any, b"a", "expected a value that a parameter can have, got b'a'"),
        (Any, object, "expected a value that a parameter can have, got the class object"),
        (Free, [1, object()], "expected a value that a parameter can have"),
        (Sequence[int], "ab", "expected Sequence[int], got 'ab'"),
        (Mapping[str, int], [1], "expected dict[str, int], got [1]"),
        (Annotated[int, Range(ge=1)], 0, "expected int >= 1, got 0"),
        (Annotated[float, Range(gt=0, le=1)], 2, "expected float > 0 and <= 1, got 2"),
        (Annotated[float, Range(gt=0)], math.nan, "expected float > 0, got nan"),
        (Annotated[int | None, Range(lt=3)], 3, "expected int | None < 3, got 3"),
        (list[Annotated[int, Range(ge=1)]], [1, 0], "expected int >= 1, got 0"),
        (
            Annotated[str, Choices(["relu", "gelu"])],
            "rel",
            "expected one of 'relu', 'gelu', got 'rel'; did you mean 'relu'?",
        ),
        (Annotated[int, Choices([1, 2])], 3, "expected one of 1, 2, got 3"),
        (Annotated[str, Choices(["a"])], 3, "expected str, got 3"),
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


@pytest.mark.parametrize(
    ("annotation", "given", "stored"),
    [
        (Annotated[int, Range(ge=1, lt=3)], np.int64(2), 2),
        (Annotated[float, Range(ge=1)], 1, 1.0),
        (Annotated[int | None, Range(ge=1)], None, None),
        (Annotated[float, Choices([1, 2])], 2, 2.0),
        (Annotated[Color, Choices([Color.RED])], Color.CRIMSON, Color.RED),
        (Annotated[int, "a note", SimpleNamespace(ge=None, gt=0)], 1, 1),
        (Any, [1, 2.0, (None, "a", True)], [1, 2.0, (None, "a", True)]),
        (Any, {Color.RED: {np.int64(1)}, (1, "a"): Path("a")}, {Color.RED: {1}, (1, "a"): Path("a")}),
        (Free, -0.0, 0.0),
        (Any, Level.LOW, Level.LOW),
        (Sequence[float], [1], [1.0]),
        (Sequence[float], (1,), (1.0,)),
        (AbstractSet[int], frozenset({1}), frozenset({1})),
        (Mapping[str, int], {"a": 1}, {"a": 1}),
    ],
)
def test_limits_and_abstract_types(annotation: Any, given: Any, stored: Any) -> None:
    assert same(kind_of(annotation).check(given), stored)


def test_any_description_is_any() -> None:
    assert isinstance(kind_of(Any).check([Model.C()])[0], Model)
    with pytest.raises(Mismatch, match="expected a description, got a live Model"):
        kind_of(Any).check(Model.C().instance())


@pytest.mark.parametrize(
    ("annotation", "message"),
    [
        (Annotated[str, Range(ge=1)], "a range is for numbers, not for str"),
        (Annotated[bool, Range(ge=1)], "a range is for numbers, not for bool"),
        (Annotated[int, Choices(["a"])], "a choice is wrong: expected int, got 'a'"),
    ],
)
def test_limits_that_do_not_fit(annotation: Any, message: str) -> None:
    with pytest.raises(Unsupported, match=message):
        kind_of(annotation)


@pytest.mark.parametrize(
    ("new", "old", "whether"),
    [
        (int, int, True),
        (int, str, False),
        (bool, int, False),
        (int, float, False),
        (int, int | str, True),
        (int | str, int, False),
        (int | None, int | str | None, True),
        (None, int | None, True),
        (Literal["a"], str, True),
        (Literal["a"], Literal["a", "b"], True),
        (Literal["c"], Literal["a", "b"], False),
        (Literal[True], int, False),
        (list[int], list[int | None], True),
        (list[str], list[int], False),
        (tuple[int, int], tuple[int, int, int], False),
        (Deep, Model, True),
        (Model, Deep, False),
        (list[Deep], list[Model], True),
        (Annotated[int, Range(ge=1)], int, True),
        (UserId, int, True),
        (Bound, int, True),
        (int, Any, True),
        (int, Free, True),
        (Level, Enum, True),
        (dict[str, Deep], dict[str, Model], True),
    ],
)
def test_narrower_types(new: Any, old: Any, whether: bool) -> None:
    assert narrows(new, old) is whether


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
    ("annotation", "given"),
    [
        (list[int], [1, 2]),
        (list[int], []),
        (dict[str, int], {"a": 1}),
        (dict[str, float], {"a": 0.5}),
        (set[str], {"a"}),
    ],
)
def test_a_copy_is_an_ordinary_container(annotation: Any, given: Any) -> None:
    stored = kind_of(annotation).check(freeze(given))
    assert stored == given and type(stored) is type(given)
    assert stored is not given


@pytest.mark.parametrize(
    ("annotation", "given", "where"),
    [
        (list[int], [1, True], "[1]"),
        (dict[str, int], {"a": 1, "b": False}, "['b']"),
        (set[int], {True}, "[True]"),
    ],
)
def test_a_bool_among_ints_is_refused(annotation: Any, given: Any, where: str) -> None:
    with pytest.raises(Mismatch) as caught:
        kind_of(annotation).check(given)
    assert caught.value.where == where


@pytest.mark.parametrize(
    "annotation",
    [
        list,
        dict,
        set,
        tuple,
        Sequence,
        object,
        complex,
        bytes,
        type,
        dict[Model, int],
        dict[list[int], int],
        Iterable[int],
        "x",
        type[int],
    ],
)
def test_unsupported_type(annotation: Any) -> None:
    with pytest.raises(Unsupported):
        kind_of(annotation)
