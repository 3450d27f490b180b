"""How a token or a lock stands, as a script sees it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from xpm.broker.ledger import Holding, Ledger
from xpm.broker.reader import Reader
from xpm.core.requirement import ALL
from xpm.errors import UsageError


@dataclass(frozen=True, slots=True)
class User:
    """A job or running code that holds a token or lock, or waits for it."""

    job: str | None
    """The job's identifier, also of what its code acquires; None of code in no job."""
    label: str
    amount: int
    """How much of a token it holds or wants; 1 of a lock."""
    writes: bool
    """Whether it is a lock's writer."""
    since: float | None
    """When it was granted, or began to wait: seconds since 1970 by the broker's clock; None when nobody knows."""
    host: str | None
    workspace: str | None = None
    """The path of its workspace if it is of another one."""


@dataclass(frozen=True, slots=True)
class HostUsage:
    """What one host has of a token that each host has for itself."""

    capacity: int
    used: int


@dataclass(frozen=True, slots=True)
class Usage:
    """A token or lock, with who holds it and who waits."""

    name: str
    capacity: int | None
    """How much there is, on each host of one that is counted per host; None of a lock."""
    used: int
    """How much is in use on all hosts; of a lock, how many hold it."""
    hosts: Mapping[str, HostUsage]
    """The hosts that have used some or have a capacity of their own, of a token that is counted per host."""
    holders: tuple[User, ...]
    """Who holds it for longest comes first."""
    waiters: tuple[User, ...]
    """In the order in which they are served if nothing else comes; of many, the first."""
    waiting: int
    """How many wait."""


def usage(broker: Reader, resource: str) -> Usage:
    """How a token or lock stands.

    Args:
        broker: is asked.
        resource: `t.gpu`, `h.disk`, `l.index`.

    Raises:
        UsageError: there is none.
    """
    ledger = Ledger(broker)
    found = ledger.resource(resource)
    kind, _, name = resource.partition(".")
    if found is None:
        noun = {"l": "lock", "h": "token that is counted per host"}.get(kind, "token for all hosts together")
        raise UsageError(f"no {noun} {name!r}: what is submitted or acquired with it makes it")
    lock = kind == "l"
    return Usage(
        name,
        None if lock else found.capacity,
        1 if lock and found.used >= ALL else found.used,
        {host: HostUsage(*counts) for host, counts in found.hosts.items()} if kind == "h" else {},
        tuple(_user(one, lock=lock) for one in ledger.holders(resource)),
        tuple(_user(one, lock=lock) for one in ledger.waiters(resource)),
        found.waiting,
    )


def _user(one: Holding, *, lock: bool) -> User:
    return User(
        one.job or None,
        one.label,
        1 if lock else one.amount,
        lock and one.amount >= ALL,
        one.since or None,
        one.host or None,
        one.workspace or None,
    )
