from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from xpm.types import Fence
from xpm.workspace.attempts import Attempt, Failure, read_attempts, write_attempt
from xpm.workspace.directory import JobDirectory, Overtaken, Removed, enter, make_durable, owner
from xpm.workspace.layout import Workspace
from xpm.workspace.results import Record, complete, pack_record, read_record, unpack_record
from xpm.workspace.spares import Spares

from .test_results import RECORD

ONE, TWO, THREE = (Fence(f"{n:026}") for n in (1, 2, 3))


def line(fence):
    return pack_record(Record(**{**{k: getattr(RECORD, k) for k in RECORD.__slots__}, "fence": fence}))


@pytest.fixture
def path(tmp_path):
    Workspace.open(tmp_path)
    return str(tmp_path / "jobs" / "m.T" / "ab" / ("ab" * 32))


@pytest.fixture
def spares(tmp_path):
    return Spares(tmp_path, "worker")


@pytest.fixture
def take(path, spares):
    """Takes the directory for a fence."""
    return lambda fence: JobDirectory.take(path, fence, spares)


def inodes(path):
    return sorted(os.path.relpath(os.path.join(base, n), path) for base, d, f in os.walk(path) for n in d + f)


def test_a_silent_job_leaves_three_inodes(path, take):
    directory = take(ONE)
    assert inodes(path) == [".xpm", f".xpm/{ONE}.part", "stderr.log", "stdout.log"]
    assert owner(path) == ONE
    assert directory.publish(line(ONE), durable=False)
    assert inodes(path) == [".xpm", ".xpm/result.json"]
    assert read_record(path).fence == ONE


def test_a_log_that_was_written_stays(path, take):
    directory = take(ONE)
    Path(f"{path}/stdout.log").write_text("x")
    directory.abandon()
    assert [name for name in inodes(path) if name.endswith(".log")] == ["stdout.log"]


def test_only_the_execution_that_has_a_directory_enters_it(path, take, monkeypatch):
    monkeypatch.chdir("/")
    with pytest.raises(Removed):
        enter(path, ONE)
    take(ONE)
    enter(path, ONE)
    assert os.path.samefile(".", path)
    take(TWO)
    assert os.getcwd() == f"{path}/.xpm/stale/1", "it was moved with who is in it"
    with pytest.raises(Overtaken):
        enter(path, ONE)


def test_what_a_job_left_to_be_told_is_read_once(path, take):
    directory = take(ONE)
    assert directory.said() == b""
    Path(f"{path}/.xpm/said").write_bytes(b"last words")
    assert directory.said() == b"last words"
    assert directory.said() == b""


def test_a_finished_job_is_given_back_not_taken(take):
    take(ONE).publish(line(ONE), durable=True)
    taken = take(TWO)
    assert isinstance(taken, Record) and taken.fence == ONE


def test_the_first_record_stays(path, take):
    directory = take(ONE)
    with open(f"{path}/.xpm/result.json", "wb") as file:
        file.write(line(TWO))
    assert directory.publish(line(ONE), durable=False) is False
    assert read_record(path).fence == TWO


def test_a_durable_record_is_on_disk_before_it_counts_and_its_folders_after(path, take, monkeypatch):
    """What a loss of power would show: the order of what goes to the disk."""
    done, fsync, link = [], os.fsync, os.link

    def synced(descriptor):
        done.append(os.fstat(descriptor).st_ino)
        fsync(descriptor)

    def linked(*names, **how):
        done.append(names[1])
        link(*names, **how)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(os, "link", linked)
    take(ONE).publish(line(ONE), durable=True)
    record, *folders = (
        os.stat(each).st_ino
        for each in (f"{path}/.xpm/result.json", f"{path}/.xpm", path, os.path.dirname(path))
    )
    at = done.index("result.json")
    assert record in done[:at]
    assert set(folders) <= set(done[at:])


@pytest.mark.parametrize("damage", [b"", b"{}", line(ONE)[:-5]])
def test_a_damaged_record_does_not_count(path, damage, take):
    take(ONE)
    with open(f"{path}/.xpm/result.json", "wb") as file:
        file.write(damage)
    assert isinstance(take(TWO), JobDirectory)
    assert complete(path) is None


