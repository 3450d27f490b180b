"""Who holds tokens and locks, and who waits for them: questions for people."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest
from typing import Any, cast

from xpm.broker.broker import Broker
from xpm.broker.keys import SHARED
from xpm.broker.reader import Reader
from xpm.broker.resources import Resources
from xpm.broker.views import Views
from xpm.broker.wire import unpack
from xpm.core.requirement import OTHERWISE, Need, capacities_of, differing, needs_of
from xpm.core.stock import Supply
from xpm.errors import UsageError
from xpm.types import short

TURN = 1 << 40
"""What a priority counts in a place of a line, see `lua/lib/ready.lua`."""

LOOKED_AT = 200
"""Jobs on hold among which those of a run are looked for."""

SHOWN = 20
"""Those that wait for a resource that are named, at most, for each group of jobs with equal needs."""


@dataclass(frozen=True, slots=True)
class Holding:
    """One that holds a resource, or waits for it."""

    id: str
    """A job's short id, or `@<name>` for code that acquires, also in a job."""
    label: str
    amount: int
    """Of the resource that was asked about; 0 when none was."""
    since: float
    """When it was granted, or began to wait; in seconds since 1970 by the server's clock, 0 when nobody knows."""
    host: str
    needs: str
    """All that it needs, `l.index=1,t.gpu=2`."""
    slot: str = ""
    """Who may take it, 'queue:version', of a job that waits."""
    job: str = ""
    """The whole identifier of a job; of code in a job, of that one."""
    workspace: str = ""
    """The path, or else the namespace, of its workspace if that is another than the one that was asked."""
    forlorn: bool = False
    """Whether it is of another workspace, which has no worker now."""

    @property
    def name(self) -> str:
        """What it is, and of which workspace if that is another."""
        return f"{self.label} of {self.workspace}" if self.workspace else self.label


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
        self.broker = broker
        self._prefix = broker.prefix

    def resources(self) -> list[ResourceView]:
        """All tokens that any workspace of the server ever used, and this one's locks, by name."""
        client: Any = self.broker.client
        found: set[bytes] = self.broker.ask(
            lambda: client.sunion(f"{self._prefix}resources", f"{SHARED}resources")
        )
        names = sorted(name.decode() for name in found)
        return [self._view(name, values) for name, values in zip(names, self._accounts(names), strict=True)]

    def resource(self, name: str) -> ResourceView | None:
        """One token or lock, `t.gpu` or `l.index`; None when there is none."""
        (values,) = self._accounts([name])
        return self._view(name, values) if values else None

    def supplies(self, resources: Collection[str]) -> dict[str, Supply]:
        """How much there is of some resources, `t.gpu`, `l.index`, in one question."""
        names = sorted(resources)
        return {name: Supply(counts) for name, counts in zip(names, self._accounts(names), strict=True)}

    def held(self, resource: str) -> int:
        """How many jobs are on hold since they need more of it than there is, as of the last look at all of them."""
        client: Any = self.broker.client
        return sum(
            int(self.broker.ask(lambda prefix=prefix: client.scard(f"{prefix}over:{resource}")))
            for prefix in self._spaces(resource)
        )

    def _accounts(self, names: Sequence[str]) -> list[dict[str, int]]:
        """The counts of resources: `c`, `u`, and those of hosts."""
        if not names:
            return []
        client: Any = self.broker.client
        pipe = client.pipeline(transaction=False)
        for name in names:
            pipe.hgetall(f"{SHARED if _shared(name) else self._prefix}res:{name}")
        found: list[dict[bytes, bytes]] = self.broker.ask(pipe.execute)
        return [{name.decode(): int(value) for name, value in fields.items()} for fields in found]

    def short(self, run: str) -> list[Need]:
        """The tokens of which jobs of a run on hold need more than there is, with the most that one of some such needs."""
        client: Any = self.broker.client
        found: set[bytes] = self.broker.ask(lambda: client.smembers(f"{self._prefix}resources"))
        lacking: list[Need] = []
        for resource in sorted(name.decode() for name in found):
            over = f"{self._prefix}over:{resource}"
            ids: list[bytes] = self.broker.ask(lambda over=over: client.srandmember(over, LOOKED_AT))
            jobs = Views(self.broker).jobs([job.decode() for job in ids])
            held = [job for job in jobs if job is not None and "capacity" in job.holds and run in job.runs]
            needs = [need for job in held for need in needs_of(job.needs) if need.resource == resource]
            if needs:
                lacking.append(max(needs, key=lambda need: need.amount))
        return lacking

    def _view(self, resource: str, values: Mapping[str, int]) -> ResourceView:
        hosts = {name.partition("@")[2] for name in values if "@" in name}
        capacity = values.get("c", 0)
        return ResourceView(
            needs_of(f"{resource}=0")[0],
            capacity,
            sum(value for name, value in values.items() if name.partition("@")[0] == "u"),
            {host: (values.get(f"c@{host}", capacity), values.get(f"u@{host}", 0)) for host in sorted(hosts)},
            sum(_Space(self.broker, prefix).waiting(resource) for prefix in self._spaces(resource)),
        )

    def holders(self, resource: str) -> list[Holding]:
        """Who holds it, in whatever workspace, the one that holds it for longest first."""
        held = [
            replace(one, workspace=place)
            for prefix, place in self._spaces(resource).items()
            for one in _Space(self.broker, prefix).holders(resource)
        ]
        return sorted(held, key=lambda one: one.since)

    def waiters(self, resource: str) -> list[Holding]:
        """Who waits for it, in the order in which they are served if nothing else comes; of many, the first.

        Workspaces take turns: the one that had some of it longest ago comes first. Those that were passed over for long go
        before all others of theirs, which only the broker knows.
        """
        client: Any = self.broker.client
        places = self._spaces(resource)
        line = [self._prefix]
        if _shared(resource):
            found: list[bytes] = self.broker.ask(lambda: client.zrange(f"{SHARED}line:{resource}", 0, -1))
            line = [prefix for each in found if (prefix := each.decode()) in places]
        waiting = [
            [
                replace(
                    one, workspace=places[prefix], forlorn=prefix != self._prefix and not space.attended()
                )
                for one in space.waiters(resource)
            ]
            for prefix in line
            if (space := _Space(self.broker, prefix))
        ]
        return [one for turn in zip_longest(*waiting) for one in turn if one is not None]

    def wishes(self, job: str) -> list[Holding]:
        """What the code of a running job waits for."""
        return _Space(self.broker, self._prefix).wishes(job)

    def _spaces(self, resource: str) -> dict[str, str]:
        """The prefixes of the keys of the workspaces that may use it, and the others' paths or namespaces."""
        client: Any = self.broker.client
        places: dict[bytes, bytes] = (
            self.broker.ask(lambda: client.hgetall(f"{SHARED}spaces")) if _shared(resource) else {}
        )
        others = {
            prefix.decode(): place.decode() or prefix.decode().split(":")[1]
            for prefix, place in places.items()
        }
        return {
            self._prefix: "",
            **{prefix: place for prefix, place in others.items() if prefix != self._prefix},
        }


