"""What of RQ's world the broker's readers must know: names, and the serializer of our jobs.

The keys and fields of RQ that are written stand in `lua/lib/rq.lua` and `rqlive.lua`; nothing else knows them.
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any

from xpm.broker.wire import pack, unpack
from xpm.types import Namespace, ShortId

SUSPENDED = "rq:suspended"
"""The key by which RQ's tools suspend all workers."""


def queue(namespace: Namespace, name: str) -> str:
    """RQ's name of a queue."""
    return f"xpm-{namespace}-{name}"


def job(namespace: Namespace, id: str) -> str:
    """RQ's id of a job."""
    return f"{namespace}-{id[:32]}"


WORKER = "rq:worker:"
"""What the keys of RQ's workers begin with; the rest is the worker's name."""


def workers(queue: str) -> str:
    """The key of the set of workers that serve one of RQ's queues: of the keys of their hashes."""
    return f"rq:workers:{queue}"


def channel(worker: str) -> str:
    """Where a worker hears RQ's commands."""
    return f"rq:pubsub:{worker}"


def parse_queue(name: str) -> tuple[Namespace, str] | None:
    """Namespace and queue of one of our RQ queues; None for a foreign one."""
    kind, _, rest = name.partition("-")
    namespace, _, queue_name = rest.partition("-")
    if kind != "xpm" or len(namespace) != 12 or not queue_name:
        return None
    return Namespace(namespace), queue_name


def parse_job(id: str) -> tuple[Namespace, ShortId] | None:
    """Namespace and short id of one of our RQ jobs; None for a foreign one."""
    found = re.fullmatch(r"([0-9a-f]{12})-([0-9a-f]{32})", id)
    return (Namespace(found[1]), ShortId(found[2])) if found else None


def moment(text: str) -> float:
    """A time as RQ writes it, in seconds since 1970; 0 when it is none."""
    try:
        return datetime.fromisoformat(text).timestamp()
    except ValueError:
        return 0.0


class Serializer:
    """msgpack for RQ: `rq worker -S xpm.broker.rq.Serializer`. Nothing that it reads can run code."""

    @staticmethod
    def dumps(*args: Any, **_: Any) -> bytes:
        """Pack plain data."""
        return pack(args[0] if len(args) == 1 else args)

    @staticmethod
    def loads(data: bytes, *_: Any, **__: Any) -> Any:
        """Unpack plain data."""
        return unpack(data)
