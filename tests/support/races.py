"""Races: clients that make their calls in turn, in every order of all calls, and a world in which they do.

A script is atomic, so an interleaving is an order of calls. In each variant the reply of one call is lost, and the client
makes it again. After every call all invariants hold. Clients may be in several workspaces that share their tokens: `b.w`
is the worker `w` of the workspace `b`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import invariants
from hands import FAILURE, SLOTS, entry, job
from redis import Redis
from spaces import Overseer, there_is

from xpm.broker.broker import Broker, Claim, Reply, Run
from xpm.broker.scripts import source
from xpm.core.state import State
from xpm.types import Namespace, short

NAMESPACES = {
    "": Namespace("0123456789ab"), "b": Namespace("ba9876543210"), "c": Namespace("00000000aaaa"),
}  # fmt: skip
INPUTS = {"a": (), "b": ("a",), "c": ("a",), "d": ("b", "c"), "g": (), "h": (), "i": (), "j": ()}
"""The jobs there are, and what they wait for."""
NEEDS = {"g": "t.gpu=1", "h": "l.index=1,t.gpu=1", "i": "l.index=1000000", "j": "t.gpu=2"}
CAPACITIES = {"t.gpu": 1, "l.index": 1_000_000}
AGAIN = "again"
"""The step of a client that has not heard the answer to the last one."""

Call = Callable[[], Any]


@dataclass
class Client:
    """A script, a worker, a supervisor or a sweeper: what it has heard so far."""

    name: str
    number: int = 0
    claim: Claim | None = None
    sees: list[Broker] = field(default_factory=list)
    """Of the workspaces after which it looks."""
    looks: list[tuple[Broker, str, int, str]] = field(default_factory=list)
    looked: int = 0
    """After how many renewals."""
    last: Call = lambda: None
    heard: Any = None


class World:
    """A workspace, and all that was said in it."""

    def __init__(self, client: Redis, budget: int, namespace: Namespace) -> None:
        self.client = client
        self.broker = Broker(client, namespace, budget=budget)
        self.broker.hello()
        client.hset(f"{self.broker.prefix}meta", "grace", 0)
        self.history = invariants.History(client, namespace)
        self.clients: dict[str, Client] = {}
        self.runs: dict[str, Run] = {}
        self.done: dict[tuple[str, int], str] = {}
        """Job and execution to the fence of those that were told to be done."""
        self.renewals = 0
        self.restarts = 0
        self.departed: set[str] = set()
        """Workers whose numbers are forgotten: they are dead, and at most a call of theirs is still on its way."""
        self.actions: list[str] = []
        """What became of submitted jobs."""

    def run(self, name: str) -> Run:
        """The run of a script, in an experiment of its own, which begins later than all that was."""
        if name not in self.runs:
            began = self._milliseconds() if self.actions else 0
            while self._milliseconds() == began:
                pass  # a failure of the same millisecond would not be older than the run
            self.runs[name] = self.broker.open(f"of {name}", "1", "code")
        return self.runs[name]

    def _milliseconds(self) -> int:
        seconds, micros = self.client.time()
        return seconds * 1000 + micros // 1000

    def client_of(self, name: str) -> Client:
        if name not in self.clients:
            self.clients[name] = Client(name)
            if name.startswith("w"):
                self.broker.enrol(name, {"host": "h", "pid": 1, "pool": "p", "slots": SLOTS})
        return self.clients[name]

    def step(self, name: str, step: str) -> None:
        """One call of a client."""
        who = self.client_of(name)
        if step == AGAIN:
            before, heard = who.heard, who.last()
            if isinstance(heard, Reply):
                assert heard.outcome == before.outcome or name in self.departed
                assert heard.claim in (before.claim, None), "a lost reply has fetched another job"
        else:
            word, *more = step.split()
            who.last = VERBS[word](self, who, *more)
            heard = who.last()
        who.heard = heard
        if isinstance(heard, Reply):
            who.claim = heard.claim

    def follow(self, graph: invariants.Graph) -> None:
        """What was said goes with what is."""
        self.history.follow(graph)
        known = {name for name in self.departed if f"w:{name}" in graph.keys}
        assert not known, f"{known} departed, and are listed again"

    def report(self, who: Client, verb: str, slots: str, last: Any = None) -> Call:
        """A worker's call about the job that it has."""
        claim = who.claim
        if claim is None:
            return lambda: None
        who.number += 1
        number, more = who.number, claim.fence if last is None else last

        def call() -> Reply:
            reply = getattr(self.broker, verb)(who.name, number, slots, claim.id, claim.execution, more)
            if reply.outcome == "done":
                self.done[short(claim.id), claim.execution] = claim.fence
            return reply

        return call

    def ask(self, who: Client) -> Call:
        who.number += 1
        number = who.number
        return lambda: self.broker.claim(who.name, number, SLOTS)

    def renew(self, who: Client) -> Call:
        claim = who.claim

        def call() -> None:
            if claim is not None and self.broker.renew(who.name, claim.id, claim.execution) == "ok":
                self.renewals += 1

        return call

    def neglected(self, who: Client) -> Call:
        def call() -> None:
            who.sees = [Broker(self.client, name) for name in self.broker.neglected()]

        return call

    def look(self, who: Client) -> Call:
        def call() -> None:
            seen = who.sees or [self.broker]
            who.looks = [(broker, *look) for broker in seen for look in broker.overdue()[1]]
            who.looked = self.renewals

        return call

    def expire(self, who: Client) -> Call:
        looks, looked = list(who.looks), who.looked

        def call() -> None:
            taken = [
                broker.lapse(job[1:], renewals, 0)
                if job.startswith("@")
                else broker.expire(job, execution, renewals, 0)
                for broker, job, execution, renewals in looks
            ]
            assert looked == self.renewals or not any(taken), "it was renewed since the first look"

        return call

    def submit(self, who: Client, *names: str, priority: int = 0) -> Call:
        wishes = {name: {"rs": NEEDS[name]} if name in NEEDS else {} for name in names}
        entries = [entry(name, *INPUTS[name], wishes=wishes[name], priority=priority) for name in names]
        run = self.run(who.name)

        def call() -> None:
            self.actions += [outcome.action for outcome in self.broker.submit(run, entries, {})]

        return call

    def cancel(self, who: Client, of: str, *names: str) -> Call:
        serial = self.run(of).serial
        return lambda: self.broker.cancel(serial, [job(name) for name in names])

    def person(self, verb: str, *names: str) -> Call:
        """What somebody wants with jobs."""
        return lambda: getattr(self.broker, verb)([job(name) for name in names], "ada")

    def depart(self, who: Client, worker: str) -> Call:
        self.departed.add(worker)
        return lambda: self.broker.depart(worker)

    def overdue(self, who: Client, name: str) -> Call:
        return lambda: self.client.zadd(f"{self.broker.prefix}leases", {short(job(name)): 1}, xx=True)

    def die(self, who: Client) -> Call:
        """All leases of the workspace ran out, and nobody there looked at them for long."""

        def call() -> None:
            for leases in ("leases", "holds"):
                for one in self.client.zrange(f"{self.broker.prefix}{leases}", 0, -1):
                    self.client.zadd(f"{self.broker.prefix}{leases}", {one: 1})
            self.client.hset(f"{self.broker.prefix}meta", "swept", 0)

        return call

    def restart(self, who: Client) -> Call:
        """The server begins another life, and a connection notices."""
        args = (self.broker.prefix, f"after {self.restarts}", 30_000, 1)
        self.restarts += 1
        return lambda: self.client.eval(source("hello"), 0, *args)

    def obey(self, who: Client) -> Call:
        """Renew, and report what follows: a stop ends the job."""
        claim = who.claim
        if claim is None:
            return lambda: None
        said = self.broker.renew(who.name, claim.id, claim.execution)
        return (
            self.report(who, "fail", "", FAILURE)
            if said in ("stop", "cancel")
            else self.report(who, "finish", "")
        )

    def live(self) -> dict[str, tuple[str, str]]:
        """For which slots workers sleep, and for which group they were woken."""
        found: dict[str, tuple[str, str]] = {}
        for name in self.clients:
            v = self.client.hmget(f"{self.broker.prefix}w:{name}", "i", "b", "born")
            if v[2]:
                found[name] = (v[0] or b"").decode(), (v[1] or b"").decode()
        return found

    def call(self) -> bool:
        """Who is awake calls, but for those who have something; whether anybody got something."""
        got = False
        for name, (sleeps, rung) in self.live().items():
            assert not rung or self.client.exists(f"{self.broker.prefix}bell:{name}"), (
                f"{name}'s bell is silent"
            )
            if not sleeps and self.clients[name].claim is None:
                self.step(name, "claim")
                got = got or self.clients[name].claim is not None or bool(self.clients[name].heard.backlog)
        return got

    def end(self) -> bool:
        """One who has something ends it; whether there was anybody."""
        for name in self.live():
            if self.clients[name].claim is not None:
                self.step(name, "finish")
                return True
        for name in self.clients:
            if self.client.hexists(f"{self.broker.prefix}a:{name}", "f"):
                self.step(name, "free")
                return True
        return False

    def probe(self) -> None:
        """Whoever sleeps would get nothing."""
        for name, (sleeps, _) in self.live().items():
            if sleeps:
                self.step(name, "claim")
                assert self.clients[name].claim is None, f"{name} slept, and there was something for it"
        for name in self.clients:
            needs = self.client.hget(f"{self.broker.prefix}a:{name}", "needs")
            if needs and not self.client.hexists(f"{self.broker.prefix}a:{name}", "f"):
                grant = self.broker.acquire(name, needs.decode())
                assert not grant.fence, f"{name} slept, and there was {needs.decode()} for it"

    def go_on(self) -> None:
        """Whoever has a job ends it, and all else runs."""
        for who in list(self.clients.values()):
            if who.claim is not None:
                self.step(who.name, "finish")
        self.step("wrest", "next")
        while (rest := self.client_of("wrest")).claim is not None or rest.heard.backlog:
            self.step("wrest", "next")

    def check_ended(self, graph: invariants.Graph) -> None:
        """Nothing is stuck, and no job was done twice."""
        left = {fields["s"] for fields in graph.jobs.values()} - SETTLED
        assert not left, states(graph)
        jobs = [id for id, _ in self.done]
        assert len(jobs) == len(set(jobs)), f"done twice: {self.done}"
        for (id, execution), fence in self.done.items():
            found = graph.jobs[id]
            assert (found["s"], int(found["x"]), found["f"]) == ("DONE", execution, fence)

    def situation(self, graph: invariants.Graph) -> str:
        """All that what follows can depend on, without the times, of which the epoch of a fence is one."""
        jobs = {
            id: {k: v[10:] if k == "f" else v for k, v in job.items() if not k.startswith("t")}
            for id, job in graph.jobs.items()
        }
        edges = [(name, value) for name, value in graph.keys.items() if name.startswith(("in:", "out:"))]
        held = {name: who.claim and (who.claim.id, who.claim.execution) for name, who in self.clients.items()}
        return repr((jobs, edges, graph.todo, held, sorted(self.done)))

    def waits(self, graph: invariants.Graph) -> str:
        """Who waits and who was woken."""
        code = {name: "f" in fields for name, fields in graph.hashes("a:").items()}
        workers = {name: (v.get("i"), v.get("b")) for name, v in graph.hashes("w:").items()}
        lines = {
            name: list(graph.zset(name)) for name in graph.keys if name.startswith(("wants:", "opened:"))
        }
        return repr((code, workers, lines))