class _Space:
    """Who holds something, or waits for it, in one workspace."""

    def __init__(self, broker: Reader, prefix: str) -> None:
        self.broker = broker
        self._prefix = prefix

    def holders(self, resource: str) -> list[Holding]:
        """Who holds it."""
        client: Any = self.broker.client
        found: dict[bytes, bytes] = self.broker.ask(lambda: client.hgetall(f"{self._prefix}held:{resource}"))
        held: list[Holding] = []
        for member, text in found.items():
            amount, since, host = text.decode().split(" ", 2)
            one = self._about(member.decode())
            held.append(replace(one, amount=int(amount), since=int(since) / 1000, host=host or one.host))
        return held

    def attended(self) -> bool:
        """Whether some worker was heard of within a lease."""
        client: Any = self.broker.client
        since = 1000 * (self.broker.now() - self.broker.lease)
        return bool(self.broker.ask(lambda: client.zcount(f"{self._prefix}workers", since, "+inf")))

    def waiting(self, resource: str) -> int:
        """How many wait for it."""
        return sum(count for _, count in self._lines(resource)) + len(self._outside(resource))

    def waiters(self, resource: str) -> list[Holding]:
        """Who waits for it; see `Ledger.waiters`."""
        client: Any = self.broker.client
        found: list[tuple[float, float, Holding]] = []
        for member in self._outside(resource):
            name = f"{self._prefix}a:{member[1:]}"
            place: list[bytes | None] = self.broker.ask(
                lambda name=name: client.hmget(name, "turn", "p", "order")
            )
            turn, priority, order = (int(value or 0) for value in place)
            found.append((turn - priority * TURN, order, self._about(member)))
        for group, _ in self._lines(resource):
            lanes: list[tuple[bytes, float]] = self.broker.ask(
                lambda group=group: client.zrange(
                    f"{self._prefix}lanes:{group}", 0, SHOWN - 1, withscores=True
                )
            )
            for lane, score in lanes:
                line = f"{self._prefix}ready:{group}:{lane.decode()}"
                jobs: list[tuple[bytes, float]] = self.broker.ask(
                    lambda line=line: client.zrange(line, 0, SHOWN - 1, withscores=True)
                )
                slot = ":".join(group.split(":", 2)[:2])
                found += [(score, rank, replace(self._about(job.decode()), slot=slot)) for job, rank in jobs]
        found.sort(key=lambda one: one[:2])
        asked = [replace(one, amount=_amount(one, resource)) for _, _, one in found]
        return [one for one in asked if one.amount]

    def wishes(self, job: str) -> list[Holding]:
        """What the code of a running job waits for."""
        client: Any = self.broker.client
        names: bytes | None = self.broker.ask(lambda: client.hget(f"{self._prefix}j:{short(job)}", "aq"))
        asked = (names or b"").decode().split()
        granted: list[bytes | None] = [
            self.broker.ask(lambda name=name: client.hget(f"{self._prefix}a:{name}", "f")) for name in asked
        ]
        return [self._about(f"@{name}") for name, fence in zip(asked, granted, strict=True) if fence is None]

    def _outside(self, resource: str) -> list[str]:
        return [member for member in self._members(resource) if member.startswith("@")]

    def _members(self, resource: str) -> list[str]:
        client: Any = self.broker.client
        name = f"{self._prefix}wants:{resource}"
        return [member.decode() for member in self.broker.ask(lambda: client.zrange(name, 0, -1))]

    def _lines(self, resource: str) -> list[tuple[str, int]]:
        """The groups of jobs that wait for it, and how many these are."""
        client: Any = self.broker.client
        groups = [member for member in self._members(resource) if not member.startswith("@")]
        counts: list[tuple[str, int]] = []
        for group in groups:
            lanes: list[bytes] = self.broker.ask(
                lambda group=group: client.zrange(f"{self._prefix}lanes:{group}", 0, -1)
            )
            pipe = client.pipeline(transaction=False)
            for lane in lanes:
                pipe.zcard(f"{self._prefix}ready:{group}:{lane.decode()}")
            counts.append((group, sum(cast(Sequence[int], self.broker.ask(pipe.execute)))))
        return counts

    def _about(self, member: str) -> Holding:
        client: Any = self.broker.client
        if member.startswith("@"):
            name = f"{self._prefix}a:{member[1:]}"
            values: list[bytes | None] = self.broker.ask(
                lambda: client.hmget(name, "needs", "host", "facts", "t0", "j")
            )
            needs, host, facts, since, within = (value or b"" for value in values)
            about: dict[str, Any] = unpack(facts) if facts else {}
            label = str(about.get("what", "code"))
            if "pid" in about:  # else it is the code of a job
                label += f" (pid {about['pid']}, {about.get('user', '?')})"
            job = self._whole(within.decode()) if within else ""
            return Holding(member, label, 0, int(since or 0) / 1000, host.decode(), needs.decode(), job=job)
        name = f"{self._prefix}j:{member}"
        values = self.broker.ask(lambda: client.hmget(name, "l", "rs", "tw", "d"))
        label, needs, since, rest = (value or b"" for value in values)
        shown = label.decode("utf-8", "surrogateescape")
        job = member + rest.decode()
        return Holding(member, shown, 0, int(since or 0) / 1000, "", needs.decode(), job=job)

    def _whole(self, job: str) -> str:
        """The whole identifier of the job with a short id."""
        client: Any = self.broker.client
        rest: bytes | None = self.broker.ask(lambda: client.hget(f"{self._prefix}j:{job}", "d"))
        return job + (rest or b"").decode()


