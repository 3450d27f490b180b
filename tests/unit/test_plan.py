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
        (Known(State.DONE, finished=True), Standing.DONE),
        (Known(State.DONE, finished=True, other=True), Standing.OTHER_CODE),
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
    assert standing(known) is expected


def test_every_state_has_a_standing() -> None:
    for state in State:
        assert standing(Known(state)) in Standing


def test_compare() -> None:
    jobs = [(JobId(str(at)), "Train" if at else "Prepare", f"job {at}") for at in (0, 1, 2, 3, 1)]
    known = {JobId("0"): Known(finished=True), JobId("2"): Known(State.ERROR)}
    plan = compare(jobs, known)
    assert [job.label for job in plan.jobs] == ["job 0", "job 1", "job 2", "job 3"]
    assert [job.id for job in plan.to_run] == ["1", "2", "3"]
    assert list(plan.lines()) == ["2 new: Train 2", "1 done already: Prepare 1", "1 failed before: Train 1"]
    assert plan.counts[Standing.NEW] == 2
    assert Standing.DONE not in RUNS


def test_what_waits_behind_a_failed_job_runs_too() -> None:
    jobs = [(JobId(str(at)), "Sum" if at else "Fit", f"job {at}") for at in range(3)]
    known = {JobId("0"): Known(State.ERROR), JobId("1"): Known(State.HOLD), JobId("2"): Known(State.WAITING)}
    assert [job.label for job in compare(jobs, known).to_run] == ["job 0", "job 1"]


def test_results_are_counted_as_people_do() -> None:
    jobs = [(JobId(str(at)), "Fit", "") for at in range(1200)]
    gone = {job: Known(State.DONE) for job, _, _ in jobs}
    assert list(compare(jobs[:1], gone).lines()) == ["1 result gone: Fit 1"]
    assert list(compare(jobs, gone).lines()) == ["1,200 results gone: Fit 1,200"]


def test_nothing() -> None:
    assert list(compare([], {}).lines()) == ["no jobs"]
