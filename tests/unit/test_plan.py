from __future__ import annotations

import pytest

from xpm.core.plan import RUNS, Known, Standing, compare, standing
from xpm.core.state import State
from xpm.types import JobId


@pytest.mark.parametrize(
    ("known", "expected"),
    [
        (None, Standing.NEW),
        (Known(), Standing.NEW),
        (Known(finished=True), Standing.DONE),
        (Known(State.DONE, finished=True, code="a"), Standing.DONE),
        (Known(State.DONE, finished=True, code="b"), Standing.OTHER_CODE),
        (Known(State.ERROR, finished=True), Standing.DONE),
        (Known(State.DONE), Standing.GONE),
        (Known(State.LOST), Standing.GONE),
        (Known(State.RUNNING), Standing.RUNNING),
        (Known(State.WAITING), Standing.WAITING),
        (Known(State.READY), Standing.WAITING),
        (Known(State.SCHEDULED), Standing.WAITING),
        (Known(State.HOLD), Standing.HELD),
        (Known(State.ERROR), Standing.FAILED),
        (Known(State.CANCELLED), Standing.CANCELLED),
    ],
)
def test_standing(known: Known | None, expected: Standing) -> None:
    assert standing(known, "a") is expected


def test_every_state_has_a_standing() -> None:
    for state in State:
        assert standing(Known(state), None) in Standing


def test_without_code_none_is_other() -> None:
    assert standing(Known(finished=True, code="b"), None) is Standing.DONE


def test_compare() -> None:
    jobs = [(JobId(str(at)), "Train" if at else "Prepare", f"job {at}") for at in (0, 1, 2, 3, 1)]
    known = {JobId("0"): Known(finished=True), JobId("2"): Known(State.ERROR)}
    plan = compare(jobs, known)
    assert [job.label for job in plan.jobs] == ["job 0", "job 1", "job 2", "job 3"]
    assert [job.id for job in plan.to_run] == ["1", "2", "3"]
    assert list(plan.lines()) == ["2 new: Train 2", "1 done already: Prepare 1", "1 failed before: Train 1"]
    assert plan.counts[Standing.NEW] == 2
    assert Standing.DONE not in RUNS


def test_nothing() -> None:
    assert list(compare([], {}).lines()) == ["no jobs"]
