"""How a script ends: its exit status, and errors that are shown without a traceback."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from types import TracebackType

from xpm.core.state import State
from xpm.errors import (
    BrokerError,
    BrokerUnreachable,
    BrokerUnsuitable,
    ExperimentFailed,
    SettingsError,
    UsageError,
    WorkspaceError,
)

DONE, FAILED, USAGE, UNREACHABLE, CANCELLED, DETACHED = 0, 1, 2, 3, 4, 130
"""Exit statuses: all done; some job not done; wrong use; no broker; cancelled; detached by Ctrl-C."""

PLAIN = (ExperimentFailed, BrokerError, SettingsError, UsageError, WorkspaceError)
"""Errors whose message says all: where in xpm they were raised helps nobody."""


class NotAllDone(ExperimentFailed):
    """Some job of an experiment is not DONE; the summary has been printed."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


def status_of(counts: Mapping[State, int]) -> int:
    """The exit status of a run whose jobs are in these states."""
    missing = {state for state, n in counts.items() if n and state is not State.DONE}
    if not missing:
        return DONE
    return CANCELLED if State.CANCELLED in missing and State.ERROR not in missing else FAILED


def exit_status(error: BaseException) -> int:
    """The exit status of a script that ended with `error`."""
    if isinstance(error, NotAllDone):
        return error.status
    if isinstance(error, BrokerUnreachable):
        return UNREACHABLE
    wrong = (BrokerUnsuitable, SettingsError, UsageError, WorkspaceError)
    return USAGE if isinstance(error, wrong) else FAILED


def plainly() -> None:
    """From now on `PLAIN` errors that nobody catches are shown without a traceback, and give their exit status."""
    before = sys.excepthook
    if getattr(before, "xpm", False):
        return

    def show(kind: type[BaseException], error: BaseException, traceback: TracebackType | None) -> None:
        if not isinstance(error, PLAIN):
            before(kind, error, traceback)
            return
        if not isinstance(error, NotAllDone):
            sys.stderr.write(f"xpm: {error}\n")
        sys.exit(exit_status(error))

    show.xpm = True  # type: ignore[attr-defined]
    sys.excepthook = show
