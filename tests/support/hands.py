"""Jobs with short names, and workers with little to say, for tests of the broker."""

from __future__ import annotations

import hashlib
import time

from xpm.broker.broker import Broker, Entry, Failure, Reply, Run
from xpm.types import JobId

FAILURE = Failure("exception", "ValueError", "no such layer", "Traceback: no such layer")
SLOTS = "default:1"


def job(name: str | int) -> JobId:
    return JobId(hashlib.sha256(str(name).encode()).hexdigest())


def entry(name: str | int, *inputs: str | int, **fields: object) -> Entry:
    return Entry(job(name), "Task", f"Task {name}", b"payload", tuple(job(one) for one in inputs), **fields)  # type: ignore[arg-type]


class Hands:
    """Workers of a host, with little to say."""

    def __init__(self, broker: Broker, host: str = "h") -> None:
        self.broker = broker
        self.host = host
        self.numbers: dict[str, int] = {}

    def number(self, worker: str) -> int:
        if worker not in self.numbers:
            self.broker.enrol(worker, {"host": self.host, "pid": 1, "pool": "p", "slots": SLOTS})
        self.numbers[worker] = self.numbers.get(worker, 0) + 1
        return self.numbers[worker]

    def claim(self, worker: str = "w", slots: str = SLOTS) -> Reply:
        number = self.number(worker)
        reply = self.broker.claim(worker, number, slots)
        while reply.claim is None and reply.backlog:
            number = self.number(worker)
            reply = self.broker.claim(worker, number, slots)
        return reply

    def runs(self, worker: str = "w", slots: str = SLOTS) -> JobId | None:
        """The job that the worker gets."""
        claim = self.claim(worker, slots).claim
        return claim.id if claim else None

    def finish(self, reply: Reply, worker: str = "w", slots: str = "") -> Reply:
        assert reply.claim
        claim = reply.claim
        return self.broker.finish(worker, self.number(worker), slots, claim.id, claim.execution, claim.fence)

    def fail(self, reply: Reply, worker: str = "w", slots: str = "") -> Reply:
        assert reply.claim
        claim = reply.claim
        return self.broker.fail(worker, self.number(worker), slots, claim.id, claim.execution, FAILURE)

    def run(self, name: str | int) -> None:
        """Run jobs until this one is done."""
        for _ in range(100):
            reply = self.claim("runner")
            assert reply.claim
            self.finish(reply, "runner")
            if reply.claim.id == job(name):
                return
        raise AssertionError(f"{name} is never granted")

    def woken(self) -> list[str]:
        """Those whose bell has rung."""
        return [
            worker
            for worker in self.numbers
            if self.broker.client.exists(f"{self.broker.prefix}bell:{worker}")
        ]


def drain(broker: Broker) -> int:
    calls = 1
    while broker.drain():
        calls += 1
    return calls


def later(broker: Broker, experiment: str = "digits", name: str = "2") -> Run:
    """A run that begins after all that was."""
    time.sleep(0.002)
    return broker.open(experiment, name, "newer code")
