"""Logs made of spare files: no job ever sees another's output, and silent ones make and remove no file."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from xpm.workspace.spares import FOLDER, Spares

LOG = "stdout.log"


class Job:
    """A directory with a log, as a worker opens it."""

    def __init__(self, path: Path, spares: Spares) -> None:
        path.mkdir()
        self.log = path / LOG
        self._spares = spares
        self._descriptor = os.open(path, os.O_RDONLY)
        spares.lend(LOG, self._descriptor)
        self.inode = self.log.stat().st_ino

    def end(self, *, clean: bool = True) -> None:
        self._spares.take_back(LOG, self._descriptor, clean=clean)
        os.close(self._descriptor)


@pytest.fixture
def spares(tmp_path):
    return Spares(tmp_path, "worker")


@pytest.fixture
def job(tmp_path, spares):
    """Makes the directories of jobs."""
    numbers = iter(range(100))
    return lambda: Job(tmp_path / f"job{next(numbers)}", spares)


def spare_files(tmp_path):
    return sorted(os.listdir(tmp_path / FOLDER))


def test_silent_jobs_share_a_file_and_keep_no_log(tmp_path, job):
    first = job()
    assert first.log.read_bytes() == b""
    first.end()
    second = job()
    assert second.inode == first.inode
    second.end()
    assert not first.log.exists() and not second.log.exists()
    assert spare_files(tmp_path) == [f"worker.{LOG}"]


def test_a_log_that_was_written_is_the_jobs_alone(job):
    first = job()
    first.log.write_text("mine")
    first.end()
    second = job()
    assert second.log.read_text() == ""
    second.log.write_text("yours")
    second.end()
    assert (first.log.read_text(), second.log.read_text()) == ("mine", "yours")
    assert first.log.stat().st_nlink == second.log.stat().st_nlink == 1


@pytest.mark.parametrize("how", ["removed", "moved", "replaced"])
def test_a_log_that_the_task_put_away_is_nobodys_next(job, tmp_path, how):
    first = job()
    with first.log.open("a") as out:
        if how == "moved":
            first.log.rename(tmp_path / "elsewhere")
        else:
            first.log.unlink()
        if how == "replaced":
            first.log.touch()
        out.write("still written to")
    first.end()
    second = job()
    assert second.log.read_text() == ""
    second.end()


def test_a_log_that_a_process_may_still_write_to_is_nobodys_next(job):
    first = job()
    with first.log.open("a") as out:
        first.end(clean=False)
        second = job()
        out.write("late")
    assert second.log.read_text() == ""
    second.end()


def test_a_worker_takes_nothing_over_from_one_of_its_name(tmp_path, job):
    job().log.write_text("of a job whose worker was killed")
    (tmp_path / "other").mkdir()
    later = Job(tmp_path / "other" / "job", Spares(tmp_path, "worker"))
    assert later.log.read_text() == ""


def test_what_killed_workers_left_is_removed_in_time(tmp_path, job):
    old, young = (tmp_path / FOLDER / name for name in ("killed.stdout.log", "busy.stdout.log"))
    old.parent.mkdir(parents=True)
    old.touch()
    young.touch()
    os.utime(old, (0, 0))
    job()
    assert spare_files(tmp_path) == [young.name, f"worker.{LOG}"]


def test_closing_removes_the_spare_files_and_no_log(tmp_path, spares, job):
    kept = job()
    kept.log.write_text("kept")
    spares.close()
    assert spare_files(tmp_path) == []
    assert kept.log.read_text() == "kept"


def test_a_spare_that_is_gone_is_made_again(tmp_path, job):
    job().end()
    (tmp_path / FOLDER / f"worker.{LOG}").unlink()
    assert job().log.exists()


def test_without_a_place_for_spares_logs_are_files_like_any(tmp_path, job):
    (tmp_path / ".xpm").touch()
    only = job()
    assert only.log.stat().st_nlink == 1
    only.end()
    assert not only.log.exists()
