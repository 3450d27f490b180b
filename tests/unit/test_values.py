from __future__ import annotations

import json
import math
from collections import Counter, OrderedDict, namedtuple
from dataclasses import dataclass, field
from enum import Enum, IntEnum
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sessions import Recorder

from xpm.core.config import Config, Param, Task, reference
from xpm.core.identifier import identifier
from xpm.core.info import JobRef
from xpm.errors import ConfigError, ResultError
from xpm.types import JobId
from xpm.workspace.values import decode_result, encode_result, plain

Point = namedtuple("Point", "x y")


class Colour(Enum):
    RED = "r"


class Level(IntEnum):
    HIGH = 3


@dataclass(frozen=True)
class Score:
    value: float
    parts: list[tuple[str, int]] = field(default_factory=list)

    def __post_init__(self):
        if self.value == -1:
            raise ValueError


def find(name):
    return {"Point": Point, "Colour": Colour, "Level": Level, "Score": Score}[name.split(":")[1]]


def there_and_back(value, jobdir):
    (jobdir / ".xpm").mkdir(exist_ok=True)
    text = json.dumps(encode_result(value, jobdir), allow_nan=False)
    return decode_result(json.loads(text), jobdir, find)


@pytest.mark.parametrize(
    "value",
    [
        None,
        True,
        10**40,
        1.5,
        -0.0,
        math.inf,
        -math.inf,
        "text \udc80",
        b"\x00\xff",
        (1, (2, [3])),
        {1, 2},
        frozenset({"a"}),
        {"a": {"b": [1, None]}},
        {1: "a", (2, 3): "b", None: 0},
        {"$": "float", "v": "nan"},
        {},
        [],
        (),
        1 + 2j,
        Point(1, (2,)),
        Colour.RED,
        Level.HIGH,
        Score(0.5, [("a", 1)]),
        [Score(-math.inf)],
        "\ud83d\ude00 😀",
        {"\ud83d\ude00": Path("/\ud83d\ude00")},
    ],
    ids=repr,
)
def test_a_value_comes_back_as_it_was(tmp_path, value):
    back = there_and_back(value, tmp_path)
    assert back == value
    assert type(back) is type(value)


def test_nan_comes_back(tmp_path):
    assert math.isnan(there_and_back({"loss": [math.nan]}, tmp_path)["loss"][0])


PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary(),
    lambda inner: (
        st.lists(inner) | st.dictionaries(st.text() | st.integers(), inner) | st.tuples(inner, inner)
    ),
    max_leaves=20,
)


@given(PLAIN)
def test_plain_data_comes_back_as_it_was(value):
    assert decode_result(json.loads(json.dumps(encode_result(value, "/j"))), "/j") == value


def test_numpy_scalars_become_numbers(tmp_path):
    back = there_and_back(
        {"a": np.float32(0.5), "b": np.int64(3), "c": np.bool_(True), "d": np.str_("x")}, tmp_path
    )
    assert back == {"a": 0.5, "b": 3, "c": True, "d": "x"}
    assert [type(value) for value in back.values()] == [float, int, bool, str]


def test_arrays_lie_beside_the_record(tmp_path):
    value = {"w": np.arange(6.0).reshape(2, 3), "b": [np.array(3, dtype="uint8")]}
    back = there_and_back(value, tmp_path)
    assert np.array_equal(back["w"], value["w"]) and back["w"].dtype == float
    assert back["b"][0].shape == () and back["b"][0].dtype == np.uint8
    assert sorted(path.name for path in (tmp_path / ".xpm").iterdir()) == ["result-0.npy", "result-1.npy"]


def test_an_array_never_replaces_one_that_is_there(tmp_path):
    first = encode_result(np.zeros(2), _with_meta(tmp_path))
    second = encode_result(np.ones(2), tmp_path)
    assert first != second
    assert decode_result(first, tmp_path).sum() == 0


def _with_meta(path):
    (path / ".xpm").mkdir()
    return path


def test_paths_in_the_directory_move_with_it(tmp_path):
    here, there = tmp_path / "here", tmp_path / "there"
    data = encode_result([Path("w.npz"), here / "a" / "b", Path("/etc/x"), here, here / ".." / "out"], here)
    assert decode_result(data, there) == [
        there / "w.npz",
        there / "a/b",
        Path("/etc/x"),
        there,
        tmp_path / "out",
    ]


