"""Where a job stands and what it lacks, in a few words: the notes of the list of jobs, and of `xpm why`."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping, Sequence

from xpm.broker.jobview import JobView
from xpm.broker.ledger import Holding, Ledger
from xpm.broker.reader import Reader
from xpm.broker.silence import silent
from xpm.broker.views import Progress, Views, WorkerView
from xpm.core.explain import RESUME
from xpm.core.lengths import duration
from xpm.core.requirement import NOUNS, Need, needs_of
from xpm.core.state import State
from xpm.core.stock import lack_of, standing
from xpm.core.words import plural


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


def clock_time(seconds: float) -> str:
    """A moment of today as `12:03`, of another day with its date."""
    when = time.localtime(seconds)
    today = when[:3] == time.localtime()[:3]
    return time.strftime("%H:%M" if today else "%Y-%m-%d %H:%M", when)


def lacking(
    broker: Reader, jobs: Sequence[JobView], workers: Sequence[WorkerView], now: float
) -> dict[str, str]:
    """What ready jobs, and the code of running ones, wait for of tokens and locks, by the jobs' identifiers.

    Args:
        broker: is asked.
        jobs: any jobs.
        workers: all that there are.
        now: the broker's time.
    """
    ledger, wanted = Ledger(broker), dict[str, list[Need]]()
    places: dict[str, frozenset[str]] = {}
    for job in jobs:
        if job.state is State.READY and job.needs:
            wanted[job.id] = list(needs_of(job.needs))
            places[job.id] = hosts_for(job, workers, now, broker.lease)
        elif job.state is State.RUNNING and job.asks:
            wishes = ledger.wishes(job.id)
            wanted[job.id] = [need for wish in wishes for need in needs_of(wish.needs)]
            places[job.id] = frozenset(wish.host for wish in wishes)
    if not wanted:
        return {}
    supplies = ledger.supplies({need.resource for needs in wanted.values() for need in needs})
    slots = served(workers, now, broker.lease)
    heads: dict[str, Holding | None] = {}
    found: dict[str, str] = {}
    for job in jobs:
        needs = wanted.get(job.id, [])
        stocks = [(need, supplies[need.resource].of(need, places[job.id])) for need in needs]
        short = [(need, stock) for need, stock in stocks if stock.free < need.amount]
        if job.state is State.READY and (lack := lack_of(needs, supplies, places.get(job.id, ()))):
            found[job.id] = f"needs {lack.wanted}, {lack.most}"
        elif short:
            found[job.id] = f"waits for {standing(*short[0])}"
        elif job.state is State.READY:
            for need in needs:
                if need.resource not in heads:
                    heads[need.resource] = first_in_line(ledger, need.resource, slots)
                head = heads[need.resource]
                if head is not None and head.id != job.id[:32]:
                    found[job.id] = f"after {head.name} in line for {NOUNS[need.kind]} {need.name}"
                    break
    return found


def first_in_line(ledger: Ledger, resource: str, slots: Collection[str]) -> Holding | None:
    """Who is served next of those that wait for a token or lock; jobs that no worker could take are passed over.

    Args:
        ledger: is asked.
        resource: `t.gpu`.
        slots: all that some worker serves.
    """
    paused = Views(ledger.broker).paused()
    for one in ledger.waiters(resource):
        queue, _, version = one.slot.partition(":")
        idle = one.forlorn if one.workspace else queue in paused or unserved(queue, int(version), slots)
        if not one.slot or not idle:
            return one
    return None


def shut(queue: str, paused: Mapping[str, tuple[float, str]], *, suspended: bool) -> str:
    """Why no job of a queue is given to workers; '' when they are.

    Args:
        queue: the queue.
        paused: the queues that are paused: since when, and by whom.
        suspended: whether RQ's tools have suspended all workers.
    """
    if suspended:
        return f"all workers are suspended by RQ's tools: {RESUME}"
    if queue in paused:
        since, who = paused[queue]
        return f"queue {queue} is paused{f' by {who}' if who else ''} since {clock_time(since)}: xpm queue resume {queue}"
    return ""


def served(workers: Sequence[WorkerView], now: float, lease: float) -> frozenset[str]:
    """All that some worker serves, of which something was heard lately: 'queue:version'."""
    return frozenset(
        slot
        for worker in workers
        if not (worker.suspects or silent(worker, now, lease))
        for slot in worker.slots
    )


def hosts_for(job: JobView, workers: Sequence[WorkerView], now: float, lease: float) -> frozenset[str]:
    """The hosts with workers, of which something was heard lately, that could take a job."""
    return frozenset(
        worker.host
        for worker in workers
        if worker.serves(job.queue, job.version) and not silent(worker, now, lease)
    )


def struck(workers: Sequence[WorkerView], now: float, lease: float) -> list[WorkerView]:
    """The workers, of which something was heard lately, that get no jobs since several died there."""
    return [worker for worker in workers if worker.suspects and not silent(worker, now, lease)]


def unserved(queue: str, version: int, slots: Collection[str], struck: Sequence[WorkerView] = ()) -> str:
    """Why no worker can take a ready job, given all that workers serve; '' when one can.

    Args:
        queue: The job's queue.
        version: The version of its payload.
        slots: What the workers serve that get jobs, each 'queue:version'.
        struck: The workers that get none, since several died there.
    """
    if f"{queue}:{version}" in slots or any(s.startswith("*:") and int(s[2:]) >= version for s in slots):
        return ""
    if fitting := [one for one in struck if one.offers(queue, version)]:
        return _get_none(fitting)
    served = [slot.rpartition(":") for slot in slots]
    here = [int(kind) for name, _, kind in served if name in (queue, "*") and kind.isdigit()]
    if not slots:
        return f"no worker is there: xpm worker start{_option(queue)}"
    if not here:
        return f"no worker serves queue {queue}: xpm worker start{_option(queue)}"
    if version > max(here):
        return f"needs a worker of a newer xpm: payload version {version}, workers read {max(here)}"
    return f"needs a worker of an older xpm: payload version {version}, workers read {min(here)} and newer"


def _get_none(struck: Sequence[WorkerView]) -> str:
    """That these workers get no jobs, since which jobs died there, and what to do."""
    hosts = sorted({one.host for one in struck})
    died = dict.fromkeys(job[:8] for one in struck for job in one.suspects)
    return (
        f"the workers on {', '.join(hosts)} get no jobs, since {', '.join(died)} died there at once: "
        f"xpm worker drain {' '.join(hosts)}, then start them anew (an open script does that itself)"
    )


def _option(queue: str) -> str:
    return "" if queue == "default" else f" --queue {queue}"
