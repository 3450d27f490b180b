"""The broker: one short method per verb, each one call of one Lua script."""

from __future__ import annotations

import zlib
from base64 import b64encode
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal, NamedTuple, cast

from redis import Redis

from xpm.broker.control import Control
from xpm.broker.line import Call
from xpm.broker.reader import SCHEMA, refuse_newer
from xpm.broker.resources import FENCED, STOPPING
from xpm.broker.scripts import BUDGET, source
from xpm.broker.wire import pack, unpack_raw
from xpm.core.state import State
from xpm.errors import BrokerError, ExperimentCancelled, JobError, RunForgotten
from xpm.types import Fence, JobId, Namespace, Scalar, short

BATCH_JOBS = 100
"""Jobs that one call submits at most."""

BATCH_BYTES = 4 << 20
"""Bytes of payloads that one call submits at most, if it submits more than one job."""

DISK_MS = 1200
"""How long a submission waits for the server's disk: a little more than the second within which it writes."""

REPLICA_MS = 200
"""How long it then waits for a replica."""

Known = Literal["no", "removed", "recorded"]

Silence = Literal["crashed", "lost"]
"""An end without a word: of a process that had begun, by itself; of one that went with others, or never began."""

End = Literal[Silence, "returned"]
"""What a worker's end is to its job, which has not ended itself: one of these, or nobody's doing."""


class Entry(NamedTuple):
    """One job to submit."""

    id: JobId
    task: str
    label: str
    payload: bytes
    inputs: tuple[JobId, ...] = ()
    tags: Mapping[str, Scalar] = MappingProxyType({})
    queue: str = "default"
    version: int = 1
    """Payload version: only workers that read it are offered the job."""
    priority: int = 0
    known: Known = "no"
    """`removed`: the broker calls it DONE and its directory is gone; `recorded`: its record was found."""
    fence: str = ""
    """The fence of the record that was found; for `removed` the one that the broker named (if that is not the
    latest, the job was done again meanwhile and is reused)."""
    code: str = ""
    """The code that made the record that was found."""
    wishes: Mapping[str, str | int] = MappingProxyType({})
    """How it is to be run, beyond queue and priority: fields of the job that the newest submission sets, see `lua/lib/entries.lua`."""


class Outcome(NamedTuple):
    """What became of an entry."""

    id: JobId
    state: State
    action: str
    """`new`, `joined`, `reused` or `retried`."""
    code: str
    """The code that the job runs, or ran."""


Told = Callable[[Sequence[Entry], Sequence[Outcome]], None]
"""What hears of entries that the broker has answered, and what became of them."""


@dataclass(frozen=True, slots=True)
class Run:
    """One execution of an experiment's script."""

    token: str
    """`<experiment serial>.<run serial>`"""
    experiment: str
    name: str
    start: int
    """When it began, in milliseconds of the server's clock."""
    code: str

    @property
    def serial(self) -> str:
        """The experiment's serial."""
        return self.token.partition(".")[0]


class Execution(NamedTuple):
    """One execution of a job."""

    job: JobId
    number: int


@dataclass(frozen=True, slots=True)
class Claim:
    """A job that was granted to a worker."""

    id: JobId
    task: str
    label: str
    execution: int
    fence: Fence
    attempt: int
    payload: bytes
    code: str
    queue: str
    inputs: int
    """How many inputs the job has."""
    fences: tuple[str, ...]
    """Fences of the first 250 of them, in their order; the rest is asked with `fences()`."""
    policy: str = ""
    """When it is attempted again, packed by `xpm.core.retries`; empty: never."""
    retried: int = 0
    """Attempts that the policy has granted so far."""
    limit: float = 0.0
    """Seconds that the attempt may take; 0: as long as it takes."""
    resumable: bool = False
    """Whether the job's directory is kept between attempts."""
    replaces: str = ""
    """The fence of a record that stays until there is a new one, and does not count as that; or empty."""
    needs: str = ""
    """What it holds of tokens and locks."""
    losses: int = 0
    """Executions that ended with their zygote, pool or host, by nobody knows whose doing."""
    environ: str = ""
    """Variables of its environment, packed by `xpm.core.environ`."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What a worker's call brought."""

    outcome: str
    """What became of the report: `ok`, `done`, a state, `fenced`, `refused` or `stale`; or `stranger`: the broker does not
    know the worker, which must enrol again; or `dismissed`: it is to end."""
    claim: Claim | None
    backlog: int
    """Not 0: there is more to do for the graph; without a claim, the worker calls again at once."""
    due: float | None = None
    """In how many seconds, if it is idle, the next job may start that waits for its moment."""
    suspects: tuple[str, ...] = ()
    """The jobs that died one after the other as soon as they had begun, if the worker's pool therefore gets no more."""


