"""The graph as one would explain it: no counters, no edges' bytes, no continuations, no RQ.

A job that is not running, done, failed or cancelled is where the states of its inputs put it, at once. The engine
gets there in bounded steps; when nothing is left to settle, both must say the same. The methods are the engine's
verbs.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from xpm.broker.broker import Entry
from xpm.core.state import State
from xpm.types import short

PENDING = State.WAITING
"""How a job that may still start is noted; where it stands follows from its inputs."""

BLOCKS = {State.ERROR, State.CANCELLED, State.HOLD, State.LOST}
CRASHES = 3


@dataclass
class Job:
    id: str
    inputs: tuple[str, ...]
    queue: str
    version: int
    priority: int
    order: int
    noted: State = PENDING
    wanted: set[str] = field(default_factory=set)
    runs: dict[str, str] = field(default_factory=dict)
    retried_by: str = ""
    execution: int = 0
    attempts: int = 0
    crashes: int = 0
    renewals: int = 0
    worker: str = ""
    ended: int = 0
    stop: bool = False
    fence: str = ""

    @property
    def slot(self) -> str:
        return f"{self.queue}:{self.version}"


@dataclass
class Life:
    number: int = 0
    granted: str = ""
    execution: int = 0


@dataclass
class Run:
    token: str
    start: int
    listed: set[str] = field(default_factory=set)

    @property
    def serial(self) -> str:
        return self.token.partition(".")[0]


class Model:
    def __init__(self) -> None:
        self.jobs: dict[str, Job] = {}
        self.runs: dict[str, Run] = {}
        self.names: dict[tuple[str, str], str] = {}
        self.serials: dict[str, str] = {}
        self.workers: dict[str, Life] = {}
        self.time = 0
        self.suspended = False
        self.servers = 0

    # What follows from what is noted

    def state(self, job: str) -> State:
        return self.states([job])[job]

    def states(self, jobs: Iterable[str] | None = None) -> dict[str, State]:
        known: dict[str, State] = {}

        def look(id: str) -> State:
            if id not in self.jobs:
                return State.WAITING
            if id not in known:
                job = self.jobs[id]
                known[id] = job.noted
                if job.noted is PENDING:
                    inputs = {look(parent) for parent in job.inputs}
                    if inputs & BLOCKS:
                        known[id] = State.HOLD
                    elif inputs - {State.DONE}:
                        known[id] = State.WAITING
                    else:
                        known[id] = State.READY
            return known[id]

        return {id: look(id) for id in (self.jobs if jobs is None else jobs)}

    def best(self, slots: str) -> str:
        """The job that a worker serving `slots` must get, or ''."""
        if self.suspended:
            return ""
        served = self.served(slots)
        states = self.states()
        for queue in dict.fromkeys(slot.rpartition(":")[0] for slot in served):
            fitting = [
                job
                for job in self.jobs.values()
                if states[job.id] is State.READY and job.queue == queue and job.slot in served
            ]
            if fitting:
                return min(fitting, key=lambda job: (-job.priority, job.order)).id
        return ""

    def served(self, slots: str) -> list[str]:
        """The slots by name; `*:2` is every queue up to class 2."""
        if not slots.startswith("*:"):
            return slots.split()
        return sorted({job.slot for job in self.jobs.values() if job.version <= int(slots[2:])})

    def running(self) -> list[Job]:
        return [job for job in self.jobs.values() if job.noted is State.RUNNING]

    # Verbs of scripts

    def hello(self) -> None:
        self.servers += 1

    def open(self, experiment: str, name: str) -> str:
        self.time += 1
        serial = self.serials.setdefault(experiment, str(len(self.serials) + 1))
        if (experiment, name) not in self.names:
            token = f"{serial}.{len(self.runs) + 1}"
            self.names[experiment, name] = token
            self.runs[token] = Run(token, self.time)
        return self.names[experiment, name]

    def submit(self, token: str, entries: Sequence[Entry]) -> list[str]:
        return [self._submit(self.runs[token], entry) for entry in entries]

    def _submit(self, run: Run, entry: Entry) -> str:
        self.time += 1
        id = short(entry.id)
        job = self.jobs.get(id)
        if job is None:
            inputs = tuple(short(parent) for parent in entry.inputs)
            job = Job(id, inputs, entry.queue, entry.version, entry.priority, len(self.jobs) + 1)
            self.jobs[id] = job
            self._enlist(run, job)
            if entry.known == "recorded":
                job.noted, job.ended, job.fence = State.DONE, self.time, entry.fence
            return "new"
        other = job.runs.get(run.serial)
        newer = other is not None and int(other.partition(".")[2]) > int(run.token.partition(".")[2])
        newly = self._enlist(run, job)
        job.priority = max(job.priority, entry.priority)
        if job.noted is State.RUNNING:
            return "joined"
        if job.noted is State.DONE:
            if entry.known != "removed" or entry.fence not in ("", job.fence):
                return "reused"
        elif job.noted is PENDING:
            if not newer:
                self._renewed(job, entry)
            return "joined"
        else:
            earlier = job.ended < run.start or (newly and job.noted is State.CANCELLED)
            if not earlier or job.retried_by == run.token:
                return "joined"
            job.retried_by = run.token
        self._renewed(job, entry)
        job.noted = PENDING
        return "retried"

    def _renewed(self, job: Job, entry: Entry) -> None:
        job.queue, job.version, job.crashes = entry.queue, entry.version, 0
        job.inputs = tuple(short(parent) for parent in entry.inputs)

    def _enlist(self, run: Run, job: Job) -> bool:
        job.wanted.add(run.serial)
        other = job.runs.get(run.serial)
        if other is not None and int(other.partition(".")[2]) >= int(run.token.partition(".")[2]):
            return False
        job.runs[run.serial] = run.token
        run.listed.add(job.id)
        return True

    def drain(self) -> None:
        """There is nothing to settle here."""

    def cancel(self, serial: str, jobs: Sequence[str]) -> tuple[int, int, int]:
        self.time += 1
        cancelled = stopping = kept = 0
        for id in jobs:
            job = self.jobs.get(short(id))
            if job is None or job.noted not in (PENDING, State.RUNNING):
                continue
            job.wanted.discard(serial)
            if job.wanted:
                kept += 1
            elif job.noted is State.RUNNING:
                stopping += 1
                job.stop = True
            else:
                cancelled += 1
                job.noted, job.ended = State.CANCELLED, self.time
        return cancelled, stopping, kept

    # Verbs of workers

    def enrol(self, worker: str) -> None:
        self.workers[worker] = Life()

    def depart(self, worker: str) -> str:
        life = self.workers.pop(worker, Life())
        job = self.held(worker, life.granted, life.execution)
        if job is None:
            return ""
        self._lost(job)
        return job.id

    def held(self, worker: str, id: str, execution: int) -> Job | None:
        job = self.jobs.get(short(id))
        if job and job.noted is State.RUNNING and (job.worker, job.execution) == (worker, execution):
            return job
        return None

    def claim(self, worker: str, number: int) -> str:
        self.workers[worker].number = number
        self.workers[worker].granted = ""
        return "ok"

    def take(self, worker: str, number: int, id: str) -> str:
        self.claim(worker, number)
        return "ok" if self.state(short(id)) is State.READY else "refused"

    def granted(self, worker: str, id: str, execution: int, fence: str) -> None:
        """What the engine granted at the end of a worker's call."""
        job = self.jobs[short(id)]
        assert job.noted is PENDING, f"{job.id} was granted while {job.noted}"
        assert execution == job.execution + 1
        job.noted, job.worker, job.fence = State.RUNNING, worker, fence
        job.execution, job.renewals, job.attempts, job.stop = execution, 0, job.attempts + 1, False
        self.workers[worker].granted, self.workers[worker].execution = job.id, execution

    def finish(self, worker: str, number: int, id: str, execution: int, fence: str) -> str:
        self.claim(worker, number)
        job = self.held(worker, id, execution)
        if job is None:
            return "fenced"
        self.time += 1
        job.noted, job.ended, job.crashes, job.stop = State.DONE, self.time, 0, False
        job.fence = fence
        return "done"

    def fail(self, worker: str, number: int, id: str, execution: int) -> str:
        self.claim(worker, number)
        job = self.held(worker, id, execution)
        return "fenced" if job is None else self._unfinished(job, State.ERROR)

    def crash(self, worker: str, number: int, id: str, execution: int) -> str:
        self.claim(worker, number)
        job = self.held(worker, id, execution)
        return "fenced" if job is None else self._lost(job)

    def hand_back(self, worker: str, number: int, id: str, execution: int) -> str:
        self.claim(worker, number)
        job = self.held(worker, id, execution)
        if job is None:
            return "fenced"
        job.attempts -= 1
        return self._unfinished(job, PENDING)

    def miss(self, worker: str, number: int, id: str, execution: int, missing: str) -> str:
        self.claim(worker, number)
        job = self.held(worker, id, execution)
        if job is None:
            return "fenced"
        producer = self.jobs.get(short(missing))
        wanted = producer and (producer.wanted or job.wanted)
        if producer and wanted and producer.id in job.inputs and producer.noted is State.DONE:
            producer.noted, producer.wanted = PENDING, set(wanted)
        job.attempts -= 1
        return self._unfinished(job, PENDING)

    def _lost(self, job: Job) -> str:
        job.crashes += 1
        return self._unfinished(job, PENDING if job.crashes < CRASHES else State.ERROR)

    def _unfinished(self, job: Job, to: State) -> str:
        self.time += 1
        if job.stop:
            to = PENDING if job.wanted else State.CANCELLED
        job.noted, job.stop = to, False
        if to is not PENDING:
            job.ended = self.time
        return self.state(job.id)

    def renew(self, worker: str, id: str, execution: int) -> str:
        job = self.held(worker, id, execution)
        if job is None:
            return "fenced"
        job.renewals += 1
        return "stop" if job.stop else "ok"

    # Verbs of the sweeper

    def overdue(self) -> set[str]:
        return {job.id for job in self.running()}

    def expire(self, id: str, execution: int, renewals: int) -> bool:
        job = self.jobs[id]
        if job.noted is not State.RUNNING or (job.execution, job.renewals) != (execution, renewals):
            return False
        self._lost(job)
        return True

    def repair(self, state: State) -> list[str]:
        """What RQ must show of a state."""
        return [id for id, found in self.states().items() if found is state]

    def refill(self, queue: str) -> list[str]:
        """What RQ's list of a queue must show, in order."""
        states = self.states()
        ready = [job for job in self.jobs.values() if states[job.id] is State.READY and job.queue == queue]
        return [job.id for job in sorted(ready, key=lambda job: (-job.priority, job.order))]
