"""The live display of a run on a terminal; the only place that draws with rich."""

from __future__ import annotations

import time
from functools import partial

from rich.console import Console, Group, RenderableType
from rich.constrain import Constrain
from rich.live import Live as RichLive
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from xpm.broker.views import RunView
from xpm.core.lengths import duration
from xpm.experiment.pace import ORDER, Pace
from xpm.experiment.voice import Voice
from xpm.experiment.waiting import RunningJob

PER_SECOND = 4
"""How often the screen is drawn."""
MOST_JOBS = 12
"""Running jobs that are listed at most."""


class Live:
    """An overall bar, the number of jobs per state, and the running jobs, drawn over and over."""

    lists_jobs = True

    def __init__(self, name: str, voice: Voice, console: Console | None = None) -> None:
        self._name = name
        self._voice = voice
        self._console = console or Console(stderr=True, highlight=False, no_color=voice.plain or None)
        self._pace = Pace()
        self._began = time.monotonic()
        self._state: tuple[RunView, list[RunningJob]] | None = None
        self._live: RichLive | None = None

    def show(self, view: RunView, running: list[RunningJob]) -> None:
        """The run as it is now; the screen follows by itself."""
        self._state = (view, running)
        if self._live is None and not view.ended:
            # Names may have brackets, and commands are to be copied as they stand.
            self._voice.above = partial(self._console.print, markup=False, soft_wrap=True)
            # Another each time: one that was stopped would erase as many lines as it had when it begins again.
            self._live = RichLive(
                console=self._console,
                get_renderable=self._render,
                refresh_per_second=PER_SECOND,
                transient=True,
                redirect_stdout=False,
                redirect_stderr=False,
            )
            self._live.start()

    def close(self) -> None:
        """Takes the display off the screen."""
        if self._live is not None:
            self._live.stop()
            self._live = self._voice.above = None

    def _render(self) -> RenderableType:
        if self._state is None:
            return Text("")
        view, running = self._state
        group = Group(self._overall(view, running), self._counts(view), *self._jobs(running))
        # A line that fills the screen would be broken by the terminal's own ^C, and stay there.
        return Constrain(group, self._console.width - len("^C") - 1)

    def _overall(self, view: RunView, running: list[RunningJob]) -> RenderableType:
        line = Table.grid(padding=(0, 1))
        ended = view.total - view.open
        left = self._pace.left(view, running)
        times = duration(time.monotonic() - self._began)
        line.add_row(
            Text(self._name, style="bold"),
            ProgressBar(total=max(view.total, 1), completed=ended, width=40),
            f"{ended:,}/{view.total:,}",
            Text(f"{times}, about {duration(left)} left" if left is not None else times, style="dim"),
        )
        return line

    def _counts(self, view: RunView) -> RenderableType:
        text = Text("  ")
        for state, word, style in ORDER:
            if view.counts.get(state):
                text.append(f"{view.counts[state]:,} {word}", style=style)
                text.append("   ")
        return text

    def _jobs(self, running: list[RunningJob]) -> list[RenderableType]:
        if not running:
            return []
        table = Table.grid(padding=(0, 1))
        table.add_column(max_width=3)
        table.add_column(no_wrap=True, overflow="ellipsis", max_width=60)
        room = max(1, min(MOST_JOBS, self._console.height - 5))
        now = time.time()
        for job in running[:room]:
            bar = ProgressBar(total=1.0, completed=min(max(job.value or 0.0, 0.0), 1.0), width=20)
            table.add_row(
                " ",
                Text(job.label),
                Text(job.id[:8], style="dim"),
                bar if job.value is not None else "",
                Text(duration(now - job.started), style="dim"),
                Text(job.desc, style="dim", overflow="ellipsis", no_wrap=True),
            )
        if len(running) > room:
            table.add_row(" ", Text(f"and {len(running) - room} more", style="dim"))
        return [table]
