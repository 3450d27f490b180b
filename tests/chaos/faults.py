"""What goes wrong, and when: a plan that follows from its seed alone, to be printed and repeated."""

from __future__ import annotations

import random
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from enum import StrEnum

TICK = 0.25
"""Seconds between two chances of a fault."""

CHANCE = 0.4
"""Of a fault at each tick."""


class Kind(StrEnum):
    """A way in which something fails."""

    KILL_JOB = "kill -9 of a job"
    KILL_ZYGOTE = "kill -9 of a zygote"
    KILL_WORKER = "kill -9 of a worker"
    KILL_POOL = "kill -9 of a pool"
    KILL_HOST = "kill -9 of a pool with all its processes at once"
    KILL_SERVER = "kill -9 of Redis, restart with its append-only file"
    STOP_JOB = "SIGSTOP of a job"
    STOP_ZYGOTE = "SIGSTOP of a zygote"
    STOP_WORKER = "SIGSTOP of a worker"
    STOP_SUPERVISOR = "SIGSTOP of a pool's supervisor"
    STOP_POOL = "SIGSTOP of a whole pool, jobs included"
    STOP_SERVER = "SIGSTOP of Redis"
    SLEEP = "SIGSTOP of everything at once, Redis too"
    LOSE_REPLY = "a dropped reply"
    STALL = "a connection that says nothing"
    CUT = "connections cut and refused"
    CLIENT_KILL = "CLIENT KILL"
    FORGET = "a deleted key of RQ"
    BUTTON = "a button of rq-dashboard"
    KILL = "jobs killed by a person"
    HOLD = "jobs held by a person, and released"
    PAUSE = "a queue paused, and resumed"
    CAPACITY = "a token's capacity lowered, and raised"
    LINK = "a cut link between hosts"
    CLOCK = "a clock that jumps by up to an hour"
    RERUN = "jobs that are done run again"


DECK = {
    Kind.KILL_JOB: 5, Kind.KILL_ZYGOTE: 2, Kind.KILL_WORKER: 3, Kind.KILL_POOL: 1, Kind.KILL_HOST: 1,
    Kind.KILL_SERVER: 1, Kind.SLEEP: 1,
    Kind.STOP_JOB: 2, Kind.STOP_ZYGOTE: 1, Kind.STOP_WORKER: 2, Kind.STOP_SUPERVISOR: 1,
    Kind.STOP_POOL: 1, Kind.STOP_SERVER: 1,
    Kind.LOSE_REPLY: 6, Kind.STALL: 2, Kind.CUT: 2, Kind.CLIENT_KILL: 3, Kind.FORGET: 2, Kind.BUTTON: 5,
    Kind.KILL: 2, Kind.HOLD: 2, Kind.PAUSE: 1, Kind.CAPACITY: 2, Kind.RERUN: 2,
    Kind.LINK: 2, Kind.CLOCK: 2,
}  # fmt: skip
"""Faults are dealt as cards are, so that each kind comes up however short the run."""

WITH_HOSTS = frozenset({Kind.LINK, Kind.CLOCK})
"""What needs hosts of its own: root, namespaces, a compiler."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that goes wrong; `choice`, from 0 to 1, says which of those that are there it meets."""

    at: float
    """Seconds from the beginning."""
    kind: Kind
    pool: int
    choice: float
    seconds: float
    """How long it lasts, if it ends by itself."""

    def __str__(self) -> str:
        return f"{self.at:8.2f} s  {self.kind} (pool {self.pool}, choice {self.choice:.3f}, {self.seconds:.2f} s)"


def plan(seed: int, seconds: float, kinds: Collection[Kind], pools: int, longest: float) -> Iterator[Fault]:
    """The faults of a run, in their order.

    Args:
        seed: makes the plan.
        seconds: how long the run is.
        kinds: which faults there can be.
        pools: how many pools there are.
        longest: seconds that a fault lasts at most.
    """
    chance = random.Random(seed)
    deck: list[Kind] = []
    for tick in range(1, int(seconds / TICK)):
        if chance.random() >= CHANCE:
            continue
        if not deck:
            deck = [kind for kind, count in DECK.items() if kind in kinds for _ in range(count)]
            chance.shuffle(deck)
        lasts = chance.uniform(0.05, longest)
        yield Fault(tick * TICK, deck.pop(), chance.randrange(pools), chance.random(), lasts)
