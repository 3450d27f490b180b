"""The folder of a run."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from xpm.broker.broker import Entry
from xpm.errors import WorkspaceError
from xpm.types import JobId
from xpm.workspace.rundir import JOBS, Child, Origin, RunDirectory

ENTRIES = [
    Entry(
        JobId("a" * 64),
        "plan.py:Make",
        'Make "n"=\u00e9\n',
        b"\x00\xff",
        tags={"n": 1, "x": 0.1, "s": "\u00e9\ud800"},
    ),
    Entry(JobId("b" * 64), "m.Sum", "Sum", b"payload", (JobId("a" * 64), JobId("c" * 64)), {}, "gpu", 2, -3),
]


@pytest.fixture
def run(tmp_path: Path) -> RunDirectory:
    origin = Origin("e", "r", 1.5, "code", tmp_path, tmp_path / "plan.py")
    return RunDirectory.create(tmp_path / "e" / "r", origin)


def test_what_is_noted_comes_back(run: RunDirectory):
    run.add(ENTRIES[:1], {"t1": b"\x01"})
    run.add(ENTRIES[1:], {"t1": b"\x01", "t2": b"\xff\x00"})
    run.close()
    again = RunDirectory(run.path)
    assert list(again.entries()) == ENTRIES
    assert again.types() == {"t1": b"\x01", "t2": b"\xff\x00"}
    assert again.code == "code"
    assert dict(again.jobs()) == {entry.id: entry.tags for entry in ENTRIES}


def test_a_line_that_was_cut_off_is_left_out(run: RunDirectory):
    run.add(ENTRIES, {})
    run.close()
    path = run.path / JOBS
    path.write_text(path.read_text()[:-7])
    assert list(run.entries()) == ENTRIES[:1]


def test_a_full_disk_is_told_once(run: RunDirectory):
    (run.path / JOBS).symlink_to("/dev/full")
    with pytest.raises(WorkspaceError, match=f"cannot note jobs in {run.path}: No space left on device"):
        run.add(ENTRIES, {})
    run.close()


def test_a_damaged_run_says_how_to_go_on_without_it(run: RunDirectory):
    run.add(ENTRIES, {})
    run.close()
    path = run.path / JOBS
    path.write_text(path.read_text().replace('"priority":-3', '"priority":three'))
    with pytest.raises(
        WorkspaceError, match=r"damaged after line 1 .*: a new run of the script does without it$"
    ):
        list(run.entries())


@pytest.mark.parametrize("cut", [1, 2, 30, 190])
def test_what_is_noted_behind_a_line_that_was_cut_off_comes_back(run: RunDirectory, cut: int):
    worker = RunDirectory(run.path, "host-1")
    first, second = (Child(JobId("d" * 64), entry, 1.5) for entry in ENTRIES)
    worker.add_child(first, {"t1": b"\x01"})
    for name in ("jobs", "types"):
        path = run.path / f"{name}-host-1.jsonl"
        path.write_text(path.read_text()[:-cut])
    worker.add_child(second, {"t2": b"\x02"})
    assert run.children() == [second]
    assert run.types() == {"t2": b"\x02"}


def test_odd_numbers_come_back(run: RunDirectory):
    entry = Entry(JobId("d" * 64), "t", "l", b"", tags={"nan": math.nan, "inf": math.inf, "big": 1 << 80})
    run.add([entry], {})
    run.close()
    (tags,) = [each.tags for each in run.entries()]
    assert repr(tags) == repr(entry.tags)


def test_the_facts_say_where_the_run_comes_from(run: RunDirectory, tmp_path: Path):
    facts = json.loads((run.path / "run.json").read_text())
    assert (
        facts["experiment"] == "e"
        and facts["code"] == "code"
        and facts["script"] == str(tmp_path / "plan.py")
    )
    assert facts["packages"]["msgpack"] and facts["commit"] is None


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path):
    (tmp_path / "file").write_text("")
    with pytest.raises(WorkspaceError, match="cannot note the run"):
        RunDirectory.create(tmp_path / "file" / "r", Origin("e", "r", 0.0, "", tmp_path, None))
