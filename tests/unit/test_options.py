"""What `submit` is told beside the task."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest
from sessions import Recorder

from xpm import token
from xpm.core.config import Param, Task
from xpm.core.resumable import ResumableTask
from xpm.core.retries import Retries
from xpm.core.session import DEFAULTS, SubmitOptions
from xpm.core.wishes import RESUMED, settled, wishes_of
from xpm.errors import SubmissionError


class Train(Task):
    lr: Param[float] = 0.1

    def execute(self) -> None: ...


class Long(ResumableTask):
    def execute(self) -> None: ...


def submitted(**given: Any) -> SubmitOptions:
    with Recorder() as recorder:
        Train.C().submit(**given)
    return recorder.options[-1]


def test_options_are_read_once_and_as_values() -> None:
    assert submitted() is DEFAULTS
    moment = datetime(2026, 1, 1, tzinfo=UTC)
    options = submitted(retries=2, timeout="1 h 30 min", not_before=moment)
    assert options == SubmitOptions(None, None, (), Retries(2), 5400.0, moment)
    assert submitted(not_before=timedelta(minutes=1)).not_before == 60


def test_a_priority_may_be_another_library_s_whole_number() -> None:
    class Three:
        def __index__(self) -> int:
            return 3

    assert type(submitted(priority=Three()).priority) is int


def test_numbers_of_numpy_are_numbers() -> None:
    two = np.int64(2)
    options = submitted(
        priority=two, retries=two, timeout=np.float32(2), not_before=two, requires=token("gpu", two)(two)
    )
    assert options == submitted(priority=2, retries=2, timeout=2, not_before=2, requires=token("gpu", 2)(2))
    assert {type(number) for number in (options.priority, options.timeout)} == {int, float}
    assert options.retries is not None and options.retries.pack() == Retries(2).pack()
    with pytest.raises(SubmissionError, match="priority"):
        submitted(priority=np.True_)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"retry": 3}, "Train.submit: no option 'retry'; did you mean 'retries'?"),
        (
            {"colour": 3},
            "Train.submit: no option 'colour'; there are queue, priority, requires, retries, timeout, not_before",
        ),
        ({"priority": True}, "Train.submit: priority True: expected a whole number from -4095 to 4095"),
        ({"priority": 1.5}, "Train.submit: priority 1.5: expected a whole number from -4095 to 4095"),
        ({"queue": 3}, "Train.submit: queue: expected a name, got 3"),
        ({"timeout": 0}, "Train.submit: timeout: expected seconds, a text like '2h' or a timedelta, got 0"),
        ({"timeout": "1h30"}, "Train.submit: timeout: expected seconds"),
        ({"timeout": "2 weeks"}, "Train.submit: timeout: expected seconds"),
        ({"timeout": float("nan")}, "Train.submit: timeout: expected seconds"),
        (
            {"not_before": "tomorow"},
            "Train.submit: not_before: expected a datetime, or from now: seconds, a text like '2h' or a timedelta; "
            "got 'tomorow'",
        ),
        (
            {"retries": Retries},
            "Train.submit: retries: expected a number of further attempts or Retries(...)",
        ),
    ],
)
def test_a_mistake_is_told_in_one_line_and_nothing_is_submitted(given: dict[str, Any], told: str) -> None:
    task = Train.C()
    with Recorder() as recorder:
        with pytest.raises(SubmissionError) as caught:
            task.submit(**given)
        assert str(caught.value).startswith(told)
        assert not recorder.prepared
        task.submit()  # it can be mended
        assert recorder.prepared


def test_the_broker_is_told_by_its_own_clock() -> None:
    def server(here: float) -> float:
        return here + 100

    options = settled(submitted(retries=Retries(1, on="oom", delay=0), timeout=2, not_before=30), now=1000)
    assert wishes_of(options, server, resumable=True) == {
        "nb": 1_130_000,
        "ry": "1 0 2 600000 0.1 oom",
        "to": 2000,
        "ru": 1,
    }
    assert wishes_of(settled(DEFAULTS, now=1000), server, resumable=False) == {}
    assert wishes_of(submitted(retries=0), server, resumable=False) == {}
    assert wishes_of(submitted(timeout=2), server, resumable=False) == {"to": 2000}
    pauses = wishes_of(submitted(timeout=2), server, resumable=True)
    assert pauses == {"ry": RESUMED.pack(), "to": 2000, "ru": 1}
    assert "ry" not in wishes_of(submitted(timeout=2, retries=0), server, resumable=True)
    moment = datetime(2026, 1, 1, tzinfo=UTC)
    assert settled(submitted(not_before=moment), now=0).not_before == moment.timestamp()


def test_a_resumable_task_is_known_by_its_submission() -> None:
    with Recorder() as recorder:
        Train.C().submit()
        Long.C().submit()
    assert [one.resumable for one in recorder.prepared] == [False, True]
    assert Long.C().instance().remaining_time() is None
