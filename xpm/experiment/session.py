"""An open experiment: what a script talks to."""

from __future__ import annotations

import importlib
import os
import time
from collections.abc import Mapping
from contextlib import suppress
from contextvars import Token
from itertools import chain
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, NoReturn, Self

from xpm.core import session
from xpm.core.config import Task, reference
from xpm.core.session import ScriptLoaded, Session, SubmitOptions
from xpm.core.state import ENDED, State
from xpm.core.submission import prepare
from xpm.errors import SubmissionError, UsageError, WorkspaceError, XpmError
from xpm.experiment import rows
from xpm.experiment.ending import DETACHED, DONE, PLAIN, Left, NotAllDone, plainly, status_of
from xpm.experiment.gathering import End, Gathering, Item, newest, read_end
from xpm.experiment.handle import Handle
from xpm.experiment.others import Today, about_others
from xpm.experiment.outbox import Outbox
from xpm.experiment.script import name_script
from xpm.experiment.voice import Voice, agree, all_jobs, jobs, nothing_to_do
from xpm.settings import QUEUE_NAME, Settings, is_queue, load
from xpm.types import JobId, Namespace
from xpm.workspace.layout import Workspace
from xpm.workspace.results import complete, read_record
from xpm.workspace.snapshot import Entry as Start
from xpm.workspace.values import decode_result

if TYPE_CHECKING:
    from xpm.experiment.remote import Remote
    from xpm.experiment.summary import Unfinished

PRIORITIES = range(-4095, 4096)
"""What a priority can be: the broker has 13 bits for it, above 40 bits of order in a double."""

PATIENCE = 3.0
"""Seconds for which what was submitted still goes out when the block is left by an exception."""

