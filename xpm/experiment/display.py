"""Showing a run while it goes on: live on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import importlib
import time
from typing import Any

from xpm.broker.views import RunView
from xpm.core.lengths import duration
from xpm.core.state import State
from xpm.experiment.pace import Pace, counts
from xpm.experiment.voice import Voice
from xpm.experiment.waiting import Display, RunningJob

FIRST_LINE, LAST_PAUSE = 2.0, 60.0
"""Seconds to the first line, and between two lines at the most; the pause doubles from one to the other."""


def open_display(name: str, voice: Voice) -> Display:
    """A display of the experiment `name`, as it suits where stderr goes."""
    if voice.quiet or not voice.terminal:
        return Lines(name, voice)
    # rich is loaded only where it is seen.
    live: Any = importlib.import_module("xpm.experiment.live")
    return live.Live(name, voice)


class Lines:
    """A line now and then, for logs; none where the voice is quiet."""

    lists_jobs = False

    def __init__(self, name: str, voice: Voice) -> None:
        self._name = name
        self._voice = voice
        self._pace = Pace()
        self._pause = FIRST_LINE
        self._next = time.monotonic() + FIRST_LINE
        self._failed = 0
        self._last = ""

    def show(self, view: RunView, running: list[RunningJob]) -> None:
        """A line, when it is time for one or when the first job has failed."""
        left = self._pace.left(view, running)
        failed = view.counts.get(State.ERROR, 0)
        now = time.monotonic()
        if now < self._next and not (failed and not self._failed):
            return
        self._failed = failed
        text = counts(view)
        if text == self._last or view.ended:
            return
        self._last = text
        self._pause = min(self._pause * 2, LAST_PAUSE)
        self._next = now + self._pause
        about = f"; about {duration(left)} left" if left is not None else ""
        self._voice.remark(f"{self._name}: {text}{about}")

    def close(self) -> None:
        """Nothing is left to do."""
