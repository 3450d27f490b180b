"""The block of an experiment: `with experiment(...) as xp`, from its opening to its end."""

from __future__ import annotations

import os
import sys
import time
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from contextvars import Token
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar

from xpm.core import session
from xpm.core.config import Task
from xpm.core.session import ScriptLoaded, Session, priority_of
from xpm.core.steering import Touch, Verb
from xpm.errors import UsageError, WorkspaceError, XpmError
from xpm.experiment import collector, parting, rows
from xpm.experiment.circumstances import Circumstances
from xpm.experiment.ending import PLAIN, Left, NotAllDone, end, plainly, status_of
from xpm.experiment.gathering import End
from xpm.experiment.jobs import NOWHERE, Jobs
from xpm.experiment.others import Today
from xpm.experiment.outgoing import Outgoing
from xpm.experiment.script import cells_now, mark_opening, name_script, start_of
from xpm.experiment.session import ScriptSession
from xpm.experiment.sharing import Sharing
from xpm.experiment.steering import IN, OF, Steering
from xpm.experiment.voice import Voice, jobs, nothing_to_do
from xpm.settings import Settings, load
from xpm.standard import open_missing
from xpm.statuses import DETACHED, DONE
from xpm.types import JobId
from xpm.workspace.layout import Workspace

if TYPE_CHECKING:
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
        origin: what stands for the script where there is none, but a module that a file names: that file.
    """

    def __init__(
        self,
        name: str | os.PathLike[str],
        *,
        check: bool = True,
        priority: int = 0,
        given: Mapping[str, object],
        origin: Path | None = None,
    ) -> None:
        self.name = _sound(name)
        self._check = check
        self._priority = priority_of(priority)
        self._given = given
        self._origin = origin
        self._token: Token[Session | None] | None = None
        self._thresholds: collector.Thresholds | None = None
        self._began = 0.0
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
        self._token = session.current.set(self._session)
        self._thresholds = collector.relax()
        session.opened(self._session, self._workspace.path)
        return self

    def _open(self) -> None:
        open_missing()
        self._began = time.monotonic()
        script = name_script() or self._origin
        start = start_of(script)
        mark_opening()
        self._settings = settings = load(arguments=self._given, script=script)
        self._verbose = settings.verbose
        self._voice = Voice(plain=settings.no_color, quiet=settings.quiet)
        self._workspace = _workspace(settings)
        self._under = Circumstances(
            self.name, self._workspace, settings, self._priority, script, start, self._voice, cells_now()
        )
        self._outgoing = Outgoing(self._under)
        self._jobs = Jobs(self._under, self._outgoing)
        self._session = ScriptSession(self._under, self._outgoing, self._jobs)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        assert self._token is not None, "entered"
        session.current.reset(self._token)
        self._token = None
        collector.restore(self._thresholds)
        try:
            if error is not None:
                self._leave(error)
            elif self._settings.dry_run:
                self._jobs.tell_plan()
                raise end(DONE)
            elif self._settings.detach:
                self._detach()
                raise end(DONE)
            else:
                self._end()
        except Left:
            self._session.tell_lost_calls()
            raise
        except PLAIN:
            plainly(whole=self._verbose)
            raise
        except KeyboardInterrupt:
            if not self._settings.dry_run:
                parting.stop(self._outgoing, self._under)
                self._session.tell_lost_calls()
            raise end(DETACHED) from None
        finally:
            # Only now: threads may acquire during the wait, too.
            session.closed(self._session, self._workspace.path)
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
            self._session.call_what_is_due()
            last = self._finish()
            if last is not None:
                self._tell_nothing(last)
            remote = self._outgoing.begun
            if remote is None:
                return
            view = remote.wait(self._session.calling)
        except BaseException as error:
            if self._session.has_raised(error):
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
            self._session.tell_lost_calls()
            return
        if isinstance(error, PLAIN):
            plainly(whole=self._verbose)
        elif isinstance(error, TimeoutError) or self._session.has_raised(error):
            plainly(whole=self._verbose, called=error)
        if not self._settings.dry_run:
            parting.leave(self._outgoing, self._under, error)
            self._session.tell_lost_calls()
        if isinstance(error, KeyboardInterrupt):
            raise end(DETACHED) from None

    def _tell_nothing(self, last: End) -> None:
        count = len(self._outgoing.jobs)
        self._voice.say(f"{self.name}: {nothing_to_do(count) if count else 'no jobs'}", style="green")
        if others := Today(self._settings.project, self._workspace, self._under.cells).about(
            last.codes, count
        ):
            self._voice.say(others)

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
        return self._jobs.failed()

    def wait(self) -> None:
        """Waits for all that was submitted so far; more may follow.

        Raises:
            SystemExit: Ctrl-C detached from the experiment, or cancelled it, or this is a dry run.
        """
        if self._settings.dry_run:
            self._jobs.stop_planning("xp.wait()")
        self._session.call_what_is_due()
        self._outgoing.finish()
        if self._outgoing.begun is not None:
            self._outgoing.begun.wait(self._session.calling)

    def rows(
        self, task: type[Task] | str | None = None, params: bool = False, where: str | None = None
    ) -> list[dict[str, Any]]:
        """The results: one dict per job, with tags, `state`, `result`, `job`, `task` and times.

        The keys of a result that is a dict become `result.<key>`.

        Args:
            task: only the jobs of this task: the class or its name.
            params: also the parameters, as `params.<name>`.
            where: only the jobs that this filter keeps, as `"lr <= 0.01 and state = done"`.

        Raises:
            UsageError: it is no filter, or asks for a tag that no job has.
        """
        return self._jobs.rows(task, params=params, where=where)

    def frame(
        self, task: type[Task] | str | None = None, params: bool = False, where: str | None = None
    ) -> Any:
        """The same as `rows`, as a pandas data frame.

        Raises:
            UsageError: pandas isn't installed; the message holds the line that installs it.
        """
        return rows.frame(self.rows(task, params, where))

    def setenv(self, name: str, value: str | None, *, override: bool = True) -> None:
        """Sets a variable of the environment for the jobs of tasks that are submitted from now on, here or by these jobs.

        It doesn't count in identifiers. The job's Python starts with it, beside what its worker has.

        Args:
            name: of the variable; not one of xpm's own, `XPM_...`.
            value: None takes it away again.
            override: False to keep a value that was set before.

        Raises:
            UsageError: there is no such variable, or there are too many of them.
        """
        self._session.set_variable(name, value, override=override)

    # What users do to jobs

    def _chosen(self, task: OF, state: IN, where: str | None) -> Sequence[JobId]:
        return self._jobs.chosen(task, state, where)

    def _steer(self, verb: Verb, jobs: Sequence[JobId], value: int = 0) -> int:
        return self._jobs.steer(verb, jobs, value)

    def _touched(self, jobs: Sequence[JobId]) -> Touch:
        return self._jobs.touched(jobs)

    def _with_broker(self, act: Callable[[Link], T]) -> T:
        return self._jobs.with_broker(act)


def _workspace(settings: Settings) -> Workspace:
    if not settings.dry_run:
        return Workspace.open(settings.workspace)
    try:
        return Workspace.open(settings.workspace, create=False)
    except WorkspaceError:
        if (settings.workspace / ".xpm").exists():
            raise
        return Workspace(Path(os.path.realpath(settings.workspace)), NOWHERE)


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
