"""Tokens and locks: the verbs about what is held by running code, and about capacities.

What jobs require is granted in their claim and comes back with their end; see `xpm.broker.broker`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

from redis import Redis

from xpm.broker.reader import Reader
from xpm.broker.scripts import BUDGET, Scripts, StaleEpoch
from xpm.broker.wire import pack
from xpm.core.requirement import excess, needs_of
from xpm.errors import BrokerError, JobError, SubmissionError
from xpm.types import Namespace, short

T = TypeVar("T")

FENCED = "this execution of the job has ended: another may run, or has"
STOPPING = "somebody has asked for the end of this job: what it submits is not taken any more"
"""What a stale execution is told."""

PAGE, PAGES = 100, 8
"""Of those who wait, so many pages of about so many are looked at again at once."""

ASKING = 3.0
"""Seconds after which code that waits asks again: what is granted to code that doesn't goes to others soon."""

SHARE = 4
"""A lease is renewed after this part of it."""


@dataclass(frozen=True, slots=True)
class Grant:
    """What became of a wish for tokens or locks."""

    outcome: Literal["granted", "waiting", "over", "fenced"]
    """`over`: there is not so much of it; `fenced`: the job that asked is not its worker's any more."""
    fence: str = ""
    """For `granted`: a number that is larger than that of each earlier grant."""
    resource: str = ""
    """For `over`: of what."""
    excess: str = ""
    """For `over`: how much of it there is, and what helps."""

    @property
    def fence_or_none(self) -> str | None:
        """The fence if it was granted, None while it is waited for.

        Raises:
            SubmissionError: there is not so much of it any more.
            JobError: the job that asked is not its worker's any more.
        """
        if self.outcome == "over":
            raise SubmissionError(self.excess)
        if self.outcome == "fenced":
            raise JobError(FENCED)
        return self.fence if self.outcome == "granted" else None


class Resources(Reader):
    """The verbs about tokens and locks.

    Args:
        client: a connection pool with `decode_responses=False`.
        namespace: the workspace's namespace.
        lease: how long a holder may be silent, in seconds.
        budget: edges that one call settles at most.
    """

    def __init__(
        self, client: Redis, namespace: Namespace, *, lease: float = 30.0, budget: int = BUDGET
    ) -> None:
        super().__init__(client, namespace, lease=lease)
        self._scripts = Scripts(client, self.prefix, budget)
        self._visited: dict[str, int] = {}
        """Where the next look at those who wait begins."""

    @property
    def _lease_ms(self) -> int:
        return int(self.lease * 1000)

    def _greeted(self, ask: Callable[[], T]) -> T:
        """What `ask` returns, behind another greeting if the server has lived through more than the last one."""
        try:
            return ask()
        except StaleEpoch:
            self.client.connection_pool.disconnect()  # a new connection greets the server
            self.hello()
            return ask()

    def declare(self, capacities: Mapping[str, int]) -> dict[str, int]:
        """Make tokens and locks that don't exist; what exists keeps its capacity.

        Args:
            capacities: of each resource; 0 makes none.

        Returns:
            The capacity of each; -1 where there is none, -2 where a token of that name is counted in the other way.
        """
        found = self._scripts.run("declare", pack([list(pair) for pair in capacities.items()]))
        return dict(zip(capacities, map(int, found), strict=True))

    def resize(self, resource: str, capacity: int, host: str = "") -> int:
        """Give a token another capacity; returns the one that it had, -1 if there was none.

        Args:
            resource: `t.<name>`, or `h.<name>` for one that each host has for itself.
            capacity: how much there is; nothing is granted until use is within it.
            host: for one that each host has for itself: of this one; else of all without their own.
        """
        return int(self._scripts.run("resize", resource, capacity, host))

    def acquire(
        self,
        name: str,
        needs: str,
        *,
        priority: int = 0,
        host: str = "",
        facts: Mapping[str, str | int] | None = None,
        job: str = "",
        execution: int = 0,
    ) -> Grant:
        """Ask for tokens and locks, or ask again: `wait(f"@{name}", ...)` returns when they are granted.

        Args:
            name: of this wish; the same name asks again.
            needs: `l.index=1,t.gpu=2`, see `xpm.core.requirement`.
            priority: higher goes first.
            host: where the holder is.
            facts: who it is, for people.
            job: the running job that it is a part of, which then gives it back when it ends.
            execution: of that job.
        """
        packed = pack(dict(facts or {}))
        call = ("acquire", name, needs, priority, self._lease_ms, host, packed, short(job), execution)
        outcome, *rest = self._greeted(lambda: self._scripts.run(*call))
        found: Any = outcome.decode()
        if found == "granted":
            return Grant(found, rest[0].decode())
        if found == "over":
            resource = rest[0].decode()
            (over,) = (need for need in needs_of(needs) if need.resource == resource)
            return Grant(found, "", resource, excess(over, int(rest[1]), host if over.kind == "h" else ""))
        return Grant(found)

    def await_grant(
        self,
        name: str,
        ask: Callable[[], str | None],
        timeout: float | None,
        meanwhile: Callable[[], object] = lambda: None,
    ) -> str | None:
        """Calls `ask` until it gives a fence; between two times, waits for the bell of the wish `name`.

        Args:
            name: of the wish.
            ask: makes the wish, or makes it again.
            timeout: seconds; None: as long as it takes.
            meanwhile: called before each wait.

        Returns:
            The fence; None when `timeout` seconds are over.
        """
        end = None if timeout is None else time.monotonic() + timeout
        while (fence := ask()) is None:
            patience = min(self.lease / SHARE, ASKING)
            if end is not None:
                patience = min(patience, end - time.monotonic())
                if patience <= 0:
                    return None
            try:
                meanwhile()
                self.wait(f"@{name}", patience)
            except BrokerError:  # the next question waits for it
                continue
        return fence

    def wait(self, name: str, timeout: float) -> bool:
        """Block until the bell of `name` rings, or `timeout` seconds have passed: a worker's, or `@` and that of a wish."""
        bell = [f"{self.prefix}bell:{name}"]
        return self.block(lambda seconds: self.client.blpop(bell, timeout=seconds), timeout) is not None

    def keep(self, name: str) -> bool:
        """The holder is alive; returns whether it still holds, or waits."""
        return self._scripts.run("keep", name, self._lease_ms) == b"ok"

    def free(self, name: str) -> bool:
        """Give back what was acquired, or stop waiting; returns whether there was anything."""
        return bool(self._scripts.run("free", name))

    def lapse(self, name: str, renewals: str, looked: int) -> bool:
        """Second look, a third of a lease after the first: free what a silent holder held."""
        return bool(self._scripts.run("lapse", name, renewals, looked, self._lease_ms // 3))

    def revisit(self) -> None:
        """Look again at who waits for tokens: some hundreds at a time, and at the next the next time."""
        for _ in range(PAGES):
            groups, resources = self._page("groups"), self._page("resources")
            self._scripts.run("revisit", pack(groups), pack(resources))
            if not any(self._visited.values()):
                return

    def _page(self, name: str) -> list[str]:
        client: Any = self.client
        at = self._visited.get(name, 0)
        self._visited[name], found = self.ask(lambda: client.sscan(f"{self.prefix}{name}", at, count=PAGE))
        return [each.decode() for each in found]
