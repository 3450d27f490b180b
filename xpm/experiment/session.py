"""An open experiment: what a script talks to."""

from __future__ import annotations

import importlib
import os
import sys
import time
import unicodedata
from collections.abc import Callable, Collection, Mapping, Sequence
from contextvars import Token
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, NoReturn, Self, TypeVar

from xpm.core import session
from xpm.core.config import Task, reference
from xpm.core.session import Grip, ScriptLoaded, Session, SubmitOptions, priority_of
from xpm.core.state import ENDED, State
from xpm.core.steering import Touch, Verb
from xpm.core.submission import prepare
from xpm.core.wishes import settled
from xpm.errors import SubmissionError, UsageError, WorkspaceError, XpmError
from xpm.experiment import parting, rows
from xpm.experiment.circumstances import Circumstances
from xpm.experiment.ending import PLAIN, Left, NotAllDone, plainly, status_of
from xpm.experiment.gathering import End
from xpm.experiment.handle import Handle
from xpm.experiment.others import Today, about_others
from xpm.experiment.outgoing import Outgoing
from xpm.experiment.script import mark_opening, name_script
from xpm.experiment.sharing import Sharing
from xpm.experiment.steering import OF, Steering
from xpm.experiment.voice import Voice, jobs, nothing_to_do
from xpm.settings import QUEUE_NAME, Settings, is_queue, load
from xpm.standard import open_missing
from xpm.statuses import DETACHED, DONE
from xpm.types import JobId, Namespace
from xpm.workspace.layout import Workspace
from xpm.workspace.results import complete, read_record
from xpm.workspace.snapshot import Entry as Start
from xpm.workspace.values import decode_result

if TYPE_CHECKING:
    from xpm.core.callbacks import Local
    from xpm.core.requirement import Need
    from xpm.experiment.calls import Calls, States
    from xpm.experiment.grasp import Grasp
    from xpm.experiment.link import Link
    from xpm.experiment.summary import Unfinished

T = TypeVar("T")


