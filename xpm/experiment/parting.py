"""A script leaves its experiment before the end: by an exception in the block, or by Ctrl-C while the plan goes out."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from xpm.errors import ExperimentCancelled, XpmError
from xpm.experiment.circumstances import Circumstances
from xpm.experiment.outgoing import Outgoing
from xpm.experiment.voice import agree, all_jobs, jobs

if TYPE_CHECKING:
    from xpm.experiment.outlook import Outlook

PATIENCE = 3.0
"""Seconds for which what was submitted still goes out when the block is left by an exception."""

SHORT = 1.0
"""Seconds for which what is on its way to the broker is waited for when nothing more goes out."""


def leave(outgoing: Outgoing, under: Circumstances, error: BaseException) -> None:
    """The block was left by an exception: what was submitted goes on without the script."""
    _part(outgoing, under, PATIENCE, error)


def stop(outgoing: Outgoing, under: Circumstances) -> None:
    """Ctrl-C at the end of the block, which waits for the broker: the user wants the terminal back."""
    _part(outgoing, under, 0.0, None)


def _part(outgoing: Outgoing, under: Circumstances, patience: float, known: BaseException | None) -> None:
    """Leaves what was submitted to itself, and says so, unless the user hurries on by another Ctrl-C."""
    with suppress(KeyboardInterrupt):
        try:
            outgoing.part(patience, SHORT)
        except KeyboardInterrupt:
            pass  # at once, but with the way back
        except ExperimentCancelled as cancelled:
            if cancelled is not known:
                under.voice.say(str(cancelled))
            return
        except XpmError as trouble:
            if trouble is not known:
                under.voice.say(f"{under.experiment}: not all that was submitted went out: {trouble}")
            elif not outgoing.remote.count:
                return  # the error says it all
        _tell(outgoing, under)


def _tell(outgoing: Outgoing, under: Circumstances) -> None:
    """Says what goes on, what was not submitted, and how to come back."""
    if outgoing.idle:
        return
    total = outgoing.total
    remote, name, voice = outgoing.remote, under.experiment, under.voice
    count, outlook = remote.count, _outlook(outgoing)
    if count < total:
        went = _went(count, total, outlook)
        voice.say(
            f"{name}: {went}; running the script again submits the rest:\n    {remote.commands.again()}"
        )
    elif count:
        voice.say(f"{name}: {_stand(count, outlook)}")
    if remote.begun and not (outlook and outlook.empty):
        remote.tell_detached()


def _outlook(outgoing: Outgoing) -> Outlook | None:
    try:
        return outgoing.outlook()
    except KeyboardInterrupt:
        return None  # at once, but with the way back


def _went(count: int, total: int, outlook: Outlook | None) -> str:
    """What to say when not all went out."""
    if not count:
        return "no job went out"
    went = f"{count:,} of {jobs(total)} went out"
    if outlook is None or outlook.whole:
        return f"{went} and {agree(count, 'go')} on"
    going = f", {outlook.going:,} of them {agree(outlook.going, 'go')} on" if outlook.going else ""
    return f"{went}{going} ({outlook})"


def _stand(count: int, outlook: Outlook | None) -> str:
    """What to say when all did."""
    if outlook is None or outlook.whole:
        return f"{all_jobs(count)} submitted so far {agree(count, 'go')} on"
    if outlook.going:
        return (
            f"{outlook.going:,} of {jobs(count)} submitted so far {agree(outlook.going, 'go')} on ({outlook})"
        )
    return str(outlook)
