"""What keeps a job on hold: the input that ended without a result, however far above."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from xpm.broker.jobview import JobView
from xpm.broker.standing import note
from xpm.broker.views import Views
from xpm.core.state import State

STEPS = 100_000
"""How far up an obstacle is looked for."""

CHUNK = 500
"""Inputs that are asked for at once."""

DEPENDENCY = "dependency"
"""The hold that the engine sets and takes away by itself."""

NO_INPUT = "an input has no result"

ENDS = {State.ERROR: "failed", State.CANCELLED: "was cancelled", State.LOST: "lost its outputs"}


def why_held(views: Views, job: JobView) -> str:
    """Why a job is on hold, in words."""
    if DEPENDENCY not in job.holds:
        return ", ".join(job.holds) or job.reason
    found = _top(views, job)
    if found.state is State.HOLD:
        if DEPENDENCY in found.holds:  # what was in the way went while it was looked for
            return NO_INPUT
        return f"{found.label} {found.id[:8]}, which it needs: {note(found, None, 0.0)}"
    failure = views.failure(found.id) if found.state is State.ERROR else None
    said = f": {failure.line}" if failure else ""
    return f"{found.label} {found.id[:8]}, which it needs, {ENDS[found.state]}{said}"


AWAITED = frozenset({"person", "capacity"})
"""Reasons of HOLD that somebody will take away: by a release, or by raising a capacity."""


def obstacle(views: Views, job: JobView) -> JobView | None:
    """The job above `job` that ended without a result; None when there is none any more."""
    top = _top(views, job)
    return None if top.state is State.HOLD else top


def stays(views: Views, job: JobView) -> bool:
    """Whether a job on hold waits for what must be tried again, and not only for somebody to let go."""
    top = _top(views, job) if DEPENDENCY in job.holds else job
    # With `dependency` alone, what was in the way went while it was looked for.
    return top.state is not State.HOLD or not {*AWAITED, DEPENDENCY}.issuperset(top.holds)


def _top(views: Views, job: JobView) -> JobView:
    """The first in the way above `job`: one that has ended without a result, else one that is on hold itself."""
    for _ in range(STEPS):
        above = _first(_inputs(views, job)) if DEPENDENCY in job.holds else None
        if above is None:
            return job
        job = above
        if job.state is not State.HOLD:
            return job
    return job


def _first(inputs: Iterable[JobView]) -> JobView | None:
    """The first that has ended without a result, else the first on hold."""
    held: JobView | None = None
    for each in inputs:
        if each.state in ENDS:
            return each
        if each.state is State.HOLD and held is None:
            held = each
    return held


def _inputs(views: Views, job: JobView) -> Iterator[JobView]:
    ids = views.inputs(job.id)
    for at in range(0, len(ids), CHUNK):
        yield from (each for each in views.jobs(ids[at : at + CHUNK]) if each)
