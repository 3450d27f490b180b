"""Races: clients that make their calls in turn, in every order of all calls, and a world in which they do.

A script is atomic, so an interleaving is an order of calls. In each variant the reply of one call is lost, and the client
makes it again. After every call all invariants hold.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import invariants
from hands import FAILURE, SLOTS, entry, job
from redis import Redis

from xpm.broker.broker import Broker, Claim, Reply, Run
from xpm.broker.scripts import source
from xpm.core.state import State
from xpm.types import Namespace, short

NAMESPACE = Namespace("0123456789ab")
INPUTS = {"a": (), "b": ("a",), "c": ("a",), "d": ("b", "c"), "g": (), "h": (), "i": ()}
"""The jobs there are, and what they wait for."""
NEEDS = {"g": "t.gpu=1", "h": "l.index=1,t.gpu=1", "i": "l.index=1000000"}
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
    looks: list[tuple[str, int, str]] = field(default_factory=list)
    looked: int = 0
    """After how many renewals."""
    last: Call = lambda: None
    heard: Any = None


class World:
    """A namespace of its own, and all that was said in it."""

    def __init__(self, client: Redis, budget: int) -> None:
        client.flushall()
        self.client = client
        self.broker = Broker(client, NAMESPACE, budget=budget)
        self.broker.hello()
        client.hset(f"{self.broker.prefix}meta", "grace", 0)
        self.history = invariants.History(client, NAMESPACE)
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
            began = self.client.time()
            while (now := self.client.time())[0] * 1000 + now[1] // 1000 == began[0] * 1000 + began[
                1
            ] // 1000:
                pass  # a failure of the same millisecond would not be older than the run
            self.runs[name] = self.broker.open(f"of {name}", "1", "code")
        return self.runs[name]

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

    def check(self) -> invariants.Graph:
        """All that must hold after a call."""
        graph = invariants.read(self.client, NAMESPACE)
        invariants.check(graph)
        self.history.follow(graph)
        known = {name for name in self.departed if f"w:{name}" in graph.keys}
        assert not known, f"{known} departed, and are listed again"
        return graph

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

    def look(self, who: Client) -> Call:
        def call() -> None:
            who.looks, who.looked = self.broker.overdue()[1], self.renewals

        return call

    def expire(self, who: Client) -> Call:
        looks, looked = list(who.looks), who.looked

        def call() -> None:
            taken = [self.broker.expire(*look, 0) for look in looks]
            assert looked == self.renewals or not any(taken), "it was renewed since the first look"

        return call

    def submit(self, who: Client, *names: str) -> Call:
        wishes = {name: {"rs": NEEDS[name]} if name in NEEDS else {} for name in names}
        entries = [entry(name, *INPUTS[name], wishes=wishes[name]) for name in names]
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

    def settle(self, graph: invariants.Graph) -> invariants.Graph:
        """All news is told, after the call that led to `graph`."""
        if graph.todo:
            while self.broker.drain():
                pass
            graph = self.check()
        invariants.check_settled(graph)
        invariants.check_bells(graph)
        return graph

    def go_on(self) -> None:
        """Whoever has a job ends it, and all else runs: nothing is stuck, and no job was done twice."""
        for who in list(self.clients.values()):
            if who.claim is not None:
                self.step(who.name, "finish")
        self.step("wrest", "next")
        while (rest := self.client_of("wrest")).claim is not None or rest.heard.backlog:
            self.step("wrest", "next")
        graph = self.settle(self.check())
        left = {fields["s"] for fields in graph.jobs.values()} - SETTLED
        assert not left, states(graph)
        jobs = [id for id, _ in self.done]
        assert len(jobs) == len(set(jobs)), f"done twice: {self.done}"
        for (id, execution), fence in self.done.items():
            found = graph.jobs[id]
            assert (found["s"], int(found["x"]), found["f"]) == ("DONE", execution, fence)

    def situation(self, graph: invariants.Graph) -> str:
        """All that what follows can depend on, without the times."""
        jobs = {id: {k: v for k, v in job.items() if not k.startswith("t")} for id, job in graph.jobs.items()}
        edges = [(name, value) for name, value in graph.keys.items() if name.startswith(("in:", "out:"))]
        held = {name: who.claim and (who.claim.id, who.claim.execution) for name, who in self.clients.items()}
        return repr((jobs, edges, graph.todo, held, sorted(self.done)))


def states(graph: invariants.Graph) -> str:
    """Where the jobs are, by their names."""
    known = [(name, graph.jobs.get(short(job(name)))) for name in INPUTS]
    return " ".join(f"{name}:{fields['s']}" for name, fields in known if fields)


SETTLED = {State.DONE, State.ERROR, State.CANCELLED, State.HOLD}

VERBS: dict[str, Callable[..., Call]] = {
    # scripts: the jobs; `cancel` names the script whose wish ends first
    "submit": World.submit,
    "cancel": World.cancel,
    # people: any of them, on jobs
    "kill": lambda world, who, *names: world.person("kill", *names),
    "hold": lambda world, who, *names: world.person("hold", *names),
    "release": lambda world, who, *names: world.person("release", *names),
    "retry": lambda world, who, *names: world.person("retry", *names),
    "declare": lambda world, who: lambda: world.broker.declare(CAPACITIES),
    "acquire": lambda world, who, needs: lambda: world.broker.acquire(who.name, needs),
    "free": lambda world, who: lambda: world.broker.free(who.name),
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
        self.checked: set[tuple[tuple[str, str], ...]] = set()
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
                end = play(World(client, race.budget), race.first, steps, played)
            except AssertionError as error:
                raise AssertionError(f"{told}: {error}") from error
            ends.setdefault(end, told)
    assert ends.keys() == race.ends, {end: told for end, told in ends.items() if end not in race.ends}


def play(
    world: World, first: Sequence[tuple[str, str]], order: Sequence[tuple[str, str]], played: Played
) -> str:
    """Makes the calls; returns where the jobs are when they are settled, and sees that all goes on from there."""
    for name, step in first:
        world.step(name, step)
    graph = world.check()
    for count, (name, step) in enumerate(order, 1):
        world.step(name, step)
        if (begun := tuple(order[:count])) not in played.checked:  # the whole order never is
            played.checked.add(begun)
            graph = world.check()
    graph = world.settle(graph)
    assert world.actions.count("new") == len(graph.jobs), "a job was made twice"
    if (situation := world.situation(graph)) not in played.gone_on:
        played.gone_on.add(situation)
        world.go_on()
    return states(graph)
