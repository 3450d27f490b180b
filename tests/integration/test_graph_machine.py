"""The engine and its model, side by side, under whatever order of calls hypothesis thinks of."""

from __future__ import annotations

import hashlib
import random
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

import invariants
import lines
import pytest
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)
from machines import run_machine
from model import FAR, Job, Model, each_has, needs_of
from servers import Server

from xpm.broker.broker import Broker, Entry, Execution, Failure, Reply
from xpm.broker.scripts import source
from xpm.core.state import TRANSITIONS, State
from xpm.errors import ExperimentCancelled, JobError
from xpm.types import JobId, Namespace, short

NAMESPACE = Namespace("0123456789ab")
JOBS = 12
LONG_AGO = 1000
"""Who was passed before this moment (ms) was passed long ago."""
IDS = [JobId(hashlib.sha256(b"%d" % number).hexdigest()) for number in range(JOBS)]
WORKERS = ("w0", "w1", "w2", "w3")
HOSTS = {"w0": "h", "w1": "g", "w2": "h", "w3": "g"}
USERS = {"A": "ada", "B": "bob", "C": "ada", "D": "ada"}
"""By experiment."""
SLOTS = (
    "default:1",
    "default:1 default:2",
    "other:1 default:1 default:2",
    "other:1",
    "other:1 other:2 default:2",
    "*:1",
    "*:2",
)
NEEDS = (
    *("", "", ""),
    *("t.a=1", "t.a=2", "t.b=1", "t.a=1,t.b=1", "l.x=1", "l.x=1000000", "l.x=1,t.a=2"),
    *("h.d=1", "h.d=1", "h.d=2", "h.d=1,t.a=1", "h.d=2,t.b=1", "h.d=1,h.e=1"),
)
"""`h`: what each host has for itself."""
ON_HOSTS = [needs for needs in NEEDS if needs.startswith("h.d")]
CROWDS = (NEEDS, NEEDS, [*ON_HOSTS, ""], ["t.a=1", "t.a=2", "h.d=1,t.a=1", ""])
"""Of these are the needs of what is submitted at once: some of them all want the same."""

RESIZED = (("t.a", ""), ("t.b", ""), ("h.d", ""), ("h.d", "g"), ("h.d", "h"), ("h.e", "g"))
NAMES = ("n0", "n1", "n2")
POLICIES = (
    "2 3600000 1 3600000 0 exception",
    "1 0 1 0 0 exception lost",
    "4 3600000 2 7200000 0.1 lost oom",
    "",
)
FAILURE = Failure("exception", "ValueError", "no", "Traceback ...")

ENDS = (*("finish",) * 8, "fail", "fail", "crash", "hand_back", "adjourn", "miss")
"""How executions end, most of them well."""

times = st.sampled_from((1, 1, 2))
"""How often a call is made: twice, when its reply was lost."""

which_jobs = st.sets(st.integers(0, JOBS - 1), min_size=1, max_size=6)