def _shared(resource: str) -> bool:
    """Whether it is counted for all workspaces of the server: a token, no lock."""
    return not resource.startswith("l.")


def declare(broker: Resources, needs: Sequence[Need]) -> tuple[dict[str, int], list[str]]:
    """Makes the tokens and locks that don't exist.

    Returns:
        What there is of each resource, on the host that has most of it for one that each host has for itself, below 0
        where there is none, see `Resources.declare`; and what to say of those with another capacity than was given.
    """
    found = broker.declare(capacities_of(needs))
    each = [name for name, capacity in found.items() if name.startswith("h.") and capacity >= 0]
    most = {name: supply.most for name, supply in Ledger(broker).supplies(each).items()}
    return found | most, differing(needs, found)


_WAYS = {"t": "for all hosts together", "h": "per host"}
"""How a token of a kind is counted."""


def set_capacity(broker: Broker, resource: str, capacity: int, host: str | None = None) -> int | None:
    """Gives a token another capacity, or makes it; the jobs that it holds or lets go are so when this returns.

    Args:
        broker: is told.
        resource: `t.gpu`, or `h.gpu` for one that each host has for itself.
        capacity: how much there is from now on.
        host: only on this one.

    Returns:
        What it was; None of a new token.

    Raises:
        UsageError: it is counted in the other way, for all hosts or per host, or no host has this name.
    """
    kind, _, name = resource.partition(".")
    if broker.declare({resource: 0})[resource] == OTHERWISE:
        other = "h" if kind == "t" else "t"
        raise UsageError(f"token {name} is counted {_WAYS[other]}, not {_WAYS[kind]}")
    if host is not None and kind == "t":
        raise UsageError(f"token {name} counts for all hosts together: it has no capacity per host")
    if host == "":
        raise UsageError(f"token {name}: expected the name of a host, got an empty text")
    before = broker.resize(resource, capacity, host or "")
    broker.settle()
    return None if before < 0 else before


def _amount(one: Holding, resource: str) -> int:
    return sum(need.amount for need in needs_of(one.needs) if need.resource == resource)
