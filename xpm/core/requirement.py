"""What a job, or running code, needs of tokens and locks: values, without any I/O.

A need is an amount of a resource. Resources have a kind and a name: `t.gpu` is a token that counts for all hosts,
`h.gpu` one that each host has for itself, `l.index` a lock, of which a reader takes 1 and a writer all.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NoReturn, cast

from xpm.core.scalars import whole
from xpm.errors import ConfigError, SubmissionError, UsageError, WouldDeadlock

ALL = 1_000_000
"""The capacity of a lock: what a writer takes."""

MOST = ALL
"""The largest capacity of a token."""

NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}")

Kind = Literal["t", "h", "l"]

NOUNS = {"t": "token", "h": "token", "l": "lock"}
"""What people call a resource of each kind."""


@dataclass(frozen=True, slots=True)
class Need:
    """An amount of one resource."""

    kind: Kind
    name: str
    amount: int
    capacity: int | None = None
    """What the script says there is of it; None: it must exist."""

    @property
    def resource(self) -> str:
        """The resource as the broker names it."""
        return f"{self.kind}.{self.name}"

    @property
    def order(self) -> tuple[str, str]:
        """Who holds one resource may wait only for those that are behind it in this order."""
        return (self.name, self.kind)

    def __str__(self) -> str:
        if self.kind == "l":
            return f"lock({self.name!r}).{'write' if self.amount == ALL else 'read'}()"
        return f"{self.name}({self.amount})"

    if not TYPE_CHECKING:  # which finds it by itself

        def __enter__(self) -> NoReturn:
            raise UsageError(f"{self} is an amount, for requires=: write  with acquire({self}):")

        __exit__ = __enter__


def checked_name(name: Any, what: str) -> str:
    """`name` if a token or lock can have it.

    Raises:
        ConfigError: it can't.
    """
    if not isinstance(name, str) or not NAME.fullmatch(name):
        raise ConfigError(
            f"{what} {name!r}: a name has letters, digits, '_', '-' and '.', begins with none of the last two, "
            "and has 64 characters at most"
        )
    return name


def checked_amount(amount: object, what: str) -> int:
    """`amount` if it is a whole number from 1 on of which there could be so many.

    Raises:
        ConfigError: it is not.
    """
    found = whole(amount)
    if found is None or found < 1:
        raise ConfigError(f"{what}: expected a whole number from 1 on, got {amount!r}")
    if found > MOST:
        raise ConfigError(f"{what}: {found} are wanted, no token has more than {MOST}")
    return found


def checked_capacity(capacity: object, what: str) -> int:
    """`capacity` if a token can have it: a whole number from 0 on.

    Raises:
        ConfigError: none can.
    """
    found = whole(capacity)
    if found is None or found not in range(MOST + 1):
        raise ConfigError(f"{what}: expected a whole number from 0 to {MOST}, got {capacity!r}")
    return found


def collected(needs: object, what: str = "requires=") -> tuple[Need, ...]:
    """All needs of a job, or of running code, in the order of their resources; of a token named twice, the sum, of a lock
    read and written, the writing.

    Args:
        needs: what was given: tokens' amounts, and locks to read or to write.
        what: it was given to, for messages.

    Raises:
        ConfigError: something else, or more of a token than there can be.
    """
    found: dict[str, Need] = {}
    if isinstance(needs, Need | str) or not isinstance(needs, Iterable):
        needs = (needs,)
    for need in cast("Iterable[Any]", needs):
        if not isinstance(need, Need):
            raise ConfigError(
                f"{what}: expected amounts of tokens, and locks to read or to write, as gpu(1) or "
                f"lock('index').read(), got {need!r}"
            )
        need = Need(need.kind, need.name, need.amount, need.capacity)
        before = found.get(need.resource)
        if before is None:
            found[need.resource] = need
        elif need.kind == "l":
            found[need.resource] = max(before, need, key=lambda one: one.amount)
        else:
            amount = checked_amount(before.amount + need.amount, f"{what}: {need.name}")
            found[need.resource] = Need(need.kind, need.name, amount, need.capacity or before.capacity)
    kinds: dict[str, Kind] = {}
    for need in found.values():
        if need.kind != "l" and kinds.setdefault(need.name, need.kind) != need.kind:
            raise ConfigError(f"{what}: token {need.name} is counted both per host and for all hosts")
    return tuple(found[resource] for resource in sorted(found))


def needs_text(needs: Sequence[Need]) -> str:
    """Needs as the broker keeps them: `l.index=1,t.gpu=2`."""
    return ",".join(f"{need.resource}={need.amount}" for need in needs)


def needs_of(text: str) -> tuple[Need, ...]:
    """The reverse of `needs_text`."""
    found: list[Need] = []
    for part in text.split(",") if text else ():
        resource, _, amount = part.partition("=")
        kind: Any = resource[0]
        found.append(Need(kind, resource[2:], int(amount)))
    return tuple(found)


def check_order(held: Iterable[Need], wanted: Sequence[Need], required: Sequence[Need] = ()) -> None:
    """Makes sure that waiting for `wanted` can't lead to a deadlock.

    Whoever waits holds only what comes before it in the order of names, so nobody waits in a circle (Havender 1968).

    Args:
        held: what is.
        wanted: what is to be waited for.
        required: what the job holds from its beginning to its end.

    Raises:
        WouldDeadlock: it could.
    """
    first = min(wanted, key=lambda one: one.order)
    for needs, by_job in ((required, True), (held, False)):
        last = max(needs, key=lambda one: one.order, default=None)
        if last is None or last.order < first.order:
            continue
        if last.resource == first.resource:
            how, instead = "do so wait", f"take all of it {'by requires=' if by_job else 'at once'}"
        elif by_job:
            how, instead = "take them in different orders wait", f"name {first} in requires=, too"
        else:
            how = "take them in different orders wait"
            instead = (
                f"take them in the order of names ({first.name}, {last.name}), or both at once: "
                f"acquire({first}, {last})"
            )
        raise WouldDeadlock(
            f"{first} is wanted while {last} is held: two that {how} for each other for ever; {instead}"
        )


def capacities_of(needs: Iterable[Need]) -> dict[str, int]:
    """The capacity that each resource is to get if there is none yet; 0: it must exist."""
    return {need.resource: ALL if need.kind == "l" else need.capacity or 0 for need in needs}


def differing(needs: Iterable[Need], there: Mapping[str, int]) -> list[str]:
    """What to say of tokens that have another capacity than was given.

    Args:
        needs: with the capacities that were given.
        there: those that there are.
    """
    return [
        f"token {need.name}: the script gives it {need.capacity}, it has {there[need.resource]}, which holds; "
        f"'xpm token set {need.name} {need.capacity}' changes it"
        for need in needs
        if need.kind != "l"
        and need.capacity is not None
        and there[need.resource] not in (need.capacity, OTHERWISE)
    ]


OTHERWISE = -2
"""The capacity of a token that is counted in another way, for all hosts together or per host."""

_WAYS = {
    "t": ("on each host for itself", 'token("{}", per="host")'),
    "h": ("for all hosts together", 'token("{}")'),
}


def refuse_excess(capacities: Mapping[str, int], needs: Iterable[Need], what: str = "") -> None:
    """Refuses needs beyond what there is.

    Raises:
        SubmissionError: there is not so much of it, or no such token.
    """
    head = f"{what}: " if what else ""
    for need in needs:
        there = capacities[need.resource]
        if there == OTHERWISE:
            way, call = _WAYS[need.kind]
            raise SubmissionError(
                f"{head}token {need.name!r} is counted {way}: write {call.format(need.name)}"
            )
        if there < 0:
            per, option = (', per="host"', " --per-host") if need.kind == "h" else ("", "")
            raise SubmissionError(
                f"{head}there is no token {need.name!r}: token({need.name!r}, N{per}) or "
                f"'xpm token set {need.name} N{option}' makes one of capacity N"
            )
        if need.amount > there:
            raise SubmissionError(f"{head}{excess(need, there)}")


def excess(need: Need, there: int, host: str = "") -> str:
    """What to say of a need beyond what there is.

    Args:
        need: what is needed.
        there: how much there is.
        host: where, of what each host has for itself; empty for the host that has most.
    """
    where, option = (f" on {host}", f" --host {host}") if host else ("", "")
    return (
        f"needs {need}, there are {there}{where}; 'xpm token set {need.name} {need.amount}{option}' raises it"
    )


def not_free(needs: Sequence[Need], timeout: float | None) -> str:
    """What to say when the time to wait is over."""
    return f"{' and '.join(map(str, needs))}: not free within {timeout:g} s"
