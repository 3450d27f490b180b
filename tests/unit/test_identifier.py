from __future__ import annotations

import hashlib
import json
import math
import os
import pickle
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import golden
import msgpack
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sessions import Recorder

from xpm.core.canonical import Mark
from xpm.core.config import Config, Meta, Param, Task, field
from xpm.core.counting import setmeta
from xpm.core.identifier import digest, identifier
from xpm.core.instances import InstanceConfig
from xpm.errors import ConfigError, SealedError

GOLDEN = Path(__file__).with_name("golden_identifiers.json")
ROOT = Path(__file__).parents[2]

EQUAL = [
    {"path", "path unnormalised"},
    {"enum", "enum alias"},
    {"float from int"},
    {"rules", "rules, default given", "rules, meta changed"},
    {"set of configs", "set of equal configs"},
    {"instances, two", "instances, two again"},
    {"instances, shared above", "instances, shared below"},
    {"counted", "counted, set to", "counted, meta", "not counted, in a list"},
    {"counted, in a list", "not counted, in a list of two"},
    {"deprecated", "rules, default changed"},
    {"deprecated, replaced", "deprecated, not"},
    {"deprecated task", "task"},
    {"partial, all", "partial, deprecated"},
    {"deprecated task as dependency", "dependency"},
]
"""The golden cases that are the same experiment."""


class Holder(Config):
    __xpmid__ = "Holder"

    x: Param[Nested]


class Many(Config):
    __xpmid__ = "Many"

    a: Param[dict[str, int]] = field(default_factory=dict)
    b: Param[set[str]] = field(default_factory=set)


class Bag(Config):
    __xpmid__ = "Bag"

    x: Param[list[set[Many]]]
    y: Param[frozenset[tuple[Many, int]]]


class Bags(Config):
    __xpmid__ = "Bags"

    bag: Param[Bag]
    holder: Param[Holder]


class Pair(Config):
    __xpmid__ = "Pair"

    left: Param[Many]
    right: Param[Many]


class Work(Task):
    __xpmid__ = "Work"

    pair: Param[Pair]

    def execute(self) -> None: ...


Scalar = None | bool | int | float | str
Flat = Scalar | list[Scalar] | tuple[Scalar, ...] | dict[str, Scalar]
Nested = Flat | list[Flat] | dict[str, Flat]


def test_golden_values() -> None:
    assert golden.identifiers() == json.loads(GOLDEN.read_text())


@pytest.mark.parametrize("seed", ["0", "1", "4242"])
def test_golden_values_in_another_process(seed: str, tmp_path: Path) -> None:
    path = os.pathsep.join([str(ROOT), str(ROOT / "tests/support")])
    run = subprocess.run(
        [sys.executable, str(ROOT / "tests/support/golden.py")],
        env={"PYTHONHASHSEED": seed, "PYTHONPATH": path},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(run.stdout) == json.loads(GOLDEN.read_text())


def test_golden_values_differ() -> None:
    by_identifier: dict[str, set[str]] = {}
    for name, value in golden.identifiers().items():
        by_identifier.setdefault(value, set()).add(name)
    assert {frozenset(names) for names in by_identifier.values() if len(names) > 1} == {
        frozenset(names) for names in EQUAL if len(names) > 1
    }


def test_the_specification_by_hand() -> None:
    """docs/identifiers.md in a few lines: an independent second reading of it."""
    form = [8, "golden.Rules", ["alpha", 3, "version", "1", "zeta", 1]]
    by_hand = hashlib.sha256(b"\x01" + msgpack.packb(form)).hexdigest()
    assert identifier(golden.Rules.C(zeta=1)) == by_hand
    assert by_hand == json.loads(GOLDEN.read_text())["rules"]


def alike(left: Any, right: Any) -> bool:
    """Whether two values are the same parameter value; an own rule, apart from the canonical form."""
    if type(left) is not type(right):
        return False
    if isinstance(left, float):
        both_nan = math.isnan(left) and math.isnan(right)
        return both_nan or struct.pack("d", left + 0.0) == struct.pack("d", right + 0.0)
    if isinstance(left, list | tuple):
        return len(left) == len(right) and all(map(alike, left, right))
    if isinstance(left, dict):
        return left.keys() == right.keys() and all(alike(left[key], right[key]) for key in left)
    return left == right


# Few and near values, so that two of them are often equal or nearly so.
scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-2, 2),
    st.integers(),
    st.sampled_from([0.0, -0.0, 1.0, math.nan, math.inf]),
    st.text("ab\x03é\udcff", max_size=3),
)
flat = st.one_of(
    scalars,
    st.lists(scalars, max_size=3),
    st.lists(scalars, max_size=3).map(tuple),
    st.dictionaries(st.text("ab", max_size=1), scalars, max_size=2),
)
nested = st.one_of(
    flat, st.lists(flat, max_size=2), st.dictionaries(st.text("ab", max_size=1), flat, max_size=2)
)


