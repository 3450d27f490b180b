"""Ctrl-C while a run is waited for: once detaches, twice cancels."""

from __future__ import annotations

import sys
import time

from xpm.broker.views import RunView
from xpm.experiment.display import Lines, open_display
from xpm.experiment.ending import CANCELLED, DETACHED
from xpm.experiment.link import Link
from xpm.experiment.tracking import Tracked
from xpm.experiment.voice import Voice, jobs
from xpm.experiment.waiting import wait

SOON = 2.0
"""Seconds in which a second Ctrl-C means to cancel."""


def watch(run: Tracked, link: Link, voice: Voice) -> RunView:
    """Waits for the end of `run` and shows it; returns how it stands then.

    Raises:
        SystemExit: Ctrl-C detached from it.
    """
    display = open_display(run.experiment, voice)
    try:
        return wait(run, link, display, voice)
    except KeyboardInterrupt:
        display.close()
        return _interrupted(run, link, voice)
    finally:
        display.close()


def _interrupted(run: Tracked, link: Link, voice: Voice) -> RunView:
    try:
        view = run.view()
        detached(run.experiment, link, voice)
        if not _wants_cancel(run.experiment, view.open, voice):
            raise SystemExit(DETACHED)
        cancelled, stopping, kept = run.cancel()
        voice.say(
            f"cancelled {jobs(cancelled)}, asked {stopping:,} running to stop"
            + (f", kept {kept:,} that other experiments want" if kept else "")
        )
        return wait(run, link, Lines(run.experiment, voice), voice)
    except KeyboardInterrupt:
        raise SystemExit(CANCELLED) from None


def detached(experiment: str, link: Link, voice: Voice) -> None:
    """Says how to come back to an experiment that goes on without its script."""
    voice.say(
        f"detached: {experiment} goes on without this script; to come back:\n"
        f"    {link.commands.xpm('attach', experiment)}"
    )


def _wants_cancel(experiment: str, left: int, voice: Voice) -> bool:
    """Whether a second Ctrl-C soon after the first asks to cancel."""
    if not left:
        return False
    try:
        # Inside: who reads this may be quicker than the next line.
        voice.say(f"Ctrl-C again within {SOON:.0f} s cancels what is left of it: {jobs(left)}")
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
