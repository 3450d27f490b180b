"""A broker that is only asked: for plans, lists and whatever else must leave no trace."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any, TypeVar, cast

from redis import Redis
from redis.exceptions import RedisError

from xpm.broker.connect import greet_first
from xpm.broker.keys import prefix
from xpm.broker.refusals import as_ours
from xpm.errors import BrokerError
from xpm.types import Namespace, short

SCHEMA = 1
"""Version of the keys' schema."""

T = TypeVar("T")


class Reader:
    """The graph of one namespace, for questions alone: nothing here writes.

    Args:
        client: with `decode_responses=False`; nobody else's, since all its connections greet for this.
        namespace: the workspace's namespace.
        lease: how long a worker may be silent before its job runs elsewhere, in seconds.
    """

    def __init__(self, client: Redis, namespace: Namespace, *, lease: float = 30.0) -> None:
        self.client: Any = client
        self.namespace = namespace
        self.lease = lease
        self.prefix = prefix(namespace)
        greet_first(client, self._greet)

    def _greet(self, connection: Any) -> None:
        """What is said first on each new connection."""
        connection.on_connect()
        connection.send_command("HGET", f"{self.prefix}meta", "schema")
        refuse_newer(int(connection.read_response() or SCHEMA))

    def hello(self) -> None:
        """Make sure that the broker answers and can be used."""
        self.now()  # PING is refused where the disk is full

    def ask(self, question: Callable[[], T]) -> T:
        """Run a plain read, with the client's errors made ours."""
        try:
            return question()
        except RedisError as error:
            raise as_ours(error, "a question") from error

    def block(self, question: Callable[[float], T], timeout: float) -> T:
        """Ask what blocks on the server, until it brings something or `timeout` seconds have passed.

        One question may not block for longer than the client's sockets wait; a longer wait is asked in parts.
        """
        patience = self.client.connection_pool.connection_kwargs.get("socket_timeout")
        longest = 0.6 * patience if patience else timeout
        end = time.monotonic() + timeout
        while True:
            left = end - time.monotonic()
            found = self.ask(lambda left=left: question(max(0.001, min(left, longest))))
            if found or left <= longest:
                return found

    def now(self) -> float:
        """What the server's clock shows, in Unix seconds."""
        second, micros = self.ask(self.client.time)
        return int(second) + int(micros) / 1e6

    def types(self, keys: Sequence[str]) -> dict[str, bytes]:
        """The packed descriptions of classes, by their key."""
        if not keys:
            return {}
        found = self.ask(lambda: self.client.hmget(f"{self.prefix}types", list(keys)))
        return {
            key: packed for key, packed in zip(keys, cast(list[bytes | None], found), strict=True) if packed
        }

    def fences(self, jobs: Sequence[str]) -> list[str]:
        """The fences of the records of `jobs`."""
        pipe = self.client.pipeline(transaction=False)
        for job in jobs:
            pipe.hget(f"{self.prefix}j:{short(job)}", "f")
        return [(value or b"").decode() for value in cast(list[bytes | None], self.ask(pipe.execute))]

    def slots(self) -> list[str]:
        """All slots 'queue:class' that ever had a ready job."""
        found = self.ask(lambda: self.client.smembers(f"{self.prefix}queues"))
        return sorted(slot.decode() for slot in cast(set[bytes], found))


def refuse_newer(schema: int) -> None:
    """Refuses data that a newer xpm wrote.

    Raises:
        BrokerError: it did.
    """
    if schema > SCHEMA:
        raise BrokerError(f"the broker's data has schema {schema}, this xpm knows {SCHEMA}: upgrade xpm")


def clock(broker: Reader) -> float:
    """The broker's time, by which workers were seen; a host's own may be another."""
    found: Any = broker.ask(broker.client.time)
    return found[0] + found[1] / 1e6
