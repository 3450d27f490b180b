"""Results as a table."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from xpm.core.config import Task
from xpm.core.state import State
from xpm.errors import UsageError
from xpm.experiment.gathering import Submitted
from xpm.experiment.rows import frame, row, selected
from xpm.types import Fence, JobId
from xpm.workspace.layout import Workspace
from xpm.workspace.results import Record

JOB = Submitted(JobId("a" * 64), "plan.py:Fit", "Fit", {"lr": 0.1, "state": "x"})


class Other(Task):
    pass


def record(result: object) -> Record:
    parameters = {"lr": 0.1, "model": {"layers": 2}, "data": {"$job": "b" * 64, "$task": "plan.py:Split"}}
    return Record(
        JOB.id,
        JOB.task,
        "Fit",
        parameters,
        b"",
        {},
        1,
        1,
        "h",
        "u",
        "w",
        1,
        10.0,
        12.5,
        "c",
        result,
        Fence("1"),
    )


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace.open(tmp_path)


def test_a_row_has_tags_state_result_job_and_times(workspace: Workspace):
    assert row(JOB, record({"accuracy": 0.9, "loss": 1}), State.DONE, workspace, params=False) == {
        "lr": 0.1, "tag.state": "x", "state": "DONE", "result.accuracy": 0.9, "result.loss": 1,
        "job": JOB.id, "task": "plan.py:Fit", "started": 10.0, "ended": 12.5, "seconds": 2.5,
    }  # fmt: skip
    assert row(JOB, record(7), State.DONE, workspace, params=False)["result"] == 7


def test_parameters_are_named_by_their_path(workspace: Workspace):
    found = row(JOB, record(1), State.DONE, workspace, params=True)
    assert {name: value for name, value in found.items() if name.startswith("params")} == {
        "params.lr": 0.1,
        "params.model.layers": 2,
        "params.data": {"$job": "b" * 64, "$task": "plan.py:Split"},
    }


def test_a_result_whose_class_is_gone_is_shown_plain(workspace: Workspace):
    lost = {"$": "dataclass", "class": "gone.py:Score", "v": {"accuracy": 0.5}}
    assert row(JOB, record(lost), State.DONE, workspace, params=False)["result.accuracy"] == 0.5


def test_a_job_without_a_record_has_no_result(workspace: Workspace):
    found = row(JOB, None, State.HOLD, workspace, params=True)
    assert found["state"] == "HOLD" and found["seconds"] is None and found["result"] is None


def test_tasks_are_chosen_by_class_or_name():
    others = [JOB, JOB._replace(task="m.Fit"), JOB._replace(task="plan.py:Refit")]
    assert [job.task for job in selected(others, "Fit")] == ["plan.py:Fit", "m.Fit"]
    assert selected(others, "plan.py:Fit") == [JOB] and selected(others, None) == others


def test_a_name_that_no_task_has_is_refused_and_a_class_that_was_not_submitted_is_not():
    with pytest.raises(UsageError, match="no job is of a task 'Fti'; did you mean 'Fit'"):
        selected([JOB], "Fti")
    with pytest.raises(UsageError, match="no job is of a task 'Nope'; there are Fit"):
        selected([JOB], "Nope")
    assert selected([JOB], Other) == [] and selected([], "Nope") == []


def test_without_pandas_the_line_that_installs_it_is_told(monkeypatch: pytest.MonkeyPatch):
    assert frame([{"a": 1}, {"b": 2}]).shape == (2, 2)
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(UsageError, match=r"needs pandas: .*pip install .*\[pandas\]' \(xp"):
        frame([])
