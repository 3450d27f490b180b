"""What a resumable job has saved goes on into its next directory, whatever became of the last execution."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from xpm.types import Fence
from xpm.workspace.directory import JobDirectory, owner
from xpm.workspace.layout import Workspace
from xpm.workspace.spares import Spares

Take = Callable[..., JobDirectory]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    Workspace.open(tmp_path)
    return tmp_path / "jobs" / "m.T" / "ab" / ("ab" * 32)


@pytest.fixture
def take(path: Path, tmp_path: Path) -> Take:
    def taking(number: int, pulse: Callable[[], None] | None = lambda: None) -> JobDirectory:
        spares = Spares(tmp_path, f"worker {number}")
        taken = JobDirectory.take(str(path), Fence(f"{number:026}"), spares, pulse)
        assert isinstance(taken, JobDirectory)
        return taken

    return taking


def save(path: Path) -> None:
    (path / "state" / "deep").mkdir(parents=True)
    (path / "state" / "deep" / "weights").write_text("w1")
    (path / "step").write_text("1")
    (path / "best").symlink_to("state/deep/weights")
    (path / "stdout.log").write_text("hello")


def check(path: Path) -> None:
    assert (path / "state" / "deep" / "weights").read_text() == "w1"
    assert (path / "step").read_text() == "1"
    assert os.readlink(path / "best") == "state/deep/weights"
    assert not (path / "stdout.log").read_text()


def test_an_execution_whose_end_was_seen_leaves_its_files(path: Path, take: Take) -> None:
    first = take(1)
    save(path)
    before = (path / "step").stat().st_ino
    first.abandon()
    take(2)
    check(path)
    assert (path / "step").stat().st_ino == before
    assert (path / ".xpm/stale/1/stdout.log").read_text() == "hello"


@pytest.mark.parametrize("ended", [False, True])
def test_an_execution_that_may_live_keeps_its_files(path: Path, take: Take, ended: bool) -> None:
    first = take(1)
    save(path)
    if ended:
        first.abandon(clean=False)  # something of it is left
    with (path / "step").open("a") as held:
        take(2)
        held.write("2")
    check(path)
    assert (path / ".xpm/stale/1/step").read_text() == "12"
    assert owner(str(path)) == f"{2:026}"


def test_a_job_that_cannot_be_resumed_begins_with_nothing(path: Path, take: Take) -> None:
    take(1, None)
    save(path)
    take(2, None)
    assert sorted(each.name for each in path.iterdir()) == [".xpm", "stderr.log", "stdout.log"]


class Dies(Exception):
    """A worker's end, in the middle."""


@pytest.mark.parametrize("parts", range(8))
def test_what_was_half_carried_over_is_not_lost(path: Path, take: Take, parts: int) -> None:
    take(1)
    save(path)
    left = [parts]

    def pulse() -> None:
        if not left[0]:
            raise Dies
        left[0] -= 1

    died = False
    try:
        take(2, pulse)
    except Dies:
        died = True
    assert died or parts > 4, "two folders, two files and a link"
    left[0] = 100
    take(3)
    check(path)
    take(4)
    check(path)


def test_what_was_removed_stays_removed(path: Path, take: Take) -> None:
    take(1)
    save(path)
    take(2)
    (path / "best").unlink()
    take(3).abandon()
    take(4)
    assert not (path / "best").is_symlink()
    assert (path / "step").read_text() == "1"


def test_pipes_and_sockets_are_left_behind(path: Path, take: Take) -> None:
    take(1)
    os.mkfifo(path / "pipe")
    save(path)
    take(2)
    check(path)
    assert not (path / "pipe").exists()


def test_word_of_an_end_is_there_while_the_job_is(path: Path, take: Take) -> None:
    directory = take(1)
    directory.announce(b"why")
    assert (path / ".xpm/stop").read_bytes() == b"why"
    directory.abandon()
    assert not (path / ".xpm/stop").exists()
