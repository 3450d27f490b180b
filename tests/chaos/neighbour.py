"""Another workspace of the same broker, without a worker: its code acquires the tokens that both share, and often dies."""

from __future__ import annotations

import random

from grounds import LEASE, Grounds
from person import Person

from xpm.broker.broker import Broker
from xpm.broker.connect import open_client
from xpm.types import Namespace

NAMESPACE = Namespace("fedcba987654")
NEEDS = ("t.gpu=1", "t.gpu=1", "t.gpu=2", "t.disk=1", "t.disk=1,t.gpu=1")
DIES, DIES_WAITING = 0.15, 0.03
"""Parts of those that acquire, and of the times that one asks again."""

WORK, REST = 0.3, 1.0
"""Seconds that something is held, and that lie between two, at most."""


class Neighbour(Person):
    """One that acquires at a time; what the dead held is left to whoever looks.

    Args:
        grounds: where.
        seed: makes the wishes.
    """

    def __init__(self, grounds: Grounds, seed: int) -> None:
        super().__init__("neighbour")
        self._grounds = grounds
        self._chance = random.Random(f"neighbour {seed}")
        self.broker = Broker(
            open_client(grounds.server.url, timeout=2.0, patience=0.0), NAMESPACE, lease=LEASE
        )
        self.served = 0

    def _live(self) -> None:
        number = 0
        while not self._ending.wait(self._chance.uniform(0, REST)):
            self._acquire(f"n{number}", self._chance.choice(NEEDS))
            number += 1

    def gone(self) -> bool:
        """Whether nothing is held or waited for any more."""
        return not self.broker.client.exists(f"{self.broker.prefix}holds")

    def close(self) -> None:
        """Ends the connection."""
        self.broker.client.close()

    def _acquire(self, name: str, needs: str) -> None:
        """Asks until it is granted, as `xpm` does; notes what it has, and whether it had it to the end."""
        facts = {"user": "neighbour", "pid": 1, "workspace": "/neighbour"}
        while not self._ending.is_set():
            grant = self._patiently(lambda: self.broker.acquire(name, needs, facts=facts))
            if grant is not None and grant.fence:
                break
            if grant is not None and grant.resource:  # its capacity was lowered
                return
            if self._chance.random() < DIES_WAITING:
                return
            self._patiently(lambda: self.broker.wait(f"@{name}", LEASE / 4))
        else:
            return
        self._grounds.note(f"has {name} {needs}")
        self._ending.wait(self._chance.uniform(0, WORK))
        self._grounds.note(f"gives {name}")
        if self._chance.random() >= DIES and self._patiently(lambda: self.broker.free(name)):
            self._grounds.note(f"gave {name}")
            self.served += 1
