"""The graph as one would explain it: no counters, no edges' bytes, no continuations, no RQ.

A job that is not running, done, failed or cancelled is where the states of its inputs put it, at once. The engine
gets there in bounded steps; when nothing is left to settle, both must say the same. The methods are the engine's
verbs.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from lines import RANK, TURN, Waiter, is_code, may

from xpm.broker.broker import Entry, Execution
from xpm.core.state import State
from xpm.types import short

PENDING = State.WAITING
"""How a job that may still start is noted; where it stands follows from its inputs."""

BLOCKS = {State.ERROR, State.CANCELLED, State.HOLD, State.LOST}
CRASHES, LOSSES = 3, 10
EARLY_ENDS = 10
FAR = 4_000_000_000_000
"""A moment that does not come while a test runs."""


@dataclass
class Job:
    id: str
    inputs: tuple[str, ...]
    queue: str
    version: int
    priority: int
    order: int
    needs: str = ""
    chain: int = 0
    noted: State = PENDING
    wanted: set[str] = field(default_factory=set)
    runs: dict[str, str] = field(default_factory=dict)
    retried_by: str = ""
    execution: int = 0
    attempts: int = 0
    crashes: int = 0
    losses: int = 0
    avoids: str = ""
    """Host of its last crash."""
    unsure: bool = False
    retries: int = 0
    early_ends: int = 0
    best: float = 0.0
    postponed: bool = False
    """A moment lies ahead before which it may not start."""
    policy: str = ""
    renewals: int = 0
    worker: str = ""
    host: str = ""
    """Where it runs, or ran."""
    ended: int = 0
    stop: str = ""
    """Who ends it: `cancel` or `kill`."""
    holds: set[str] = field(default_factory=set)
    fence: str = ""
    replaces: str = ""

    @property
    def slot(self) -> str:
        return f"{self.queue}:{self.version}"

    @property
    def group(self) -> str:
        return f"{self.slot}:{self.needs}" if self.needs else self.slot

    @property
    def times(self) -> int:
        return int(self.policy.split()[0]) if self.policy else 0

    @property
    def delayed(self) -> bool:
        """Whether its policy's delays are more than nothing; they are never over while a test runs."""
        return self.policy.split()[1] != "0"

    def afresh(self) -> None:
        self.crashes = self.losses = self.retries = self.early_ends = 0
        self.best, self.avoids = 0.0, ""

    def wish(self, entry: Entry) -> None:
        self.policy = str(entry.wishes.get("ry", ""))
        self.postponed = entry.wishes.get("nb") == FAR


@dataclass
class Outside:
    """One who holds or waits for tokens outside of a job's requirements."""

    needs: str
    priority: int
    turn: int
    order: int
    host: str
    job: str = ""
    granted: bool = False


@dataclass
class Look:
    """What the model takes from the engine, since it depends on what was settled when."""

    turns: dict[str, int] = field(default_factory=dict)
    wants: dict[str, list[str]] = field(default_factory=dict)
    """The experiments that want a job, the first of them first."""
    late: dict[str, float] = field(default_factory=dict)


@dataclass
class Life:
    host: str = ""
    pool: str = ""
    slots: str = ""
    number: int = 0
    granted: str = ""
    execution: int = 0


@dataclass
class Run:
    token: str
    name: str
    start: int
    listed: set[str] = field(default_factory=set)
    off: bool = False
    """Takes no more jobs from a script."""

    @property
    def serial(self) -> str:
        return self.token.partition(".")[0]


