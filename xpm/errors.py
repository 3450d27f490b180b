"""Everything that xpm raises. Each message is one line: what is wrong, where, what to do."""

from __future__ import annotations

from traceback import format_exception
from typing import ClassVar


class XpmError(Exception):
    """The base of all errors of xpm; its message is written for the user."""

    whole: ClassVar[bool] = False
    """Whether notebooks show the lines that led to it."""

    def _render_traceback_(self) -> list[str]:
        """What IPython shows of it below a cell: the line that says what to do."""
        return [*(format_exception(self) if self.whole else ()), f"xpm: {self}"]


class ConfigError(XpmError):
    """A description is wrong: an unknown, missing or mistyped parameter, with its path."""


class SealedError(ConfigError):
    """A description that was submitted cannot be changed."""


class NoExperiment(XpmError):
    """Something needs an open experiment and there is none."""

    def __init__(self, message: str = "open 'with experiment(...)' first") -> None:
        super().__init__(message)


class NotSubmitted(XpmError):
    """A result or a path was asked of a task that was not submitted."""


class SubmissionError(XpmError):
    """A task cannot become a job: a cycle, a payload too large, a class that workers cannot import."""


class MessageError(XpmError):
    """A payload cannot be read: damaged, or written by a newer xpm."""


class JobError(XpmError):
    """A job has no result to give."""


class JobFailed(JobError):
    """The job ended in ERROR; the message holds the traceback of its task."""


class JobCancelled(JobError):
    """The job was cancelled."""


class JobHeld(JobError):
    """The job is on HOLD, and not only until somebody lets it go; with the reasons."""


class ExperimentFailed(XpmError):
    """Some job of an experiment is not DONE."""


class ExperimentCancelled(ExperimentFailed):
    """Somebody cancelled the experiment while its script was submitting to it."""


class CommandFailed(XpmError):
    """The command of a task failed: its exit code, or the signal that it died of, and the end of what it said."""

    def __init__(self, message: str, exit_code: int | None = None, signal: str = "") -> None:
        super().__init__(message)
        self.exit_code = exit_code
        """None when it died of a signal."""
        self.signal = signal
        """Its name."""


class ResultError(XpmError):
    """A result cannot be stored or read: too large, of an unsupported type, or damaged."""


class WorkspaceError(XpmError):
    """A workspace cannot be used: foreign format, copied tree, not writable."""


class SettingsError(XpmError):
    """A setting is unknown or has an impossible value."""


class BrokerError(XpmError):
    """The broker refused or failed a call."""


class BrokerUnreachable(BrokerError):
    """No connection to the broker."""


class BrokerStalled(BrokerUnreachable):
    """The broker answers, and takes no changes until somebody helps it: its disk or memory is full, its replicas are away."""


class RunForgotten(BrokerError):
    """The broker has lost its memory, and with it the run that jobs were submitted to: it must be opened again."""


class BrokerUnsuitable(BrokerError):
    """The broker must not be used: too old, evicting, or a cluster."""


class UsageError(XpmError):
    """A command was given something that it cannot use."""


class WouldDeadlock(UsageError):
    """Who holds a token or lock waits for one that must be taken before it: two could wait for each other for ever."""


class GracefulTimeout(XpmError):
    """Raised by a `ResumableTask` that ends itself in order to be continued: uncounted, in the same directory."""


class TaskCancelled(BaseException):
    """Raised in a running task, in its main thread, when it is to end: it may save, and must leave.

    What it returns afterwards is no result. Not an `Exception`, so that a task's own `except Exception` lets it pass.
    """

    def __init__(self, message: str = "", remaining_time: float | None = None) -> None:
        super().__init__(message)
        self.message = message
        """Who wants its end."""
        self.remaining_time = remaining_time
        """Seconds until its processes are killed; None when nobody says."""
