"""Showing a run while it goes on: live on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import importlib
import time
from typing import Any

from xpm.broker.views import RunView
from xpm.cells.kernel import in_notebook
from xpm.core.lengths import duration
from xpm.core.state import State
from xpm.experiment.pace import Pace, counts
from xpm.experiment.voice import Voice
from xpm.experiment.waiting import Display, RunningJob

FIRST_LINE, LAST_PAUSE = 2.0, 60.0
"""Seconds to the first line, and between two lines at the most; the pause doubles from one to the other."""

BETWEEN = 0.3
"""Seconds between two changes of what is shown below a cell."""


def open_display(name: str, voice: Voice) -> Display:
    """A display of the experiment `name`, as it suits where stderr goes."""
    if not voice.quiet and in_notebook():
        return Below(name)
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


class Below:
    """A line below the cell of a notebook, which changes while the run goes on, and is gone at its end."""

    lists_jobs = False

    def __init__(self, name: str) -> None:
        self._name = name
        self._pace = Pace()
        self._next = 0.0
        self._last = ""
        self._shown: Any = None

    def show(self, view: RunView, running: list[RunningJob]) -> None:
        """Changes the line, when there is something new; not too often, since each change goes to a browser."""
        left = self._pace.left(view, running)
        now = time.monotonic()
        if now < self._next:
            return
        about = f"; about {duration(left)} left" if left is not None else ""
        text = f"{self._name}: {counts(view)}{about}"
        if text != self._last:
            self._next = now + BETWEEN
            self._write(text)

    def close(self) -> None:
        """Empties the line."""
        if self._last:
            self._write("")

    def _write(self, text: str) -> None:
        self._last = text
        data = {"text/plain": text}
        if self._shown is None:
            display: Any = importlib.import_module("IPython.display")
            self._shown = display.display(data, raw=True, display_id=True)
        else:
            self._shown.update(data, raw=True)
