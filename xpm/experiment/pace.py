"""How far a run is: its jobs by state, in words, and how long it may still take."""

from __future__ import annotations

import time

from xpm.broker.views import RunView
from xpm.core.state import State
from xpm.experiment.waiting import RunningJob

ORDER = (
    (State.DONE, "done", "green"),
    (State.RUNNING, "running", "cyan"),
    (State.READY, "ready", ""),
    (State.WAITING, "waiting", ""),
    (State.SCHEDULED, "scheduled", ""),
    (State.ERROR, "failed", "bold red"),
    (State.HOLD, "on hold", "yellow"),
    (State.CANCELLED, "cancelled", "yellow"),
    (State.LOST, "lost", "bold red"),
)
"""States in the order in which they are shown, with their words and colours."""


LEAST = 0.1
"""The part of a job that must be done before the time left is told."""


class Pace:
    """How long it may still take, from how fast it went since the first job ended or told of progress."""

    def __init__(self) -> None:
        self._began = 0.0
        self._at_first: float | None = None
        self._measuring = False

    def left(self, view: RunView, running: list[RunningJob]) -> float | None:
        """Seconds until nothing is left to do, None while nobody can tell."""
        done = view.total - view.open + sum(min(max(job.value or 0.0, 0.0), 1.0) for job in running)
        now = time.monotonic()
        if self._at_first is None or (done > self._at_first and not self._measuring):
            # Until something moves, workers may still be starting: that isn't the pace.
            self._measuring = self._at_first is not None
            self._at_first, self._began = done, now
        moved, passed = done - self._at_first, now - self._began
        # What began together ends together: the distance between two ends is no pace.
        least = LEAST if any(job.value for job in running) else view.counts.get(State.RUNNING, 0)
        if moved < max(least, LEAST) or passed < 1 or not view.open or view.counts.get(State.SCHEDULED):
            return None
        return max(0.0, (view.total - done) * passed / moved)


def counts(view: RunView) -> str:
    """`12 of 56 done, 2 running, 42 waiting`."""
    parts = [f"{view.counts[state]:,} {word}" for state, word, _ in ORDER[1:] if view.counts.get(state)]
    return ", ".join([f"{view.counts[State.DONE]:,} of {view.total:,} done", *parts])