class Worlds:
    """Workspaces on one server."""

    def __init__(self, client: Redis, budget: int, places: Sequence[str]) -> None:
        client.flushall()
        self.worlds = {place: World(client, budget, NAMESPACES[place]) for place in places}
        self.overseer = Overseer(client, *(NAMESPACES[place] for place in places))

    def step(self, name: str, step: str) -> None:
        """One call of a client."""
        place, _, local = name.rpartition(".")
        self.worlds[place].step(local, step)

    def check(self) -> list[invariants.Graph]:
        """All that must hold after a call."""
        graphs = self.overseer.check()
        for world, graph in zip(self.worlds.values(), graphs, strict=True):
            world.follow(graph)
        return graphs

    def settle(self, graphs: list[invariants.Graph]) -> list[invariants.Graph]:
        """All news is told, after the call that led to `graphs`."""
        if any(graph.todo for graph in graphs):
            for world in self.worlds.values():
                world.broker.settle()
            graphs = self.check()
        for graph in graphs:
            invariants.check_settled(graph)
            invariants.check_bells(graph)
        return graphs

    def go_on(self) -> None:
        """All that was wanted is had: by those who are there, if they are woken for it, and then by others."""
        if len(self.worlds) > 1:
            self.rouse()
        for world in self.worlds.values():
            world.go_on()
        for world, graph in zip(self.worlds.values(), self.settle(self.check()), strict=True):
            world.check_ended(graph)

    def rouse(self) -> None:
        """Each calls only when it was woken, and one after the other ends what it has: nobody sleeps on."""
        worlds = self.worlds.values()
        for _ in range(50):
            got = True
            while got:
                got = any(tuple(world.call() for world in worlds))
            graphs = self.settle(self.check())
            if not any(rung for world in worlds for _, rung in world.live().values()):
                for world in worlds:
                    world.probe()
                if not any(world.end() for world in worlds):
                    break
        else:
            raise AssertionError("they call again and again")
        for graph in graphs:
            assert not graph.hashes("a:"), f"{graph.namespace}: code waits for ever"
            waiting = [fields for fields in graph.jobs.values() if fields["s"] == "READY"]
            for fields in waiting if graph.hashes("w:") else ():
                assert not there_is(graph, fields.get("rs", ""), "h"), (
                    f"{graph.namespace}: {fields} waits for ever"
                )

    def situation(self, graphs: list[invariants.Graph]) -> str:
        """All that what follows can depend on, without the times."""
        several = len(graphs) > 1
        found = [
            world.situation(graph) + (world.waits(graph) if several else "")
            for world, graph in zip(self.worlds.values(), graphs, strict=True)
        ]
        lines = {name: [m for m, _ in value] for name, (t, value) in graphs[0].shared.items() if t == "zset"}
        return repr((found, graphs[0].stocks, lines if several else ()))

    def count(self, graphs: list[invariants.Graph]) -> None:
        """No job was made twice."""
        for world, graph in zip(self.worlds.values(), graphs, strict=True):
            assert world.actions.count("new") == len(graph.jobs), "a job was made twice"

    def states(self, graphs: list[invariants.Graph]) -> str:
        """Where the jobs are, by their names."""
        found = [
            " ".join(filter(None, (place, states(graph))))
            for place, graph in zip(self.worlds, graphs, strict=True)
        ]
        return " / ".join(found)


