"""What the tasks of a script ask of its open experiment."""

from __future__ import annotations

import importlib
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from xpm.core.config import Task, reference
from xpm.core.environ import checked_variable, pack_environ
from xpm.core.hooks import hooked
from xpm.core.session import Grip, SubmitOptions, current
from xpm.core.submission import prepare
from xpm.core.wishes import settled, with_locks
from xpm.errors import SubmissionError
from xpm.experiment.circumstances import Circumstances
from xpm.experiment.handle import Handle
from xpm.experiment.jobs import Jobs
from xpm.experiment.outgoing import Outgoing
from xpm.settings import QUEUE_NAME, is_queue
from xpm.types import Scalar
from xpm.workspace.results import read_record
from xpm.workspace.values import decode_result

if TYPE_CHECKING:
    from xpm.core.callbacks import Local
    from xpm.core.requirement import Need
    from xpm.experiment.calls import CallBack, Calls, States
    from xpm.experiment.grasp import Grasp


class ScriptSession:
    """The session of an open experiment; see `xpm.core.session.Session`.

    Args:
        under: what it submits under.
        outgoing: the way of its tasks to the broker.
        jobs: what it has submitted.
    """

    def __init__(self, under: Circumstances, outgoing: Outgoing, jobs: Jobs) -> None:
        self._under = under
        self._outgoing = outgoing
        self._jobs = jobs
        self._grasp: Grasp | None = None
        self._calls: Calls | None = None
        self._environ: dict[str, str] = {}

    def submit(self, task: Task, options: SubmitOptions) -> None:
        """Takes a task; it goes out with others a few milliseconds later."""
        if self._environ:
            options = options._replace(environ=pack_environ(self._environ))
        options = hooked(task, options)
        if options.queue is not None and not is_queue(options.queue):
            raise SubmissionError(f"queue {options.queue!r}: {QUEUE_NAME}")
        if options.not_before is not None:
            options = settled(options, time.time())
        prepared = prepare(task)
        if self._under.cells is not None:
            self._under.cells.check(prepared.types.values())
        self._outgoing.put((prepared, with_locks(options, prepared.locks)))

    def set_variable(self, name: str, value: str | None, *, override: bool) -> None:
        """Gives jobs that are submitted from now on a variable, or takes it from them.

        Raises:
            UsageError: there is no such variable, or there are too many.
        """
        if value is None:
            self._environ.pop(name, None)
            return
        name, value = checked_variable(name, value)
        if override or name not in self._environ:
            pack_environ({**self._environ, name: value})
            self._environ[name] = value

    @property
    def required(self) -> tuple[tuple[Need, ...], str]:
        """Nothing: a script has no requirements."""
        return (), ""

    def acquire(self, needs: Sequence[Need], timeout: float | None, priority: int) -> Grip:
        """Holds tokens and locks for code of the script.

        Raises:
            SystemExit: this is a dry run: what the block does is not to be done without them.
        """
        if self._under.settings.dry_run:
            self._jobs.stop_planning(" and ".join(map(str, needs)))
        if self._grasp is None:
            under = self._under
            made: Grasp = _module("xpm.experiment.grasp").Grasp(under.workspace, under.settings, under.voice)
            self._grasp = made
        return self._grasp.acquire(needs, timeout, priority)

    def jobpath(self, task: Task) -> Path:
        """The directory of a task's job."""
        ref = reference(task)
        return self._under.workspace.jobpath(ref.task, ref.id)

    def tags(self, task: Task) -> Mapping[str, Scalar]:
        """The tags of a task's job in this experiment."""
        self._outgoing.flush()
        known = self._outgoing.jobs.get(reference(task).id)
        return {} if known is None else known.tags

    def handle(self, task: Task) -> Handle:
        """The job of a task."""
        return Handle(reference(task).id, self.jobpath(task), self._jobs)

    def result(self, task: Task, timeout: float | None) -> Any:
        """Waits for a task's job and gives its result; a record on disk is enough, whatever a broker says."""
        path = self.jobpath(task)
        record = read_record(path)
        if record is not None:
            return decode_result(record.result, path, job=reference(task))
        if self._under.settings.dry_run:
            ref = reference(task)
            self._jobs.stop_planning(f"the result of {ref.task} {ref.id[:8]}")
        self._outgoing.settle()
        return self._outgoing.remote.result(task, timeout)

    def register(self, method: Callable[..., Any], arguments: Mapping[str, Any]) -> None:
        """A script has no outputs: nothing."""

    def describe(self, live: Any) -> None:
        """Live objects in a script come from `.instance()`: what stands for them is the description that has it."""

    def progress(self, value: float, desc: str | None, level: int) -> None:
        """A script has no progress of its own: nothing."""

    def remaining(self) -> None:
        """A script has no time limit."""

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
        if self._under.settings.detach:
            calls.refuse_detached(local)
        mine: Calls = self._calls or calls.Calls(self._under.workspace)
        self._calls = mine
        return lambda: mine.add(local)

    def call_what_is_due(self) -> None:
        """Before a broker is asked: what is done already may have nothing more to do."""
        while self._calls is not None and not self._under.settings.dry_run:
            self._outgoing.flush()
            if self._outgoing.begun is not None or not self._called(self._jobs.recorded):
                return

    @property
    def calling(self) -> CallBack | None:
        """Calls what is due while the script waits; None when there is nothing to call."""
        return self._call_back if self._calls is not None else None

    def _call_back(self, before: Callable[[], None]) -> bool:
        """Calls what is due; whether there was something, and the run may have more jobs now."""
        if not self._called(self._outgoing.states, before):
            return False
        self._outgoing.finish()
        return True

    def _called(self, states: States, before: Callable[[], None] = lambda: None) -> bool:
        token = current.set(self)  # also after the block
        try:
            return self._calls is not None and self._calls.call(states, before)
        finally:
            current.reset(token)

    def has_raised(self, error: BaseException) -> bool:
        """Whether `error` is what one of them has raised: the script ends by it."""
        return self._calls is not None and error is self._calls.failure

    def tell_lost_calls(self) -> None:
        """The script leaves: says what it won't call."""
        if self._calls is not None:
            self._calls.tell_lost(self._under.voice)


def _module(name: str) -> Any:
    """A module that few scripts need."""
    return importlib.import_module(name)