@settings(max_examples=400, deadline=None)
@given(nested, nested)
def test_equal_values_have_equal_identifiers_and_others_others(left: Any, right: Any) -> None:
    one, two = identifier(Holder.C(x=left)), identifier(Holder.C(x=right))
    assert (one == two) == alike(left, right)


@settings(max_examples=100, deadline=None)
@given(nested)
def test_sealing_and_copying_change_no_identifier(value: Any) -> None:
    made = Holder.C(x=value)
    before = identifier(made)
    assert identifier(made.copy()) == before
    assert identifier(made.seal()) == before
    assert digest(made).hex() == before
    assert identifier(made.copy()) == before


class Unknown(Config):
    x: Param[float] = field(default=math.nan, ignore_default=True)


def test_a_nan_that_is_the_default_is_it_after_a_journey() -> None:
    made = Unknown.C()
    assert identifier(pickle.loads(pickle.dumps(made))) == identifier(made) != identifier(Unknown.C(x=0))


def test_order_of_dicts_and_sets_is_nothing() -> None:
    one = Many.C(a={"x": 1, "y": 2}, b={"p", "q", "r"})
    two = Many.C(b={"r", "q", "p"}, a={"y": 2, "x": 1})
    assert identifier(one) == identifier(two)


def test_of_equal_descriptions_in_a_set_one_is_left() -> None:
    bag = Bag.C(x=[{Many.C(b={"a"}), Many.C(b={"a"}), Many.C()}], y=frozenset({(Many.C(), 1), (Many.C(), 1)}))
    before = identifier(bag)
    assert before == identifier(Bag.C(x=[{Many.C(b={"a"}), Many.C()}], y=frozenset({(Many.C(), 1)})))
    bag.seal()
    assert ([len(each) for each in bag.x], len(bag.y)) == ([2], 1)
    live = bag.instance()
    assert ([len(each) for each in live.x], len(live.y)) == ([2], 1)


def test_of_a_description_that_counts_and_an_equal_one_that_does_not_both_are_left() -> None:
    for _ in range(8):  # a set is in the order of where its descriptions lie
        bag = Bag.C(x=[{setmeta(Many.C(), True), Many.C(), setmeta(Many.C(), True)}], y=frozenset())
        before = identifier(bag)
        assert before == identifier(Bag.C(x=[{Many.C()}], y=frozenset())) == identifier(bag.seal())
        assert len(bag.x[0]) == 2


def test_a_sealing_that_fails_leaves_the_sets_as_they_were() -> None:
    bag = Bag.C(x=[{Many.C(), Many.C()}], y=frozenset())
    with pytest.raises(ConfigError, match=r"Bags.holder.x: is missing"):
        Bags.C(bag=bag, holder=Holder.C()).seal()
    assert [len(each) for each in bag.x] == [2]


class Part(InstanceConfig):
    __xpmid__ = "Part"

    x: Param[int] = 1


class Plain(Config):
    __xpmid__ = "Part"

    x: Param[int] = 1


class Two(Config):
    __xpmid__ = "Two"

    one: Param[Part | Plain]
    rest: Param[list[Part | Plain]] = field(default_factory=list)
    loose: Meta[Part | None] = None


class Use(Task):
    __xpmid__ = "Use"

    one: Param[Part]
    two: Param[Two | Part]
    after: Param[Work | None] = None

    def execute(self) -> None: ...


