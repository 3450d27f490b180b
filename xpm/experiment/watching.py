"""Ctrl-C while a run is waited for: once detaches, twice cancels."""

from __future__ import annotations

import sys
import time
from typing import NamedTuple

from xpm.broker.views import RunView
from xpm.cells.kernel import shell
from xpm.errors import BrokerUnreachable
from xpm.experiment.display import Lines, open_display
from xpm.experiment.ending import left
from xpm.experiment.link import Link
from xpm.experiment.voice import Voice, jobs
from xpm.experiment.waiting import Care, wait
from xpm.statuses import CANCELLED, DETACHED, UNREACHABLE

SOON = 2.0
"""Seconds in which a second Ctrl-C means to cancel."""


class Watched(NamedTuple):
    """How waiting for a run ended."""

    view: RunView
    given_up: bool
    """Whether the user has cancelled what was left of it."""


def watch(care: Care) -> Watched:
    """Waits for the end of a run and shows it.

    Raises:
        Left: Ctrl-C detached from it.
    """
    display = open_display(care.run.experiment, care.voice)
    try:
        return Watched(wait(care, display), given_up=False)
    except KeyboardInterrupt:
        display.close()
        return Watched(interrupted(care), given_up=True)
    finally:
        display.close()


def interrupted(care: Care) -> RunView:
    """Ctrl-C while a run, or a job of it, was waited for: detaches, or cancels the run if another one follows.

    Returns:
        How the run stands once it is cancelled and what ran has stopped.

    Raises:
        Left: the script was detached, or what stops is not waited for.
    """
    run, link, voice = care.run, care.link, care.voice
    try:
        detached(run.experiment, link, voice)
        wanted = _wants_cancel(run.experiment, care.open, voice)
    except KeyboardInterrupt:
        wanted = False
    if not wanted:
        raise left(DETACHED)
    return _cancelled(care)


def _cancelled(care: Care) -> RunView:
    care.call_back = None  # it could submit more
    try:
        _cancel(care)
        return wait(care, Lines(care.run.experiment, care.voice))
    except KeyboardInterrupt:
        care.voice.say("not waiting until what runs has stopped")
        raise left(CANCELLED) from None


def _cancel(care: Care) -> None:
    run, voice = care.run, care.voice
    try:
        cancelled, stopping, kept = run.cancel()
    except BrokerUnreachable as error:
        voice.say(
            f"not cancelled: {error}; when it does:\n    {care.link.commands.xpm('cancel', run.experiment)}"
        )
        raise left(UNREACHABLE) from None
    voice.say(
        f"cancelled {jobs(cancelled)}, asked {stopping:,} running to stop"
        + (f", kept {kept:,} that other experiments want" if kept else "")
    )


def detached(experiment: str, link: Link, voice: Voice) -> None:
    """Says how to come back to an experiment that goes on without its script."""
    voice.say(
        f"detached: {experiment} goes on without this {'script' if shell() is None else 'cell'}; to come back:\n"
        f"    {link.commands.xpm('attach', experiment)}"
    )


def _wants_cancel(experiment: str, left: int, voice: Voice) -> bool:
    """Whether a second Ctrl-C soon after the first asks to cancel."""
    if not left:
        return False
    try:
        # Inside: who reads this may be quicker than the next line.
        what = "Ctrl-C" if shell() is None else "interrupting the kernel"
        voice.say(f"{what} again within {SOON:.0f} s cancels what is left of it: {jobs(left)}")
        time.sleep(SOON)
    except KeyboardInterrupt:
        return _confirmed(experiment, left)
    return False


def _confirmed(experiment: str, left: int) -> bool:
    """Asks where somebody can answer; elsewhere two interrupts are the answer."""
    if not sys.stdin.isatty():
        return True
    sys.stderr.write(f"\ncancel {jobs(left)} of {experiment}? [y/N] ")
    sys.stderr.flush()
    try:
        return sys.stdin.readline().strip().lower() in ("y", "yes")
    except KeyboardInterrupt:
        return True
