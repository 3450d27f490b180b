"""Who holds tokens and locks, and who waits for them: questions for people."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

from xpm.broker.reader import Reader
from xpm.broker.views import Views
from xpm.broker.wire import unpack
from xpm.core.requirement import Need, needs_of

SHOWN = 20
"""Those that wait for a resource that are named, at most, for each group of jobs with equal needs."""


@dataclass(frozen=True, slots=True)
class Holding:
    """One that holds a resource, or waits for it."""

    id: str
    """A job's short id, or `@<name>` for code that is no job."""
    label: str
    amount: int
    since: float
    """When it was granted, or began to wait; in seconds since 1970 by the server's clock, 0 when nobody knows."""
    host: str
    needs: str
    """All that it needs, `l.index=1,t.gpu=2`."""


@dataclass(frozen=True, slots=True)
class ResourceView:
    """A token, or a lock, as it stands."""

    need: Need
    """Kind and name; of no amount."""
    capacity: int
    used: int
    hosts: dict[str, tuple[int, int]]
    """Of one that each host has for itself: capacity and use of those that are known."""
    waiting: int
    """Jobs and code that wait for it."""


class Ledger:
    """The questions, over one broker."""

    def __init__(self, broker: Reader) -> None:
        self._broker = broker
        self._prefix = broker.prefix

    def resources(self) -> list[ResourceView]:
        """All tokens and locks that were ever used, by name."""
        client: Any = self._broker.client
        found: set[bytes] = self._broker.ask(lambda: client.smembers(f"{self._prefix}resources"))
        names = sorted(name.decode() for name in found)
        return [self._view(name) for name in names]

    def short(self) -> list[Need]:
        """The tokens of which jobs on hold need more than there is, with the most that one of some such jobs needs."""
        client: Any = self._broker.client
        found: set[bytes] = self._broker.ask(lambda: client.smembers(f"{self._prefix}resources"))
        short: list[Need] = []
        for resource in sorted(name.decode() for name in found):
            over = f"{self._prefix}over:{resource}"
            ids: list[bytes] = self._broker.ask(lambda over=over: client.srandmember(over, SHOWN))
            jobs = Views(self._broker).jobs([job.decode() for job in ids])
            held = [job for job in jobs if job is not None and "capacity" in job.holds]
            needs = [need for job in held for need in needs_of(job.needs) if need.resource == resource]
            if needs:
                short.append(max(needs, key=lambda need: need.amount))
        return short

    def _view(self, resource: str) -> ResourceView:
        client: Any = self._broker.client
        fields: dict[bytes, bytes] = self._broker.ask(lambda: client.hgetall(f"{self._prefix}res:{resource}"))
        values = {name.decode(): int(value) for name, value in fields.items()}
        hosts = {name.partition("@")[2] for name in values if "@" in name}
        capacity = values.get("c", 0)
        return ResourceView(
            needs_of(f"{resource}=0")[0],
            capacity,
            sum(value for name, value in values.items() if name.partition("@")[0] == "u"),
            {host: (values.get(f"c@{host}", capacity), values.get(f"u@{host}", 0)) for host in sorted(hosts)},
            sum(count for _, count in self._lines(resource)) + len(self._outside(resource)),
        )

    def holders(self, resource: str) -> list[Holding]:
        """Who holds it, the one that holds it for longest first."""
        client: Any = self._broker.client
        found: dict[bytes, bytes] = self._broker.ask(lambda: client.hgetall(f"{self._prefix}held:{resource}"))
        held: list[Holding] = []
        for member, text in found.items():
            amount, since, host = text.decode().split(" ", 2)
            one = self._about(member.decode())
            held.append(
                Holding(one.id, one.label, int(amount), int(since) / 1000, host or one.host, one.needs)
            )
        return sorted(held, key=lambda one: one.since)

    def waiters(self, resource: str) -> list[Holding]:
        """Who waits for it, about in the order in which they are served; of many, the first."""
        client: Any = self._broker.client
        found: list[Holding] = [self._about(member) for member in self._outside(resource)]
        for group, _ in self._lines(resource):
            lanes: list[bytes] = self._broker.ask(
                lambda group=group: client.zrange(f"{self._prefix}lanes:{group}", 0, SHOWN - 1)
            )
            for lane in lanes:
                line = f"{self._prefix}ready:{group}:{lane.decode()}"
                jobs: list[bytes] = self._broker.ask(lambda line=line: client.zrange(line, 0, SHOWN - 1))
                found += [self._about(job.decode()) for job in jobs]
        return [one for one in found if _amount(one, resource)]

    def _outside(self, resource: str) -> list[str]:
        return [member for member in self._members(resource) if member.startswith("@")]

    def _members(self, resource: str) -> list[str]:
        client: Any = self._broker.client
        name = f"{self._prefix}wants:{resource}"
        return [member.decode() for member in self._broker.ask(lambda: client.zrange(name, 0, -1))]

    def _lines(self, resource: str) -> list[tuple[str, int]]:
        """The groups of jobs that wait for it, and how many these are."""
        client: Any = self._broker.client
        groups = [member for member in self._members(resource) if not member.startswith("@")]
        counts: list[tuple[str, int]] = []
        for group in groups:
            lanes: list[bytes] = self._broker.ask(
                lambda group=group: client.zrange(f"{self._prefix}lanes:{group}", 0, -1)
            )
            pipe = client.pipeline(transaction=False)
            for lane in lanes:
                pipe.zcard(f"{self._prefix}ready:{group}:{lane.decode()}")
            counts.append((group, sum(cast(Sequence[int], self._broker.ask(pipe.execute)))))
        return counts

    def _about(self, member: str) -> Holding:
        client: Any = self._broker.client
        if member.startswith("@"):
            name = f"{self._prefix}a:{member[1:]}"
            values: list[bytes | None] = self._broker.ask(
                lambda: client.hmget(name, "needs", "host", "facts", "t0")
            )
            needs, host, facts, since = (value or b"" for value in values)
            about: dict[str, Any] = unpack(facts) if facts else {}
            label = str(about.get("what", "code"))
            if "pid" in about:  # else it is the code of a job
                label += f" (pid {about['pid']}, {about.get('user', '?')})"
            return Holding(member, label, 0, int(since or 0) / 1000, host.decode(), needs.decode())
        name = f"{self._prefix}j:{member}"
        values = self._broker.ask(lambda: client.hmget(name, "l", "rs", "tw"))
        label, needs, since = (value or b"" for value in values)
        shown = label.decode("utf-8", "surrogateescape")
        return Holding(member, shown, 0, int(since or 0) / 1000, "", needs.decode())


def _amount(one: Holding, resource: str) -> int:
    return sum(need.amount for need in needs_of(one.needs) if need.resource == resource)
