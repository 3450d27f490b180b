"""One connection on which calls are sent before earlier ones are answered: server and client work at the same time."""

from __future__ import annotations

from collections import deque
from typing import Any, NamedTuple

from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError

Call = tuple[bytes | str | int | float, ...]


class Answer(NamedTuple):
    """What became of a call."""

    call: Call
    reply: Any
    """The server's reply, an error of its own included."""
    lost: bool
    """The connection was, and nobody knows whether the call was carried out."""


class Line:
    """Sends calls and gives their answers, in order.

    When the connection is lost, so are all calls that have no answer, and those that are sent before the last of them
    was told: they are in the hands of the caller, who keeps their order.

    Args:
        pool: the client's connections, of which one is taken.
    """

    def __init__(self, pool: Any) -> None:
        self._pool = pool
        self._connection: Any = None
        self._sent: deque[Call] = deque()

    def __len__(self) -> int:
        return len(self._sent)

    def send(self, call: Call) -> None:
        """Sends a call; a connection that fails is told by the answer."""
        first = not self._sent
        self._sent.append(call)
        try:
            if first and self._connection is None:
                self._connection = self._pool.get_connection()
            if self._connection is not None:
                # Its own look at the connection would take an answer for that of its ping.
                packed = self._connection.pack_command(*call)
                self._connection.send_packed_command(packed, check_health=first)
        except (RedisConnectionError, RedisTimeoutError):
            self._drop()

    def receive(self) -> Answer:
        """Waits for the answer to the first call that has none."""
        call = self._sent.popleft()
        if self._connection is not None:
            try:
                return Answer(call, self._connection.read_response(), lost=False)
            except ResponseError as error:
                return Answer(call, error, lost=False)
            except (RedisConnectionError, RedisTimeoutError):
                self._drop()
        return Answer(call, None, lost=True)

    def close(self) -> None:
        """Gives the connection back; answers that are still to come are not wanted."""
        if self._sent:
            self._drop()
        elif self._connection is not None:
            self._pool.release(self._connection)
            self._connection = None

    def _drop(self) -> None:
        if self._connection is not None:
            self._connection.disconnect()
            self._pool.release(self._connection)
            self._connection = None
