"""How a script ends: its exit status, and errors that are shown without a traceback."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from traceback import FrameSummary, StackSummary, TracebackException, extract_tb, format_list, print_exception
from types import TracebackType

from xpm.cells.kernel import shell
from xpm.core.state import State
from xpm.errors import BrokerError, ExperimentFailed, SettingsError, WorkspaceError, XpmError
from xpm.statuses import CANCELLED, DONE, FAILED, of_error

GIVEN_UP = frozenset(State) - {State.DONE, State.ERROR, State.LOST, State.HOLD}
"""States of jobs, at the end of a run, that somebody has cancelled; some go on, for other experiments."""

PLAIN = (XpmError,)
"""Errors whose message is written for people: where in xpm they were raised helps nobody."""

ANYWHERE = (ExperimentFailed, BrokerError, SettingsError, WorkspaceError)
"""Those of them for which the script's own lines say nothing either."""

OURS = f"{Path(__file__).parents[1]}{os.sep}"
"""Where the files of this package lie."""

NOT_THEIRS = (OURS, "<frozen ")
"""What stands before or between the lines of a script: our own, and those of `python -m`."""


class NotAllDone(ExperimentFailed):
    """Some job of an experiment is not DONE; the summary has been printed."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


class CellEnds(BaseException):
    """A cell of a notebook ends here, where a script would end; the kernel lives on."""

    def _render_traceback_(self) -> list[str]:
        """What IPython shows of it."""
        return ["xpm: what follows in this cell is left out"]


class Left(BaseException):
    """The script, or the cell, ends by the user's will, and all that there is to say was said."""


class _LeftScript(Left, SystemExit):
    pass


class _LeftCell(Left, CellEnds):
    pass


def left(status: int) -> Left:
    """What ends the script with that status, or the cell, by the user's will."""
    return _LeftScript(status) if shell() is None else _LeftCell(status)


def end(status: int) -> SystemExit | CellEnds:
    """What ends the script with that status; the cell, where a notebook runs."""
    return SystemExit(status) if shell() is None else CellEnds(status)


def status_of(counts: Mapping[State, int]) -> int:
    """The exit status of a run whose jobs are in these states."""
    missing = {state for state, n in counts.items() if n and state is not State.DONE}
    if not missing:
        return DONE
    given_up = not missing.isdisjoint(GIVEN_UP)
    return CANCELLED if given_up and State.ERROR not in missing else FAILED


def exit_status(error: BaseException) -> int:
    """The exit status of a script that ended with `error`."""
    return error.status if isinstance(error, NotAllDone) else of_error(error)


def plainly(*, whole: bool = False, called: BaseException | None = None) -> None:
    """From now on `PLAIN` errors that nobody catches are shown without xpm's own lines, and give their exit status.

    Args:
        whole: they are shown with all lines that led to them.
        called: what a function of the user's has raised that xpm has called: shown as Python does, without our lines.
    """
    XpmError.whole = whole
    before = sys.excepthook
    if getattr(before, "xpm", False) and called is None:
        return

    def show(kind: type[BaseException], error: BaseException, traceback: TracebackType | None) -> None:
        if error is called and not whole:
            told = TracebackException(kind, error, traceback)
            told.stack = StackSummary.from_list(_not_ours(told.stack))
            sys.stderr.writelines(told.format())
            return
        if not isinstance(error, PLAIN):
            before(kind, error, traceback)
            return
        if not isinstance(error, NotAllDone):
            if whole:
                print_exception(kind, error, traceback)
            sys.stderr.write(f"{'' if whole else _script_lines(error, traceback)}xpm: {error}\n")
        sys.exit(exit_status(error))

    show.xpm = True  # type: ignore[attr-defined]
    sys.excepthook = show


def _script_lines(error: BaseException, traceback: TracebackType | None) -> str:
    """The lines of the script that led to the error, as Python shows them; none where they don't matter."""
    if isinstance(error, ANYWHERE):
        return ""
    frames = _not_ours(extract_tb(traceback))
    return "".join(["Traceback (most recent call last):\n", *format_list(frames)]) if frames else ""


def _not_ours(frames: StackSummary) -> list[FrameSummary]:
    return [frame for frame in frames if not frame.filename.startswith(NOT_THEIRS)]
