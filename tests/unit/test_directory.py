from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from xpm.types import Fence
from xpm.workspace.attempts import Attempt, Failure, read_attempts, write_attempt
from xpm.workspace.directory import JobDirectory, Overtaken, owner
from xpm.workspace.results import Record, complete, pack_record, read_record

from .test_results import RECORD

ONE, TWO, THREE = (Fence(f"{n:026}") for n in (1, 2, 3))


def line(fence):
    return pack_record(Record(**{**{k: getattr(RECORD, k) for k in RECORD.__slots__}, "fence": fence}))


@pytest.fixture
def path(tmp_path):
    return str(tmp_path / "jobs" / "m.T" / "ab" / ("ab" * 32))


def inodes(path):
    return sorted(os.path.relpath(os.path.join(base, n), path) for base, d, f in os.walk(path) for n in d + f)


def test_a_silent_job_leaves_three_inodes(path):
    directory = JobDirectory.take(path, ONE)
    for name in ("stdout.log", "stderr.log"):
        os.close(directory.open_log(name))
    assert owner(path) == ONE
    assert directory.publish(line(ONE), durable=False)
    assert inodes(path) == [".xpm", ".xpm/result.json"]
    assert read_record(path).fence == ONE


def test_a_log_that_was_written_stays(path):
    directory = JobDirectory.take(path, ONE)
    log = directory.open_log("stdout.log")
    os.write(log, b"x")
    os.close(directory.open_log("stderr.log"))
    directory.abandon()
    assert [name for name in inodes(path) if name.endswith(".log")] == ["stdout.log"]


def test_a_finished_job_is_given_back_not_taken(path):
    JobDirectory.take(path, ONE).publish(line(ONE), durable=True)
    taken = JobDirectory.take(path, TWO)
    assert isinstance(taken, Record) and taken.fence == ONE


def test_the_first_record_stays(path):
    directory = JobDirectory.take(path, ONE)
    with open(f"{path}/.xpm/result.json", "wb") as file:
        file.write(line(TWO))
    assert directory.publish(line(ONE), durable=False) is False
    assert read_record(path).fence == TWO


@pytest.mark.parametrize("damage", [b"", b"{}", line(ONE)[:-5]])
def test_a_damaged_record_does_not_count(path, damage):
    JobDirectory.take(path, ONE)
    with open(f"{path}/.xpm/result.json", "wb") as file:
        file.write(damage)
    assert isinstance(JobDirectory.take(path, TWO), JobDirectory)
    assert complete(path) is None


def test_a_stale_execution_publishes_into_the_moved_directory_only(path):
    stale = JobDirectory.take(path, ONE)
    with open(f"{path}/weights", "w") as file:
        file.write("half")
    fresh = JobDirectory.take(path, TWO)
    with pytest.raises(Overtaken):
        stale.publish(line(ONE), durable=False)
    assert complete(path) is None
    assert complete(f"{path}/.xpm/stale/1") == ONE
    assert fresh.publish(line(TWO), durable=False)
    assert complete(path) == TWO
    assert os.listdir(path) == [".xpm"]
    assert os.path.exists(f"{path}/.xpm/stale/1/weights")


def test_a_stale_execution_that_starts_late_is_refused(path):
    JobDirectory.take(path, TWO)
    with pytest.raises(Overtaken):
        JobDirectory.take(path, ONE)
    assert owner(path) == TWO


def test_attempts_and_older_directories_are_carried_flat(path):
    for n, fence in enumerate((ONE, TWO), 1):
        directory = JobDirectory.take(path, fence)
        open(f"{path}/file{n}", "w").close()
        write_attempt(path, attempt(n))
        directory.abandon()
    JobDirectory.take(path, THREE)
    assert [each.n for each in read_attempts(path)] == [1, 2]
    assert sorted(os.listdir(f"{path}/.xpm/stale")) == ["1", "2"]
    assert os.path.exists(f"{path}/.xpm/stale/1/file1") and os.path.exists(f"{path}/.xpm/stale/2/file2")


@pytest.mark.parametrize("again", [True, False])
def test_what_a_crash_half_way_left_is_taken_in(path, again):
    JobDirectory.take(path, ONE)
    open(f"{path}/first", "w").close()
    os.rename(path, path + ".aside")
    if again:
        os.mkdir(path)
        open(f"{path}/second", "w").close()
    JobDirectory.take(path, TWO)
    found = {name for folder, _, names in os.walk(f"{path}/.xpm/stale") for name in names}
    assert found >= ({"first", "second"} if again else {"first"})
    assert os.listdir(os.path.dirname(path)) == [os.path.basename(path)]


def test_a_file_in_the_way_is_moved_aside(path):
    os.makedirs(os.path.dirname(path))
    open(path, "w").close()
    assert JobDirectory.take(path, ONE).publish(line(ONE), durable=False)


@pytest.mark.parametrize("durable", [True, False])
def test_a_removed_directory_is_told(path, durable):
    directory = JobDirectory.take(path, ONE)
    shutil.rmtree(path)
    with pytest.raises(Overtaken):
        directory.publish(line(ONE), durable=durable)
    assert not os.path.exists(path)


def test_closed_descriptors_are_opened_again(path):
    directory = JobDirectory.take(path, ONE)
    os.closerange(directory.descriptor, directory.descriptor + 20)
    with open(f"{path}/theirs", "w+") as file:  # takes a number that was the directory's
        assert directory.publish(line(ONE), durable=False)
        file.write("theirs")
    assert complete(path) == ONE
    assert Path(f"{path}/theirs").read_text() == "theirs"


def test_many_files_are_made_durable(path):
    directory = JobDirectory.take(path, ONE)
    for n in range(100):
        open(f"{path}/{n}", "w").close()
    os.symlink("/nowhere", f"{path}/dangling")
    os.mkfifo(f"{path}/pipe")
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