SHORT = 1.0
"""Seconds for which what is on its way to the broker is waited for when nothing more goes out."""


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
        self._remote: Remote | None = None
        self._verbose = False
        self._stuck = False

    # The block

    def __enter__(self) -> Self:
        if session.loading.get():
            raise ScriptLoaded
        if self._token is not None:
            raise UsageError(f"the experiment {self.name} is open already")
        try:
            self._open()
        except PLAIN:
            plainly(whole=self._verbose)
            raise
        self._token = session.current.set(self)
        return self

    def _open(self) -> None:
        self._began = time.monotonic()
        self._script = name_script()
        self._start = Start.of_process()
        self._settings = settings = load(arguments=self._given, script=self._script)
        self._verbose = settings.verbose
        self._voice = Voice(plain=settings.no_color, quiet=settings.quiet)
        self._workspace = _workspace(settings)
        self._gathering = Gathering(self._workspace)
        self._outbox: Outbox[Item] = Outbox(self._send)

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
            plainly(whole=self._verbose)
            raise
        except KeyboardInterrupt:
            with suppress(KeyboardInterrupt):  # another one
                self._stop()
            raise SystemExit(DETACHED) from None
        finally:
            self._shut()

    def _shut(self) -> None:
        ended = self._outbox.close(0.0) if self._stuck else self._outbox.close()
        if self._remote is not None:
            if not ended:
                self._remote.give_up()
            self._remote.close()

    def _end(self) -> None:
        last = self._flush()
        if last is not None:
            self._tell_nothing(last)
        if self._remote is None:
            return
        view = self._remote.wait()
        left = self._remote.left() if view.failed else []
        self._remote.tell(view, left, time.monotonic() - self._began)
        if left and self._check:
            raise NotAllDone(f"{self.name}: {jobs(len(left))} not done", status_of(view.counts))

    def _detach(self) -> None:
        last = self._flush()
        if last is not None:
            self._tell_nothing(last)
        if self._remote is not None:
            self._voice.say(f"{self.name}: {jobs(len(self._gathering.jobs))} submitted")
            self._remote.tell_detached()

    def _leave(self, error: BaseException) -> None:
        """The block was left by an exception: what was submitted goes on without the script."""
        if isinstance(error, Left):
            return
        if isinstance(error, PLAIN):
            plainly(whole=self._verbose)
        if not self._settings.dry_run:
            self._part(PATIENCE, error)
        if isinstance(error, KeyboardInterrupt):
            raise SystemExit(DETACHED) from None

    def _stop(self) -> None:
        """Ctrl-C at the end of the block, which waits for the broker: the user wants the terminal back."""
        if not self._settings.dry_run:
            self._outbox.drop()
            self._part(SHORT)

    def _part(self, patience: float, known: BaseException | None = None) -> None:
        """Leaves what was submitted to itself; what doesn't go out within `patience` seconds is dropped.

        Args:
            patience: seconds.
            known: what the user is told in any case.
        """
        try:
            if not self._outbox.flush(self._settle_begun, patience):
                self._outbox.drop()
                self._stuck = not self._outbox.flush(self._settle_begun, SHORT)
        except KeyboardInterrupt:  # another one: at once
            self._outbox.drop()
            self._stuck = True
        except XpmError as trouble:
            if trouble is not known:
                self._voice.say(f"{self.name}: not all that was submitted went out: {trouble}")
        self._tell_parted()

    def _tell_parted(self) -> None:
        """Says what goes on, what was not submitted, and how to come back."""
        left = self._outbox.left
        if self._remote is None and not left:  # all was done before
            return
        total = len(self._gathering.jobs.keys() | {item[0].id for item in left})
        remote, count = self._far(), self._far().count
        if count < total:
            went = (
                f"{count:,} of {jobs(total)} went out and {agree(count, 'go')} on"
                if count
                else "no job went out"
            )
            self._voice.say(
                f"{self.name}: {went}; running the script again submits the rest:\n    {remote.commands.again()}"
            )
        elif count:
            self._voice.say(f"{self.name}: {all_jobs(count)} submitted so far {agree(count, 'go')} on")
        if remote.begun:
            remote.tell_detached()

    def _tell_nothing(self, last: End) -> None:
        count = len(self._gathering.jobs)
        self._voice.say(f"{self.name}: {nothing_to_do(count) if count else 'no jobs'}", style="green")
        others = Today(self._settings.project, self._workspace).count(last.codes)
        if others:
            self._voice.say(about_others(others, count))

    # What tasks ask

    def submit(self, task: Task, options: SubmitOptions) -> None:
        """Takes a task; it goes out with others a few milliseconds later."""
        if options.priority is not None:
            _valid(options.priority)
        if options.queue is not None and not is_queue(options.queue):
            raise SubmissionError(f"queue {options.queue!r}: {QUEUE_NAME}")
        self._outbox.put((prepare(task), options))

    def jobpath(self, task: Task) -> Path:
        """The directory of a task's job."""
        ref = reference(task)
        return self._workspace.jobpath(ref.task, ref.id)

    def handle(self, task: Task) -> Handle:
        """The job of a task."""
        return Handle(reference(task).id, self.jobpath(task), self._state_of)

    def result(self, task: Task, timeout: float | None) -> Any:
        """Waits for a task's job and gives its result; a record on disk is enough, whatever a broker says."""
        path = self.jobpath(task)
        record = read_record(path)
        if record is not None:
            return decode_result(record.result, path)
        if self._settings.dry_run:
            ref = reference(task)
            self._stop_planning(f"the result of {ref.task} {ref.id[:8]}")
        self._outbox.flush(last=self._settle)
        return self._far().result(task, timeout)

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
        self._outbox.flush()
        left = self._remote.left() if self._remote is not None else []
        return [job for job in left if job.state in ENDED or job.state is State.HOLD]

    def wait(self) -> None:
        """Waits for all that was submitted so far; more may follow.

        Raises:
            SystemExit: Ctrl-C detached from the experiment, or cancelled it, or this is a dry run.
        """
        if self._settings.dry_run:
            self._stop_planning("xp.wait()")
        self._flush()
        if self._remote is not None:
            self._remote.wait()

    def rows(self, task: type[Task] | str | None = None, params: bool = False) -> list[dict[str, Any]]:
        """The results: one dict per job, with tags, `state`, `result`, `job`, `task` and times.

        The keys of a result that is a dict become `result.<key>`.

        Args:
            task: only the jobs of this task: the class or its name.
            params: also the parameters, as `params.<name>`.
        """
        self._outbox.flush()
        chosen = rows.selected(self._gathering.jobs.values(), task)
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
        if self._remote is not None:
            self._remote.cancel()

    # Steps

    def _send(self, batch: list[Item]) -> None:
        """A batch goes out, on the outbox's thread; what has a record waits for `_flush`."""
        if self._settings.dry_run:
            self._gathering.note(batch)
            return
        items = self._outbox.going(self._gathering.take(batch))
        first = next(items, None)
        if first is not None:
            self._far().submit(chain([first], items))

    def _flush(self) -> End | None:
        """All that was submitted is told to the broker.

        Returns:
            How the last run ended, when it was the same as this one and nothing is left to do: then the
            broker is told nothing.
        """
        self._outbox.flush()
        if self._remote is None:
            run = newest(self.path)
            last = read_end(run) if run is not None else None
            if not self._gathering.jobs:
                return End("", {})
            if last is not None and last.plan == self._gathering.plan:
                return last
        self._outbox.flush(last=self._settle)
        return None

    def _settle(self) -> None:
        """The broker is told what is done as well: it may not know, and other jobs wait for it."""
        if self._gathering.done:
            self._far().settle()

    def _settle_begun(self) -> None:
        """The same, if something was submitted, so that this can end without the script."""
        if self._remote is not None:
            self._settle()

    def _far(self) -> Remote:
        """The experiment's dealings with the broker.

        Loaded late: the clients of a broker cost more than all else of a run that has nothing to do.
        """
        if self._remote is None:
            remote: Any = importlib.import_module("xpm.experiment.remote")
            under = remote.Circumstances(
                self.name,
                self._workspace,
                self._settings,
                self._priority,
                self._script,
                self._start,
                self._voice,
            )
            made: Remote = remote.Remote(under, self._gathering)
            self._remote = made
        return self._remote

    def _state_of(self, job: Handle) -> State:
        """The state of a job of this experiment."""
        if complete(job.path) is not None:
            return State.DONE
        self._outbox.flush()
        return self._states([job.id])[job.id]

    def _states(self, ids: list[JobId]) -> Mapping[JobId, State]:
        if not ids:
            return {}
        if self._settings.dry_run:
            return dict.fromkeys(ids, State.WAITING)
        return self._far().states(ids)

    # A dry run

    def _tell_plan(self) -> None:
        self._outbox.flush()
        planned = list(self._gathering.jobs.values())
        self._far().tell_plan(planned, ask=self._workspace.namespace != _NOWHERE)

    def _stop_planning(self, what: str) -> NoReturn:
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
