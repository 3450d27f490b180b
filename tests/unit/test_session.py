from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from sessions import Recorder

from xpm.core.session import DEFAULTS, ScriptLoaded, SubmitOptions, active, adopt, current, loading, progress
from xpm.core.state import State
from xpm.errors import JobError
from xpm.types import JobId
from xpm_workers.session import Handle


def test_progress_outside_of_a_job_does_nothing() -> None:
    assert current.get() is None
    progress(0.5, "x")


def test_progress() -> None:
    with Recorder() as session:
        progress(1)
        progress(0.5, "half", level=2)
        progress(0.5, 3)
    assert session.progressed == [(1.0, None, 0), (0.5, "half", 2), (0.5, None, 3)]


def test_progress_beyond_its_range_is_that_of_the_nearer_end() -> None:
    with Recorder() as session:
        for value in (-90.0, 1.5, float("inf"), float("nan"), 0.25):
            progress(value)
    assert [value for value, _, _ in session.progressed] == [0.0, 1.0, 1.0, 0.0, 0.25]


def test_a_script_s_own_except_does_not_stop_its_loading() -> None:
    assert not loading.get()
    assert not issubclass(ScriptLoaded, Exception)


@pytest.mark.parametrize(
    ("steer", "what"),
    [(lambda job: job.priority(3), "set the priority of"), (lambda job: job.kill(), "kill")],
)
def test_a_job_steers_no_others(steer: Callable[[Handle], bool], what: str) -> None:
    with pytest.raises(JobError, match=f"^a job cannot {what} jobs: do it in the script"):
        steer(Handle(JobId("ab" * 32), Path("/"), State.DONE))


def test_options() -> None:
    assert SubmitOptions() == DEFAULTS
    with pytest.raises(AttributeError):
        DEFAULTS.queue = "x"  # type: ignore[misc]


def test_a_thread_of_a_job_finds_the_session_of_its_process() -> None:
    found: list[object] = []
    with Recorder() as experiment:
        adopt(job := Recorder())
        try:
            thread = threading.Thread(target=lambda: found.append(active()))
            thread.start()
            thread.join()
            assert active() is experiment  # one that was opened here goes before
        finally:
            adopt(None)
    assert found == [job]
    assert active() is None
