"""Generated config classes and values: equal experiments have equal identifiers, others others, wherever they travel.

What is equal, `meanings` says, which knows nothing of canonical forms. `IDENTITY_SEED` repeats a soak, `IDENTITY_PAIRS`
makes it longer or shorter.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections import Counter
from collections.abc import Sequence
from itertools import combinations
from random import Random
from typing import Any

import pytest
from configs import FAMILIES, Case, Family, cases, family, root
from draws import Draws, Plain, Seeded
from hypothesis import given, note, settings
from machines import QUIET
from meanings import Made, experiment
from parameters import Values, near
from sessions import Recorder
from twins import Realizer, same_values

from xpm.core.identifier import identifier
from xpm.core.info import own_info
from xpm.core.message import JobRef, TypeInfo, build, describe
from xpm.core.submission import prepare
from xpm.core.typeinfo import type_info
from xpm.workspace.saving import deserialize, serialize

PAIRS = 1_000_000
"""How many pairs a soak compares."""

ROUNDS = 60
"""How many groups of descriptions it makes of one family of classes."""


def settled(examples: int) -> settings:
    return settings(max_examples=examples, deadline=None, derandomize=True, suppress_health_check=QUIET)


def told(found: Family, *made: Made) -> None:
    """Shows them when the test fails."""
    note(found.text(moved=False))
    for each in made:
        note(repr(each))


def named(found: Family, made: Made, d: Draws) -> str:
    """The identifier of a description `made`, which is made in one of many ways."""
    with Recorder():
        return identifier(Realizer(found.names(d), d).root(made))


def compared(found: Family, group: Sequence[Made], d: Draws) -> Counter[bool]:
    """Compares each of the group with each; says how many were equal, and how many weren't."""
    counts: Counter[bool] = Counter()
    names = [named(found, made, d) for made in group]
    for (made, one), (other, two) in combinations(zip(group, names, strict=True), 2):
        same = experiment(made) == experiment(other)
        assert (one == two) == same, f"{found.name}, equal: {same}\n{made!r}\n{other!r}"
        counts[same] += 1
    return counts


@settled(600)
@given(cases())
def test_equal_experiments_have_one_identifier(case: Case) -> None:
    found, d, _, made = case
    told(found, made)
    names = {named(found, made, each) for each in (Plain(), d, d)}
    assert len(names) == 1


@settled(700)
@given(cases())
def test_a_near_miss_has_another_identifier(case: Case) -> None:
    found, d, v, made = case
    told(found)
    compared(found, [made, *(near(v, made) for _ in range(6))], d)


@settled(400)
@given(cases())
def test_independent_experiments_have_two_identifiers(case: Case) -> None:
    found, d, _, made = case
    told(found)
    compared(found, [made, *(root(Values(d), found) for _ in range(3))], d)


def find_class(info: TypeInfo) -> Any:
    return getattr(sys.modules[info.module], info.qualname)


class Journeys:
    """Descriptions of jobs from nothing but payloads."""

    def __init__(self, session: Recorder) -> None:
        self.session = session
        self.prepared = {JobRef(each.id, each.task): each for each in session.prepared}
        self.described: dict[JobRef, Any] = {}

    def describe(self, ref: JobRef) -> Any:
        """The description of the job `ref`, whose identifier is computed again."""
        if ref not in self.described:
            prepared = self.prepared[ref]
            found = describe(prepared.payload, prepared.types, find_class, self.describe, ref)
            self.described[ref] = found
            own_info(found).session, own_info(found).digest = self.session, None
            assert identifier(found) == ref.id
        return self.described[ref]


@settled(300)
@given(cases(only="Job"))
def test_a_task_is_the_same_after_a_journey(case: Case) -> None:
    found, d, _, made = case
    told(found, made)
    with Recorder() as session:
        task = Realizer(found.names(d), d).config(made, root=True)
        before = identifier(task)
        assert identifier(task.copy()) == before or made.init
        if own_info(task).session is None:
            task.submit()
    prepared = next(each for each in session.prepared if each.id == before)
    live = build(prepared.payload, prepared.types, find_class, lambda ref: ref, lambda ref: "/j")
    assert same_values([task, *own_info(task).init], [live, *own_info(live).init])
    assert same_values(task, task.instance())
    again = Journeys(session).describe(JobRef(prepared.id, prepared.task))
    assert same_values([task, *own_info(task).init], [again, *own_info(again).init])
    assert identifier(again.copy()) == before or made.init
    twice = prepare(again)
    assert (twice.id, twice.payload, twice.dependencies) == (before, prepared.payload, prepared.dependencies)


@settled(300)
@given(cases())
def test_what_is_saved_is_the_same_again(case: Case) -> None:
    found, d, _, made = case
    told(found, made)
    with Recorder():
        config = Realizer(found.names(d), d).config(made, root=True)
        before = identifier(config)
        text = json.dumps(serialize(config), allow_nan=False)
    again = deserialize(json.loads(text))
    assert identifier(again) == before
    config.seal()
    assert same_values([config, *own_info(config).init], [again, *own_info(again).init])


def test_the_families_have_all_that_parameters_can_be() -> None:
    forms: Counter[str] = Counter()
    ways: Counter[str] = Counter()
    for number in range(FAMILIES):
        for of in family(number).classes:
            for each in of.fields:
                forms.update(part.form for part in each.type.parts())
                ways.update([each.role, f"ignored: {each.ignore}", f"factory: {each.factory}"])
    scalars = {
        "None",
        "bool",
        "int",
        "float",
        "str",
        "Path",
        "FunctionType",
        "literal",
        "Kind",
        "Level",
        "Word",
    }
    assert set(forms) == scalars | {"list", "tuple", "set", "frozenset", "dict", "union", "config"}
    assert set(ways) == {"Param", "Meta", "Constant"} | {
        f"{what}: {flag}" for what in ("ignored", "factory") for flag in (True, False)
    }


def compare(seed: int, pairs: int) -> Counter[bool]:
    """Compares so many pairs, or a few more: a description, its twin, what is near it, near that, and another one."""
    random = Random(seed)
    d = Seeded(random)
    counts: Counter[bool] = Counter()
    while counts.total() < pairs:
        found = Family(random.randrange(1 << 40))
        for _ in range(ROUNDS):
            v = Values(d)
            first = root(v, found)
            second = near(v, first)
            counts += compared(found, [first, first, second, near(v, second), root(Values(d), found)], d)
        found.close()
        type_info.cache_clear()  # or all classes that ever were would stay
    return counts


def test_some_seeded_pairs() -> None:
    counts = compare(1, 4000)
    assert min(counts[True], counts[False]) > 800


@pytest.mark.soak
@pytest.mark.timeout(2 * 3600)
def test_a_million_seeded_pairs(capsys: pytest.CaptureFixture[str]) -> None:
    seed = int(os.environ.get("IDENTITY_SEED", int(time.time())))
    pairs = int(os.environ.get("IDENTITY_PAIRS", PAIRS))
    with capsys.disabled():
        sys.stdout.write(f"\nIDENTITY_SEED={seed} IDENTITY_PAIRS={pairs}\n")
        sys.stdout.flush()
        counts = compare(seed, pairs)
        sys.stdout.write(f"{counts.total():,} pairs: {counts[True]:,} equal, {counts[False]:,} not\n")