class Engine(RuleBasedStateMachine):
    """Each rule makes the same call on both; the invariant compares."""

    server: Server

    def __init__(self) -> None:
        super().__init__()
        self.client = self.server.client()
        self.client.flushall()
        self.broker = Broker(self.client, NAMESPACE, budget=250)
        self.broker.hello()
        self.model = Model(sorted({*HOSTS.values()}))
        self.history = invariants.History(self.client, NAMESPACE)
        self.runs: dict[str, Any] = {}
        self.slots: dict[str, str] = {}
        self.last: dict[str, tuple[str, int, tuple[Any, ...], Reply]] = {}
        self.fence = ""
        self.verb = "hello"
        self.was_suspended = False
        self.caller = ""
        self.deficit: dict[str, int] = {}
        self.code: dict[str, str] = {}
        """The fences of what code was granted, when that was compared last."""
        self.late: dict[str, float] = {}
        """Who had waited for long then."""
        self._no_grace()

    def teardown(self) -> None:
        for _ in range(1000):
            if not self.broker.drain():
                break
        self.verb = "drain"
        self.compare()
        self.project()
        self.client.close()

    # What the rules need

    def _no_grace(self) -> None:
        real = self.client.info("server")["run_id"]  # or the next new connection begins a grace
        self.client.hset(f"{self.broker.prefix}meta", mapping={"grace": 0, "server": real})

    def todo(self) -> int:
        return self.client.llen(f"{self.broker.prefix}todo")

    def call(self, verb: str, worker: str, *args: Any) -> None:
        """A numbered call of a worker, on both."""
        before = self.todo()
        self._look()
        self._look_outside()
        opened = self._opened()
        number = self.model.workers[worker].number + 1
        said = getattr(self.model, verb)(worker, number, *self._model_args(verb, args))
        reply = self._engine(verb, worker, number, args)
        self.last[worker] = (verb, number, args, reply)
        self.verb, self.caller = verb, worker
        settled = self.todo() == 0
        place = (
            said in State.__members__
        )  # where a job was put, when not everything was settled, is not final
        if verb != "take" and worker in self.model.dismissed:
            assert (reply.outcome, reply.claim) == ("dismissed", None)
        elif settled if verb == "take" else before == 0 or not place:
            assert reply.outcome == said
        self._see_the_brake()
        self.model.look.wants = (
            self._wants()
        )  # a job that may start since this call was placed by the turns before it
        granted = short(reply.claim.id) if reply.claim else ""
        if verb != "take" and settled and worker not in self.model.dismissed:
            self._check_grant(worker, granted, opened)
        self._look_outside()  # code is served after the worker
        if reply.claim:
            claim = reply.claim
            assert claim.fence > self.fence
            self.fence = claim.fence
            job = self.model.jobs[granted]
            states = self.model.states(job.inputs)
            assert {*states.values()} <= {State.DONE}, f"{granted} was granted before its inputs: {states}"
            assert claim.fences == tuple(self.model.jobs[parent].fence for parent in job.inputs)
            assert (claim.queue, claim.inputs, claim.replaces) == (job.queue, len(job.inputs), job.replaces)
            assert verb == "take" or f"{job.queue}:{job.version}" in self.model.served(self.slots[worker])
            self.model.granted(worker, granted, claim.execution, claim.fence)
            assert claim.attempt == job.attempts
            if settled:
                self._check_turns(job)

    def _check_turns(self, job: Job) -> None:
        """Who got a job waits until all others got one; experiments of one user wait for each other, too."""
        turns = self.model.look.turns
        self._look()
        experiment = self.model.look.wants[job.id][0]
        expected = max(turns.get(experiment, 0), turns.get("*", 0)) + self.model.share(job)
        assert self.model.look.turns[experiment] == expected, (job, turns)

    def _look(self) -> None:
        """What the engine's choice is made of."""
        look, prefix = self.model.look, self.broker.prefix
        turns = self.client.hgetall(f"{prefix}turns")
        look.turns = {name.decode(): int(turn) for name, turn in turns.items()}
        look.wants = self._wants()
        late = self.client.zrange(f"{prefix}late", 0, -1, withscores=True)
        look.late = {name.decode(): since for name, since in late if since < LONG_AGO}

    def _wants(self) -> dict[str, list[str]]:
        prefix = self.broker.prefix
        return {
            id: (self.client.hget(f"{prefix}j:{id}", "v") or b"").decode().split() for id in self.model.jobs
        }

    def _look_outside(self) -> None:
        for name, one in self.model.outside.items():
            holder = f"{self.broker.prefix}a:{name}"
            one.granted = bool(self.client.hexists(holder, "f"))
            # It asks again all the time, and takes what it is granted at once: however slow this machine is.
            if self.client.hexists(holder, "seen"):
                self.client.hset(holder, "seen", 1 << 44)
            self.client.zrem(f"{self.broker.prefix}offered", name)

    def _awake(self) -> set[tuple[str, str]]:
        """Slots and hosts for which a worker is idle, or on its way."""
        found = set[tuple[str, str]]()
        for name, life in self.model.workers.items():
            idle, rung = self.client.hmget(f"{self.broker.prefix}w:{name}", "i", "b")
            if idle or rung:
                found |= {(slot, host) for slot in self.model.served(life.slots) for host in (life.host, "")}
        return found

    def _opened(self) -> set[str]:
        keys = self.client.keys(f"{self.broker.prefix}opened:*")
        return {group.decode() for key in keys for group in self.client.zrange(key, 0, -1)}

    def _check_grant(self, worker: str, granted: str, opened: set[str]) -> None:
        """The first that may start; one that needs tokens of all hosts may be missed if nobody told that they are free."""
        candidates = self.model.candidates(worker)
        for job, group in candidates:
            if job == granted:
                return
            shared = not all(map(each_has, needs_of(self.model.jobs[job].needs)))
            assert shared and group not in opened, (granted, candidates, opened)
        assert not granted, (granted, candidates)

    def _see_the_brake(self) -> None:
        """What it holds now, it may: a call holds what it would else have granted."""
        for id, job in self.model.jobs.items():
            holds = self.client.hget(f"{self.broker.prefix}j:{id}", "h") or b""
            if b"brake" in holds.split() and "brake" not in job.holds:
                self.model.brake_holds(id)

    def _engine(self, verb: str, worker: str, number: int, args: Sequence[Any]) -> Reply:
        if verb == "take":
            return self.broker.take(worker, number, *args)
        return getattr(self.broker, verb)(worker, number, self.slots[worker], *args)

    @staticmethod
    def _model_args(verb: str, args: Sequence[Any]) -> Sequence[Any]:
        if verb == "fail":
            return (*args[:2], *args[3:])
        return args if verb in ("finish", "miss", "take", "crash") else args[:2]

    def holders(self) -> Iterator[str]:
        for worker, life in self.model.workers.items():
            if life.granted and self.model.held(worker, life.granted, life.execution):
                yield worker

    # Scripts

    @initialize(
        data=st.data(), budget=st.sampled_from((1, 2, 3, 5, 250)), brake=st.sampled_from((0, 1, 2, 3))
    )
    def begin(self, data: st.DataObject, budget: int, brake: int) -> None:
        self.broker = Broker(self.client, NAMESPACE, budget=budget, brake=brake)
        self.model.brake = brake
        parents = [data.draw(st.sets(st.integers(0, max(k - 1, 0)), max_size=min(k, 4))) for k in range(JOBS)]
        self.parents = [sorted(found) if k else [] for k, found in enumerate(parents)]
        self._enrol(WORKERS[0], SLOTS[-1], "p")
        self._enrol(WORKERS[1], data.draw(st.sampled_from(SLOTS)), "p")
        for experiment in "ABC":
            self._open(experiment, "r0")
        capacities = {"t.a": 2, "t.b": 1, "l.x": 1_000_000, "h.d": 2, "h.e": 1}
        for _ in range(2):  # the reply was lost
            assert self.broker.declare(capacities) == self.model.declare(capacities)
        for first in range(0, JOBS, 4):  # by several experiments, perhaps
            self._submit(data, set(range(first, first + 4)), whole=False, times=1, recorded=False)

    def _enrol(self, worker: str, slots: str, pool: str) -> None:
        self.slots[worker] = slots
        host = HOSTS[worker]
        for _ in range(2):  # the reply was lost
            self.broker.enrol(worker, {"host": host, "pool": f"{host}.{pool}", "slots": slots})
        self.model.enrol(worker, host, f"{host}.{pool}", slots)
        self.last.pop(worker, None)

    def _open(self, experiment: str, name: str) -> None:
        before = self.client.time()
        while (now := self.client.time())[0] * 1000 + now[1] // 1000 == before[0] * 1000 + before[1] // 1000:
            pass  # an error of the same millisecond would not be older than the run
        for _ in range(2):  # the reply was lost
            run = self.broker.open(experiment, name, f"code {name}", {"user": USERS[experiment]})
            assert run.token == self.model.open(experiment, name, USERS[experiment])
        self.runs[run.token] = run

    @rule(experiment=st.sampled_from("ABCD"), name=st.sampled_from(("r0", "r1", "r2")))
    def open(self, experiment: str, name: str) -> None:
        self.verb = "open"
        self._open(experiment, name)

    def _closure(self, jobs: set[int]) -> list[int]:
        found: set[int] = set()
        pending = set(jobs)
        while pending:
            job = pending.pop()
            found.add(job)
            pending |= set(self.parents[job]) - found
        return sorted(found)

    @rule(data=st.data(), jobs=which_jobs, whole=st.sampled_from((True, True, False)), times=times)
    def submit(self, data: st.DataObject, jobs: set[int], whole: bool, times: int) -> None:
        """With their inputs, or without: those come later, or never."""
        self._submit(data, jobs, whole, times, recorded=data.draw(st.sampled_from((False, False, True))))

    def _submit(
        self,
        data: st.DataObject,
        jobs: set[int],
        whole: bool,
        times: int,
        *,
        recorded: bool,
        crowd: Sequence[str] = (),
    ) -> None:
        token = data.draw(st.sampled_from(sorted(self.runs)))
        queue = data.draw(st.sampled_from(("default", "default", "other")))
        version = data.draw(st.sampled_from((1, 1, 2)))
        priority = data.draw(st.sampled_from((0, 0, 1, -1, 4095)))
        wanted = st.sampled_from(crowd or data.draw(st.sampled_from(CROWDS)))
        needs = {number: data.draw(wanted) for number in sorted(jobs)}
        chain = data.draw(st.sampled_from((0, 0, 3)))
        wishes: dict[str, str | int] = {"to": 1000}
        if policy := data.draw(st.sampled_from(POLICIES)):
            wishes["ry"] = policy
        if self.model.jobs and data.draw(st.integers(0, 3)) == 0:
            wishes["nb"] = data.draw(st.sampled_from((FAR, 1)))
        if data.draw(st.integers(0, 3)) == 0:  # of parameters that don't identify a job
            for number in sorted(jobs - {0}):
                self.parents[number] = data.draw(
                    st.lists(st.integers(0, number - 1), max_size=4, unique=True)
                )
        entries = []
        for number in self._closure(jobs) if whole else sorted(jobs):
            entry = Entry(
                IDS[number], "T", f"T {number}", b"payload", tuple(IDS[parent] for parent in self.parents[number]),
                {"number": number}, queue, version, priority,
                wishes={
                    **({"rs": needs[number]} if needs.get(number) else {}), **({"ch": chain} if chain else {}), **wishes,
                },
            )  # fmt: skip
            job = self.model.jobs.get(short(entry.id))
            if job is None and recorded:
                entry = entry._replace(known="recorded", fence="0" * 26)
            elif job and job.noted is State.DONE and number in jobs:
                known = data.draw(st.sampled_from(("no", "removed")))
                fence = data.draw(st.sampled_from(("", job.fence, "stale")))
                entry = entry._replace(known=known, fence=fence)
            entries.append(entry)
        self.verb = "submit"
        by = self._submitter(data)
        for _ in range(times):
            try:
                outcomes = self.broker.submit(self.runs[token], entries, {"abcd": b"type"}, by=by)
            except JobError:
                assert by is not None and entries and not self.model.submits(by)
                return
            except ExperimentCancelled:
                assert by is None and entries and self.model.runs[token].off
                return
            assert by is not None or not entries or not self.model.runs[token].off
            assert by is None or not entries or self.model.submits(by)
            assert [outcome.action for outcome in outcomes] == self.model.submit(token, entries)

    def _submitter(self, data: st.DataObject) -> Execution | None:
        """Nobody, mostly; or an execution of a job, that runs or has ended."""
        begun = sorted(job.id for job in self.model.jobs.values() if job.execution)
        if not begun or data.draw(st.integers(0, 2)):
            return None
        job = data.draw(st.sampled_from(begun))
        return Execution(JobId(job), self.model.jobs[job].execution - data.draw(st.sampled_from((0, 0, 1))))

    @rule(experiment=st.sampled_from("1234"), jobs=which_jobs, times=times, running=st.booleans())
    def cancel(self, experiment: str, jobs: set[int], times: int, running: bool) -> None:
        ids = [IDS[number] for number in sorted(jobs)]
        self.verb = "cancel"
        for _ in range(times):
            found = self.broker.cancel(experiment, ids, running=running)
            assert found == self.model.cancel(experiment, ids, running=running)

    @rule(experiment=st.sampled_from("ABCD"), times=times)
    def call_off(self, experiment: str, times: int) -> None:
        """Its scripts submit no more, until one begins another run."""
        self.verb = "call_off"
        for _ in range(times):
            assert self.broker.call_off(experiment) == self.model.call_off(experiment)
        self._open(experiment, f"r{len(self.runs)} anew")

    @rule(jobs=which_jobs, rank=st.sampled_from((0, 3, 5)))
    def rank(self, jobs: set[int], rank: int) -> None:
        self.verb = "rank"
        ranks = {IDS[number]: rank for number in sorted(jobs)}
        assert self.broker.rank(ranks) == self.model.rank(ranks)
        assert self.broker.rank(ranks) == 0

    # Tokens and locks

    @rule(of=st.sampled_from(RESIZED), capacity=st.integers(0, 3), times=times)
    def resize(self, of: tuple[str, str], capacity: int, times: int) -> None:
        self.verb = "resize"
        resource, host = of
        for _ in range(times):
            assert self.broker.resize(resource, capacity, host) == self.model.resize(resource, capacity, host)
        self.deficit = {name: -left for name, left in self.model.left().items()}

    @rule(data=st.data(), name=st.sampled_from(NAMES), needs=st.sampled_from(NEEDS[3:]))
    def acquire(self, data: st.DataObject, name: str, needs: str) -> None:
        self._acquire(data, name, needs, data.draw(st.sampled_from(self.model.hosts)))

    def _acquire(self, data: st.DataObject, name: str, needs: str, host: str) -> None:
        priority, job, execution = data.draw(st.sampled_from((0, 0, 1))), "", 0
        if name in self.model.outside:
            needs, host = self.model.outside[name].needs, self.model.outside[name].host
        running = sorted(job.id for job in self.model.running())
        if name == "n2" and running:
            job = data.draw(st.sampled_from(running))
            execution = self.model.jobs[job].execution - data.draw(st.sampled_from((0, 0, 1)))
        if name in self.model.outside and self.model.outside[name].job != job:
            return
        self._look()
        self.verb = "acquire"
        for _ in range(2):  # the reply was lost
            said = self.model.acquire(name, needs, priority, host, job, execution)
            found = self.broker.acquire(
                name, needs, priority=priority, host=host, job=job, execution=execution
            )
            assert found.outcome == said or (not said and found.outcome in ("granted", "waiting"))
        if not said:
            assert (found.outcome == "granted") == (found.fence != "")
            self.fence = max(self.fence, found.fence)

    @rule(data=st.data(), crowd=st.sampled_from((ON_HOSTS, ON_HOSTS, NEEDS[3:])), host=st.sampled_from("gh"))
    def contend(self, data: st.DataObject, crowd: Sequence[str], host: str) -> None:
        """Code and jobs want the same at once, on one host above all."""
        self._clear_the_way()
        if waiting := {n for n in range(JOBS) if self._noted(n) is State.WAITING}:
            some = data.draw(st.sets(st.sampled_from(sorted(waiting)), max_size=6))
            self._submit(data, some, whole=False, times=1, recorded=False, crowd=crowd)
            self.verb = "submit"
            self.compare()
        for _ in range(data.draw(st.integers(1, 8))):
            what = data.draw(st.sampled_from(("acquire", "free", "work", "work")))
            names = [name for name, one in self.model.outside.items() if one.granted]
            if what == "acquire":
                self._acquire(
                    data, data.draw(st.sampled_from(NAMES)), data.draw(st.sampled_from(crowd)), host
                )
            elif what == "free" and names:
                self.free(data.draw(st.sampled_from(names)))
            else:
                workers = sorted(self.model.workers)
                self._go_on(data, data.draw(st.sampled_from(workers)), "finish")
            self.compare()

    contend_more = contend

    @rule(name=st.sampled_from(NAMES))
    def free(self, name: str) -> None:
        self.verb = "free"
        assert self.broker.free(name) == self.model.free(name)
        assert not self.broker.free(name)

    @rule(name=st.sampled_from(NAMES))
    def keep(self, name: str) -> None:
        if name not in self.model.outside or not self.model.outside[name].job:
            self.verb = "keep"
            for _ in range(2):  # the reply was lost
                assert self.broker.keep(name) == self.model.keep(name)

    @rule(name=st.sampled_from(NAMES), heard=st.booleans())
    def lapse(self, name: str, heard: bool) -> None:
        if name not in self.model.outside or self.model.outside[name].job:
            return
        self.client.zadd(f"{self.broker.prefix}holds", {name: 1}, xx=True)
        now, overdue = self.broker.overdue()
        looked = next((look for job, _, look in overdue if job == f"@{name}"))
        self.verb = "lapse"
        if heard:
            assert self.broker.keep(name)
        assert self.broker.lapse(name, looked, now - 60_000) == (not heard and self.model.lapse(name))

    @rule()
    def grow_late(self) -> None:
        """Who was passed was passed long ago."""
        for member in self.client.zrange(f"{self.broker.prefix}late", 0, -1):
            self.client.zadd(f"{self.broker.prefix}late", {member: 1})

    @rule()
    def revisit(self) -> None:
        self._look()
        self.verb = "revisit"
        settled = self.todo() == 0
        awake = self._awake()
        self.broker.revisit()
        self._look_outside()
        if settled:
            opened, left = self._opened(), self.model.left()
            awake |= self._awake()
            self._code_is_served(awake)
            for head in self.model.heads():
                fits = all(left[name] >= amount for name, amount in head.needs.items())
                assert not head.group or head.plain or not fits or head.group in opened

    def _code_is_served(self, awake: set[tuple[str, str]]) -> None:
        for name, one in self.model.outside.items():
            may = one.granted or self.model.may_have(name, lambda job, host: (job.slot, host) in awake)
            assert one.granted or not may, f"{one} may have it, and waits"

    # People

    @rule(verb=st.sampled_from(("kill", "hold", "release", "retry", "rerun")), jobs=which_jobs)
    def control(self, verb: str, jobs: set[int]) -> None:
        self.people(verb, jobs)

    @rule(data=st.data(), page=st.sampled_from((1, 2, 6)), lost=st.booleans())
    def rerun_with_dependents(self, data: st.DataObject, page: int, lost: bool) -> None:
        """What is done, and all that is done below it, some jobs a call; workers ask in between. Before, much gets done."""
        self._clear_the_way()
        for _ in range(data.draw(st.integers(0, 3 * JOBS))):
            worker = data.draw(st.sampled_from(sorted(self.model.workers)))
            self._go_on(data, worker, "finish")
            self.compare()
        done = [n for n in range(JOBS) if self._noted(n) is State.DONE]
        if not done:
            return
        meant = data.draw(st.sets(st.sampled_from(done), min_size=1, max_size=3))
        for number in range(JOBS):
            job = self.model.jobs.get(short(IDS[number]))
            if job and not {short(IDS[one]) for one in meant}.isdisjoint(job.inputs):
                meant.add(number)
        order = sorted(meant.intersection(done))
        for at in range(0, len(order), page):
            self.people("rerun", set(order[at : at + page]), lost=lost)
            self.compare()
            for worker in sorted(set(self.model.workers) - set(self.holders())):
                self.call("claim", worker)
                self.compare()

    def _noted(self, number: int) -> State | None:
        job = self.model.jobs.get(short(IDS[number]))
        return job.noted if job else None

    @rule(jobs=which_jobs, value=st.sampled_from((-4095, 0, 1, 4095)))
    def priority(self, jobs: set[int], value: int) -> None:
        self.people("priority", jobs, value)

    @rule(verb=st.sampled_from(("pause", "resume")), queue=st.sampled_from(("default", "other")))
    def gate(self, verb: str, queue: str) -> None:
        self.verb = "revisit" if verb == "pause" else verb  # who waits for what was kept is looked at again
        for _ in range(2):  # the reply was lost
            said = self.broker.pause([queue], "ada@h") if verb == "pause" else self.broker.resume([queue])
            assert said == ([queue] if getattr(self.model, verb)(queue) else [])
        self._look_outside()

    @rule(worker=st.sampled_from(WORKERS))
    def dismiss(self, worker: str) -> None:
        self.verb = "revisit"  # who waits for what was kept is looked at again
        for _ in range(2):  # the reply was lost
            assert self.broker.dismiss([worker]) == ([worker] if self.model.dismiss(worker) else [])
        self._look_outside()

    @rule()
    def lift(self) -> None:
        self.verb = "lift"
        for _ in range(2):  # the reply was lost
            assert self.broker.lift(["T"]) == (["T"] if self.model.lift() else [])
        # Idle workers come upon what is ready only when they are woken: by its release, or when they ask.
        self.was_suspended = True

    def people(self, verb: str, jobs: set[int], *more: int, lost: bool = True) -> None:
        """On both, and again: the reply was lost. What is released may be kept by its inputs."""
        ids = [IDS[number] for number in sorted(jobs)]
        self.verb = verb
        said = Counter(getattr(self.broker, verb)(ids, *more, "ada@h"))
        said["released"] += said.pop("blocked", 0)
        said["free"] += said.pop("short", 0)  # the engine holds it, nobody else
        assert +said == getattr(self.model, verb)(ids, *more)
        if not lost:
            return
        again = getattr(self.broker, verb)(ids, *more, "ada@h")
        assert not {"held", "released", "blocked", "retried", "rerun", "set"} & {*again}

    @precondition(lambda self: self.todo() > 0)
    @rule()
    def drain(self) -> None:
        self.verb = "drain"
        assert self.broker.drain() == self.todo()

    @rule(data=st.data())
    def come_due(self, data: st.DataObject) -> None:
        """The moments of some jobs come: whoever calls next lets them start."""
        later = sorted(id for id, job in self.model.jobs.items() if job.postponed)
        if not later:
            return
        for id in data.draw(st.sets(st.sampled_from(later), min_size=1)):
            self.client.hset(f"{self.broker.prefix}j:{id}", "nb", 1)
            self.client.zadd(f"{self.broker.prefix}due", {id: 1}, xx=True)
            self.model.come_due(id)
        self.verb = "drain"
        self.broker.drain()

    # Workers

    @precondition(lambda self: len(self.model.workers) < len(WORKERS))
    @rule(data=st.data())
    def enrol(self, data: st.DataObject) -> None:
        missing = sorted(set(WORKERS) - set(self.model.workers))
        self.verb = "enrol"
        worker, slots = data.draw(st.sampled_from(missing)), data.draw(st.sampled_from(SLOTS))
        self._enrol(worker, slots, data.draw(st.sampled_from("pqrs")))

    @rule(data=st.data())
    def claim(self, data: st.DataObject) -> None:
        free = sorted(set(self.model.workers) - set(self.holders()))
        if free:
            self.call("claim", data.draw(st.sampled_from(free)))

    @rule(data=st.data(), number=st.integers(0, JOBS - 1))
    def take(self, data: st.DataObject, number: int) -> None:
        free = sorted(set(self.model.workers) - set(self.holders()))
        if free and short(IDS[number]) in self.model.jobs:
            self.call("take", data.draw(st.sampled_from(free)), IDS[number])

    @rule(
        data=st.data(),
        verb=st.sampled_from(
            ("finish", "finish", "finish", "fail", "fail", "crash", "hand_back", "adjourn", "miss")
        ),
    )
    def report(self, data: st.DataObject, verb: str) -> None:
        if holders := sorted(self.holders()):
            self._report(data, data.draw(st.sampled_from(holders)), verb)

    @rule(data=st.data(), ends=st.lists(st.sampled_from(ENDS), min_size=1, max_size=12))
    def work(self, data: st.DataObject, ends: list[str]) -> None:
        """Workers go on: one that has a job reports how it ended, another asks for one. Most of what happens, happens so."""
        if data.draw(st.integers(0, 3)):
            self._clear_the_way()
        for verb in ends:
            worker = data.draw(st.sampled_from(sorted(self.model.workers)))
            self._go_on(data, worker, verb)
            self.compare()
            if not self.last[worker][3].claim and not self.todo() and not any(self.holders()):
                return  # nothing more is to be had

    def _go_on(self, data: st.DataObject, worker: str, verb: str) -> None:
        if worker in set(self.holders()):
            self._report(data, worker, verb)
        else:
            self.call("claim", worker)

    def _clear_the_way(self) -> None:
        """Nothing is suspended, paused or held by the brake, and no worker is to end."""
        if self.model.suspended:
            self.suspend()
        for queue in sorted(self.model.paused):
            self.gate("resume", queue)
        if self.model.braked:
            self.lift()
        for worker in sorted(self.model.dismissed - set(self.holders())):
            self._depart(worker, "returned")
            self._enrol(worker, self.slots[worker], "p")
        self.verb = "depart"
        holders = (
            (name, self.client.hget(f"{self.broker.prefix}a:{name}", "f")) for name in self.model.outside
        )
        self.code = {name: fence.decode() for name, fence in holders if fence}  # of several calls: not judged

    work_on = work
    work_further = work

    def _report(self, data: st.DataObject, worker: str, verb: str) -> None:
        life = self.model.workers[worker]
        job = self.model.jobs[life.granted]
        last: tuple[Any, ...] = {
            "finish": (job.fence,), "fail": (FAILURE, data.draw(st.booleans())),
            "crash": ("gone", data.draw(st.sampled_from(("crashed", "lost")))), "hand_back": ("why",),
            "adjourn": ("why",), "miss": (),
        }[verb]  # fmt: skip
        if verb == "miss":
            last = (data.draw(st.sampled_from([*job.inputs, short(IDS[0])])),)
        self.call(verb, worker, life.granted, life.execution, *last)

    @rule(data=st.data(), verb=st.sampled_from(("finish", "fail", "crash", "hand_back", "adjourn")))
    def late_report(self, data: st.DataObject, verb: str) -> None:
        """Of an execution that is not the caller's any more."""
        free = sorted(set(self.model.workers) - set(self.holders()))
        jobs = sorted(self.model.jobs)
        if free and jobs:
            worker, id = data.draw(st.sampled_from(free)), data.draw(st.sampled_from(jobs))
            execution = self.model.jobs[id].execution
            last = {"finish": ("0" * 26,), "fail": (FAILURE,), "crash": ("gone", "crashed")}.get(
                verb, ("why",)
            )
            self.call(verb, worker, id, execution, *last)

    @rule(data=st.data())
    def replay(self, data: st.DataObject) -> None:
        """A reply was lost; the client makes the call again. And an older call comes late."""
        if not self.last:
            return
        worker = data.draw(st.sampled_from(sorted(self.last)))
        verb, number, args, reply = self.last[worker]
        again = self._engine(verb, worker, number, args)
        life = self.model.workers[worker]
        held = self.model.held(worker, life.granted, life.execution) if life.granted else None
        expected = reply.claim if held else None
        if expected and held:  # an input that is made again meanwhile has another fence
            expected = replace(
                expected, fences=tuple(self.model.jobs[parent].fence for parent in held.inputs)
            )
        assert (again.outcome, again.claim) == (reply.outcome, expected)
        if number > 1:
            stale = self._engine(verb, worker, number - 1, args)
            assert (stale.outcome, stale.claim) == ("stale", None)
        self.verb = "renew"

    @rule(data=st.data())
    def renew(self, data: st.DataObject) -> None:
        running = sorted(job.id for job in self.model.running())
        if running:
            id = data.draw(st.sampled_from(running))
            job = self.model.jobs[id]
            worker = data.draw(st.sampled_from((job.worker, "w3")))
            execution = job.execution - data.draw(st.sampled_from((0, 0, 1)))
            self.verb = "renew"
            reached = data.draw(st.sampled_from((None, 0.25, 0.5)))
            for _ in range(2):  # the reply was lost
                said = self.broker.renew(worker, id, execution, b"\x92\x00\xa1x", reached)
                assert said == self.model.renew(worker, id, execution, reached)

    @rule(data=st.data())
    def depart(self, data: st.DataObject) -> None:
        if len(self.model.workers) > 1:
            worker = data.draw(st.sampled_from(sorted(self.model.workers)))
            self._depart(worker, data.draw(st.sampled_from(("crashed", "lost", "returned"))))

    def _depart(self, worker: str, end: Any) -> None:
        self.last.pop(worker, None)
        self.verb = "depart"
        assert self.broker.depart(worker, "gone", end) == self.model.depart(worker, end)
        assert self.broker.depart(worker) == ""

    # The server and the sweeper

    @rule(data=st.data())
    def expire(self, data: st.DataObject) -> None:
        running = sorted(self.model.overdue())
        if not running:
            return
        for name in self.model.outside:
            later = (self.client.time()[0] + 25) * 1000  # and no later than any lease could end
            self.client.zadd(f"{self.broker.prefix}holds", {name: later}, xx=True)
        gone = data.draw(st.sets(st.sampled_from(running), min_size=1))
        leases = f"{self.broker.prefix}leases"
        self.client.zadd(leases, dict.fromkeys(gone, 1), xx=True)
        now, found = self.broker.overdue()
        assert {id for id, _, _ in found} == gone
        self.verb = "expire"
        for id, execution, renewals in found:
            assert not self.broker.expire(id, execution, renewals, now), "the second look came too early"
            case = data.draw(st.sampled_from(("gone", "renewed", "grace")))
            if case == "renewed":
                assert self.broker.renew(self.model.jobs[id].worker, id, execution) != "fenced"
                self.model.renew(self.model.jobs[id].worker, id, execution)
                assert not self.broker.expire(id, execution, renewals, 0)
                self.client.zadd(leases, {id: 1}, xx=True)
                assert not self.broker.expire(id, execution, renewals, 0)
            elif case == "grace":
                self._new_server()
                assert self.broker.overdue()[1] == []
                assert self.broker.neglected() == self.model.neglected()
                assert not self.broker.expire(id, execution, renewals, 0)
                self._no_grace()
            else:
                assert self.model.expire(id, execution, int(renewals))
                assert self.broker.expire(id, execution, renewals, 0)
                assert not self.broker.expire(id, execution, renewals, 0)
        self.client.zadd(leases, dict.fromkeys(running, now + 30000), xx=True)

    def _new_server(self) -> None:
        self.model.hello()
        before = int(self.client.hget(f"{self.broker.prefix}meta", "epoch") or 0)
        life = f"server {self.model.servers}"
        epoch, _ = self.client.eval(source("hello"), 0, self.broker.prefix, life, 30_000, 1)
        assert int(epoch) > before
        again, _ = self.client.eval(source("hello"), 0, self.broker.prefix, life, 30_000, 1)
        assert again == epoch
        self.client.connection_pool.disconnect()  # whoever greeted the life before is refused
        self.broker.hello()

    @rule()
    def hello(self) -> None:
        self.verb = "hello"
        self._new_server()
        self._no_grace()

    @rule()
    def suspend(self) -> None:
        self.model.suspended = not self.model.suspended
        self.was_suspended = True
        if self.model.suspended:
            self.client.set("rq:suspended", 1)
        else:
            self.client.delete("rq:suspended")

    @rule()
    def project(self) -> None:
        """RQ's keys are repaired, whatever became of them."""
        self.verb = "repair"
        for state in State:
            if state is not State.READY:
                self.broker.repair(state, 0)
        for slot in self.broker.slots():
            self.broker.refill(slot)
        graph = invariants.read(self.client, NAMESPACE)
        invariants.check_projection(self.client, graph)
        assert not any(self.broker.refill(slot) for slot in self.broker.slots()), "refilled what was right"
        assert not any(self.broker.repair(state, 0) for state in State), "repaired what was right"

    @rule(seed=st.integers(0, 1000))
    def damage(self, seed: int) -> None:
        """Some of RQ's keys go; the graph goes on without them."""
        chance = random.Random(seed)
        keys = sorted(self.client.keys("rq:*"))
        gone = [key for key in keys if chance.random() < 0.4 and key != b"rq:suspended"]
        if gone:
            self.client.delete(*gone)

    @rule()
    def requeue(self) -> None:
        """A stock rq-dashboard requeues what has failed: that starts nothing by itself."""
        for id, job in self.model.jobs.items():
            if job.noted is State.ERROR:
                name = f"xpm-{NAMESPACE}-{job.queue}"
                self.client.zrem(f"rq:failed:{name}", f"{NAMESPACE}-{id}")
                self.client.hset(f"rq:job:{NAMESPACE}-{id}", "status", "queued")
                self.client.rpush(f"rq:queue:{name}", f"{NAMESPACE}-{id}")

    # What holds after each

    @invariant()
    def compare(self) -> None:
        graph = invariants.read(self.client, NAMESPACE)
        invariants.check(graph)
        self.history.follow(graph)
        for was, to in self.history.steps:
            allowed = TRANSITIONS[self.verb].get(State(was) if was else None, frozenset())
            assert to in allowed, f"{self.verb}: {was} -> {to}"
        jobs = graph.jobs
        for id, job in self.model.jobs.items():
            found = jobs[id]
            fields = [int(found.get(name, 0)) for name in ("o", "p", "x", "a", "cr", "ls", "rt", "gt")]
            counts = [job.attempts, job.crashes, job.losses, job.retries, job.early_ends]
            assert fields == [job.order, job.priority, job.execution, *counts], id
            assert found.get("ah", "") == job.avoids
            assert set(found["v"].split()) == job.wanted
            assert set(found["e"].split()) == set(job.runs.values())
            assert f"{found['q']}:{found['k']}" == job.slot
            assert set(found.get("h", "").split()) - {"capacity"} == job.holds, id
            started = found["s"] if found["s"] not in invariants.STARTABLE else State.WAITING
            assert started == job.noted, id
            assert (found.get("rs", ""), int(found.get("ch", 0))) == (job.needs, job.chain)
        self._compare_resources(graph)
        for token, run in self.model.runs.items():
            listed = graph.keys.get(f"tags:{token}", ("", {}))[1]
            assert {id.decode() for id in listed} == run.listed
        if not self.was_suspended:
            invariants.check_bells(graph)
        if not graph.todo:
            invariants.check_settled(graph)
            expected = self.model.states()
            other = {id: (job["s"], expected[id]) for id, job in jobs.items() if job["s"] != expected[id]}
            assert not other, other

    def _compare_resources(self, graph: invariants.Graph) -> None:
        self._look_outside()
        assert set(graph.hashes("a:")) == set(self.model.outside)
        left = self.model.left()
        stock = graph.stocks
        for name, amount in left.items():
            resource, _, host = name.partition("@")
            used = int(stock[resource].get(f"u@{host}" if host else "u", 0))
            assert used == self.model.capacity(resource, host) - amount, name
            assert -amount <= max(0, self.deficit.get(name, 0)), f"more of {name} is granted than there is"
        self.deficit = {name: -amount for name, amount in left.items()}
        fences = {name: one["f"] for name, one in graph.hashes("a:").items() if "f" in one}
        if not graph.todo:
            self._check_code(graph, fences)
        self.code = fences
        self.late = {name: since for name, since in graph.zset("late").items() if since < LONG_AGO}
        if graph.todo:
            return
        self._look()
        if not self.was_suspended:
            self._check_bells_of_hosts(graph)
        seen = [head for host in self.model.hosts for head in self.model.heads(host)]
        heads = [head for head in seen if head.possible and not head.plain]
        if heads and all(left[name] >= amount for head in heads for name, amount in head.needs.items()):
            # RQ's tools suspend all without telling anybody that what is kept for jobs is code's now.
            if not self.model.suspended:
                self._code_is_served(self._awake())
            assert self._opened(), "all that is wanted is free, and nobody is told"

    def _check_code(self, graph: invariants.Graph, fences: dict[str, str]) -> None:
        """What code was granted since the last look was not kept for others, nor about to be taken by them."""
        workers = graph.hashes("w:")
        # Who idles did so then, but for the one that has called last: it may be in line only since.
        idle = {
            (slot, life.host)
            for name, life in self.model.workers.items()
            if workers[name].get("i") and name != self.caller and name not in self.model.dismissed
            for slot in self.model.served(life.slots)
        }

        def coming(job: lines.Waiter, host: str) -> bool:
            hosts = [host] if host else self.model.hosts
            return any((job.slot, one) in idle and self.model.fits(job.id, one) for one in hosts)

        self._look()
        self.model.look.late = self.late  # a grant ends its holder's wait
        fresh = {name for name, fence in fences.items() if self.code.get(name) != fence}
        for name in sorted(fresh, key=fences.__getitem__, reverse=True):
            self.model.outside[name].granted = False  # as it was when this one was served, and no later one
            # Where several jobs expired at once, it may have been served before the last of them.
            may = self.verb == "expire" or self.model.may_have(name, coming)
            assert may, f"{self.model.outside[name]} was granted what others are to have"
        for name in fresh:
            self.model.outside[name].granted = True

    def _check_bells_of_hosts(self, graph: invariants.Graph) -> None:
        """Where a job may have what its host has for itself, and a worker there is idle, one was woken for such jobs."""
        workers = graph.hashes("w:")
        rung = {fields["b"] for fields in workers.values() if fields.get("b")}
        for worker in self.model.workers:
            if not workers[worker].get("i") or worker in self.model.dismissed:
                continue
            for job, group in self.model.candidates(worker):
                needs = needs_of(self.model.jobs[job].needs)
                if needs and all(map(each_has, needs)) and not self.model.jobs[job].avoids:
                    assert group in rung, f"{worker} could have {job}, and nobody was woken"


def test_the_engine_does_what_the_model_says(server: Server) -> None:
    run_machine(Engine, server, 60, 40, random=False)


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_the_engine_does_what_the_model_says_for_long(server: Server) -> None:
    run_machine(Engine, server, 3000, 60, random=True)


def test_fences_are_texts_in_order() -> None:
    fences = [f"{epoch:010d}{counter:016d}" for epoch, counter in ((1, 9), (1, 10), (2, 1), (10, 0))]
    assert all(one < other for one, other in pairwise(fences))