def test_one_instance_counts_like_a_config() -> None:
    part, plain = Part.C(), Plain.C()
    assert identifier(Two.C(one=part, rest=[part, part])) == identifier(Two.C(one=plain, rest=[plain] * 2))
    assert identifier(Two.C(one=part, rest=[Part.C()])) != identifier(Two.C(one=plain, rest=[plain]))


def test_which_of_two_instances_is_which_is_nothing() -> None:
    one, two = Part.C(), Part.C()
    first, second = Two.C(one=one, rest=[two, one]), Two.C(one=two, rest=[one, two])
    other = Two.C(one=one, rest=[one, two])
    assert identifier(first) == identifier(second) == identifier(first.copy()) != identifier(other)
    assert identifier(first.seal()) == identifier(second)
    assert digest(first) == digest(other)


def test_instances_that_do_not_count_are_not_told_apart() -> None:
    one, two = Part.C(), Part.C()
    assert identifier(Two.C(one=one, loose=one)) == identifier(Two.C(one=one, loose=two))
    left = setmeta(Part.C(), True)
    assert identifier(Two.C(one=one, rest=[one, left])) == identifier(Two.C(one=one, rest=[one]))


def test_a_task_with_instances_keeps_its_identifier_in_what_depends_on_it() -> None:
    one, two = Part.C(), Part.C()
    with Recorder() as session:
        shared = Use.C(one=one, two=Two.C(one=one)).submit()
        first = session.last
        apart = Use.C(one=one, two=Two.C(one=two)).submit()
    assert first.id == identifier(shared) == digest(shared).hex()
    assert identifier(apart) == session.last.id != first.id


def test_a_set_does_not_tell_equal_instances_apart() -> None:
    class Held(Config):
        __xpmid__ = "Held"

        parts: Param[list[set[Part]]]

    assert len(Held.C(parts=[{Part.C(), Part.C(x=2)}]).seal().parts[0]) == 2
    with pytest.raises(
        ConfigError, match=r"Held.parts: a set can't tell two equal descriptions of Part apart"
    ):
        Held.C(parts=[{Part.C(), Part.C()}]).seal()


def test_too_many_places_of_instances() -> None:
    class Doubled(Config):
        __xpmid__ = "Doubled"

        left: Param[Doubled | Part]
        right: Param[Doubled | Part]

    made: Any = Part.C()
    for _ in range(14):
        made = Doubled.C(left=made, right=made)
    with pytest.raises(ConfigError, match=r"more than 10,000 places of InstanceConfig"):
        identifier(made)


def test_what_setmeta_refuses() -> None:
    with pytest.raises(ConfigError, match=r"setmeta: expected a description, got int"):
        setmeta(3, True)
    part = Part.C().seal()
    with pytest.raises(SealedError, match=r"setmeta: the Part is sealed"):
        setmeta(part, True)
    again = setmeta(part.copy(), True)
    assert identifier(
        Two.C(one=Part.C(), rest=[again.copy(), pickle.loads(pickle.dumps(again))])
    ) == identifier(Two.C(one=Part.C()))


def test_sharing_is_nothing() -> None:
    shared = Many.C()
    assert identifier(Pair.C(left=shared, right=shared)) == identifier(Pair.C(left=Many.C(), right=Many.C()))


def test_a_change_below_changes_the_identifier() -> None:
    pair = Pair.C(left=Many.C(), right=Many.C())
    before = identifier(pair)
    pair.left.a = {"x": 1}
    assert identifier(pair) != before
    with Recorder() as session:
        work = Work.C(pair=pair).submit()
    assert identifier(work) == session.last.id


def test_missing() -> None:
    with pytest.raises(ConfigError, match=r"Holder.x: is missing"):
        identifier(Holder.C())


def test_the_page_names_every_mark_and_a_golden_value() -> None:
    page = (ROOT / "docs/identifiers.md").read_text()
    assert json.loads(GOLDEN.read_text())["rules"] in page
    for mark in Mark:
        assert f"\n| {mark.value} | " in page
    assert page.count("\n| 1") == len([mark for mark in Mark if str(mark.value).startswith("1")])