def test_a_stale_execution_publishes_into_the_moved_directory_only(path, take):
    stale = take(ONE)
    with open(f"{path}/weights", "w") as file:
        file.write("half")
    fresh = take(TWO)
    with pytest.raises(Overtaken):
        stale.publish(line(ONE), durable=False)
    assert complete(path) is None
    moved = unpack_record(Path(f"{path}/.xpm/stale/1/.xpm/result.json").read_bytes())
    assert moved is not None and moved.fence == ONE
    assert fresh.publish(line(TWO), durable=False)
    assert complete(path) == TWO
    assert os.listdir(path) == [".xpm"]
    assert os.path.exists(f"{path}/.xpm/stale/1/weights")


def test_a_stale_execution_that_starts_late_is_refused(path, take):
    take(TWO)
    with pytest.raises(Overtaken):
        take(ONE)
    assert owner(path) == TWO


def test_attempts_and_older_directories_are_carried_flat(path, take):
    for n, fence in enumerate((ONE, TWO), 1):
        directory = take(fence)
        open(f"{path}/file{n}", "w").close()
        write_attempt(path, attempt(n))
        directory.abandon()
    take(THREE)
    assert [each.n for each in read_attempts(path)] == [1, 2]
    assert sorted(os.listdir(f"{path}/.xpm/stale")) == ["1", "2"]
    assert os.path.exists(f"{path}/.xpm/stale/1/file1") and os.path.exists(f"{path}/.xpm/stale/2/file2")


@pytest.mark.parametrize("again", [True, False])
def test_what_a_crash_half_way_left_is_taken_in(path, again, take):
    take(ONE)
    open(f"{path}/first", "w").close()
    os.rename(path, path + ".aside")
    if again:
        os.mkdir(path)
        open(f"{path}/second", "w").close()
    take(TWO)
    found = {name for folder, _, names in os.walk(f"{path}/.xpm/stale") for name in names}
    assert found >= ({"first", "second"} if again else {"first"})
    assert os.listdir(os.path.dirname(path)) == [os.path.basename(path)]


def test_a_file_in_the_way_is_moved_aside(path, take):
    os.makedirs(os.path.dirname(path))
    open(path, "w").close()
    assert take(ONE).publish(line(ONE), durable=False)


@pytest.mark.parametrize("durable", [True, False])
def test_a_removed_directory_is_told(path, durable, take):
    directory = take(ONE)
    shutil.rmtree(path)
    with pytest.raises(Removed):
        directory.publish(line(ONE), durable=durable)
    assert not os.path.exists(path)


@pytest.mark.parametrize("durable", [True, False])
def test_a_directory_that_was_removed_with_those_above_it_is_told(path, durable, take):
    directory = take(ONE)
    shutil.rmtree(os.path.dirname(path))
    with pytest.raises(Removed):
        directory.publish(line(ONE), durable=durable)


def test_a_directory_that_its_task_has_cleared_is_told(path, take):
    directory = take(ONE)
    shutil.rmtree(f"{path}/.xpm")
    with pytest.raises(Removed):
        directory.publish(line(ONE), durable=False)


def test_a_directory_that_was_replaced_is_told_unless_a_later_execution_has_it(path, take):
    directory = take(ONE)
    os.rename(path, f"{path}-away")
    os.mkdir(path)
    with pytest.raises(Removed):
        directory.publish(line(ONE), durable=False)
    take(THREE).publish(line(THREE), durable=False)
    with pytest.raises(Overtaken):
        directory.publish(line(ONE), durable=False)
    assert complete(path) == THREE


def test_many_files_are_made_durable(path, take):
    directory = take(ONE)
    for n in range(100):
        open(f"{path}/{n}", "w").close()
    os.symlink("/nowhere", f"{path}/dangling")
    os.mkfifo(f"{path}/pipe")
    make_durable(path)
    assert directory.publish(line(ONE), durable=True)


def attempt(n, execution=1):
    return Attempt(
        n, execution, ONE, "h", "w", 1.0, 2.0, Failure("exception", "ValueError", "bad \udc80", "tb")
    )


def test_an_attempt_is_read_as_it_was_written(tmp_path):
    write_attempt(tmp_path, attempt(2, 5))
    write_attempt(tmp_path, attempt(1))
    write_attempt(tmp_path, attempt(2, 6))
    (tmp_path / ".xpm/attempts/3.json").write_text('{"n": 3')
    assert read_attempts(tmp_path) == [attempt(1), attempt(2, 5), attempt(2, 6)]
    assert len(os.listdir(tmp_path / ".xpm/attempts")) == 4


def test_no_attempts_is_an_empty_list(tmp_path):
    assert read_attempts(tmp_path / "nothing") == []
