"""What is counted: by the events of the engine, and by what the driver did."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from faults import Kind

from xpm.broker.broker import Broker
from xpm.broker.wire import unpack_raw
from xpm.core.state import State
from xpm.types import short

PERSON = "ada@host"
"""Who kills, holds, pauses and has run again."""

AGAIN = frozenset({f"to run again by {PERSON}", "capacity"})
"""Why a job leaves DONE: somebody wants it to, and it may at once have to wait for a capacity."""

KEPT = "kept: "
"""How an event begins that ends a rerun without a new result."""

OPEN = frozenset({State.WAITING, State.READY, State.RUNNING})


class Watch:
    """Reads the engine's events on, and sees that they make sense.

    Args:
        broker: whose events.
    """

    def __init__(self, broker: Broker) -> None:
        self._client: Any = broker.client
        self._broker = broker
        self._stream = f"{broker.prefix}events"
        self._cursor = "0-0"
        self._states: dict[str, State] = {}
        self._revisions: Counter[str] = Counter()
        self._ready: dict[str, int] = {}
        self._still_since = 0
        self.wrong: list[str] = []
        """Transitions that must not be."""
        self.lost: list[str] = []
        """Why executions ended without a word."""
        self.waited = 0
        """Milliseconds that a job was ready before it started, at most."""
        self.still = 0
        """Milliseconds for which jobs were ready and none was started, at most."""
        self.still_until = 0
        """When that ended, in milliseconds since 1970."""
        self.counts: Counter[State] = Counter()
        self.reruns: Counter[str] = Counter()
        """Of each job that was done, how often it was to run again."""
        self.kept: Counter[str] = Counter()
        """How often that gave no new result."""
        self.unsure: Counter[str] = Counter()
        """Reruns that ended with their workers: whoever took the jobs then found a new result, or the old one."""

    @property
    def open(self) -> int:
        """Jobs that will still move."""
        return sum(self.counts[state] for state in OPEN)

    def state(self, id: str) -> State | None:
        return self._states.get(short(id))

    def look(self) -> None:
        """All events since the last look."""
        while found := self._broker.ask(
            lambda: self._client.xrange(self._stream, f"({self._cursor}", count=500)
        ):
            for cursor, fields in found:
                self._cursor = cursor.decode()
                at = int(self._cursor.partition("-")[0])
                for job, state, revision, _, why in unpack_raw(fields[b"t"]):
                    self._note(at, job.decode(), State(state.decode()), int(revision), why.decode())

    def _note(self, at: int, job: str, state: State, revision: int, why: str) -> None:
        before = self._states.get(job)
        if revision != self._revisions[job] + 1:
            self.wrong.append(f"{job}: event {revision} after {self._revisions[job]}")
        if before is State.DONE and why in AGAIN:
            self.reruns[job] += 1
        elif before is State.DONE:
            self.wrong.append(f"{job}: {state} after DONE: {why}")
        if before is State.RUNNING and state is not State.DONE:
            self.lost.append(why)
        if state is State.DONE and why.startswith(KEPT):
            self.kept[job] += 1
        if state is not State.DONE and why.startswith(KEPT):
            self.unsure[job] += 1
        self._revisions[job], self._states[job] = revision, state
        self.counts[state] += 1
        if before is not None:
            self.counts[before] -= 1
        if state is State.RUNNING:
            self.waited = max(self.waited, at - self._ready.pop(job, at))
            if at - self._still_since > self.still:
                self.still, self.still_until = at - self._still_since, at
            self._still_since = at
        elif state is State.READY:
            if not self._ready:
                self._still_since = at
            self._ready[job] = at
        else:
            self._ready.pop(job, None)


@dataclass
class Figures:
    """Of one run."""

    seed: int
    seconds: float
    jobs: int = 0
    graphs: int = 0
    executions: int = 0
    faults: Counter[Kind] = field(default_factory=Counter)
    lost: int = 0
    """Replies that did not come after a script had run."""
    answers: Counter[str] = field(default_factory=Counter)
    """What the dashboards said to their buttons."""
    recoveries: int = 0
    """Executions after a job's first."""
    stale: int = 0
    """Executions that came to their end after another one had taken over: their results count for nothing."""
    again: int = 0
    """Jobs that users had to submit again."""
    reruns: int = 0
    kept: int = 0
    """Of these, those without a new result."""
    pools: int = 0
    """Pools that were started."""
    ended: int = 0
    """Of these, after one that had ended by itself."""
    waited: float = 0.0
    still: float = 0.0
    holds: int = 0
    """What another workspace acquired, had to the end, and gave back."""
    still_until: float = 0.0
    """Seconds from the beginning."""

    def __str__(self) -> str:
        rows = [
            ("faults", self.faults.total()), *[(f"  {kind}", self.faults[kind]) for kind in Kind],
            *[(f"  {answer}", count) for answer, count in sorted(self.answers.items())],
            ("replies lost after their script had run", self.lost),
            ("graphs", self.graphs), ("jobs, each done once", self.jobs), ("executions", self.executions),
            ("recoveries: executions after a job's first", self.recoveries),
            ("stale executions that came to their end in vain", self.stale),
            ("jobs submitted again, after three lost workers or by a button's Delete", self.again),
            ("reruns of jobs that were done", self.reruns),
            ("  that ended without a new result, so that the old one stayed", self.kept),
            ("holds of another workspace's code", self.holds),
            ("pools started", self.pools),
            ("  after one that had found no Redis, or whose workers were killed young", self.ended),
            ("longest time for which a job was ready, s", f"{self.waited:.1f}"),
            ("longest time for which jobs were ready and none was started, s", f"{self.still:.1f}"),
            ("  it ended after so many seconds", f"{self.still_until:.1f}"),
        ]  # fmt: skip
        head = f"seed {self.seed}, {self.seconds:.0f} s of faults"
        return "\n".join([head, *[f"{name:<80}{value:>8}" for name, value in rows]])