@dataclass(frozen=True, slots=True)
class Failure:
    """Why an execution has no result."""

    kind: str
    """`exception`, `exit`, `signal`, `oom`, `timeout`, `disk`, `import`, `result`, `refused`, `lost` or `killed`."""
    type: str
    message: str
    traceback: str = ""

    @property
    def line(self) -> str:
        """One line about it, for tables: what is cut ends in an ellipsis."""
        line = f"{self.type}: {self.message}".splitlines()[0] if self.message else self.type
        return line if len(line) <= 60 else f"{line[:59]}…"

    def pack(self) -> bytes:
        """As it is kept in the broker; long texts lose their middle."""
        values = {"kind": self.kind, "type": self.type, "message": self.message, "traceback": self.traceback}
        return pack({k: _cut(v) for k, v in values.items()})


def _cut(text: str, limit: int = 8000) -> str:
    text = text.encode("utf-8", "replace").decode()
    return text if len(text) <= limit else f"{text[: limit // 2]}\n[...]\n{text[-limit // 2 :]}"


class Broker(Control):
    """The graph of one namespace.

    Every verb may be repeated: guarded by state, execution and the number of the worker's call.

    Args:
        client: a connection pool with `decode_responses=False`; each new connection says hello.
        namespace: the workspace's namespace.
        lease: how long a worker may be silent before its job runs elsewhere, in seconds.
        budget: edges that one call settles at most.
        brake: so many jobs of a task that fail alike, with none that is done between, have the rest held; 0: never.
    """

    def __init__(
        self,
        client: Redis,
        namespace: Namespace,
        *,
        lease: float = 30.0,
        budget: int = BUDGET,
        brake: int = 20,
    ) -> None:
        super().__init__(client, namespace, lease=lease, budget=budget)
        self._brake = brake
        self._budget = budget
        self._known_types: set[str] = set()
        self._epoch = ""

    def _greet(self, connection: Any) -> None:
        """Introduce a new connection, so that another life of the server is noticed before anything else is said."""
        connection.on_connect()
        connection.send_command("INFO", "server")
        info = connection.read_response()
        text = info.decode() if isinstance(info, bytes) else str(info)
        server = text.partition("run_id:")[2].split()[0]
        connection.send_command("EVAL", source("hello"), 0, self.prefix, server, self._lease_ms, SCHEMA)
        self._known_types.clear()  # another life of the server may have lost them
        epoch, schema = connection.read_response()
        self._epoch = epoch.decode()
        refuse_newer(int(schema))

    # Scripts of users

    def open(self, experiment: str, run: str, code: str = "", facts: Mapping[str, Any] | None = None) -> Run:
        """Begin a run; the same names give the same run."""
        packed = pack(dict(facts or {}))
        token, start = self._scripts.run("open", experiment, run, code, packed)
        return Run(token.decode(), experiment, run, int(start), code)

    def submit(
        self,
        run: Run,
        entries: Iterable[Entry],
        types: Mapping[str, bytes] | None = None,
        told: Told | None = None,
        by: Execution | None = None,
    ) -> list[Outcome]:
        """Add jobs to a run, inputs before what needs them; what exists is joined, never doubled.

        Entries may be made while earlier ones are on their way, and `types` may grow meanwhile. `told` hears what
        became of each batch as soon as it is known. `by` is the execution of a job that submits them.

        Raises:
            JobError: that execution has ended, or somebody has asked for it to end.
            ExperimentCancelled: somebody has called the experiment off, and no job submits them.
            RunForgotten: the broker has lost its memory since the run was opened.
            BrokerError: two identifiers share their first half (the broker's data is damaged).
        """
        batches: deque[Sequence[Entry]] = deque()

        def calls() -> Iterator[Call]:
            for batch in _batches(entries, self._budget):
                self._tell_types(types or {})
                batches.append(batch)
                rows = pack([_row(entry) for entry in batch])
                yield (run.token, run.start, run.code, rows, *((short(by.job), by.number) if by else ("", 0)))

        outcomes: list[Outcome] = []
        parked = set[str]()
        for replies in self._scripts.run_each("submit", calls()):
            if not replies:
                raise RunForgotten(f"the broker does not know the run {run.experiment}/{run.name} any more")
            if replies[0] == b"off":
                who = replies[1].decode()
                raise ExperimentCancelled(
                    f"{run.experiment} was cancelled{f' by {who}' if who else ''}: nothing more of it is submitted; "
                    "to begin it anew, run the script again"
                )
            if isinstance(replies[0], bytes):
                raise JobError(_REFUSED[replies[0]])
            batch = batches.popleft()
            became = list(map(_outcome, batch, replies))
            outcomes += became
            if told is not None:
                told(batch, became)
            parked.update(f"{entry.queue}:{entry.version}" for entry in batch if entry.wishes.get("rs"))
        for slot in parked:  # RQ's lists show which of those that wait for tokens may have theirs
            self.refill(slot)
        return outcomes

    def secure(self) -> None:
        """Wait until what was submitted is on the server's disk, and at a replica if there are any.

        For a moment at most: a server that is slower, or knows no such wait, is left to itself.
        """
        replication = self.ask(lambda: self.client.info("replication"))
        waits: Any = self.client.pipeline(transaction=False)
        waits.ping()  # a connection waits for what was written before its last call, by whomever
        waits.execute_command("WAITAOF", 1, 0, DISK_MS)
        if int(replication.get("connected_slaves", 0)):
            waits.execute_command("WAIT", 1, REPLICA_MS)
        self.ask(lambda: waits.execute(raise_on_error=False))

    def _tell_types(self, types: Mapping[str, bytes]) -> None:
        fresh = {key: types[key] for key in types.keys() - self._known_types}
        if fresh:
            self.ask(lambda: self.client.hset(f"{self.prefix}types", mapping=cast(dict[Any, Any], fresh)))
            self._known_types.update(fresh)

    def drain(self) -> int:
        """Go on with one chunk of the continuation list; returns what is left."""
        return int(self._scripts.run("drain"))

    def settle(self) -> None:
        """Go on until nothing is left: all jobs are where their inputs put them."""
        while self.drain():
            pass

    def rank(self, ranks: Mapping[JobId, int]) -> int:
        """Give jobs that have not begun other ranks within their experiment; returns how many were changed.

        Args:
            ranks: see `xpm.core.chains`; the larger goes first.
        """
        flat = [part for job, rank in ranks.items() for part in (short(job), rank)]
        parts = (flat[at : at + 2 * BATCH_JOBS] for at in range(0, len(flat), 2 * BATCH_JOBS))
        return sum(
            int(changed) for changed in self._scripts.run_each("rank", ((pack(part),) for part in parts))
        )

    def resume(self, queues: Sequence[str]) -> list[str]:
        """Grant jobs of queues again, and show them to RQ; returns those that were paused."""
        fresh = super().resume(queues)
        for queue in fresh:
            self.refill(f"{queue}:1")
        return fresh

    # Workers

    def enrol(self, worker: str, facts: Mapping[str, str | int]) -> None:
        """A worker's life begins; its calls are numbered from 1 on."""
        pairs = [item for pair in facts.items() for item in pair]
        self._scripts.run("enrol", worker, *pairs)

    def depart(self, worker: str, why: str = "its worker died", end: End = "crashed") -> str:
        """A worker's life is over; a job that it still holds runs again. Returns that job's short id, or ''."""
        return cast(bytes, self._scripts.run("depart", worker, why, end)).decode()

    def claim(self, worker: str, number: int, slots: str) -> Reply:
        """Ask for a job. `slots`: what the worker serves, 'queue:class ...'."""
        return self._numbered("claim", worker, number, slots)

    def take(self, worker: str, number: int, job: str) -> Reply:
        """Claim just the job that RQ handed out."""
        return self._numbered("take", worker, number, "", short(job))

    def finish(self, worker: str, number: int, slots: str, job: str, execution: int, fence: str) -> Reply:
        """The result is published under `fence`; go on with the next job."""
        return self._report("finish", worker, number, slots, job, execution, fence)

    def fail(
        self,
        worker: str,
        number: int,
        slots: str,
        job: str,
        execution: int,
        failure: Failure,
        again: bool = False,
    ) -> Reply:
        """The execution failed; go on with the next job. `again`: the job's policy covers that, if its budget allows."""
        text = failure.traceback or failure.line
        rq_text = b64encode(zlib.compress(_cut(text).encode()))
        cause = f"{failure.kind} {failure.type}"
        told = (failure.pack(), _cut(failure.line), rq_text, int(again), cause, self._brake)
        return self._report("fail", worker, number, slots, job, execution, *told)

    def crash(
        self,
        worker: str,
        number: int,
        slots: str,
        job: str,
        execution: int,
        what: str,
        end: Silence = "crashed",
    ) -> Reply:
        """The job's process died without a word, or never came about; it runs again, up to a limit."""
        return self._report("crash", worker, number, slots, job, execution, what, end)

    def hand_back(self, worker: str, number: int, slots: str, job: str, execution: int, why: str) -> Reply:
        """Hand a job back, uncounted."""
        return self._report("hand_back", worker, number, slots, job, execution, why)

    def adjourn(self, worker: str, number: int, slots: str, job: str, execution: int, why: str) -> Reply:
        """The task ended itself to be continued: at once and uncounted, unless it gets nowhere."""
        return self._report("adjourn", worker, number, slots, job, execution, why)

    def miss(self, worker: str, number: int, slots: str, job: str, execution: int, missing: str) -> Reply:
        """An input's record is gone: its producer runs again and the job waits for it."""
        return self._report("miss", worker, number, slots, job, execution, short(missing))

    def _report(
        self,
        verb: str,
        worker: str,
        number: int,
        slots: str,
        job: str,
        execution: int,
        *more: str | bytes | int,
    ) -> Reply:
        return self._numbered(verb, worker, number, slots, short(job), execution, *more)

    def _numbered(self, verb: str, worker: str, number: int, slots: str, *more: str | bytes | int) -> Reply:
        call = (verb, worker, number, self._lease_ms, slots, *more)
        if not self._epoch:
            self.hello()
        return _reply(self._greeted(lambda: self._scripts.run(*call, self._epoch)))

    def renew(
        self, worker: str, job: str, execution: int, progress: bytes = b"", reached: float | None = None
    ) -> str:
        """Keep a lease; returns `ok`, `fenced`, or, when somebody asked for the job's end, `cancel` or `stop`.

        Args:
            worker: who holds it.
            job: the job.
            execution: its execution.
            progress: what the task said of itself, packed.
            reached: the progress of a task that can be resumed: going further than ever forgives earlier losses.
        """
        far = "" if reached is None else round(reached * 1_000_000)
        said = self._scripts.run("renew", worker, short(job), execution, self._lease_ms, progress, far)
        return cast(bytes, said).decode()

    # The sweeper

    def overdue(self) -> tuple[int, list[tuple[str, int, str]]]:
        """First look: the server's time and (job, execution, renewals) of leases that ran out.

        Fails where nothing can be written. A holder of tokens or locks that is no job is named `@<name>`, for `lapse`.
        """
        found = self._scripts.run("overdue")
        return int(found[0]), [(i.decode(), int(x or 0), n.decode()) for i, x, n in found[1:]]

    def neglected(self) -> dict[Namespace, float]:
        """Other workspaces of the server that use tokens, after whose dead nobody looks; and their leases, in seconds."""
        found = self._scripts.run("neglected")
        return {
            Namespace(prefix.decode().split(":")[1]): lease / 1000
            for prefix, lease in zip(found[::2], found[1::2], strict=True)
        }

    def expire(self, job: str, execution: int, renewals: str, looked: int) -> bool:
        """Second look, a third of a lease after the first: take the lease away."""
        return bool(self._scripts.run("expire", job, execution, renewals, looked, self._lease_ms // 3))

    def repair(self, state: State, offset: int, count: int = 100) -> int:
        """Make RQ's view of a page of jobs true again; returns how many were shown anew."""
        return int(self._scripts.run("repair", state, offset, count))

    def refill(self, slot: str, count: int = 250) -> bool:
        """Make RQ's list of a queue show the first ready jobs; returns whether it was wrong."""
        return bool(self._scripts.run("refill", slot, count))

    def refill_all(self) -> None:
        """Make RQ's lists of all queues show the first ready jobs, whoever has emptied them."""
        for slot in self.slots():
            self.refill(slot)


def _batches(entries: Iterable[Entry], budget: int) -> Iterator[Sequence[Entry]]:
    batch: list[Entry] = []
    edges = size = 0
    for entry in entries:
        edges += len(entry.inputs)
        size += len(entry.payload)
        if batch and (len(batch) >= BATCH_JOBS or edges > budget or size > BATCH_BYTES):
            yield batch
            batch, edges, size = [], len(entry.inputs), len(entry.payload)
        batch.append(entry)
    if batch:
        yield batch


_REFUSED = {b"fenced": FENCED, b"stopping": STOPPING}
"""Why a job can't submit."""

_STATES = {state.value.encode(): state for state in State}


def _outcome(entry: Entry, reply: list[bytes]) -> Outcome:
    state, action, code = reply
    if action == b"clash":
        raise BrokerError(f"job {entry.id}: another job has the same first 32 digits")
    return Outcome(entry.id, _STATES[state], action.decode(), code.decode())


_KNOWN = {"no": 0, "removed": 1, "recorded": 2}


def _row(entry: Entry) -> tuple[Any, ...]:
    job, task, label, payload, inputs, tags, queue, version, priority, known, fence, code, wishes = entry
    packed = bytes.fromhex("".join([each[:32] for each in inputs])) if inputs else b""
    packed_tags = pack(dict(tags)) if tags else b"\x80"
    return (
        job, task, label, payload, packed, packed_tags, queue, str(version), priority, _KNOWN[known], fence, code,
        [part for wish in wishes.items() for part in wish] if wishes else (),
    )  # fmt: skip


def _reply(found: list[Any]) -> Reply:
    outcome, grant, backlog, due, *more = found
    claim = _claim(grant) if grant else None
    suspects = tuple(more[0].decode().split()) if more else ()
    return Reply(outcome.decode(), claim, int(backlog), None if due == b"" else int(due) / 1000, suspects)


def _claim(grant: bytes) -> Claim:
    job, task, execution, fence, attempt, payload, code, queue, inputs, fences, label, *how = unpack_raw(
        grant
    )
    policy, retried, limit, resumable, replaces, needs, losses, environ = how
    return Claim(
        JobId(job.decode()), task.decode(), label.decode("utf-8", "surrogateescape"), int(execution),
        Fence(fence.decode()), int(attempt), payload, (code or b"").decode(), queue.decode(), int(inputs),
        tuple(value.decode() for value in fences) if fences else (), policy.decode(), int(retried), int(limit) / 1000,
        int(resumable) > 0, replaces.decode(), needs.decode(), int(losses), environ.decode(),
    )  # fmt: skip
