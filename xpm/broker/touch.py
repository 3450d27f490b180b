"""What a change of jobs touches besides them: what depends on them, and who lists them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from xpm.broker.views import Views
from xpm.core.state import PENDING
from xpm.core.steering import Touch
from xpm.types import short

REACH = 1000
"""Dependents that are looked for, at most."""


def touch(views: Views, jobs: Sequence[str]) -> Touch:
    """What a change of `jobs` touches."""
    runs = Counter(token for job in views.jobs(jobs) if job is not None for token in job.runs)
    return Touch(dependents(views, jobs), experiments(views, runs))


def dependents(views: Views, jobs: Sequence[str]) -> int:
    """How many other jobs that were not started wait for these, directly or not."""
    own = {short(job) for job in jobs}
    found = views.downstream(jobs, REACH)
    return sum(state in PENDING for job, state in found.items() if job not in own)


def experiments(views: Views, runs: Mapping[str, int]) -> dict[str, int]:
    """The numbers of jobs of runs, by the names of their experiments."""
    counts: Counter[str] = Counter()
    for token, count in runs.items():
        run = views.run(token)
        if run is not None:
            counts[run.experiment] += count
    return dict(sorted(counts.items()))
