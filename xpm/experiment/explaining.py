"""Why a job is not running: gathers what stands in its way, for `xpm.core.explain` to put it into words."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from xpm.broker.jobview import JobView
from xpm.broker.ledger import Ledger
from xpm.broker.reader import Reader, clock
from xpm.broker.silence import silent
from xpm.broker.standing import first_in_line, hosts_for, note, served, struck, unserved
from xpm.broker.views import Views
from xpm.core.explain import SHOWN, Facts, Hold, Line, Near, Need, Other, differences, explain
from xpm.core.lengths import duration
from xpm.core.message import TypeInfo, parameters, type_keys
from xpm.core.naming import last_name
from xpm.core.requirement import ALL, needs_of
from xpm.core.state import ENDED, State
from xpm.core.stock import lack_of, over, standing
from xpm.errors import MessageError
from xpm.experiment.obstacles import DEPENDENCY, why_held
from xpm.types import JobId

INPUTS = 5000
"""Inputs of a job that are looked at, at most."""

DONE_JOBS = 5000
"""Done jobs among which those of the same task are looked for, the newest first."""

COMPARED = 500
"""Jobs of the same task whose parameters are compared, at most."""

_WORST = (
    State.ERROR, State.LOST, State.CANCELLED, State.HOLD, State.RUNNING, State.READY, State.SCHEDULED, State.WAITING,
)  # fmt: skip


def why(reader: Reader, views: Views, job: JobId) -> list[str]:
    """Why a job is not running, one sentence each, the most important first."""
    found = views.job(job)
    return explain(gather(reader, views, found)) if found is not None else []


def gather(reader: Reader, views: Views, job: JobView) -> Facts:
    """What is known of a job, and of what stands in its way."""
    now = clock(reader)
    blocked = job.state in (State.WAITING, State.HOLD)
    silence, alone = _silence(reader, views, job, now)
    return Facts(
        job=_other(job),
        now=now,
        since=_since(job),
        reason="" if job.reason.lower() == job.state.lower() else job.reason,
        worker=".".join(filter(None, job.place)),
        stop=job.stop,
        who=job.who,
        silent=silence,
        alone=alone,
        inputs=job.inputs,
        unmet=job.blocked if job.state is State.HOLD else job.unmet,
        waits_for=_inputs(views, job, now) if blocked else (),
        holds=[_hold(reader, views, job, kind) for kind in job.holds],
        line=_line(reader, views, job, now) if job.state is State.READY else None,
        needs=_needs(reader, views, job, now),
        starts=job.due,
        near=_near(views, reader, job) if job.state is not State.DONE else None,
        retry=f"xpm retry {job.id[:8]}" if job.state in ENDED else "",
    )


def _since(job: JobView) -> float:
    if job.state is State.RUNNING:
        return job.started
    if job.state in ENDED:
        return job.ended
    return 0.0


def _silence(reader: Reader, views: Views, job: JobView, now: float) -> tuple[float, bool]:
    """Seconds since the worker of a job that runs was heard of, if it is gone, and whether all workers are."""
    workers = views.workers() if job.state is State.RUNNING else []
    gone = [one for one in workers if silent(one, now, reader.lease)]
    since = max((now - one.seen for one in gone if one.name == job.worker), default=0.0)
    return since, len(gone) == len(workers)


def _other(job: JobView, said: str = "") -> Other:
    return Other(job.label, job.id, job.state, said)


def _inputs(views: Views, job: JobView, now: float) -> list[Other]:
    """Inputs that are not done, those first that are the most in the way."""
    ids = views.inputs(job.id)[:INPUTS]
    states = zip(ids, views.states(ids), strict=True)
    open_ids = [(id, found[0]) for id, found in states if found is not None and found[0] is not State.DONE]
    open_ids.sort(key=lambda pair: _WORST.index(pair[1]))
    shown = [one for one in views.jobs([id for id, _ in open_ids[:SHOWN]]) if one is not None]
    return [_other(one, _said(views, one, now)) for one in shown]


def _said(views: Views, job: JobView, now: float) -> str:
    if job.state is State.HOLD and DEPENDENCY in job.holds:
        return why_held(views, job)
    if job.state is State.RUNNING:
        return f"for {duration(now - job.started)}"
    return note(job, None, now)


def _hold(reader: Reader, views: Views, job: JobView, kind: str) -> Hold:
    if kind == "person":
        return Hold(kind, job.who, job.asked, cure=f"xpm release {job.id[:8]}")
    if kind == "brake":
        text = next((str(brake) for brake in views.brakes() if brake.task == job.task), "")
        return Hold(kind, text=text, cure=f"xpm release --task {last_name(job.task)}")
    if kind == "capacity":
        return _capacity(reader, job)
    return Hold(kind)


def _capacity(reader: Reader, job: JobView) -> Hold:
    """What the job needs more of than there is."""
    needs = needs_of(job.needs)
    supplies = Ledger(reader).supplies([need.resource for need in needs])
    short = [need for need in needs if need.amount > supplies[need.resource].most]
    return Hold(
        "capacity",
        text=" and ".join(
            f"{need.amount:,} of token {need.name}, of which there are {supplies[need.resource].most:,}"
            for need in short
        ),
        cure="; ".join(f"xpm token set {need.name} {need.amount}" for need in short),
    )


def _needs(reader: Reader, views: Views, job: JobView, now: float) -> list[Need]:
    """The tokens and locks for which a ready job waits, or the code of one that runs; first what there is too little of."""
    ledger, found = Ledger(reader), list[Need]()
    workers = views.workers()
    if job.state is State.READY:
        wanted = [(job.id[:32], needs_of(job.needs), hosts_for(job, workers, now, reader.lease))]
    elif job.state is State.RUNNING:
        wanted = [(wish.id, needs_of(wish.needs), frozenset({wish.host})) for wish in ledger.wishes(job.id)]
    else:
        return []
    slots = served(workers, now, reader.lease)
    supplies = ledger.supplies({need.resource for _, needs, _ in wanted for need in needs})
    for id, needs, hosts in wanted:
        lack = lack_of(needs, supplies, hosts) if job.state is State.READY else None
        for need in needs:
            stock = supplies[need.resource].of(need, hosts)
            if job.state is State.RUNNING:
                lacking = over(need, stock)
            else:
                lacking = str(lack) if lack is not None and lack.need is need else ""
            free = stock.free >= need.amount
            first = first_in_line(ledger, need.resource, slots) if free else None
            if first is not None and first.id == id:
                first = None
            if lacking or first is not None or not free:
                reserved = first.name if first is not None else ""
                holders = _holders(ledger, need.resource, need.kind, now)
                found.append(Need(standing(need, stock), holders, reserved, free=free, lack=lacking))
    return sorted(found, key=lambda one: not one.lack)


def _holders(ledger: Ledger, resource: str, kind: str, now: float) -> list[str]:
    return [
        f"{one.label}{f' {one.job[:8]}' if one.job else ''}"
        f"{f' of {one.workspace}' if one.workspace else ''} {_use(kind, one.amount)} "
        f"for {duration(now - one.since)}"
        for one in ledger.holders(resource)[:SHOWN]
    ]


def _use(kind: str, amount: int) -> str:
    if kind != "l":
        return f"has {amount:,}"
    return "is writing it" if amount >= ALL else "is reading it"


def _line(reader: Reader, views: Views, job: JobView, now: float) -> Line:
    lease = reader.lease
    workers = views.workers()
    fitting = [one for one in workers if not silent(one, now, lease) and one.serves(job.queue, job.version)]
    paused = views.paused().get(job.queue)
    return Line(
        job.queue,
        unserved(job.queue, job.version, served(workers, now, lease), struck(workers, now, lease)),
        Hold("pause", paused[1], paused[0], cure=f"xpm queue resume {job.queue}") if paused else None,
        views.suspended(),
        len(fitting),
        sum(one.job is None for one in fitting),
        views.ahead(job),
    )


def _near(views: Views, reader: Reader, job: JobView) -> Near | None:
    """The done job of the same task with the fewest different parameters, the newest of several."""
    mine = _parameters(reader, [job.id], views.payloads([job.id]))
    if not mine:
        return None
    ids = views.listing(State.DONE, DONE_JOBS + 1)
    same = [one for one in _of_task(views, ids[:DONE_JOBS], job.task) if one.id != job.id]
    compared = same[:COMPARED]
    found = _parameters(reader, [one.id for one in compared], views.payloads([one.id for one in compared]))
    by_id: dict[str, JobView] = {one.id: one for one in compared}
    best = min(
        ((differences(mine[job.id], theirs), id) for id, theirs in found.items()),
        key=lambda pair: len(pair[0]),
        default=None,
    )
    if best is None:
        return None
    return Near(
        _other(by_id[best[1]]), best[0], len(found), all=len(same) <= COMPARED and len(ids) <= DONE_JOBS
    )


def _of_task(views: Views, ids: Sequence[str], task: str) -> Iterator[JobView]:
    count = 0
    for at in range(0, len(ids), COMPARED):
        for one in views.jobs(ids[at : at + COMPARED]):
            if one is not None and one.task == task:
                count += 1
                yield one
        if count > COMPARED:
            return


def _parameters(
    reader: Reader, ids: Sequence[str], payloads: Sequence[bytes | None]
) -> dict[str, dict[str, object]]:
    """The parameters of jobs, as far as they can be read."""
    known: dict[str, TypeInfo] = {}
    found: dict[str, dict[str, object]] = {}
    for id, payload in zip(ids, payloads, strict=True):
        if payload is None:
            continue
        try:
            missing = [key for key in type_keys(payload) if key not in known]
            known |= {key: TypeInfo.unpack(packed) for key, packed in reader.types(missing).items()}
            found[id] = dict(parameters(payload, known))
        except MessageError:  # of a newer xpm: it can't be compared
            continue
    return found