def states(graph: invariants.Graph) -> str:
    """Where the jobs are, by their names."""
    known = [(name, graph.jobs.get(short(job(name)))) for name in INPUTS]
    return " ".join(f"{name}:{fields['s']}" for name, fields in known if fields)


SETTLED = {State.DONE, State.ERROR, State.CANCELLED, State.HOLD}

VERBS: dict[str, Callable[..., Call]] = {
    # scripts: the jobs; `cancel` names the script whose wish ends first
    "submit": World.submit,
    "urge": lambda world, who, *names: world.submit(who, *names, priority=1),
    "cancel": World.cancel,
    # people: any of them, on jobs
    "kill": lambda world, who, *names: world.person("kill", *names),
    "hold": lambda world, who, *names: world.person("hold", *names),
    "release": lambda world, who, *names: world.person("release", *names),
    "retry": lambda world, who, *names: world.person("retry", *names),
    "declare": lambda world, who: lambda: world.broker.declare(CAPACITIES),
    "acquire": lambda world, who, needs: lambda: world.broker.acquire(who.name, needs),
    "free": lambda world, who: lambda: world.broker.free(who.name),
    "keep": lambda world, who: lambda: world.broker.keep(who.name),
    "resize": lambda world, who, name, capacity: lambda: world.broker.resize(name, int(capacity)),
    "drain": lambda world, who: world.broker.drain,
    # workers: about the job that they have; `next` fetches another in the same call
    "claim": World.ask,
    "finish": lambda world, who: world.report(who, "finish", ""),
    "next": lambda world, who: world.report(who, "finish", SLOTS) if who.claim else world.ask(who),
    "fail": lambda world, who: world.report(who, "fail", "", FAILURE),
    "crash": lambda world, who: world.report(who, "crash", "", "SIGKILL"),
    "hand_back": lambda world, who: world.report(who, "hand_back", "", "stopped"),
    "obey": World.obey,
    "renew": World.renew,
    # the supervisor and the sweeper
    "depart": World.depart,
    "overdue": World.overdue,
    "die": World.die,
    "neglected": World.neglected,
    "look": World.look,
    "expire": World.expire,
    "restart": World.restart,
}
"""What a step may be: given what the client knows, the call that it makes."""


