"""A job that is done runs again beside its directory, whose record stays until the new one is there."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from xpm.workspace import exchange as exchanging
from xpm.workspace.attempts import read_attempts
from xpm.workspace.directory import JobDirectory, Overtaken, Removed
from xpm.workspace.exchange import by_steps, exchange
from xpm.workspace.layout import Workspace
from xpm.workspace.results import Record, complete, read_record
from xpm.workspace.spares import Spares

from .test_directory import ONE, THREE, TWO, line


@pytest.fixture
def spares(tmp_path: Path) -> Spares:
    return Spares(tmp_path, "worker")


@pytest.fixture
def home(tmp_path: Path, spares: Spares) -> str:
    """The directory of a job that the execution ONE has done."""
    Workspace.open(tmp_path)
    path = str(tmp_path / "jobs" / "m.T" / "ab" / ("ab" * 32))
    first = JobDirectory.take(path, ONE, spares)
    Path(f"{path}/weights").write_text("old")
    assert first.publish(line(ONE), durable=False)
    return path


def beside(home: str, fence: str, spares: Spares, replaces: str = ONE) -> JobDirectory:
    taken = JobDirectory.take_beside(home, fence, spares, replaces)  # type: ignore[arg-type]
    assert isinstance(taken, JobDirectory)
    return taken


def names(home: str) -> list[str]:
    return sorted(os.listdir(os.path.dirname(home)))


@pytest.fixture(params=["at one stroke", "by steps"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """How directories change places on this file system."""
    if request.param == "by steps":
        monkeypatch.setattr(exchanging, "_function", lambda: (None, None))
    return request.param


def test_the_old_result_stays_until_the_new_one_is_there(home: str, spares: Spares, way: str) -> None:
    new = beside(home, TWO, spares)
    Path(f"{new.path}/weights").write_text("new")
    assert (complete(home), Path(f"{home}/weights").read_text()) == (ONE, "old")
    assert new.publish(line(TWO), durable=True)
    assert (new.path, complete(home), Path(f"{home}/weights").read_text()) == (home, TWO, "new")
    assert Path(f"{home}/.xpm/stale/1/weights").read_text() == "old"
    assert names(home) == [os.path.basename(home)] and new.in_place()


def test_one_that_fails_leaves_the_old_result_and_its_own_files_for_a_look(home: str, spares: Spares) -> None:
    new = beside(home, TWO, spares)
    Path(f"{new.path}/stdout.log").write_text("it went wrong here")
    new.abandon()
    assert (complete(home), new.in_place()) == (ONE, True)
    assert Path(f"{home}/.xpm/stale/1/stdout.log").read_text() == "it went wrong here"
    assert names(home) == [os.path.basename(home)]
    assert beside(home, THREE, spares).publish(line(THREE), durable=False)
    assert complete(home) == THREE
    assert sorted(os.listdir(f"{home}/.xpm/stale")) == ["1", "2"]


@pytest.mark.parametrize("written", [False, True])
def test_a_killed_execution_is_followed_by_another(home: str, spares: Spares, written: bool) -> None:
    """Before it published; and when its record was written, but had not changed places."""
    dead = beside(home, TWO, spares)
    if written:
        Path(f"{dead.path}/.xpm/result.json").write_bytes(line(TWO))
    after = beside(home, THREE, spares)
    with pytest.raises(Overtaken):
        dead.publish(line(TWO), durable=False)
    assert complete(home) == ONE
    assert after.publish(line(THREE), durable=False)
    assert complete(home) == THREE


def test_an_execution_killed_after_its_record_counted_has_done_the_job(
    home: str, spares: Spares, monkeypatch: pytest.MonkeyPatch
) -> None:
    dead = beside(home, TWO, spares)
    os.rename(f"{dead.path}/.xpm/{TWO}.part", f"{dead.path}/.xpm/result.json")
    Path(f"{dead.path}/.xpm/result.json").write_bytes(line(TWO))
    exchange(dead.path, home)
    found = JobDirectory.take_beside(home, THREE, spares, ONE)
    assert isinstance(found, Record) and found.fence == TWO
    assert names(home) == [os.path.basename(home)], "the old directory is with the stale ones"


def test_an_execution_killed_between_the_steps_of_an_exchange(home: str, spares: Spares) -> None:
    dead = beside(home, TWO, spares)
    Path(f"{dead.path}/.xpm/result.json").write_bytes(line(TWO))
    os.rename(home, f"{home}.aside")
    after = beside(home, THREE, spares)
    assert complete(home) == ONE
    assert after.publish(line(THREE), durable=False) and complete(home) == THREE


def test_a_stale_execution_can_take_nothing_from_a_later_one(home: str, spares: Spares) -> None:
    later = beside(home, THREE, spares)
    with pytest.raises(Overtaken):
        JobDirectory.take_beside(home, TWO, spares, ONE)
    assert later.publish(line(THREE), durable=False)
    found = JobDirectory.take_beside(home, TWO, spares, ONE)
    assert isinstance(found, Record) and found.fence == THREE


def test_a_removed_directory_is_made_as_ever(home: str, spares: Spares) -> None:
    shutil.rmtree(home)
    taken = JobDirectory.take_beside(home, TWO, spares, ONE)
    assert isinstance(taken, JobDirectory) and taken.path == home
    taken.abandon()
    again = JobDirectory.take_beside(home, THREE, spares, ONE)
    assert isinstance(again, JobDirectory) and again.path == home


def test_a_directory_that_is_removed_meanwhile_is_replaced_all_the_same(home: str, spares: Spares) -> None:
    new = beside(home, TWO, spares)
    shutil.rmtree(home)
    assert new.publish(line(TWO), durable=False)
    assert complete(home) == TWO and names(home) == [os.path.basename(home)]


def test_a_task_that_removes_its_directory_is_told_so(home: str, spares: Spares) -> None:
    new = beside(home, TWO, spares)
    shutil.rmtree(new.path)
    with pytest.raises(Removed):
        new.publish(line(TWO), durable=False)
    assert complete(home) == ONE


@pytest.mark.parametrize("how", [exchange, by_steps])
def test_two_directories_change_places(tmp_path: Path, how: Callable[[str, str], None]) -> None:
    folder = tmp_path / "folder"
    one, other = folder / "one", folder / "other"
    for path in (one, other):
        path.mkdir(parents=True)
        (path / path.name).touch()
    how(str(one), str(other))
    assert (one / "other").exists() and (other / "one").exists()
    with pytest.raises(FileNotFoundError):
        how(str(folder / "nothing"), str(other))
    assert (other / "one").exists() and sorted(os.listdir(folder)) == ["one", "other"]


def test_attempts_stay_with_the_job(home: str, spares: Spares) -> None:
    os.makedirs(f"{home}/.xpm/attempts")
    Path(f"{home}/.xpm/attempts/1.json").write_text("{}")
    before = len(read_attempts(home))
    assert beside(home, TWO, spares).publish(line(TWO), durable=False)
    assert os.listdir(f"{home}/.xpm/attempts") == ["1.json"] and len(read_attempts(home)) == before
    assert read_record(home) is not None