def test_paths_through_a_link_to_the_directory_are_inside(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    data = encode_result(tmp_path / "real" / "w", tmp_path / "link")
    assert decode_result(data, Path("/moved")) == Path("/moved/w")


def test_derived_plain_types_are_kept_as_plain(tmp_path):
    assert there_and_back(OrderedDict(a=1), tmp_path) == {"a": 1}
    assert there_and_back(Counter("aab"), tmp_path) == {"a": 2, "b": 1}


@pytest.mark.parametrize(
    ("value", "where"),
    [
        (object(), "the result is of type object"),
        ({"a": [1, object()]}, r"the result\['a'\]\[1\] is of type object"),
        (Score(1.0, [object()]), r"the result\.parts\[0\]"),
        ({object(): 1}, "a key of the result"),
        (lambda: 0, "function"),
        (np.array([object()]), "object"),
        (np.ma.masked_array([1]), "MaskedArray"),
        (np.datetime64("2020-01-01"), "datetime64"),
    ],
    ids=lambda each: (
        each if isinstance(each, str) else type(each).__name__
    ),  # no address: the same in each run
)
def test_what_cannot_be_kept_is_named_with_its_place(tmp_path, value, where):
    with pytest.raises(ResultError, match=where):
        encode_result(value, tmp_path)


def test_a_value_that_holds_itself_is_refused(tmp_path):
    loop = []
    loop.append(loop)
    with pytest.raises(ResultError, match="holds itself"):
        encode_result(loop, tmp_path)


def test_without_the_classes_a_result_reads_as_plain_data(tmp_path):
    data = encode_result([Score(0.5), Point(1, 2), Colour.RED], tmp_path)
    assert decode_result(data, tmp_path, plain) == [{"value": 0.5, "parts": []}, (1, 2), "RED"]


def test_a_class_that_is_gone_is_named(tmp_path):
    with pytest.raises(ResultError, match="gone:Score"):
        decode_result({"$": "dataclass", "class": "gone:Score", "v": {}}, tmp_path)


def test_a_missing_array_is_named(tmp_path):
    with pytest.raises(ResultError, match=r"result-0\.npy"):
        decode_result({"$": "array", "v": ".xpm/result-0.npy"}, tmp_path)


class Size(Config):
    n: Param[int]


class Sized(Config):
    size: Param[Size]


class Measure(Task):
    size: Param[Size]

    def execute(self) -> None: ...


REF = JobRef(JobId("ab" * 32), "lab.Measure")


def test_descriptions_are_shared_again_and_given_out_by_the_job(tmp_path: Path) -> None:
    size = Size.C(n=3)
    data = json.loads(json.dumps(encode_result({"a": [size, Sized.C(size=size)], "n": 1}, tmp_path)))
    found = decode_result(data, tmp_path, job=REF)
    one, two = found["a"]
    assert (one.n, found["n"]) == (3, 1) and two.size is one
    with Recorder() as session:
        Measure.C(size=one).submit()
    assert session.last.dependencies == (REF,)
    assert session.last.id != identifier(Measure.C(size=size))
    assert identifier(decode_result(data, tmp_path)["a"][0]) == identifier(size)
    assert decode_result(data, tmp_path, plain) == {
        "a": [
            {"$type": f"{__name__}.Size", "n": 3},
            {"$type": f"{__name__}.Sized", "size": {"$type": f"{__name__}.Size", "n": 3}},
        ],
        "n": 1,
    }


def test_a_submitted_task_as_a_result_stands_for_its_job(tmp_path: Path) -> None:
    with Recorder():
        task = Measure.C(size=Size.C(n=1)).submit()
    found = decode_result(encode_result([task], tmp_path), tmp_path, job=REF)
    assert reference(found[0]) == reference(task)


def test_configs_that_no_record_can_hold(tmp_path: Path) -> None:
    with pytest.raises(ResultError, match=r"the result\['a'\] is a live Size .*: return Size.C\(...\)"):
        encode_result({"a": Size.C(n=1).instance()}, tmp_path)
    with pytest.raises(ConfigError, match=r"Size.n: is missing"):
        encode_result(Size.C(), tmp_path)
    data = encode_result(Size.C(n=1), tmp_path)
    data["objects"][0]["at"]["qualname"] = "Gone"
    with pytest.raises(ResultError, match=r"the result in .* can't be read: .* has no Gone"):
        decode_result(data, tmp_path)
