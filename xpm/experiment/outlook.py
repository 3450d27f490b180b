"""What becomes of the jobs that a script leaves behind: which of them go on, and how the others stand."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from xpm.broker.jobview import JobView
from xpm.broker.views import Views
from xpm.core.state import ENDED, State
from xpm.experiment.obstacles import AWAITED
from xpm.experiment.pace import ORDER
from xpm.types import JobId

PATIENCE = 1.0
"""Seconds for which jobs are looked at; a script that is left has no more time for it."""

CHUNK = 2000
"""Jobs that are looked at between two looks at the clock."""

GOING = "going on"
STOPPING = "stopping"
KEPT = "kept for other experiments"

STATES = {state: word for state, word, _ in ORDER}

WORDS = [
    STOPPING,
    *(word for word in STATES.values() if word != STATES[State.DONE]),
    KEPT,
    STATES[State.DONE],
]
"""The words for jobs that do not go on, in the order in which they are told."""


@dataclass(frozen=True, slots=True)
class Outlook:
    """What becomes of the jobs that a script has submitted."""

    going: int
    """How many of them go on: they still move, or wait for somebody to let them go."""
    others: Mapping[str, int]
    """How many of the others are what, in words."""
    children: int
    """How many jobs go on that these have submitted."""

    @property
    def whole(self) -> bool:
        """Whether what is not done goes on."""
        return bool(self.going) and self.others.keys() <= {STATES[State.DONE]}

    @property
    def empty(self) -> bool:
        """Whether there is nothing to come back to."""
        return not self.going and not self.children

    def __str__(self) -> str:
        return ", ".join(f"{self.others[word]:,} {word}" for word in WORDS if word in self.others)


def outlook(views: Views, experiment: str, own: Sequence[JobId], children: Sequence[JobId]) -> Outlook:
    """Asks how jobs stand.

    Args:
        views: asks the broker.
        experiment: whose jobs they are.
        own: those that the script has submitted.
        children: those that running jobs have submitted.

    Raises:
        TimeoutError: they are too many to be looked at in `PATIENCE` seconds.
    """
    end = time.monotonic() + PATIENCE
    runs = views.runs(experiment)
    serial = runs[-1].partition(".")[0] if runs else ""
    others = Counter(_words(views, serial, own, end))
    going = others.pop(GOING, 0)
    return Outlook(going, others, sum(word is GOING for word in _words(views, serial, children, end)))


def _words(views: Views, serial: str, ids: Sequence[JobId], end: float) -> Iterator[str]:
    for at in range(0, len(ids), CHUNK):
        if time.monotonic() > end:
            raise TimeoutError(f"{len(ids):,} jobs are too many to be looked at")
        chunk = ids[at : at + CHUNK]
        # What the broker has lost is submitted again by whoever comes back.
        states = [found[0] if found else State.WAITING for found in views.states(chunk)]
        yield from (STATES[state] for state in states if state in ENDED)
        left = [job for job, state in zip(chunk, states, strict=True) if state not in ENDED]
        yield from (_word(job, serial) if job else GOING for job in views.jobs(left))


def _word(job: JobView, serial: str) -> str:
    if job.state in ENDED:
        return STATES[job.state]
    if job.stop == "kill" or (job.stop and not job.wanted):
        return STOPPING
    if job.state is State.HOLD and AWAITED.isdisjoint(job.holds):
        return STATES[job.state]
    return GOING if serial in job.wanted or not job.wanted else KEPT
