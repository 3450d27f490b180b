"""What a script has submitted, and what of it has a record."""

from __future__ import annotations

from pathlib import Path

import pytest

from xpm.core.info import JobRef
from xpm.core.session import DEFAULTS
from xpm.core.submission import Prepared
from xpm.errors import WorkspaceError
from xpm.experiment import presence
from xpm.experiment.gathering import END, End, Gathering, plan_of, read_end, runs
from xpm.types import Fence, JobId
from xpm.workspace.layout import Workspace
from xpm.workspace.results import RECORD, Record, pack_record
from xpm.workspace.rundir import RunDirectory

FENCE = Fence("1" * 26)


def prepared(number: int, tags: dict[str, int] | None = None) -> Prepared:
    return Prepared(JobId(f"{number:064x}"), "tasks.Fit", f"Fit {number}", b"", {}, (), tags or {})


def items(*jobs: Prepared) -> list[tuple[Prepared, object]]:
    return [(job, DEFAULTS) for job in jobs]


def finish(workspace: Workspace, job: Prepared, *, torn: bool = False) -> Path:
    record = Record(
        job.id, job.task, job.label, {}, b"", {}, 1, 1, "host", "user", "worker", 1, 0.0, 1.0, "c", 1, FENCE
    )
    path = workspace.jobpath(job.task, job.id) / RECORD
    path.parent.mkdir(parents=True)
    path.write_bytes(pack_record(record)[: -5 if torn else None])
    return path


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace.open(tmp_path / "ws")


def test_a_record_that_cannot_be_read_is_an_error_of_the_workspace(workspace: Workspace):
    job = prepared(1)
    # As little to be read as another user's, or a broken disk's; for root, too.
    (workspace.jobpath(job.task, job.id) / RECORD).mkdir(parents=True)
    with pytest.raises(WorkspaceError, match=f"cannot read the record in .*{job.id}: Is a directory"):
        Gathering(workspace).take(items(job))


@pytest.mark.parametrize("slow", [0.0002, 0.0])
def test_jobs_with_a_whole_record_are_done(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, slow: float
):
    monkeypatch.setattr(presence, "_SLOW", slow)
    monkeypatch.setattr(presence, "_FEW", 2)
    jobs = [prepared(n << 248 | n) for n in range(6)]
    for job in jobs[1:4]:
        finish(workspace, job)
    finish(workspace, jobs[4], torn=True)
    workspace.jobpath(jobs[5].task, jobs[5].id).mkdir(parents=True)
    gathering = Gathering(workspace)
    left = gathering.take(items(*jobs))
    assert [item[0] for item in left] == [jobs[0], jobs[4], jobs[5]]
    assert [(done.item[0], done.proof) for done in gathering.done] == [
        (job, (FENCE, "c")) for job in jobs[1:4]
    ]
    assert list(gathering.jobs) == [job.id for job in jobs]
    assert gathering.gone(gathering.jobs[jobs[4].id]) and not gathering.gone(gathering.jobs[jobs[1].id])


def test_what_is_done_makes_no_chain_longer(workspace: Workspace):
    jobs = [prepared(1)]
    for n in range(2, 8):
        jobs.append(prepared(n)._replace(dependencies=(JobRef(jobs[-1].id, jobs[-1].task),)))
    for job in jobs[:4]:
        finish(workspace, job)
    gathering = Gathering(workspace)
    gathering.take(items(*jobs))
    rest = Gathering(workspace)
    rest.take(items(*jobs[4:]))
    assert [gathering.chains.rank(job.id) for job in jobs] == [0] * 4 + [
        rest.chains.rank(job.id) for job in jobs[4:]
    ]


def test_a_job_counts_once_and_its_tags_add_up(workspace: Workspace):
    gathering = Gathering(workspace)
    first, again, more = prepared(1, {"a": 1}), prepared(1, {"a": 1}), prepared(1, {"b": 2})
    taken = gathering.take(items(first, again, more))
    assert [item[0].tags for item in taken] == [{"a": 1}, {"a": 1, "b": 2}]
    assert gathering.jobs[first.id].tags == {"a": 1, "b": 2} and len(gathering.jobs) == 1


def test_a_plan_is_its_jobs_their_tags_and_their_order():
    one, two = JobId("1" * 64), JobId("2" * 64)
    plan = plan_of([(one, {"a": 1, "b": 2}), (two, {})])
    assert plan == plan_of([(one, {"b": 2, "a": 1}), (two, {})])
    others = [
        [(one, {"a": 1}), (two, {})],
        [(two, {}), (one, {"a": 1, "b": 2})],
        [(one, {"a": 1, "b": 2})],
        [],
    ]
    assert plan not in [plan_of(other) for other in others]


def test_the_end_of_the_newest_run_is_read(tmp_path: Path):
    assert runs(tmp_path / "none") == []
    for name in ("20260101-000000-aaaa", "20260102-000000-aaaa"):
        (tmp_path / name).mkdir()
    run, before = runs(tmp_path)
    assert run.name.startswith("20260102") and runs(tmp_path, besides=run) == [before]
    assert read_end(run) is None
    RunDirectory(run).add_end("plan", {"code": 3})
    assert read_end(run) == End("plan", {"code": 3})
    (run / END).write_text('{"plan": 1')
    assert read_end(run) is None
    (run / END).write_text("[1]")
    assert read_end(run) is None
