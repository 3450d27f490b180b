"""Which jobs of earlier runs a newer run of the same command leaves out."""

from __future__ import annotations

from pathlib import Path

from hands import Hands, entry, job, later

from xpm.broker.broker import Broker, Run
from xpm.broker.views import Views
from xpm.experiment.leavings import leavings
from xpm.workspace.rundir import Child, RunDirectory

STARTED = {"script": "plan.py", "arguments": ["3"]}


def begin(broker: Broker, folder: Path, name: str, *jobs: str, **facts: object) -> Run:
    later(broker, "other", name)
    run = broker.open("e", name, "code", {**STARTED, "folder": str(folder), **facts})
    broker.submit(run, [entry(each) for each in jobs])
    return run


def left(broker: Broker, run: Run, *mine: str) -> set[str]:
    views = Views(broker)
    return set(leavings(views, "e", STARTED, [job(each) for each in mine], run.start / 1000))


def test_what_is_left_out_and_has_not_started(broker: Broker, hands: Hands, tmp_path: Path) -> None:
    begin(broker, tmp_path, "1", "a", "b", "c")
    assert hands.runs() == job("a")
    newest = begin(broker, tmp_path, "2", "c")
    assert left(broker, newest, "c") == {job("b")}
    broker.cancel(newest.serial, [job("b"), job("a")], running=False)
    assert left(broker, newest, "c") == set()
    view = Views(broker).job(job("a"))
    assert view
    assert not view.stop, "what runs goes on"


def test_what_a_newer_run_or_one_of_another_command_lists_is_none_of_it(
    broker: Broker, tmp_path: Path
) -> None:
    begin(broker, tmp_path, "1", "a", "b", "c")
    begin(broker, tmp_path, "2", "a", "d", arguments=["4"])
    begin(broker, tmp_path, "3", "b", "f", script="")
    mine = begin(broker, tmp_path, "4", "e")
    begin(broker, tmp_path, "5", "g")
    assert left(broker, mine, "e") == {job("c")}


def test_what_a_running_job_has_submitted_is_left_to_it(broker: Broker, tmp_path: Path) -> None:
    begin(broker, tmp_path, "1", "a", "child")
    RunDirectory(tmp_path, "worker").add_child(Child(job("a"), entry("child"), 1.0), {})
    newest = begin(broker, tmp_path, "2", "a")
    assert left(broker, newest, "a") == set()


def test_a_run_whose_folder_is_damaged_keeps_its_jobs(broker: Broker, tmp_path: Path) -> None:
    begin(broker, tmp_path / "1", "1", "a", "b")
    begin(broker, tmp_path / "2", "2", "c")
    (tmp_path / "1").mkdir()
    (tmp_path / "1" / "jobs-worker.jsonl").write_text('{"job": }\n')
    assert left(broker, begin(broker, tmp_path / "3", "3", "d"), "d") == {job("c")}
