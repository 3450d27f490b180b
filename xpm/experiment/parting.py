"""A script leaves its experiment before the end: by an exception in the block, or by Ctrl-C while the plan goes out."""

from __future__ import annotations

from contextlib import suppress

from xpm.errors import ExperimentCancelled, XpmError
from xpm.experiment.circumstances import Circumstances
from xpm.experiment.outgoing import Outgoing
from xpm.experiment.voice import agree, all_jobs, jobs

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
    count = remote.count
    if count < total:
        went = (
            f"{count:,} of {jobs(total)} went out and {agree(count, 'go')} on" if count else "no job went out"
        )
        voice.say(
            f"{name}: {went}; running the script again submits the rest:\n    {remote.commands.again()}"
        )
    elif count:
        voice.say(f"{name}: {all_jobs(count)} submitted so far {agree(count, 'go')} on")
    if remote.begun:
        remote.tell_detached()
