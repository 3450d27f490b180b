"""Read-only questions for people and scripts. Nothing here is on a job's way, and nothing changes anything."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from graphlib import TopologicalSorter
from typing import Any, NamedTuple, cast

from xpm.broker import rq
from xpm.broker.broker import Failure
from xpm.broker.jobview import FIELDS, JobView, job_of, worker_place
from xpm.broker.keys import slot_of
from xpm.broker.reader import Reader
from xpm.broker.wire import unpack
from xpm.core.naming import last_name
from xpm.core.spelling import nearest
from xpm.core.state import ENDED, State
from xpm.core.typeinfo import TypeInfo
from xpm.errors import UsageError
from xpm.types import Scalar, ShortId, short

_CHUNK = 500
_AHEAD = 1000

SICK = 3
"""So many different jobs that died in a row as soon as they had begun, and their pool gets no more (see `lua/lib/served.lua`)."""


@dataclass(frozen=True, slots=True)
class RunView:
    """A run of an experiment, with the number of its jobs per state."""

    token: str
    experiment: str
    name: str
    start: float
    code: str
    facts: Mapping[str, Any]
    total: int
    counts: Mapping[State, int]
    held: int
    """Jobs that a person holds, or that need more of a token than there is until somebody raises it."""
    settling: bool
    """The broker still spreads news through the graph: counts may change without any job running."""
    kept: int = 0
    """Jobs that the experiment gave up, and that went on for others; they may have ended, or be wanted again."""

    @property
    def open(self) -> int:
        """Jobs that will still move without anybody's help."""
        moving = (State.WAITING, State.READY, State.RUNNING, State.SCHEDULED)
        return sum(self.counts.get(state, 0) for state in moving)

    @property
    def ended(self) -> bool:
        """Every job is DONE, ERROR, CANCELLED, or on HOLD behind one of these; not while a person is to let one go."""
        return self.open == 0 and self.held == 0 and not self.settling

    @property
    def failed(self) -> bool:
        """Some job ended, or will stay, without a result."""
        return any(
            n for state, n in self.counts.items() if state in ENDED | {State.HOLD} and state != State.DONE
        )


@dataclass(frozen=True, slots=True)
class WorkerView:
    """A worker that was enrolled and has not departed."""

    name: str
    host: str
    pid: int
    pool: str
    slots: tuple[str, ...]
    """What it serves: 'queue:class'."""
    born: float
    seen: float
    job: ShortId | None
    suspects: tuple[ShortId, ...] = ()
    """Jobs that died one after the other as soon as they had begun, if its pool therefore gets no more."""
    stock: bool = False
    """Whether it is one of RQ's own, which claims each job as it starts it, and is heard of by RQ only."""
    behind: str = ""
    """RQ's name of the worker that has started it for one job, if that is one of RQ's own."""

    @property
    def names(self) -> frozenset[str]:
        """What people may call it: its host, its process, both, or all of its name."""
        host, pid = self.place
        return frozenset((self.name, host, pid, f"{host}.{pid}"))

    @property
    def place(self) -> tuple[str, str]:
        """Host and process; from the name when the broker has lost the rest."""
        host, process = worker_place(self.name)
        return self.host or host, str(self.pid or process)

    def serves(self, queue: str, version: int = 1) -> bool:
        """Whether it takes jobs of a queue and payload version, and is given them."""
        return not self.suspects and self.offers(queue, version)

    def offers(self, queue: str, version: int = 1) -> bool:
        """Whether it asks for jobs of a queue and payload version; `*` is every queue, up to its version."""
        return f"{queue}:{version}" in self.slots or any(
            slot.startswith("*:") and int(slot[2:]) >= version for slot in self.slots
        )


class Brake(NamedTuple):
    """A task whose jobs failed alike, so that the rest is held."""

    since: float
    failed: int
    """How many had failed."""
    task: str
    kind: str
    """The type of their failure."""

    def __str__(self) -> str:
        """In a sentence."""
        return f"{self.failed} jobs of {last_name(self.task)} failed alike ({self.kind}): the brake holds the rest"


@dataclass(frozen=True, slots=True)
class Progress:
    """What a running job last said of itself."""

    value: float
    desc: str


