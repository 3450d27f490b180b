"""The errors of Redis' client, made ours."""

from __future__ import annotations

import re

from redis import Redis
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import MasterDownError, OutOfMemoryError, ReadOnlyError, RedisError
from redis.exceptions import TimeoutError as RedisTimeoutError

from xpm.errors import BrokerError, BrokerStalled, BrokerUnreachable

WHY = {
    "MISCONF": "it cannot write to its disk",
    "NOREPLICAS": "fewer replicas are there than its min-replicas-to-write",
    "OOM": "its memory is full (maxmemory)",
    "READONLY": "it has become a replica",
    "MASTERDOWN": "it is a replica, and its master is away",
    "BUSY": "somebody's script keeps it busy",
}
"""What a server that takes no changes means by its code."""

_STALLED = re.compile(rf"(?:^|[ -])({'|'.join(WHY)}) ([^.]*?)(?:\.| script: |$)")
"""Redis 6.2 wraps the answer to a script's call; later ones name the script behind it."""

_CODES: dict[type[RedisError], str] = {
    OutOfMemoryError: "OOM ",
    ReadOnlyError: "READONLY ",
    MasterDownError: "MASTERDOWN ",
}
"""What the client takes from the front of a message when it has a class for it."""


def as_ours(error: RedisError, refused: str) -> BrokerError:
    """The error of xpm for one of the client.

    Args:
        error: what the client raised.
        refused: what the broker then refused, in the words of the message.
    """
    if isinstance(error, (RedisConnectionError, RedisTimeoutError)):
        return BrokerUnreachable(f"the broker does not answer: {error}")
    said = f"{_CODES.get(type(error), '')}{error}"
    if stalled := _STALLED.search(said):
        code, words = stalled.groups()
        return BrokerStalled(f"the broker takes no changes: {WHY[code]} ({code}: {words.strip()})")
    return BrokerError(f"the broker refused {refused}: {error}")


def stalled(client: Redis, key: str) -> BrokerError | None:
    """Why the broker takes no changes at the moment, None if it does: found out by a change that changes nothing.

    Args:
        client: a connection.
        key: one that is not there.
    """
    try:
        client.setrange(key, 0, "")
    except RedisError as error:
        return as_ours(error, "a change")
    return None
