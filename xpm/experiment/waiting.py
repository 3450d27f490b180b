"""Waiting for a run's end: the event stream wakes, the run's counts are the truth."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from xpm.broker.events import Events
from xpm.broker.ledger import Ledger
from xpm.broker.views import RunView
from xpm.core.naming import last_name
from xpm.core.state import State
from xpm.errors import BrokerUnreachable, WorkspaceError
from xpm.experiment.holding import held_here
from xpm.experiment.link import Link
from xpm.experiment.tracking import Tracked
from xpm.experiment.unserved import Unserved
from xpm.experiment.voice import Voice
from xpm.types import JobId
from xpm.workspace.fitness import gone

if TYPE_CHECKING:
    from xpm.experiment.calls import CallBack

LOOK_AGAIN = 0.02
"""The pause between two looks, as a part of the time waited so far: what ends soon is seen at once."""
SHORTEST, LONGEST = 0.005, 0.25
"""Its limits in seconds."""

QUIET = 5.0
"""Seconds after which the counts are read again though nothing was heard."""

LIVE = 1.0
"""Seconds after which a display of the jobs' own progress is old."""

SHOWN = 100
"""Running jobs that are asked for their progress, at most."""


@dataclass(frozen=True, slots=True)
class RunningJob:
    """A running job, as a display shows it."""

    id: JobId
    label: str
    started: float
    """Unix seconds by the broker's clock."""
    value: float | None
    """How far it says that it is, 0 to 1."""
    desc: str


class Display(Protocol):
    """What shows a run while somebody waits for it."""

    @property
    def lists_jobs(self) -> bool:
        """Whether it shows the running jobs, and so wants them."""
        ...

    def show(self, view: RunView, running: list[RunningJob]) -> None:
        """The run as it is now."""
        ...

    def close(self) -> None:
        """Nothing more comes for a while: the screen is free until it shows the run again."""
        ...


def wait(care: Care, display: Display) -> RunView:
    """Waits until every job of a run has ended or is held, or goes on for others alone; returns how it stands then.

    A server of the workspace that dies meanwhile is started again, with its workers; a shared one is
    waited for.
    """
    while True:
        try:
            events = Events(care.link.broker)
            view = care.look()
            care.link.answered()
            if care.call_back is not None and care.call_back(display.close):
                continue  # the run may have more jobs now
            display.show(view, care.running(view) if display.lists_jobs else [])
            if view.ended or care.run.given_up(view):
                return view
            care.attend(view)
            care.pause()
            events.read(min(LIVE, care.patience) if display.lists_jobs else care.patience, limit=1)
        except BrokerUnreachable as error:
            care.mend(error)


class Care:
    """What has to be seen to while a run, or a job of it, is waited for.

    Args:
        run: the run.
        link: the way to its broker.
        voice: says what the user should know.
        unserved: what was told already by who waited before.
    """

    def __init__(self, run: Tracked, link: Link, voice: Voice, unserved: Unserved | None = None) -> None:
        self.run = run
        self.link = link
        self.voice = voice
        self.open = run.count
        """Jobs that will still move, as far as is known: none of a broker that is away."""
        self.call_back: CallBack | None = None
        self._began = time.monotonic()
        self._visited = float("-inf")
        self._unserved = unserved or Unserved(run, link, voice)

    def look(self) -> RunView:
        """The run and its counts; jobs that the broker has lost are submitted again."""
        view = self.run.view()
        self.open = view.open
        if view.counts[State.HOLD]:
            self._tell_brakes()
        return view

    def _tell_brakes(self) -> None:
        for brake in self.link.views.brakes():
            release = self.link.commands.xpm("release", "--task", last_name(brake.task))
            self.voice.once(f"{brake}; when that is mended:\n    {release}")

    def mend(self, error: BrokerUnreachable) -> None:
        """Brings the broker back, or waits a while for it."""
        self.open = 0
        self.link.mend(error)

    def pause(self) -> None:
        """A short rest, so that a run of many short jobs isn't slowed down by who watches it."""
        waited = time.monotonic() - self._began
        time.sleep(min(max(waited * LOOK_AGAIN, SHORTEST), LONGEST))

    @property
    def patience(self) -> float:
        """Seconds for which nothing has to be seen to while nothing is heard."""
        return min(QUIET if self.call_back is None else LIVE, self._unserved.patience)

    def visit(self, *, lost: bool) -> None:
        """Looks and attends to the run, once in a while: for who looks for something else.

        Args:
            lost: the broker doesn't know a job of the run: at once.
        """
        if lost or time.monotonic() - self._visited >= LIVE:
            self._visited = time.monotonic()
            self.attend(self.look())

    def attend(self, view: RunView) -> None:
        """Keeps local workers there, helps the graph on, and tells of jobs that nobody will run.

        Takes leases from the dead, too, and shows ready jobs to RQ again: where only stock workers of RQ serve, nobody
        else does.

        Raises:
            WorkspaceError: the workspace is not there any more.
        """
        if reason := gone(self.link.workspace.path):
            raise WorkspaceError(f"{reason}: what is done of {self.run.experiment} is where it went")
        self.link.serve()
        if self.link.expiry.look_at_times():
            self.link.broker.refill_all()
        if view.settling:
            self.link.broker.settle()
        if view.held:
            self._tell_held()
        if view.counts[State.READY] or (view.counts[State.RUNNING] and held_here()):
            self._unserved.look()
        else:
            self._unserved.forget()

    def _tell_held(self) -> None:
        """Says once what has to be done for jobs that somebody is to let go."""
        short = Ledger(self.link.broker).short(self.run.token)
        for need in short:
            told = self.link.commands.xpm("token", "set", need.name, str(need.amount))
            self.voice.once(
                f"jobs wait on hold for more of token {need.name} than there is; to raise it:\n    {told}"
            )
        if not short:
            release = self.link.commands.xpm("release", "-e", self.run.experiment)
            self.voice.once(f"jobs that a person holds are waited for; to let them go:\n    {release}")

    def running(self, view: RunView) -> list[RunningJob]:
        """The running jobs of the run with their own progress."""
        if not view.counts[State.RUNNING]:
            return []
        views = self.link.views
        found = views.jobs(views.listing(State.RUNNING, limit=SHOWN))
        mine = [job for job in found if job and job.state is State.RUNNING and view.token in job.runs]
        said = views.progress([job.id for job in mine])
        return sorted(
            (
                RunningJob(
                    job.id, job.label, job.started, one.value if one else None, one.desc if one else ""
                )
                for job, one in zip(mine, said, strict=True)
            ),
            key=lambda job: job.started,
        )