def _inputs(packed: bytes | None) -> list[ShortId]:
    """The inputs of a job, as they are kept: a byte for each, then 16 for each."""
    count = len(packed or b"") // 17
    return [ShortId((packed or b"")[count + 16 * i : count + 16 * i + 16].hex()) for i in range(count)]


class Views:
    """The questions, over one broker."""

    def __init__(self, broker: Reader) -> None:
        self._broker = broker
        self._client: Any = broker.client
        self._prefix = broker.prefix

    def close(self) -> None:
        """Closes the connections; a later question opens them again."""
        self._client.close()

    def _ask(self, question: Callable[[], Any]) -> Any:
        return self._broker.ask(question)

    def _pages(self, scan: Callable[[int], Any]) -> Iterator[Any]:
        """What one of Redis' SCAN commands finds, page by page: each is a question of its own."""
        at = 0
        while True:
            at, page = self._ask(lambda at=at: scan(at))
            yield page
            if not at:
                return

    # Jobs

    def jobs(self, ids: Sequence[str]) -> list[JobView | None]:
        """The jobs of these identifiers (or first halves); None where there is none."""
        found: list[JobView | None] = []
        for at in range(0, len(ids), _CHUNK):
            pipe = self._client.pipeline(transaction=False)
            chunk = [short(job) for job in ids[at : at + _CHUNK]]
            for job in chunk:
                pipe.hmget(f"{self._prefix}j:{job}", FIELDS)
            rows = cast(list[list[bytes | None]], self._ask(pipe.execute))
            found.extend(job_of(job, row) for job, row in zip(chunk, rows, strict=True))
        return found

    def job(self, job: str) -> JobView | None:
        """One job, or None."""
        return self.jobs([job])[0]

    def states(self, ids: Sequence[str]) -> list[tuple[State, str, str] | None]:
        """State, code and fence of jobs, None where unknown: a cheap advisory read before a submission."""
        found: list[tuple[State, str, str] | None] = []
        for at in range(0, len(ids), _CHUNK):
            pipe = self._client.pipeline(transaction=False)
            for job in ids[at : at + _CHUNK]:
                pipe.hmget(f"{self._prefix}j:{job[:32]}", "s", "c", "f")
            for state, code, fence in self._ask(pipe.execute):
                found.append(
                    (State(state.decode()), (code or b"").decode(), (fence or b"").decode())
                    if state
                    else None
                )
        return found

    def listing(self, state: State, limit: int = 1000, offset: int = 0) -> list[ShortId]:
        """Jobs in a state, those that entered it last first (READY: of each slot those that start next first)."""
        if state is State.READY:
            ids: list[ShortId] = []
            for slot in self._broker.slots():
                ids += self.ready(slot, offset + limit)
            return ids[offset : offset + limit]
        key = "leases" if state is State.RUNNING else f"s:{state}"
        return self._range(key, offset, offset + limit - 1, newest=True)

    def ready(self, slot: str, limit: int = 1000) -> list[ShortId]:
        """Jobs that are READY in a slot, 'queue:class', without tokens and with; by priority and order."""
        found: list[tuple[int, float, ShortId]] = []
        for line in self._lines([slot]):
            priority = int(line.rpartition(":")[2].partition(".")[0])
            members = cast(
                list[tuple[bytes, float]],
                self._ask(lambda line=line: self._client.zrange(line, 0, limit - 1, withscores=True)),
            )
            found += [(-priority, order, ShortId(job.decode())) for job, order in members]
        return [job for *_, job in sorted(found)[:limit]]

    def _lines(self, slots: Sequence[str]) -> list[str]:
        """The keys of all lines of READY jobs in some slots."""
        members = cast(set[bytes], self._ask(lambda: self._client.smembers(f"{self._prefix}groups")))
        groups = [*slots, *(group for group in map(bytes.decode, sorted(members)) if slot_of(group) in slots)]
        pipe = self._client.pipeline(transaction=False)
        for group in groups:
            pipe.zrange(f"{self._prefix}lanes:{group}", 0, -1)
        found = cast(list[list[bytes]], self._ask(pipe.execute))
        return [
            f"{self._prefix}ready:{group}:{lane.decode()}"
            for group, lanes in zip(groups, found, strict=True)
            for lane in lanes
        ]

    def ready_counts(self, slots: Sequence[str]) -> dict[str, int]:
        """How many jobs are READY in each slot."""
        lines = self._lines(slots)
        pipe = self._client.pipeline(transaction=False)
        for line in lines:
            pipe.zcard(line)
        counts = dict.fromkeys(slots, 0)
        for line, count in zip(lines, cast(list[int], self._ask(pipe.execute)), strict=True):
            counts[slot_of(line.removeprefix(f"{self._prefix}ready:"))] += count
        return counts

    def _range(self, key: str, first: int, last: int, *, newest: bool) -> list[ShortId]:
        found = self._ask(lambda: self._client.zrange(f"{self._prefix}{key}", first, last, desc=newest))
        return [ShortId(job.decode()) for job in found]

    def counts(self) -> dict[State, int]:
        """How many jobs of the namespace are in each state."""
        lines = self._lines(self._broker.slots())
        pipe = self._client.pipeline(transaction=False)
        plain = [state for state in State if state not in (State.READY, State.RUNNING)]
        for state in plain:
            pipe.zcard(f"{self._prefix}s:{state}")
        pipe.zcard(f"{self._prefix}leases")
        for line in lines:
            pipe.zcard(line)
        found = cast(list[int], self._ask(pipe.execute))
        counts = dict(zip(plain, found, strict=False))
        counts[State.RUNNING] = found[len(plain)]
        counts[State.READY] = sum(found[len(plain) + 1 :])
        return counts

    def find(self, prefix: str) -> list[ShortId]:
        """Jobs whose identifier begins with `prefix` (at least 4 digits), at most 20."""
        head = prefix[:32]
        if len(head) == 32:
            return (
                [ShortId(head)] if self._ask(lambda: self._client.exists(f"{self._prefix}j:{head}")) else []
            )
        start = f"{self._prefix}j:"
        found: list[ShortId] = []
        for page in self._pages(lambda at: self._client.scan(at, match=f"{start}{head}*", count=5000)):
            found += [ShortId(cast(bytes, key).decode()[len(start) :]) for key in page]
            if len(found) >= 20:
                break
        return sorted(set(found))[:20]

    def tasks(self) -> list[str]:
        """The names of the tasks that were ever submitted."""
        found = cast(list[bytes], self._ask(lambda: self._client.hvals(f"{self._prefix}types")))
        types = [TypeInfo.unpack(packed) for packed in found]
        return sorted({one.name for one in types if one.task})

    def inputs(self, job: str) -> list[ShortId]:
        """The jobs that this one depends on."""
        return _inputs(self._ask(lambda: self._client.get(f"{self._prefix}in:{short(job)}")))

    def successors(self, job: str, limit: int = 100) -> list[ShortId]:
        """The jobs that depend on this one."""
        name = f"{self._prefix}out:{short(job)}"
        data = cast(bytes, self._ask(lambda: self._client.getrange(name, 0, 36 * limit - 1)))
        named = list(dict.fromkeys(ShortId(data[at : at + 32].decode()) for at in range(0, len(data), 36)))
        return self._still_led_to(short(job), named)

    def successors_of(self, job: str, task: str) -> list[JobView]:
        """The jobs of a task among those that depend on this one."""
        data = cast(bytes, self._ask(lambda: self._client.get(f"{self._prefix}out:{short(job)}"))) or b""
        named = list(dict.fromkeys(ShortId(data[at : at + 32].decode()) for at in range(0, len(data), 36)))
        found: list[JobView] = []
        for at in range(0, len(named), _CHUNK):
            part = self.jobs(named[at : at + _CHUNK])
            found += [each for each in part if each is not None and each.task == task]
        led = set(self._still_led_to(short(job), [short(each.id) for each in found]))
        return [each for each in found if short(each.id) in led]

    def _still_led_to(self, job: ShortId, named: Sequence[ShortId]) -> list[ShortId]:
        """Those that depend on the job as they are now: one that was submitted again with others may be in its list."""
        still: list[ShortId] = []
        for at in range(0, len(named), _CHUNK):
            part = named[at : at + _CHUNK]
            pipe = self._client.pipeline(transaction=False)
            for each in part:
                pipe.get(f"{self._prefix}in:{each}")
            found = zip(part, self._ask(pipe.execute), strict=True)
            still += [each for each, inputs in found if job in _inputs(inputs)]
        return still

    def downstream(self, jobs: Sequence[str], limit: int) -> dict[ShortId, State]:
        """The jobs that depend on these, directly or not, and their states; at most `limit` are looked for."""
        seen = {short(job) for job in jobs}
        found: dict[ShortId, State] = {}
        frontier = [short(job) for job in jobs[:limit]]
        while frontier and len(found) < limit:
            named = self._led_to(frontier[:_CHUNK], limit)
            frontier = frontier[_CHUNK:]
            fresh = [job for job in named if job not in seen][: limit - len(found)]
            seen.update(fresh)
            frontier += fresh
            states = self.states(fresh)
            found |= {job: one[0] for job, one in zip(fresh, states, strict=True) if one is not None}
        return found

    def ordered(self, jobs: Sequence[str]) -> list[ShortId]:
        """These jobs, inputs before what needs them."""
        graph: dict[ShortId, list[ShortId]] = {short(job): [] for job in jobs}
        ids = list(graph)
        for at in range(0, len(ids), _CHUNK):
            pipe = self._client.pipeline(transaction=False)
            for job in ids[at : at + _CHUNK]:
                pipe.get(f"{self._prefix}in:{job}")
            for job, packed in zip(ids[at : at + _CHUNK], self._ask(pipe.execute), strict=True):
                graph[job] = [parent for parent in _inputs(packed) if parent in graph]
        return list(TopologicalSorter(graph).static_order())

    def _led_to(self, jobs: Sequence[str], limit: int) -> list[ShortId]:
        """The jobs that these lead to, each once; one that was given other inputs since is no longer meant."""
        pipe = self._client.pipeline(transaction=False)
        for job in jobs:
            pipe.getrange(f"{self._prefix}out:{job}", 0, 36 * limit - 1)
        leads: dict[ShortId, set[str]] = {}
        for job, data in zip(jobs, cast(list[bytes], self._ask(pipe.execute)), strict=True):
            for at in range(0, len(data), 36):
                leads.setdefault(ShortId(data[at : at + 32].decode()), set()).add(job)
        pipe = self._client.pipeline(transaction=False)
        for child in leads:
            pipe.hget(f"{self._prefix}j:{child}", "rw")
        rewired = [child for child, mark in zip(leads, self._ask(pipe.execute), strict=True) if mark]
        gone = {child for child in rewired if leads[child].isdisjoint(self.inputs(child))}
        return [child for child in leads if child not in gone]

    def paused(self) -> dict[str, tuple[float, str]]:
        """The queues that are paused: since when, and by whom."""
        found = cast(dict[bytes, bytes], self._ask(lambda: self._client.hgetall(f"{self._prefix}paused")))
        said = {queue.decode(): text.decode().partition(" ") for queue, text in found.items()}
        return {queue: (int(since) / 1000, who) for queue, (since, _, who) in sorted(said.items())}

    def brakes(self) -> list[Brake]:
        """The tasks whose jobs the brake holds, those first that it has held for longest."""
        found = cast(dict[bytes, bytes], self._ask(lambda: self._client.hgetall(f"{self._prefix}brakes")))
        said = [(task.decode(), *text.decode().split(" ", 3)) for task, text in found.items()]
        return sorted(
            (Brake(int(since) / 1000, int(failed), task, kind) for task, since, failed, _, kind in said),
        )

    def dismissed(self) -> set[str]:
        """The workers that were told to end."""
        found = self._ask(lambda: self._client.zrange(f"{self._prefix}dismissed", 0, -1))
        return {name.decode() for name in found}

    def suspended(self) -> bool:
        """Whether RQ's tools have suspended all workers."""
        return bool(self._ask(lambda: self._client.exists(rq.SUSPENDED)))

    def failure(self, job: str) -> Failure | None:
        """Why the last attempt of a job failed."""
        packed = self._ask(lambda: self._client.get(f"{self._prefix}err:{short(job)}"))
        if not packed:
            return None
        values = unpack(packed)
        return Failure(values["kind"], values["type"], values["message"], values["traceback"])

    def ahead(self, job: JobView) -> int:
        """How many ready jobs of its slot come before a READY job by priority and order; `_AHEAD` at most are looked at."""
        first = self.ready(f"{job.queue}:{job.version}", _AHEAD)
        own = short(job.id)
        return first.index(own) if own in first else len(first)

    def payloads(self, ids: Sequence[str]) -> list[bytes | None]:
        """The payloads of jobs."""
        names = [f"{self._prefix}p:{short(job)}" for job in ids]
        return cast(list[bytes | None], self._ask(lambda: self._client.mget(names))) if names else []

    def payload(self, job: str) -> bytes | None:
        """A job's payload."""
        return cast(bytes | None, self._ask(lambda: self._client.get(f"{self._prefix}p:{short(job)}")))

    def progress(self, ids: Sequence[str]) -> list[Progress | None]:
        """What running jobs last said of themselves."""
        if not ids:
            return []
        found = self._ask(lambda: self._client.hmget(f"{self._prefix}progress", [short(job) for job in ids]))
        return [_progress(packed) for packed in found]

    # Experiments

    def experiments(self) -> list[RunView]:
        """The newest run of every experiment, newest first."""
        serials = cast(
            dict[bytes, bytes], self._ask(lambda: self._client.hgetall(f"{self._prefix}experiments"))
        )
        pipe = self._client.pipeline(transaction=False)
        for serial in serials.values():
            pipe.lindex(f"{self._prefix}runs:{serial.decode()}", -1)
        tokens = [token.decode() for token in self._ask(pipe.execute) if token]
        views = [view for token in tokens if (view := self.run(token))]
        return sorted(views, key=lambda view: view.start, reverse=True)

    def runs(self, experiment: str) -> list[str]:
        """The tokens of an experiment's runs, oldest first."""
        serial = self._ask(lambda: self._client.hget(f"{self._prefix}experiments", experiment))
        if serial is None:
            return []
        found = self._ask(lambda: self._client.lrange(f"{self._prefix}runs:{serial.decode()}", 0, -1))
        return [token.decode() for token in found]

    def run(self, token: str) -> RunView | None:
        """A run and its counts."""
        pipe = self._client.pipeline(transaction=False)
        pipe.hgetall(f"{self._prefix}run:{token}")
        pipe.llen(f"{self._prefix}todo")
        fields, todo = cast(tuple[dict[bytes, bytes], int], self._ask(pipe.execute))
        if not fields:
            return None
        counts = {state: int(fields.get(state.encode(), 0)) for state in State}
        facts = cast(
            dict[str, Any],
            unpack(fields.get(b"facts", b"\x80")),
        )
        return RunView(
            token, fields[b"experiment"].decode(), fields[b"name"].decode(), int(fields[b"start"]) / 1000,
            fields.get(b"code", b"").decode(), facts, int(fields.get(b"total", 0)), counts, int(fields.get(b"held", 0)),
            todo > 0, int(fields.get(b"kept", 0)),
        )  # fmt: skip

    def members(self, token: str) -> Iterator[tuple[ShortId, dict[str, Scalar]]]:
        """The jobs that a run lists, with their tags there."""
        name = f"{self._prefix}tags:{token}"
        for page in self._pages(lambda at: self._client.hscan(name, at, count=_CHUNK)):
            for job, packed in page.items():
                yield ShortId(job.decode()), cast(dict[str, Scalar], unpack(packed))

    def tags(self, job: JobView) -> dict[str, dict[str, Scalar]]:
        """The tags of a job in each run that lists it, by the run's token."""
        found: dict[str, dict[str, Scalar]] = {}
        for token in job.runs:
            packed = self._ask(
                lambda token=token: self._client.hget(f"{self._prefix}tags:{token}", short(job.id))
            )
            if packed:
                found[token] = unpack(packed)
        return found

    # Workers

    def workers(self) -> list[WorkerView]:
        """The workers that are enrolled, then RQ's own that serve our queues."""
        enrolled, stock = self.enrolled(), {one.name: one for one in self._stock()}
        for one in enrolled:
            if one.behind in stock:
                stock[one.behind] = replace(stock[one.behind], job=one.job)
        return [*(one for one in enrolled if one.behind not in stock), *stock.values()]

    def enrolled(self) -> list[WorkerView]:
        """The workers that are enrolled: ours, and what RQ's own start for a job, as long as it runs."""
        names = [
            name.decode() for name in self._ask(lambda: self._client.zrange(f"{self._prefix}workers", 0, -1))
        ]
        pipe = self._client.pipeline(transaction=False)
        for name in names:
            pipe.hgetall(f"{self._prefix}w:{name}")
        found = [_worker(name, row) for name, row in zip(names, self._ask(pipe.execute), strict=True) if row]
        return self._suspected(found)

    def _stock(self) -> list[WorkerView]:
        """RQ's own workers on our queues."""
        queues = sorted({slot.partition(":")[0] for slot in self._broker.slots()})
        pipe = self._client.pipeline(transaction=False)
        for queue in queues:
            pipe.smembers(rq.workers(rq.queue(self._broker.namespace, queue)))
        serving: dict[str, list[str]] = {}
        for queue, found in zip(queues, self._ask(pipe.execute), strict=True):
            for key in found:
                serving.setdefault(key.decode(), []).append(queue)
        own = f"rq:worker:{self._broker.namespace}."
        keys = sorted(key for key in serving if not key.startswith(own))
        for key in keys:
            pipe.hgetall(key)
        there = [(key, row) for key, row in zip(keys, self._ask(pipe.execute), strict=True) if row]
        return [_stock(key, row, serving[key]) for key, row in there]

    def named(self, names: Sequence[str]) -> list[WorkerView]:
        """The workers that people call so, each once; see `WorkerView.names`.

        Raises:
            UsageError: a name is of none.
        """
        workers, found = self.enrolled(), dict[str, WorkerView]()
        for name in names:
            own = [one for one in workers if name in one.names]
            foreign = [] if own else [one for one in self._stock() if name in one.names]
            if foreign:
                host, pid = foreign[0].place
                raise UsageError(
                    f"{name}: is RQ's own worker, which ends after its job on SIGTERM: kill {pid}, on {host}"
                )
            if not own:
                hosts = sorted({one.place[0] for one in workers})
                known = f"; there are workers on {', '.join(hosts[:10])}" if hosts else ": there are none"
                raise UsageError(f"no worker or host {name!r}{nearest(name, hosts) or known}")
            found.update((one.name, one) for one in own)
        return list(found.values())

    def _suspected(self, workers: list[WorkerView]) -> list[WorkerView]:
        """The workers, each with the jobs for which its pool gets no more."""
        pools = sorted({worker.pool for worker in workers if worker.pool})
        names = [f"{self._prefix}sick:{pool}" for pool in pools]
        found = cast(list[bytes | None], self._ask(lambda: self._client.mget(names)) if names else [])
        suspects = {
            pool: tuple(ShortId(job) for job in text.decode().split())
            for pool, text in zip(pools, found, strict=True)
            if text and len(text.split()) >= SICK
        }
        return [replace(worker, suspects=suspects.get(worker.pool, ())) for worker in workers]