class Experiment(Steering, Sharing):
    """What `with experiment(...) as xp` gives; made by `experiment`.

    Args:
        name: the experiment's name.
        check: raise at the end of the block when some job isn't done.
        priority: of tasks that are submitted without one.
        given: settings that the script gives.
    """

    def __init__(
        self, name: str | os.PathLike[str], *, check: bool, priority: int, given: Mapping[str, object]
    ) -> None:
        self.name = _sound(name)
        self._check = check
        self._priority = priority_of(priority)
        self._given = given
        self._token: Token[Session | None] | None = None
        self._began = 0.0
        self._grasp: Grasp | None = None
        self._calls: Calls | None = None
        self._verbose = False

    # The block

    def __enter__(self) -> Self:
        if session.loading.get():
            raise ScriptLoaded
        if self._token is not None:
            raise UsageError(f"the experiment {self.name} is open already")
        try:
            if _is_loaded_by_multiprocessing():
                raise UsageError(
                    f"a process that multiprocessing has started loads the script, and would open the experiment "
                    f'{self.name} once more: put what follows the classes below  if __name__ == "__main__":'
                )
            self._open()
        except PLAIN:
            plainly(whole=self._verbose)
            raise
        self._token = session.current.set(self)
        session.opened(self, self.workspace)
        return self

    def _open(self) -> None:
        open_missing()
        self._began = time.monotonic()
        script, start = name_script(), Start.of_process()
        mark_opening()
        self._settings = settings = load(arguments=self._given, script=script)
        self._verbose = settings.verbose
        self._voice = Voice(plain=settings.no_color, quiet=settings.quiet)
        self._workspace = _workspace(settings)
        self._under = Circumstances(
            self.name, self._workspace, settings, self._priority, script, start, self._voice
        )
        self._outgoing = Outgoing(self._under)

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
        except Left:
            self._tell_lost_calls()
            raise
        except PLAIN:
            plainly(whole=self._verbose)
            raise
        except KeyboardInterrupt:
            if not self._settings.dry_run:
                parting.stop(self._outgoing, self._under)
                self._tell_lost_calls()
            raise SystemExit(DETACHED) from None
        finally:
            session.closed(self, self.workspace)  # only now: threads may acquire during the wait, too
            self._outgoing.close()

    def _finish(self) -> End | None:
        """All goes out; if it can't, what is out already goes on without the script."""
        try:
            return self._outgoing.finish()
        except XpmError as error:
            parting.leave(self._outgoing, self._under, error)
            raise

    def _end(self) -> None:
        try:
            self._call_what_is_due()
            last = self._finish()
            if last is not None:
                self._tell_nothing(last)
            remote = self._outgoing.begun
            if remote is None:
                return
            view = remote.wait(self._calls and self._call_back)
        except BaseException as error:
            if self._calls is not None and error is self._calls.failure:
                self._leave(error)
            raise
        left = remote.left() if view.failed or view.open else []
        remote.tell(view, left, time.monotonic() - self._began)
        if left and self._check:
            raise NotAllDone(f"{self.name}: {jobs(len(left))} not done", status_of(view.counts))

    def _detach(self) -> None:
        last = self._finish()
        if last is not None:
            self._tell_nothing(last)
        if self._outgoing.begun is not None:
            self._outgoing.begun.secure()
            self._voice.say(f"{self.name}: {jobs(len(self._outgoing.jobs))} submitted")
            self._outgoing.begun.tell_detached()

    def _leave(self, error: BaseException) -> None:
        """The block was left by an exception."""
        if isinstance(error, Left):
            return
        if isinstance(error, PLAIN):
            plainly(whole=self._verbose)
        if not self._settings.dry_run:
            parting.leave(self._outgoing, self._under, error)
            self._tell_lost_calls()
        if isinstance(error, KeyboardInterrupt):
            raise SystemExit(DETACHED) from None

    def _tell_nothing(self, last: End) -> None:
        count = len(self._outgoing.jobs)
        self._voice.say(f"{self.name}: {nothing_to_do(count) if count else 'no jobs'}", style="green")
        others = Today(self._settings.project, self._workspace).count(last.codes)
        if others:
            self._voice.say(about_others(others, count))

    # What tasks ask

    def submit(self, task: Task, options: SubmitOptions) -> None:
        """Takes a task; it goes out with others a few milliseconds later."""
        if options.queue is not None and not is_queue(options.queue):
            raise SubmissionError(f"queue {options.queue!r}: {QUEUE_NAME}")
        if options.not_before is not None:
            options = settled(options, time.time())
        self._outgoing.put((prepare(task), options))

    @property
    def required(self) -> tuple[tuple[Need, ...], str]:
        """Nothing: a script has no requirements."""
        return (), ""

    def acquire(self, needs: Sequence[Need], timeout: float | None, priority: int) -> Grip:
        """Holds tokens and locks for code of the script."""
        if self._grasp is None:
            made: Grasp = _module("xpm.experiment.grasp").Grasp(self._workspace, self._settings, self._voice)
            self._grasp = made
        return self._grasp.acquire(needs, timeout, priority)

    def jobpath(self, task: Task) -> Path:
        """The directory of a task's job."""
        ref = reference(task)
        return self._workspace.jobpath(ref.task, ref.id)

    def handle(self, task: Task) -> Handle:
        """The job of a task."""
        path = self.jobpath(task)
        return Handle(reference(task).id, path, self._state_of, self._touched, self._steer, self._explained)

    def result(self, task: Task, timeout: float | None) -> Any:
        """Waits for a task's job and gives its result; a record on disk is enough, whatever a broker says."""
        path = self.jobpath(task)
        record = read_record(path)
        if record is not None:
            return decode_result(record.result, path)
        if self._settings.dry_run:
            ref = reference(task)
            self._stop_planning(f"the result of {ref.task} {ref.id[:8]}")
        self._outgoing.settle()
        return self._outgoing.remote.result(task, timeout)

    # Callbacks

    def on_completed(self, task: Task, callback: Callable[..., object]) -> Callable[[], None]:
        """Has a function called when a task is done: by a job, or while the script waits."""
        return _module("xpm.core.callbacks").on_completed(task, callback, self._keep)

    def watch_output(
        self, task: Task, method: Callable[..., Any], callback: Callable[..., object]
    ) -> Callable[[], None]:
        """Has a function called with the outputs of a task: by jobs, or while the script waits."""
        return _module("xpm.core.callbacks").watch_output(task, method, callback, self._keep)

    def _keep(self, local: Local) -> Callable[[], None]:
        """Keeps a callback that only the script can call."""
        calls = _module("xpm.experiment.calls")
        if self._settings.detach:
            calls.refuse_detached(local)
        mine: Calls = self._calls or calls.Calls(self._workspace)
        self._calls = mine
        return lambda: mine.add(local)

    def _call_what_is_due(self) -> None:
        """Before a broker is asked: what is done already may have nothing more to do."""
        while self._calls is not None and not self._settings.dry_run:
            self._outgoing.flush()
            if self._outgoing.begun is not None or not self._called(self._recorded):
                return

    def _call_back(self) -> bool:
        """Calls what is due; whether there was something, and the run may have more jobs now."""
        if not self._called(self._outgoing.states):
            return False
        self._outgoing.finish()
        return True

    def _called(self, states: States) -> bool:
        token = session.current.set(self)  # also after the block
        try:
            return self._calls is not None and self._calls.call(states)
        finally:
            session.current.reset(token)

    def _recorded(self, ids: Sequence[JobId]) -> Mapping[JobId, State]:
        """The states of jobs as far as records tell."""
        known = self._outgoing.jobs
        found = {job: complete(self._workspace.jobpath(known[job].task, job)) for job in ids}
        return {job: State.WAITING if fence is None else State.DONE for job, fence in found.items()}

    def _tell_lost_calls(self) -> None:
        if self._calls is not None:
            self._calls.tell_lost(self._voice)

    def register(self, method: Callable[..., Any], arguments: Mapping[str, Any]) -> None:
        """A script has no outputs: nothing."""

    def describe(self, live: Any) -> None:
        """Live objects in a script come from `.instance()`: what stands for them is the description that has it."""

    def progress(self, value: float, desc: str | None, level: int) -> None:
        """A script has no progress of its own: nothing."""

    def remaining(self) -> None:
        """A script has no time limit."""

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
        self._outgoing.flush()
        remote = self._outgoing.begun
        left = remote.left() if remote is not None else []
        return [job for job in left if job.state in ENDED or job.state is State.HOLD]

    def wait(self) -> None:
        """Waits for all that was submitted so far; more may follow.

        Raises:
            SystemExit: Ctrl-C detached from the experiment, or cancelled it, or this is a dry run.
        """
        if self._settings.dry_run:
            self._stop_planning("xp.wait()")
        self._call_what_is_due()
        self._outgoing.finish()
        if self._outgoing.begun is not None:
            self._outgoing.begun.wait(self._calls and self._call_back)

    def rows(self, task: type[Task] | str | None = None, params: bool = False) -> list[dict[str, Any]]:
        """The results: one dict per job, with tags, `state`, `result`, `job`, `task` and times.

        The keys of a result that is a dict become `result.<key>`.

        Args:
            task: only the jobs of this task: the class or its name.
            params: also the parameters, as `params.<name>`.
        """
        self._outgoing.flush()
        chosen = rows.selected(self._outgoing.jobs.values(), task)
        records = {job.id: rows.record_of(job, self._workspace) for job in chosen}
        states = self._outgoing.states([job.id for job in chosen if records[job.id] is None])
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

    # What users do to jobs

    def _chosen(self, task: OF, state: str | Collection[str] | None) -> Sequence[JobId]:
        self._outgoing.flush()
        ids = [job.id for job in rows.selected(self._outgoing.jobs.values(), task)]
        if state is None:
            return ids
        states = {State.of(each) for each in ([state] if isinstance(state, str) else state)}
        found = self._outgoing.states(ids)
        return [job for job in ids if found[job] in states]

    def _steer(self, verb: Verb, jobs: Sequence[JobId], value: int = 0) -> int:
        if verb == "priority":
            value = priority_of(value)
        self._reach()
        return self._outgoing.remote.steer(verb, jobs, value) if jobs else 0

    def _touched(self, jobs: Sequence[JobId]) -> Touch:
        self._reach()
        return self._outgoing.remote.touched(jobs) if jobs else Touch(0, {})

    def _explained(self, job: JobId) -> list[str]:
        self._reach()
        return self._outgoing.remote.explain(job)

    def _with_broker(self, act: Callable[[Link], T]) -> T:
        if self._settings.dry_run:
            raise UsageError("a dry run changes nothing, and has nothing to look at")
        self._outgoing.flush()  # the broker is dealt with on one thread at a time
        return self._outgoing.remote.act(act)

    def _reach(self) -> None:
        """The broker knows all jobs, also those that were done before."""
        if self._settings.dry_run:
            raise UsageError("a dry run submits nothing: there is nothing to change or to ask")
        self._outgoing.settle()

    def _state_of(self, job: Handle) -> State:
        """The state of a job of this experiment."""
        if complete(job.path) is not None:
            return State.DONE
        self._outgoing.flush()
        return self._outgoing.states([job.id])[job.id]

    # A dry run

    def _tell_plan(self) -> None:
        self._outgoing.flush()
        planned = list(self._outgoing.jobs.values())
        self._outgoing.remote.tell_plan(planned, ask=self._workspace.namespace != _NOWHERE)

    def _stop_planning(self, what: str) -> NoReturn:
        self._voice.say(
            f"{self.name}: the script asks for {what}, which a dry run can't give: the plan up to here:"
        )
        self._tell_plan()
        raise SystemExit(DONE)


