"""The window of jobs that `xpm jobs` shows: a few of each state, found without reading all that there are."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from xpm.cli.select import of_task
from xpm.cli.words import ORDER
from xpm.core.naming import last_name
from xpm.core.spelling import nearest
from xpm.core.state import State
from xpm.errors import UsageError
from xpm.types import short

if TYPE_CHECKING:
    from xpm.broker.jobview import JobView
    from xpm.broker.reader import Reader
    from xpm.broker.sieve import Sieve
    from xpm.broker.views import Progress, RunView, Views, WorkerView

PAGE = 5000
SHARE = 8
"""Each state that has jobs gets at least this part of the window, and what others leave."""


@dataclass(frozen=True, slots=True)
class Row:
    """A job in the list."""

    job: JobView
    note: str
    progress: Progress | None
    blocked: bool
    """Ready, and no worker can take it."""


@dataclass(frozen=True, slots=True)
class Filter:
    """Which jobs are wanted."""

    states: tuple[State, ...] = ()
    task: str = ""
    members: Collection[str] | None = None
    """The jobs of an experiment; None when it does not matter."""
    sieve: Sieve | None = None

    def keeps(self, job: JobView) -> bool:
        """Whether a job may be one of them, as far as that can be told without its tags."""
        return of_task(job.task, self.task) and (not self.states or job.state in self.states)

    def of(self, views: Views, ids: Sequence[str]) -> list[JobView]:
        """Those of `ids` that are wanted."""
        jobs = [job for job in views.jobs(ids) if job is not None and self.keeps(job)]
        return jobs if self.sieve is None else self.sieve.kept(jobs)


def newest_run(views: Views, experiment: str) -> RunView:
    """The newest run of an experiment.

    Raises:
        UsageError: There is no such experiment.
    """
    tokens = views.runs(experiment)
    run = views.run(tokens[-1]) if tokens else None
    if run is None:
        names = [one.experiment for one in views.experiments()]
        known = f"; there are {', '.join(sorted(names)[:10])}" if names else ": there is none yet"
        hint = nearest(experiment, names) or known
        raise UsageError(f"no experiment {experiment!r}{hint}")
    return run


def unknown(views: Views, task: str) -> str:
    """What to say of a task that nobody ever submitted, so that not all jobs are read in vain; '' of another."""
    known = views.tasks()
    if any(of_task(name, task) for name in known):
        return ""
    return f"there is no task {task!r}{nearest(task, [*map(last_name, known), *known])}"


def window(views: Views, wanted: Filter, limit: int) -> list[JobView]:
    """At most `limit` jobs, those first that matter most; 0: all."""
    room = limit or (1 << 30)
    found = {state: _of_state(views, wanted, state, room) for state in wanted.states or ORDER}
    shares = _shares([len(jobs) for jobs in found.values()], room)
    chosen: dict[str, JobView] = {}
    for jobs, share in zip(found.values(), shares, strict=True):
        chosen.update((job.id, job) for job in jobs[:share])
    return sorted(chosen.values(), key=lambda job: ORDER.index(job.state))


def _shares(counts: Sequence[int], room: int) -> list[int]:
    shares = [0] * len(counts)
    least = max(1, room // max(SHARE, sum(count > 0 for count in counts)))
    for most in (least, room):
        for place, count in enumerate(counts):
            more = min(count - shares[place], most, room - sum(shares))
            shares[place] += max(0, more)
    return shares


def _of_state(views: Views, wanted: Filter, state: State, room: int) -> list[JobView]:
    jobs: list[JobView] = []
    for ids in pages(views, wanted, state, room):
        jobs += wanted.of(views, ids)
        if len(jobs) >= room:
            break
    return jobs[:room]


def pages(views: Views, wanted: Filter, state: State, room: int) -> Iterator[list[str]]:
    """The short identifiers of the jobs in a state, some at a time; of an experiment, only its own."""
    narrow = wanted.members is not None or bool(wanted.task) or wanted.sieve is not None
    size = PAGE if narrow else min(PAGE, room)
    offset = 0
    while ids := views.listing(state, size, offset):
        offset += len(ids)
        kept: list[str] = [job for job in ids if wanted.members is None or job in wanted.members]
        # Few at a time where few are wanted: what is read first may be enough.
        for at in range(0, len(kept), 500):
            yield kept[at : at + 500]
        if len(ids) < size:
            return


def rows(broker: Reader, views: Views, jobs: Sequence[JobView]) -> list[Row]:
    """The jobs with what is to be said of each."""
    from xpm.broker.reader import clock
    from xpm.broker.standing import lacking, served, struck

    now = clock(broker)
    running = [job.id for job in jobs if job.state is State.RUNNING]
    progress = dict(zip(running, views.progress(running), strict=True))
    ready = any(job.state is State.READY for job in jobs)
    asks = any(job.asks for job in jobs)
    workers = views.workers() if ready or asks else []
    shut = _shut(views, jobs, served(workers, now, broker.lease), struck(workers, now, broker.lease))
    waits = lacking(broker, jobs, workers, now)
    return [_row(job, progress.get(job.id), shut.get(job.id, ""), waits.get(job.id, ""), now) for job in jobs]


def _shut(
    views: Views, jobs: Sequence[JobView], slots: Collection[str], barred: Sequence[WorkerView]
) -> dict[str, str]:
    """Why no worker takes some ready jobs, by their identifiers."""
    from xpm.broker.standing import shut, unserved

    ready = [job for job in jobs if job.state is State.READY]
    paused, suspended = (views.paused(), views.suspended()) if ready else ({}, False)
    return {
        job.id: shut(job.queue, paused, suspended=suspended)
        or unserved(job.queue, job.version, slots, barred)
        for job in ready
    }


def _row(job: JobView, progress: Progress | None, shut: str, waits: str, now: float) -> Row:
    from xpm.broker.standing import note

    if job.state is not State.READY:
        told = ", its code ".join(part for part in (note(job, progress, now), waits) if part)
        return Row(job, told, progress, blocked=False)
    return Row(job, shut or waits or note(job, progress, now), progress, bool(shut))


def experiments_of(views: Views, jobs: Sequence[JobView]) -> dict[str, str]:
    """The experiments of the runs that list these jobs, by the run's token."""
    tokens = {token for job in jobs for token in job.runs}
    return {token: run.experiment for token in sorted(tokens) if (run := views.run(token)) is not None}


def members(views: Views, run: RunView) -> frozenset[str]:
    """The short identifiers of a run's jobs."""
    return frozenset(short(job) for job, _ in views.members(run.token))