def _progress(packed: bytes | None) -> Progress | None:
    if not packed:
        return None
    value, desc = unpack(packed)[:2]
    return Progress(float(value), desc or "")


def _stock(key: str, row: dict[bytes, bytes], queues: Sequence[str]) -> WorkerView:
    """One of RQ's own workers, as RQ keeps it."""
    fields = {name.decode(): value.decode("utf-8", "replace") for name, value in row.items()}
    pid = fields.get("pid", "")
    return WorkerView(
        key.removeprefix("rq:worker:"), fields.get("hostname", ""), int(pid) if pid.isdigit() else 0, "rq",
        tuple(f"{queue}:1" for queue in queues), rq.moment(fields.get("birth", "")),
        rq.moment(fields.get("last_heartbeat", "")), None, stock=True,
    )  # fmt: skip


def _worker(name: str, row: dict[bytes, bytes]) -> WorkerView:
    fields = {key.decode(): value.decode("utf-8", "replace") for key, value in row.items()}
    return WorkerView(
        name, fields.get("host", ""), int(fields.get("pid", 0)), fields.get("pool", ""),
        tuple(fields.get("slots", "").split()), int(fields.get("born", 0)) / 1000, int(fields.get("seen", 0)) / 1000,
        ShortId(fields["g"]) if fields.get("g") else None, behind=fields.get("rq", ""),
    )  # fmt: skip