@dataclass(frozen=True)
class Race:
    """Clients and their steps; `ends` are the states in which the jobs may be when all has been said, and settled."""

    name: str
    first: tuple[tuple[str, str], ...]
    clients: tuple[tuple[str, tuple[str, ...]], ...]
    ends: frozenset[str]
    budget: int = 250

    @property
    def places(self) -> list[str]:
        """The workspaces that they are in."""
        return sorted({name.rpartition(".")[0] for name, _ in (*self.first, *self.clients)})


def race(name: str, first: str, clients: Sequence[str], ends: Sequence[str], budget: int = 250) -> Race:
    """`first` and `clients` are written `client: step, step`; those of `first` are separated by `;`."""
    parts = [part.split(": ") for part in first.split("; ")] if first else []
    before = tuple((who, step) for who, steps in parts for step in steps.split(", "))
    told = [line.split(": ") for line in clients]
    return Race(
        name, before, tuple((who, tuple(steps.split(", "))) for who, steps in told), frozenset(ends), budget
    )


def merges(sequences: Sequence[Sequence[str]]) -> Iterator[list[tuple[int, str]]]:
    """All orders that keep each sequence's own."""
    if not any(sequences):
        yield []
    for number, sequence in enumerate(sequences):
        if sequence:
            rest = [*sequences[:number], sequence[1:], *sequences[number + 1 :]]
            for order in merges(rest):
                yield [(number, sequence[0]), *order]


