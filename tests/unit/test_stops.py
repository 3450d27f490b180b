"""Why a job is to end, and how long it took."""

from __future__ import annotations

from waiting import until

from xpm_workers.stops import KILL, STOP_GRACE, Stopwatch, cancelling, over_time, read_stop


def test_a_task_is_told_why_and_how_long_it_has() -> None:
    assert read_stop(over_time(7200, 30).pack()) == ("its time limit of 2 h 00 min is over", 30.0)
    assert read_stop(cancelling(10).pack()) == ("cancelled", 10.0)
    assert read_stop(KILL.pack()) == ("stopped on request", STOP_GRACE)
    for damaged in (b"", b"[1]", b"{}", b"[1,null]"):
        assert read_stop(damaged) == ("ended by SIGTERM", None)


def test_the_time_for_which_a_job_was_frozen_does_not_count() -> None:
    watch = Stopwatch()
    until(lambda: watch.seconds > 0)
    watch.pause()
    stood = watch.seconds
    other = Stopwatch()
    until(lambda: other.seconds > 0.01)
    assert watch.seconds == stood
    watch.resume()
    watch.resume()
    until(lambda: watch.seconds > stood)
