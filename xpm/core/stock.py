"""How much there is of tokens and locks, and on which hosts: values, and what is said of a need beside them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from xpm.core.requirement import ALL, Need

NAMED = 5
"""Hosts that are named, at most."""


@dataclass(frozen=True, slots=True)
class Stock:
    """How much there is of a token or lock in one place."""

    capacity: int
    used: int
    host: str = ""
    """Of what each host has for itself, of which host; empty: of each that has no capacity of its own."""

    @property
    def free(self) -> int:
        """How much is in nobody's use; a lowered capacity may be less than what is in use."""
        return max(0, self.capacity - self.used)


@dataclass(frozen=True, slots=True)
class Supply:
    """How much there is of a token or lock in all places, as the broker counts it."""

    counts: Mapping[str, int]
    """`c` the capacity, `u` what is in use; of a host `c@<host>`, `u@<host>`."""

    @property
    def most(self) -> int:
        """The largest capacity that there is anywhere."""
        return max((count for name, count in self.counts.items() if name[0] == "c"), default=0)

    @property
    def hosts(self) -> frozenset[str]:
        """Those that have used some of it, or have a capacity of their own."""
        return frozenset(name.partition("@")[2] for name in self.counts if "@" in name)

    @property
    def own(self) -> frozenset[str]:
        """The hosts that have a capacity of their own."""
        return frozenset(name[2:] for name in self.counts if name.startswith("c@"))

    def on(self, host: str) -> Stock:
        """What one host has for itself."""
        capacity = self.counts.get(f"c@{host}", self.counts.get("c", 0))
        return Stock(capacity, self.counts.get(f"u@{host}", 0), host)

    def of(self, need: Need, hosts: Collection[str] = ()) -> Stock:
        """What there is for a need: of what each host has for itself, that of the host that meets it first.

        Args:
            need: what is wanted.
            hosts: where it could be met, those with workers; by default all that are known.
        """
        if need.kind != "h":
            return Stock(self.counts.get("c", 0), self.counts.get("u", 0))
        return max(map(self.on, sorted(hosts or self.hosts or {""})), key=lambda one: _merit(one, need))


def _merit(stock: Stock, need: Need) -> tuple[bool, int, int]:
    """Who has so much comes first, of these who has most that is free; of the others who has most."""
    enough = stock.capacity >= need.amount
    return (enough, stock.free, stock.capacity) if enough else (enough, stock.capacity, stock.free)


def standing(need: Need, stock: Stock) -> str:
    """How a need stands, in words: `token gpu: 2 of 4, 1 free`, `lock index, to write: it is read by 3`."""
    if need.kind == "l":
        wish = "to write" if need.amount >= ALL else "to read"
        used = stock.used
        state = "it is being written" if used >= ALL else f"it is read by {used:,}" if used else "it is free"
        return f"lock {need.name}, {wish}: {state}"
    where = f" on {stock.host or 'a host'}" if need.kind == "h" else ""
    return f"token {need.name}: {need.amount:,} of {stock.capacity:,}{where}, {stock.free:,} free"


def over(need: Need, stock: Stock) -> str:
    """What running code needs, where it runs, that is more than there is, and what helps; '' when there is enough."""
    if need.kind == "l" or need.amount <= stock.capacity:
        return ""
    there = f"{stock.host} has" if stock.host else "there are"
    return (
        f"{need.amount:,} of token {need.name}, of which {there} {stock.capacity:,}; "
        f"when there can be more: xpm {' '.join(raising(need, stock.host))}"
    )


def raising(need: Need, host: str = "") -> tuple[str, ...]:
    """The words of the command that makes enough of a token, on one host if one is given."""
    return ("token", "set", need.name, str(need.amount), *(("--host", host) if host else ()))


@dataclass(frozen=True, slots=True)
class Lack:
    """What each host has for itself, and none with workers has enough of: the job waits until one has, or for ever."""

    need: Need
    beside: Sequence[Need]
    """What the same host would have to have, too, when there are some that have enough of either."""
    best: Stock
    """The host with workers that has most of it."""
    elsewhere: Sequence[Stock]
    """Hosts without workers that have all that is needed."""

    @property
    def wanted(self) -> str:
        """Of what: `2 of token disk on one host`."""
        besides = "".join(f", with {one.amount:,} of token {one.name}" for one in self.beside)
        return f"{self.need.amount:,} of token {self.need.name} on one host{besides}"

    @property
    def most(self) -> str:
        """How much there is: `vm has most: 1`."""
        return f"{self.best.host or 'a host'} has most: {self.best.capacity:,}"

    @property
    def command(self) -> tuple[str, ...]:
        """The words of the command that helps."""
        return raising(self.need, self.best.host)

    @property
    def other_hosts(self) -> str:
        """What helps as well: `start workers on a host that has so much: tuba (3)`; '' when no host has."""
        named = [f"{one.host} ({one.capacity:,})" for one in self.elsewhere if one.host][:NAMED]
        named += [
            f"any without a capacity of its own ({one.capacity:,})" for one in self.elsewhere if not one.host
        ]
        return f"start workers on a host that has so much: {', '.join(named)}" if named else ""

    def __str__(self) -> str:
        """All of it, for `xpm why`."""
        or_there = f", or {self.other_hosts}" if self.elsewhere else ""
        return (
            f"{self.wanted}; of those that workers serve, {self.most}; xpm {' '.join(self.command)}{or_there}"
        )


def lack_of(needs: Sequence[Need], supplies: Mapping[str, Supply], hosts: Collection[str]) -> Lack | None:
    """Why no host with workers will ever meet a job's needs; None when one may.

    Args:
        needs: all needs of the job.
        supplies: how much there is of each of their resources.
        hosts: those whose workers serve the job; of a job that nobody serves, nothing is told.
    """
    mine = [need for need in needs if need.kind == "h"]
    unmet = {
        host: [need for need in mine if supplies[need.resource].on(host).capacity < need.amount]
        for host in sorted({*hosts, "", *(host for need in mine for host in supplies[need.resource].own)})
    }
    if not hosts or not mine or not all(unmet[host] for host in hosts):
        return None
    served = [host for host in unmet if host in hosts]
    nowhere = [need for need in mine if all(need in unmet[host] for host in served)]
    if nowhere:
        need, beside = nowhere[0], ()
        best = max(map(supplies[need.resource].on, served), key=lambda one: one.capacity)
    else:
        nearest = min(served, key=lambda host: len(unmet[host]))
        need = unmet[nearest][0]
        beside = [one for one in mine if one is not need]
        best = supplies[need.resource].on(nearest)
    others = [host for host, lacking in unmet.items() if host not in hosts and not lacking]
    return Lack(need, beside, best, [supplies[need.resource].on(host) for host in others])
