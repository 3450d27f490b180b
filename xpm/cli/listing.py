"""The window of jobs that `xpm jobs` shows: a few of each state, found without reading all that there are."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from xpm.cli.select import of_task
from xpm.cli.words import ORDER, clock_time, plural, unserved
from xpm.core.lengths import duration
from xpm.core.naming import last_name
from xpm.core.spelling import nearest
from xpm.core.state import State
from xpm.errors import UsageError
from xpm.types import short

if TYPE_CHECKING:
    from xpm.broker.reader import Reader
    from xpm.broker.views import JobView, Progress, RunView, Views, WorkerView

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

    def keeps(self, job: JobView) -> bool:
        """Whether a job is one of them."""
        return of_task(job.task, self.task) and (not self.states or job.state in self.states)


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
        jobs += [job for job in views.jobs(ids) if job is not None and wanted.keeps(job)]
        if len(jobs) >= room:
            break
    return jobs[:room]


def pages(views: Views, wanted: Filter, state: State, room: int) -> Iterator[list[str]]:
    """The short identifiers of the jobs in a state, some at a time; of an experiment, only its own."""
    narrow = wanted.members is not None or bool(wanted.task)
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
    from xpm.broker.silence import clock

    now = clock(broker)
    running = [job.id for job in jobs if job.state is State.RUNNING]
    progress = dict(zip(running, views.progress(running), strict=True))
    ready = any(job.state is State.READY for job in jobs)
    workers = views.workers() if ready else []
    slots, barred = served(workers, now, broker.lease), struck(workers, now, broker.lease)
    lacks = _lacks(broker, jobs, {worker.host for worker in workers})
    return [_row(job, progress.get(job.id), slots, barred, lacks, now) for job in jobs]


def _lacks(broker: Reader, jobs: Sequence[JobView], hosts: Collection[str]) -> dict[str, str]:
    """What is not free of what ready jobs need, by the text of their needs."""
    from xpm.broker.ledger import Ledger
    from xpm.core.requirement import needs_of, standing

    texts = {job.needs: needs_of(job.needs) for job in jobs if job.state is State.READY and job.needs}
    if not texts:
        return {}
    stock = Ledger(broker).stock({need.resource for needs in texts.values() for need in needs}, hosts)
    found: dict[str, str] = {}
    for text, needs in texts.items():
        for need in needs:
            there = stock[need.resource]
            if there.free < need.amount:
                found[text] = f"waits for {standing(need, there.capacity, there.used, there.free)}"
                break
    return found


def served(workers: Sequence[WorkerView], now: float, lease: float) -> frozenset[str]:
    """All that some worker serves, of which something was heard lately: 'queue:version'."""
    from xpm.broker.silence import silent

    return frozenset(
        slot
        for worker in workers
        if not (worker.suspects or silent(worker, now, lease))
        for slot in worker.slots
    )


def struck(workers: Sequence[WorkerView], now: float, lease: float) -> list[WorkerView]:
    """The workers, of which something was heard lately, that get no jobs since several died there."""
    from xpm.broker.silence import silent

    return [worker for worker in workers if worker.suspects and not silent(worker, now, lease)]


def _row(
    job: JobView,
    progress: Progress | None,
    slots: Collection[str],
    barred: Sequence[WorkerView],
    lacks: Mapping[str, str],
    now: float,
) -> Row:
    if job.state is not State.READY:
        return Row(job, note(job, progress, now), progress, blocked=False)
    why = unserved(job.queue, job.version, slots, barred)
    return Row(job, why or lacks.get(job.needs) or note(job, progress, now), progress, bool(why))


def note(job: JobView, progress: Progress | None, now: float) -> str:
    """Why a job is where it is, in words."""
    return _NOTES.get(job.state, _reason)(job, progress, now)


def _reason(job: JobView, _progress: Progress | None, _now: float) -> str:
    return "" if job.reason == job.state.lower() else job.reason


def _waiting(job: JobView, _progress: Progress | None, _now: float) -> str:
    few = "" if job.unmet == job.inputs else f"{job.unmet:,} of "
    return f"waits for {few}{plural(job.inputs, 'input')}"


def _running(job: JobView, progress: Progress | None, now: float) -> str:
    said = f"{progress.value:.0%} {progress.desc}".rstrip() if progress is not None else ""
    if job.stop:
        said = f"asked to stop{f' by {job.who}' if job.who else ''}" + (f", {said}" if said else "")
    tries = _attempt(job, job.attempt) if job.attempt > 1 else ""
    return ", ".join(part for part in (said, f"for {duration(now - job.started)}", tries) if part)


def _attempt(job: JobView, number: int) -> str:
    return f"attempt {number} of {job.attempts}" if job.attempts else f"attempt {number}"


def _scheduled(job: JobView, _progress: Progress | None, now: float) -> str:
    if not job.attempt:
        return f"{'starts at' if job.due > now else 'may start since'} {_moment(job.due, now)}"
    why = f": {job.reason}" if job.reason else ""
    return f"{_attempt(job, job.attempt + 1)}, again at {_moment(job.due, now)}{why}"


def _moment(seconds: float, now: float) -> str:
    """A moment of the next hours by the clock alone."""
    near = abs(seconds - now) < 12 * 3600
    return time.strftime("%H:%M:%S" if near else "%Y-%m-%d %H:%M", time.localtime(seconds))


def _done(job: JobView, _progress: Progress | None, _now: float) -> str:
    if not job.started or job.reason:
        return job.reason
    return f"took {duration(job.ended - job.started)}"


def _held(job: JobView, _progress: Progress | None, _now: float) -> str:
    others = [name for name in job.holds if name != "dependency"]
    parts: list[str] = []
    if job.blocked:
        few = "its input" if job.inputs == 1 else f"{job.blocked:,} of {plural(job.inputs, 'input')}"
        parts.append(f"{few} failed or {'is' if job.blocked == 1 else 'are'} held")
    parts += [_holder(job) if name == "person" else _HELD.get(name, f"held by the {name}") for name in others]
    return ", ".join(parts)


_HELD = {"capacity": "needs more of a token than there is"}


def _holder(job: JobView) -> str:
    if not job.who:
        return "held by a person"
    return f"held by {job.who}, {clock_time(job.asked)}"


def _ready(job: JobView, _progress: Progress | None, _now: float) -> str:
    where = "" if job.queue == "default" else f"queue {job.queue}"
    return ", ".join(part for part in (job.reason, where) if part)


_NOTES: Mapping[State, Callable[[JobView, Progress | None, float], str]] = {
    State.WAITING: _waiting,
    State.RUNNING: _running,
    State.DONE: _done,
    State.HOLD: _held,
    State.READY: _ready,
    State.SCHEDULED: _scheduled,
}


def experiments_of(views: Views, jobs: Sequence[JobView]) -> dict[str, str]:
    """The experiments of the runs that list these jobs, by the run's token."""
    tokens = {token for job in jobs for token in job.runs}
    return {token: run.experiment for token in sorted(tokens) if (run := views.run(token)) is not None}


def members(views: Views, run: RunView) -> frozenset[str]:
    """The short identifiers of a run's jobs."""
    return frozenset(short(job) for job, _ in views.members(run.token))
