"""An open experiment: what a script talks to."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from contextvars import Token
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from xpm.broker.broker import PRIORITIES
from xpm.broker.views import RunView
from xpm.core import session
from xpm.core.config import Task, reference
from xpm.core.session import ScriptLoaded, Session, SubmitOptions
from xpm.core.state import ENDED, State
from xpm.core.submission import prepare
from xpm.errors import SubmissionError, UsageError, WorkspaceError, XpmError
from xpm.experiment import rows
from xpm.experiment.dryrun import plan_of, tell_plan
from xpm.experiment.ending import DETACHED, DONE, PLAIN, NotAllDone, plainly, status_of
from xpm.experiment.link import Link
from xpm.experiment.outbox import Outbox
from xpm.experiment.results import result_of
from xpm.experiment.script import name_script
from xpm.experiment.submission import Circumstances, Submitter
from xpm.experiment.summary import Ending, Unfinished, nothing_to_do, tell, unfinished
from xpm.experiment.voice import Voice, jobs
from xpm.experiment.watching import detached, watch
from xpm.settings import Settings, load
from xpm.types import JobId, Namespace
from xpm.workspace.layout import Workspace
from xpm.workspace.snapshot import Entry as Start


@dataclass(frozen=True, slots=True)
class Handle:
    """The job of a submitted task."""

    id: JobId
    path: Path
    _experiment: Experiment

    @property
    def state(self) -> State:
        """Its state, asked now."""
        return self._experiment.state_of(self.id)

    @property
    def stdout(self) -> Path:
        """Its standard output; absent when nothing was written."""
        return self.path / "stdout.log"

    @property
    def stderr(self) -> Path:
        """Its standard error; absent when nothing was written."""
        return self.path / "stderr.log"


class Experiment:
    """What `with experiment(...) as xp` gives; made by `experiment`.

    Args:
        name: the experiment's name.
        check: raise at the end of the block when some job isn't done.
        priority: of tasks that are submitted without one.
        given: settings that the script gives.
    """

    def __init__(self, name: str, *, check: bool, priority: int, given: Mapping[str, object]) -> None:
        if not name:
            raise UsageError("an experiment needs a name")
        self.name = name
        self._check = check
        self._priority = _valid(priority)
        self._given = given
        self._token: Token[Session | None] | None = None
        self._began = 0.0

    # The block

    def __enter__(self) -> Self:
        if session.loading.get():
            raise ScriptLoaded
        if self._token is not None:
            raise UsageError(f"the experiment {self.name} is open already")
        try:
            self._open()
        except PLAIN:
            plainly()
            raise
        self._token = session.current.set(self)
        return self

    def _open(self) -> None:
        self._began = time.monotonic()
        script = name_script()
        self._settings = settings = load(arguments=self._given, script=script)
        self._voice = Voice(plain=settings.no_color)
        self._workspace = _workspace(settings)
        self._link = Link(self._workspace, settings, self._voice)
        under = Circumstances(
            self.name, self._workspace, settings, self._priority, script, Start.of_process()
        )
        self._submitter = Submitter(under, self._link)
        self._outbox = Outbox(self._submitter.note if settings.dry_run else self._submitter.send)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        assert self._token is not None, "entered"
        session.current.reset(self._token)
        self._token = None
        try:
            if error is not None:
                self._leave(error)
            elif self._settings.dry_run:
                self._tell_plan()
                raise SystemExit(DONE)
            elif self._settings.detach:
                self._detach()
                raise SystemExit(DONE)
            else:
                self._end()
        except PLAIN:
            plainly()
            raise
        finally:
            self._outbox.close()
            self._submitter.close()
            self._link.close()

    def _end(self) -> None:
        view = self.wait()
        left = [] if view.ended and not view.failed else self._left()
        run = self._submitter
        ending = Ending(
            self.name,
            self._link.commands,
            view,
            time.monotonic() - self._began,
            run.before,
            run.others,
            self._link.commands.again(),
        )
        tell(ending, self._link, left, self._voice)
        if left and self._check:
            raise NotAllDone(f"{self.name}: {jobs(len(left))} not done", status_of(view.counts))

    def _detach(self) -> None:
        self._flush()
        if self._submitter.run is None:
            self._voice.say(f"{self.name}: {nothing_to_do(len(self._submitter.jobs))}")
        else:
            self._voice.say(f"{self.name}: {jobs(len(self._submitter.jobs))} submitted")
            detached(self.name, self._link, self._voice)

    def _leave(self, error: BaseException) -> None:
        """The block was left by an exception: what was submitted goes on without the script."""
        if isinstance(error, PLAIN):
            plainly()
        if self._settings.dry_run or not self._trying():
            return
        count = len(self._submitter.jobs)
        if count and self._submitter.run is not None:
            self._voice.say(f"{self.name}: the {jobs(count)} submitted so far go on")
            detached(self.name, self._link, self._voice)
        if isinstance(error, KeyboardInterrupt):
            raise SystemExit(DETACHED) from None

    def _trying(self) -> bool:
        """Sends what is still here; whether that went well."""
        try:
            self._outbox.flush()
        except XpmError as trouble:
            self._voice.say(f"{self.name}: not all that was submitted went out: {trouble}")
            return False
        return True

    # What tasks ask

    def submit(self, task: Task, options: SubmitOptions) -> None:
        """Takes a task; it goes out with others a few milliseconds later."""
        if options.priority is not None:
            _valid(options.priority)
        self._outbox.put((prepare(task), options))

    def jobpath(self, task: Task) -> Path:
        """The directory of a task's job."""
        ref = reference(task)
        return self._workspace.jobpath(ref.task, ref.id)

    def handle(self, task: Task) -> Handle:
        """The job of a task."""
        return Handle(reference(task).id, self.jobpath(task), self)

    def result(self, task: Task, timeout: float | None) -> Any:
        """Waits for a task's job and gives its result."""
        if self._settings.dry_run:
            return self._known_result(task)
        return result_of(reference(task), self._workspace, self._ready, timeout)

    def progress(self, value: float, desc: str | None, level: int) -> None:
        """A script has no progress of its own: nothing."""

    # What users ask

    @property
    def workspace(self) -> Path:
        """The workspace's path."""
        return self._workspace.path

    @property
    def path(self) -> Path:
        """The folder with the runs of the experiment."""
        return self._workspace.experiment_dir(self.name)

    @property
    def failed(self) -> list[Unfinished]:
        """The jobs that ended, or are held, without a result; what failed first comes first."""
        return [job for job in self._left() if job.state in ENDED or job.state is State.HOLD]

    def wait(self) -> RunView:
        """Waits for all that was submitted so far; more may follow.

        Returns:
            How the run stands: its jobs per state.

        Raises:
            SystemExit: Ctrl-C detached from the experiment, or this is a dry run.
        """
        if self._settings.dry_run:
            self._stop_planning("xp.wait()")
        self._flush()
        if self._submitter.run is not None:
            return watch(self._submitter.run, self._link, self._voice)
        return self._all_done()

    def rows(self, task: type[Task] | str | None = None, params: bool = False) -> list[dict[str, Any]]:
        """The results: one dict per job, with tags, `state`, `result`, `job`, `task` and times.

        The keys of a result that is a dict become `result.<key>`.

        Args:
            task: only the jobs of this task: the class or its name.
            params: also the parameters, as `params.<name>`.
        """
        self._outbox.flush()
        chosen = rows.selected(self._submitter.jobs.values(), task)
        records = {job.id: rows.record_of(job, self._workspace) for job in chosen}
        states = self._states([job.id for job in chosen if records[job.id] is None])
        return [
            rows.row(job, records[job.id], states.get(job.id, State.DONE), self._workspace, params=params)
            for job in chosen
        ]

    def frame(self, task: type[Task] | str | None = None, params: bool = False) -> Any:
        """The same as `rows`, as a pandas data frame.

        Raises:
            UsageError: pandas isn't installed; the message holds the line that installs it.
        """
        return rows.frame(self.rows(task, params))

    def cancel(self) -> None:
        """Gives up all jobs of the experiment: those that no other experiment wants are cancelled."""
        self._flush()
        if self._submitter.run is not None:
            self._link.ask(self._submitter.run.cancel)

    def state_of(self, job: JobId) -> State:
        """The state of a job of this experiment."""
        self._outbox.flush()
        return self._states([job])[job]

    # Steps

    def _flush(self) -> None:
        """All that was submitted goes to the broker, and what was done before joins it."""
        self._outbox.flush()
        self._submitter.settle()

    def _ready(self) -> Link:
        """The way to the broker, for somebody who waits for a job."""
        self._outbox.flush()
        return self._link

    def _all_done(self) -> RunView:
        total = len(self._submitter.jobs)
        counts = {**dict.fromkeys(State, 0), State.DONE: total}
        return RunView("", self.name, "", 0.0, "", {}, total, counts, settling=False)

    def _left(self) -> list[Unfinished]:
        self._outbox.flush()
        if self._submitter.run is None:
            return []
        ids = list(self._submitter.jobs)
        return self._link.ask(lambda: unfinished(self._link.views, self._workspace, ids))

    def _states(self, ids: list[JobId]) -> dict[JobId, State]:
        if not ids:
            return {}
        if self._settings.dry_run:
            return dict.fromkeys(ids, State.WAITING)
        found = self._link.ask(lambda: self._link.views.states(ids))
        return {job: one[0] if one else State.WAITING for job, one in zip(ids, found, strict=True)}

    # A dry run

    def _tell_plan(self) -> None:
        self._outbox.flush()
        asked = self._workspace.namespace != _NOWHERE and self._link.find()
        planned = list(self._submitter.jobs.values())
        views = self._link.views if asked else None
        plan = plan_of(planned, self._workspace, views, self._settings.project)
        tell_plan(self.name, plan, self._link, asked=asked, voice=self._voice)

    def _known_result(self, task: Task) -> Any:
        ref = reference(task)
        if not self._workspace.finished({ref.task: [ref.id]}):
            self._stop_planning(f"the result of {ref.task} {ref.id[:8]}")
        return result_of(ref, self._workspace, self._ready, 0)

    def _stop_planning(self, what: str) -> None:
        self._voice.say(
            f"{self.name}: the script asks for {what}, which a dry run can't give: the plan up to here:"
        )
        self._tell_plan()
        raise SystemExit(DONE)


_NOWHERE = Namespace("")
"""The namespace of a workspace that a dry run didn't make."""


def _workspace(settings: Settings) -> Workspace:
    if not settings.dry_run:
        return Workspace.open(settings.workspace)
    try:
        return Workspace.open(settings.workspace, create=False)
    except WorkspaceError:
        if (settings.workspace / ".xpm").exists():
            raise
        return Workspace(Path(os.path.realpath(settings.workspace)), _NOWHERE)


def _valid(priority: int) -> int:
    if priority not in PRIORITIES:
        raise SubmissionError(
            f"priority {priority}: expected a whole number from {PRIORITIES[0]} to {PRIORITIES[-1]}"
        )
    return priority