def with_a_lost_reply(sequences: Sequence[Sequence[str]]) -> Iterator[list[Sequence[str]]]:
    """As they are, and with one call made again."""
    yield list(sequences)
    for number, sequence in enumerate(sequences):
        for at in range(len(sequence)):
            again = (*sequence[: at + 1], AGAIN, *sequence[at + 1 :])
            yield [*sequences[:number], again, *sequences[number + 1 :]]


class Played:
    """What was looked at already: orders that begin alike differ only from there on."""

    def __init__(self) -> None:
        self.checked: dict[tuple[tuple[str, str], ...], dict[tuple[str, str], int]] = {}
        """With what was in use then."""
        self.gone_on: set[str] = set()


def play_all(client: Redis, race: Race) -> None:
    """Plays every order of the calls of `race`, and compares how they end."""
    names = [name for name, _ in race.clients]
    played = Played()
    ends: dict[str, list[str]] = {}
    for sequences in with_a_lost_reply([steps for _, steps in race.clients]):
        for order in merges(sequences):
            told = [f"{names[number]}: {step}" for number, step in order]
            steps = [(names[number], step) for number, step in order]
            try:
                end = play(Worlds(client, race.budget, race.places), race.first, steps, played)
            except AssertionError as error:
                raise AssertionError(f"{told}: {error}") from error
            ends.setdefault(end, told)
    assert ends.keys() == race.ends, {end: told for end, told in ends.items() if end not in race.ends}


def play(
    worlds: Worlds, first: Sequence[tuple[str, str]], order: Sequence[tuple[str, str]], played: Played
) -> str:
    """Makes the calls; returns where the jobs are when they are settled, and sees that all goes on from there."""
    for name, step in first:
        worlds.step(name, step)
    graphs = worlds.check()
    for count, (name, step) in enumerate(order, 1):
        worlds.step(name, step)
        if (begun := tuple(order[:count])) in played.checked:  # the whole order never is
            worlds.overseer.used = dict(played.checked[begun])
        else:
            graphs = worlds.check()
            played.checked[begun] = dict(worlds.overseer.used)
    graphs = worlds.settle(graphs)
    worlds.count(graphs)
    if (situation := worlds.situation(graphs)) not in played.gone_on:
        played.gone_on.add(situation)
        worlds.go_on()
    return worlds.states(graphs)