class Model:
    def __init__(self, hosts: Sequence[str]) -> None:
        self.hosts = hosts
        self.jobs: dict[str, Job] = {}
        self.runs: dict[str, Run] = {}
        self.serials: dict[str, str] = {}
        self.users: dict[str, str] = {}
        """By experiment: whose it is."""
        self.workers: dict[str, Life] = {}
        self.suspects: dict[str, list[str]] = {}
        """By pool: jobs that crashed there one after the other."""
        self.time = 0
        self.suspended = False
        self.servers = 0
        self.order = 0
        self.look = Look()
        self.capacities: dict[str, int] = {}
        """`h.d` is what each host has of it for itself, `h.d@g` what host `g` has."""
        self.outside: dict[str, Outside] = {}
        self.paused: set[str] = set()
        self.dismissed: set[str] = set()
        self.failing = 0
        """Jobs that failed in a row; all are of one task, and fail alike."""
        self.brake = 0
        self.braked = False

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
                    if inputs & BLOCKS or job.holds:
                        known[id] = State.HOLD
                    elif inputs - {State.DONE}:
                        known[id] = State.WAITING
                    elif job.postponed:
                        known[id] = State.SCHEDULED
                    elif self.exceeds(job.needs):
                        known[id] = State.HOLD
                    else:
                        known[id] = State.READY
            return known[id]

        return {id: look(id) for id in (self.jobs if jobs is None else jobs)}

    def exceeds(self, needs: str, host: str = "") -> bool:
        """Whether more is needed of something than there ever is: on the host, or on the one that has most."""
        return any(amount > self._most(name, host) for name, amount in needs_of(needs).items())

    def _most(self, name: str, host: str) -> int:
        if host or not each_has(name):
            return self.capacity(name, host)
        return max(
            [found for it, found in self.capacities.items() if it.partition("@")[0] == name], default=0
        )

    def capacity(self, name: str, host: str) -> int:
        return self.capacities.get(at(name, host), self.capacities.get(name, 0))

    def place(self, job: Job) -> tuple[int, str, int]:
        """Where a job is among those of its group: smaller goes first."""
        experiment = self.look.wants[job.id][0]
        turn = self.look.turns.get(experiment, 0)
        return (turn - job.priority * TURN, f"{job.priority}.{experiment}", job.order - job.chain * RANK)

    def candidates(self, worker: str) -> list[tuple[str, str]]:
        """(job, group) that a worker may get, the one that it should get first."""
        life = self.workers[worker]
        if self.suspended or self.braked or self.sick(life):
            return []
        served = [slot for slot in self.served(life.slots) if slot.partition(":")[0] not in self.paused]
        heads = self.heads(life.host, life)
        queues = dict.fromkeys(slot.partition(":")[0] for slot in served)
        # Who serves all queues has no order among them.
        for together in [set(queues)] if life.slots.startswith("*:") else [{queue} for queue in queues]:
            fitting = [
                head
                for head, fits in may(heads, self.left())
                if fits
                and head.group.partition(":")[0] in together
                and slot_of(head.group) in served
                and not self.shunned(self.jobs[head.id], life)
            ]
            if fitting:
                waiting = [head for head in fitting if not head.plain]
                plain = sorted((head for head in fitting if head.plain), key=lambda head: head.place)[:1]
                ahead = [head for head in waiting if not plain or head.place < plain[0].place]
                behind = [head for head in waiting if head not in ahead]
                return [(head.id, head.group) for head in (*ahead, *plain, *behind)]
        return []

    def heads(self, host: str = "", life: Life | None = None, *, code: bool = False) -> list[Waiter]:
        """The next of each group, and those who wait outside: as they are seen on a host, by a worker perhaps.

        Code is where it is; jobs could run on this host. Without one, what hosts have for themselves is no matter to
        jobs: some host may have it. `code` sees no job that waits for what its host has for itself if no worker there
        could take it.
        """
        groups: dict[str, list[Job]] = {}
        for id, state in self.states().items():
            job = self.jobs[id]
            if state is State.READY and (job.needs or life is None or not self.shunned(job, life)):
                groups.setdefault(self.jobs[id].group, []).append(self.jobs[id])
        found: list[Waiter] = []
        for group, jobs in groups.items():
            first = min(jobs, key=self.place)
            score, _, rank = self.place(first)
            late = self.look.late.get(first.id)
            there = not (code and host) or self.attended(first.slot, host)
            needs, possible = self._seen(first.needs, host, there=there)
            found.append(
                Waiter(first.id, group, needs, (score, rank), late, self.attended(first.slot), possible)
            )
        for name, one in self.outside.items():
            if not one.granted:
                place = (one.turn - one.priority * TURN, one.order)
                late, (needs, possible) = self.look.late.get(f"@{name}"), self._seen(one.needs, one.host)
                found.append(Waiter(f"@{name}", "", needs, place, late, possible, possible))
        return found

    def _seen(self, needs: str, host: str, *, there: bool = True) -> tuple[dict[str, int], bool]:
        """What is waited for on a host, and whether there ever is enough: for what there never is, nobody waits."""
        counted = {name: amount for name, amount in needs_of(needs).items() if host or not each_has(name)}
        seen = {
            at(name, host): amount
            for name, amount in counted.items()
            if amount <= self.capacity(name, host) and (there or not each_has(name))
        }
        return seen, len(seen) == len(counted)

    def may_have(self, name: str, coming: Callable[[Waiter, str], bool]) -> bool:
        """Whether code gets what it waits for: as all hosts see it, who share tokens, and as its own does.

        Args:
            name: of the one who waits.
            coming: whether a job that may start is about to be taken by a worker: of the host, or of any ('').
        """
        one = self.outside[name]
        views = ("", one.host) if any(map(each_has, needs_of(one.needs))) else ("",)
        return all(
            fits
            for host in views
            for head, fits in may(
                self.heads(host, code=True),
                self.left(),
                lambda one, host=host: is_code(one) or coming(one, host),
            )
            if head.id == f"@{name}"
        )

    def fits(self, id: str, host: str) -> bool:
        """Whether a host has free what a job needs, and is not the one on which it crashed."""
        job, left = self.jobs[id], self.left()
        free = all(left[at(name, host)] >= amount for name, amount in needs_of(job.needs).items())
        return free and job.avoids != host

    def left(self) -> dict[str, int]:
        """What nobody holds: of what each host has for itself, on each host."""
        free: dict[str, int] = {}
        for name in self.capacities:
            for host in self.hosts:
                free[at(name.partition("@")[0], host)] = self.capacity(name.partition("@")[0], host)
        holders = [(job.needs, job.host) for job in self.running()]
        holders += [(one.needs, one.host) for one in self.outside.values() if one.granted]
        for needs, host in holders:
            for name, amount in needs_of(needs).items():
                free[at(name, host)] -= amount
        return free

    def sick(self, life: Life) -> bool:
        """Whether the worker's pool gets no more."""
        return len(self.suspects.get(life.pool, ())) >= 3

    def attended(self, slot: str, host: str = "") -> bool:
        """Whether a worker could take jobs of the slot: one on the host, or any."""
        return not (self.suspended or slot.partition(":")[0] in self.paused) and any(
            slot in self.served(other.slots) and not self.sick(other) and host in ("", other.host)
            for name, other in self.workers.items()
            if name not in self.dismissed
        )

    def shunned(self, job: Job, life: Life) -> bool:
        """Whether a worker of another host is to take the job."""
        return job.avoids == life.host and any(
            other.host != life.host
            and not self.sick(other)
            and job.slot in self.served(other.slots)
            and not self.exceeds(job.needs, other.host)
            for name, other in self.workers.items()
            if name not in self.dismissed
        )

    def served(self, slots: str) -> list[str]:
        """The slots by name; `*:2` is every queue up to class 2."""
        if not slots.startswith("*:"):
            return slots.split()
        return sorted({job.slot for job in self.jobs.values() if job.version <= int(slots[2:])})

    def running(self) -> list[Job]:
        return [job for job in self.jobs.values() if job.noted is State.RUNNING]

    def share(self, job: Job) -> int:
        """Experiments of the user of a job that was just started which have such jobs, and share the user's turn."""
        if len({*self.users.values()}) < 2:
            return 1
        mine = self.users[self.look.wants[job.id][0]]
        found = {
            self.look.wants[id][0]
            for id, state in self.states().items()
            if state is State.READY
            and (self.jobs[id].group, self.jobs[id].priority) == (job.group, job.priority)
            and self.users[self.look.wants[id][0]] == mine
        }
        return max(len(found), 1)

    # Verbs of scripts

    def hello(self) -> None:
        self.servers += 1

    def open(self, experiment: str, name: str, user: str = "") -> str:
        self.time += 1
        serial = self.serials.setdefault(experiment, str(len(self.serials) + 1))
        self.users[serial] = user
        for run in self._runs_of(serial)[-5:]:
            if run.name == name:
                return run.token
        token = f"{serial}.{len(self.runs) + 1}"
        self.runs[token] = Run(token, name, self.time)
        return token

    def _runs_of(self, serial: str) -> list[Run]:
        return [run for run in self.runs.values() if run.serial == serial]

    def call_off(self, experiment: str) -> int:
        runs = [run for run in self._runs_of(self.serials.get(experiment, "")) if not run.off]
        for run in runs:
            run.off = True
        return len(runs)

    def submits(self, by: Execution) -> bool:
        """Whether this execution of a job may submit others: it has not ended, and nobody has asked for its end."""
        job = self.jobs[short(by.job)]
        return job.noted is State.RUNNING and job.execution == by.number and not job.stop

    def submit(self, token: str, entries: Sequence[Entry]) -> list[str]:
        return [self._submit(self.runs[token], entry) for entry in entries]

    def _submit(self, run: Run, entry: Entry) -> str:
        self.time += 1
        id = short(entry.id)
        job = self.jobs.get(id)
        if job is None:
            inputs = tuple(short(parent) for parent in entry.inputs)
            self.order += 1
            job = Job(id, inputs, entry.queue, entry.version, entry.priority, self.order)
            self._wish(job, entry)
            job.wish(entry)
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
            if entry.known == "recorded":
                job.fence = max(job.fence, entry.fence)
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
        job.queue, job.version = entry.queue, entry.version
        job.afresh()
        job.wish(entry)
        job.inputs = tuple(short(parent) for parent in entry.inputs)
        self._wish(job, entry)

    @staticmethod
    def _wish(job: Job, entry: Entry) -> None:
        job.needs, job.chain = str(entry.wishes.get("rs", "")), int(entry.wishes.get("ch", 0))

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

    def rank(self, ranks: dict[str, int]) -> int:
        changed = 0
        for id, rank in ranks.items():
            job = self.jobs.get(short(id))
            if job and job.noted is PENDING and job.chain != rank:
                job.chain = rank
                changed += 1
        return changed

    def cancel(self, serial: str, jobs: Sequence[str], *, running: bool = True) -> tuple[int, int, int]:
        self.time += 1
        cancelled = stopping = kept = 0
        for id in jobs:
            job = self.jobs.get(short(id))
            if job is None or job.noted not in ((PENDING, State.RUNNING) if running else (PENDING,)):
                continue
            job.wanted.discard(serial)
            if job.wanted:
                kept += 1
            elif job.noted is State.RUNNING:
                stopping += 1
                job.stop = job.stop or "cancel"
            else:
                cancelled += 1
                if job.unsure:
                    self._look_again(job)
                else:
                    self._end(job, State.CANCELLED)
                job.holds.clear()
        return cancelled, stopping, kept

    def _look_again(self, job: Job) -> None:
        """Whoever takes it finds a new result, or the old one."""
        job.noted, job.replaces, job.unsure, job.wanted = PENDING, "", False, set(job.runs)
        job.afresh()

    def _end(self, job: Job, state: State) -> None:
        """Without a new result: one that it had stays."""
        job.noted, job.ended = state, self.time
        if job.replaces:
            job.noted, job.fence, job.replaces = State.DONE, job.replaces, ""

    # Tokens and locks

    def declare(self, capacities: dict[str, int]) -> dict[str, int]:
        for name, capacity in capacities.items():
            if capacity:
                self.capacities.setdefault(name, capacity)
        return {name: self.capacities.get(name, -1) for name in capacities}

    def resize(self, resource: str, capacity: int, host: str = "") -> int:
        field = at(resource, host) if host else resource
        before = self.capacities.get(field, -1)
        self.capacities[field] = capacity
        return before

    def acquire(self, name: str, needs: str, priority: int, host: str, job: str, execution: int) -> str:
        """'' when it is the engine's to say whether it was granted."""
        found = self.jobs.get(short(job)) if job else None
        if job and not (found and found.noted is State.RUNNING and found.execution == execution):
            return "fenced"
        if name not in self.outside:
            if self.exceeds(needs, host):
                return "over"
            self.order += 1
            turn = max(self.look.turns.get("*", 0), self.look.turns.get("@", 0))
            self.outside[name] = Outside(needs, priority, turn, self.order, host, short(job) if job else "")
        return ""

    def keep(self, name: str) -> bool:
        return name in self.outside

    def free(self, name: str) -> bool:
        return self.outside.pop(name, None) is not None

    lapse = free

    def revisit(self) -> None:
        """There is nothing that was noted here."""

    # Verbs of people

    def kill(self, jobs: Sequence[str]) -> Counter[str]:
        return self._each(jobs, self._kill)

    def _kill(self, job: Job) -> str:
        if job.noted is not State.RUNNING:
            return "idle"
        job.stop = "kill"
        return "stopping"

    def hold(self, jobs: Sequence[str]) -> Counter[str]:
        return self._each(jobs, self._hold)

    def _hold(self, job: Job) -> str:
        if job.noted is not PENDING:
            return "running" if job.noted is State.RUNNING else "ended"
        if "person" in job.holds:
            return "before"
        job.holds.add("person")
        return "held"

    def release(self, jobs: Sequence[str]) -> Counter[str]:
        return self._each(jobs, self._release)

    def _release(self, job: Job) -> str:
        if not job.holds:
            return "free"
        if "brake" in job.holds:
            self.braked = False
        job.holds.clear()
        return "released"

    def retry(self, jobs: Sequence[str]) -> Counter[str]:
        return self._each(jobs, self._retry)

    def _retry(self, job: Job) -> str:
        if job.noted is State.RUNNING and job.stop == "cancel" and not job.wanted:
            job.wanted = set(job.runs)
            return "retried"
        if job.noted not in (State.ERROR, State.CANCELLED, State.LOST):
            return "done" if job.noted is State.DONE else "pending"
        job.noted, job.wanted, job.postponed = PENDING, set(job.runs), job.postponed and not job.attempts
        job.afresh()
        return "retried"

    def rerun(self, jobs: Sequence[str]) -> Counter[str]:
        return self._each(jobs, self._rerun)

    def _rerun(self, job: Job) -> str:
        if job.noted is not State.DONE:
            return "ended" if job.noted in (State.ERROR, State.CANCELLED, State.LOST) else "pending"
        job.noted, job.replaces, job.wanted, job.postponed = PENDING, job.fence, set(job.runs), False
        job.afresh()
        return "rerun"

    def priority(self, jobs: Sequence[str], value: int) -> Counter[str]:
        return self._each(jobs, lambda job: self._priority(job, value))

    def _priority(self, job: Job, value: int) -> str:
        if job.noted not in (PENDING, State.RUNNING):
            return "ended"
        if job.priority == value:
            return "same"
        job.priority = value
        return "set"

    def lift(self) -> bool:
        lifted, self.braked, self.failing = self.braked, False, 0
        return lifted

    def pause(self, queue: str) -> bool:
        fresh = queue not in self.paused
        self.paused.add(queue)
        return fresh

    def resume(self, queue: str) -> bool:
        fresh = queue in self.paused
        self.paused.discard(queue)
        return fresh

    def dismiss(self, worker: str) -> bool:
        if worker not in self.workers:
            return False
        self.dismissed.add(worker)
        return True

    def hindered(self, id: str) -> bool:
        """Whether nobody gets the job though it is ready."""
        return self.suspended or self.braked or self.jobs[id].queue in self.paused

    def brake_holds(self, id: str) -> None:
        """The engine came upon the job, and the brake holds it."""
        job = self.jobs[id]
        assert self.braked and job.noted is PENDING and "brake" not in job.holds
        job.holds.add("brake")

    def _each(self, jobs: Sequence[str], act: Callable[[Job], str]) -> Counter[str]:
        self.time += 1
        known = [self.jobs.get(short(id)) for id in jobs]
        return Counter("unknown" if job is None else act(job) for job in known)

    # Verbs of workers

    def enrol(self, worker: str, host: str, pool: str, slots: str) -> None:
        self.dismissed.discard(worker)
        self.workers[worker] = Life(host, pool, slots)

    def depart(self, worker: str, end: str) -> str:
        life = self.workers.pop(worker, Life())
        self.dismissed.discard(worker)
        job = self.held(worker, life.granted, life.execution)
        if job is None:
            return ""
        if end == "crashed":
            self._crashed(job, life, alone=False, unsure=True)
        elif end == "lost":
            self._lost(job, unsure=True)
        else:
            self._returned(job, unsure=True)
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
        job, host = self.jobs[short(id)], self.workers[worker].host
        due = not job.needs or any(
            head.id == job.id and fits for head, fits in may(self.heads(host), self.left())
        )
        ready = self.state(job.id) is State.READY and not self.hindered(job.id)
        return "ok" if due and ready else "refused"

    def granted(self, worker: str, id: str, execution: int, fence: str) -> None:
        """What the engine granted at the end of a worker's call."""
        job = self.jobs[short(id)]
        assert job.noted is PENDING, f"{job.id} was granted while {job.noted}"
        assert execution == job.execution + 1
        job.noted, job.worker, job.fence = State.RUNNING, worker, fence
        job.host = self.workers[worker].host
        job.execution, job.renewals, job.attempts, job.stop = execution, 0, job.attempts + 1, ""
        self.workers[worker].granted, self.workers[worker].execution = job.id, execution

    def finish(self, worker: str, number: int, id: str, execution: int, fence: str) -> str:
        self.claim(worker, number)
        job = self.held(worker, id, execution)
        if job is None:
            return "fenced"
        self.time += 1
        self._unlease(job)
        job.noted, job.ended, job.stop, job.unsure = State.DONE, self.time, "", False
        job.afresh()
        self.suspects.pop(self.workers[worker].pool, None)
        job.fence, job.replaces = fence, ""
        self.failing = 0
        return "done"

    def fail(self, worker: str, number: int, id: str, execution: int, again: bool = False) -> str:
        self.claim(worker, number)
        job = self.held(worker, id, execution)
        if job is None:
            return "fenced"
        job.unsure = False
        if not again or job.retries >= job.times:
            killed = job.stop == "kill"
            became = self._unfinished(job, State.ERROR)
            if became is State.ERROR and not killed and not self.braked and self.brake:
                self.failing += 1
                if self.failing == self.brake:
                    self.failing, self.braked = 0, True
            return became
        job.retries += 1
        job.postponed = job.delayed
        return self._unfinished(job, PENDING)

    def crash(self, worker: str, number: int, id: str, execution: int, what: str, end: str) -> str:
        self.claim(worker, number)
        job = self.held(worker, id, execution)
        if job is None:
            return "fenced"
        return self._lost(job) if end == "lost" else self._crashed(job, self.workers[worker], alone=True)

    def hand_back(self, worker: str, number: int, id: str, execution: int) -> str:
        self.claim(worker, number)
        job = self.held(worker, id, execution)
        return "fenced" if job is None else self._returned(job)

    def adjourn(self, worker: str, number: int, id: str, execution: int) -> str:
        self.claim(worker, number)
        job = self.held(worker, id, execution)
        if job is None:
            return "fenced"
        job.unsure = False
        if job.early_ends + 1 >= EARLY_ENDS:
            return self._unfinished(job, State.ERROR)
        job.early_ends += 1
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

    def _crashed(self, job: Job, life: Life, alone: bool, unsure: bool = False) -> str:
        job.crashes += 1
        job.avoids = life.host
        suspects = self.suspects.setdefault(life.pool, [])
        if alone and job.id not in suspects:
            suspects.append(job.id)
        return self._unfinished(job, self._survives(job, job.crashes, CRASHES), unsure)

    def _survives(self, job: Job, ended: int, enough: int) -> State | None:
        if "lost" in job.policy.split():
            enough = max(enough, job.times + 1)
            job.postponed = job.delayed
        return PENDING if ended < enough else State.ERROR

    def _unlease(self, job: Job) -> None:
        self.outside = {name: one for name, one in self.outside.items() if one.job != job.id}

    def _lost(self, job: Job, unsure: bool = False) -> str:
        job.losses += 1
        return self._unfinished(job, self._survives(job, job.losses, LOSSES), unsure)

    def _returned(self, job: Job, unsure: bool = False) -> str:
        job.attempts -= 1
        return self._unfinished(job, PENDING, unsure)

    def _unfinished(self, job: Job, to: State, unsure: bool = False) -> str:
        """`unsure`: its worker is gone, and may have published a result."""
        self.time += 1
        self._unlease(job)
        if job.stop == "kill":
            to = State.ERROR
        elif job.stop:
            to = PENDING if job.wanted else State.CANCELLED
        job.noted, job.stop = to, ""
        job.unsure = bool(job.replaces) and (unsure or job.unsure)
        if to is not PENDING and job.unsure:
            self._look_again(job)
        elif to is not PENDING:
            self._end(job, to)
        return self.state(job.id)

    def renew(self, worker: str, id: str, execution: int, reached: float | None = None) -> str:
        job = self.held(worker, id, execution)
        if job is None:
            return "fenced"
        job.renewals += 1
        if reached is not None and reached > job.best:
            job.best, job.crashes, job.early_ends = reached, 0, 0
        return {"": "ok", "kill": "stop"}.get(job.stop, "cancel")

    def come_due(self, id: str) -> None:
        """The moment of a job has come."""
        self.jobs[id].postponed = False

    # Verbs of the sweeper

    def neglected(self) -> dict[str, float]:
        """One workspace has no others; `tests/integration/test_neighbours.py` has several."""
        return {}

    def overdue(self) -> set[str]:
        return {job.id for job in self.running()}

    def expire(self, id: str, execution: int, renewals: int) -> bool:
        job = self.jobs[id]
        if job.noted is not State.RUNNING or (job.execution, job.renewals) != (execution, renewals):
            return False
        self._lost(job, unsure=True)
        return True

    def repair(self, state: State) -> list[str]:
        """What RQ must show of a state."""
        return [id for id, found in self.states().items() if found is state]

    def refill(self, queue: str) -> list[str]:
        """What RQ's list of a queue must show, in order."""
        states = self.states()
        ready = [job for job in self.jobs.values() if states[job.id] is State.READY and job.queue == queue]
        return [job.id for job in sorted(ready, key=lambda job: (-job.priority, job.order))]


def needs_of(text: str) -> dict[str, int]:
    """Resources and amounts of 'l.index=1,t.gpu=2'."""
    pairs = (need.partition("=") for need in text.split(",") if need)
    return {resource: int(amount) for resource, _, amount in pairs}


def each_has(resource: str) -> bool:
    """Whether each host has it for itself."""
    return resource.startswith("h.")


def at(resource: str, host: str) -> str:
    """How it is counted: one that each host has for itself, on the host."""
    return f"{resource}@{host}" if each_has(resource) else resource


def slot_of(group: str) -> str:
    return ":".join(group.split(":")[:2])