_NOWHERE = Namespace("")
"""The namespace of a workspace that a dry run didn't make."""


def _module(name: str) -> Any:
    """A module that few scripts need."""
    return importlib.import_module(name)


def _workspace(settings: Settings) -> Workspace:
    if not settings.dry_run:
        return Workspace.open(settings.workspace)
    try:
        return Workspace.open(settings.workspace, create=False)
    except WorkspaceError:
        if (settings.workspace / ".xpm").exists():
            raise
        return Workspace(Path(os.path.realpath(settings.workspace)), _NOWHERE)


_BREAKING = frozenset({"Cc", "Zl", "Zp"})
"""Categories of Unicode that end a line, or steer a terminal."""


def _is_loaded_by_multiprocessing() -> bool:
    """Whether this is a child (by `spawn` or `forkserver`) that loads its parent's script before it begins its work."""
    module: Any = sys.modules.get("multiprocessing.process")
    return module is not None and getattr(module.current_process(), "_inheriting", False)


def _sound(name: object) -> str:
    """Refuses what is no name, or would garble each line that holds it."""
    if not isinstance(name, (str, Path)) or not str(name).strip():
        raise UsageError(f"an experiment needs a name, got {name!r}")
    name = str(name)
    if any(unicodedata.category(each) in _BREAKING for each in name) or name in (".", ".."):
        raise UsageError(
            f"experiment {name!r}: expected a name without control characters that is not . or .."
        )
    return name
