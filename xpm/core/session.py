"""The one ambient value of the package: the session that takes submissions and answers questions.

An open experiment is a session, and so is the process of a job. The parts above set it, an experiment by `current`,
a job's process by `adopt`; the core only reads it. What is open in other threads is remembered beside it.
"""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from xpm.core.scalars import whole
from xpm.core.steering import Steered
from xpm.errors import SubmissionError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime
    from pathlib import Path

    from xpm.core.config import Config, Task
    from xpm.core.requirement import Need
    from xpm.core.retries import Retries
    from xpm.core.state import State
    from xpm.types import JobId, Scalar


PRIORITIES = range(-4095, 4096)
"""What a priority can be: the broker has 13 bits for it, above 40 bits of order in a double."""


def priority_of(given: object, what: str = "priority") -> int:
    """`given` as a priority.

    Raises:
        SubmissionError: it is no whole number, or none of `PRIORITIES`.
    """
    number = whole(given)
    if number is None or number not in PRIORITIES:
        raise SubmissionError(
            f"{what} {given!r}: expected a whole number from {PRIORITIES[0]} to {PRIORITIES[-1]}"
        )
    return number


class SubmitOptions(NamedTuple):
    """How a task is to be run; None leaves it to the experiment's own setting."""

    queue: str | None = None
    priority: int | None = None
    requires: tuple[Need, ...] = ()
    """What it holds of tokens and locks while it runs."""
    retries: Retries | None = None
    timeout: float | None = None
    """Seconds."""
    not_before: datetime | float | None = None
    """A moment, or seconds from now."""
    environ: str = ""
    """Variables that its job gets, packed by `xpm.core.environ`."""


DEFAULTS = SubmitOptions()
"""Options of a task that was submitted without any."""


class Job(Steered, Protocol):
    """What `task.job` gives: the job of a submitted task."""

    @property
    def id(self) -> JobId:
        """Its identifier."""
        ...

    @property
    def path(self) -> Path:
        """Its directory."""
        ...

    @property
    def state(self) -> State:
        """Its state, asked now."""
        ...

    @property
    def stdout(self) -> Path:
        """Where its standard output goes."""
        ...

    @property
    def stderr(self) -> Path:
        """Where its standard error goes."""
        ...


class Grip(Protocol):
    """What was granted of tokens and locks, by whatever way to the broker."""

    @property
    def fence(self) -> str:
        """A number as text, of fixed width: that of each later holder is larger."""
        ...

    @property
    def lost(self) -> bool:
        """Whether it was taken away: the holder was not heard of for too long."""
        ...

    def free(self) -> None:
        """Gives it back."""
        ...


class Session(Protocol):
    """An open experiment, or the process of a job."""

    @property
    def required(self) -> tuple[tuple[Need, ...], str]:
        """What is held for all of its code from its beginning to its end, and the fence of that."""
        ...

    def acquire(self, needs: Sequence[Need], timeout: float | None, priority: int) -> Grip:
        """Waits until `needs` are granted."""
        ...

    def submit(self, task: Task, options: SubmitOptions) -> None:
        """Takes `task`; it must have called `xpm.core.submission.prepare` when it returns."""
        ...

    def jobpath(self, task: Task) -> Path:
        """The directory of the job of `task`."""
        ...

    def tags(self, task: Task) -> Mapping[str, Scalar]:
        """The tags of the job of the live `task`."""
        ...

    def handle(self, task: Task) -> Job:
        """The job of `task`."""
        ...

    def result(self, task: Task, timeout: float | None) -> Any:
        """Waits for the job of `task` and returns what its `execute` returned."""
        ...

    def progress(self, value: float, desc: str | None, level: int) -> None:
        """Notes how far the job of this process is."""
        ...

    def on_completed(self, task: Task, callback: Callable[..., object]) -> Callable[[], None]:
        """Checks `callback`; gives what has it called when `task` is done, once that is submitted."""
        ...

    def watch_output(
        self, task: Task, method: Callable[..., Any], callback: Callable[[Any], object]
    ) -> Callable[[], None]:
        """Checks both; gives what has `callback` called with each output of `task` that `method` describes."""
        ...

    def register(self, method: Callable[..., Any], arguments: Mapping[str, Any]) -> None:
        """Notes an output of the job of this process."""
        ...

    def describe(self, live: Config) -> Any:
        """The description of a live config of the job of this process; None if it isn't one."""
        ...

    def remaining(self) -> float | None:
        """Seconds until the time limit of the job of this process; None when it has none."""
        ...


current: ContextVar[Session | None] = ContextVar("xpm_session", default=None)
"""The experiment that is open here; see `active`."""

_of_process: Session | None = None

_open: list[tuple[Path, Session]] = []
"""The experiments that are open in this process, with their workspaces."""

loading: ContextVar[bool] = ContextVar("xpm_loading", default=False)
"""True while a worker runs a script only to get at its classes."""


class ScriptLoaded(BaseException):
    """Raised by `experiment(...)` while `loading`: all classes above it are defined, no more is needed.

    Not an `Exception`, so that a script's own `except Exception` doesn't swallow it.
    """


def adopt(session: Session | None) -> None:
    """Makes `session` that of the whole process: the threads of a job start with a context of their own."""
    global _of_process
    _of_process = session


def active() -> Session | None:
    """The open experiment, or in a job, in whichever thread, the job's own session."""
    session = current.get()
    return _of_process if session is None else session


def opened(session: Session, workspace: Path) -> None:
    """An experiment is open from now on, for threads that have none of their own, too."""
    _open.append((workspace, session))


def closed(session: Session, workspace: Path) -> None:
    """It has ended."""
    _open.remove((workspace, session))


def open_anywhere() -> dict[Path, Session]:
    """The experiments that are open, in whichever thread, by workspace; of several in one, that opened last."""
    return dict(tuple(_open))


def progress(value: float, desc: str | int | None = None, *, level: int = 0) -> None:
    """Says how far the running job is; outside a job it does nothing.

    Args:
        value: from 0 to 1; what is beyond counts as the nearer end, and no number as 0.
        desc: what is being done; an integer here is a level, as in experimaestro.
        level: 0 for the job as a whole, 1 for a part of it, and so on.
    """
    session = active()
    if session is None:
        return
    if isinstance(desc, int):
        desc, level = None, desc
    part = float(value)
    session.progress(part if 0 <= part <= 1 else float(part > 1), desc, level)
