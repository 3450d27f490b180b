"""What jobs are there, in which states, and what became of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

from xpm.broker.broker import Failure
from xpm.broker.jobview import FIELDS, JobView, job_of
from xpm.broker.keys import slot_of
from xpm.broker.views.asking import CHUNK, Asking
from xpm.broker.wire import unpack
from xpm.core.state import State
from xpm.core.typeinfo import TypeInfo
from xpm.types import ShortId, short

_AHEAD = 1000


@dataclass(frozen=True, slots=True)
class Progress:
    """What a running job last said of itself."""

    value: float
    desc: str


class JobViews(Asking):
    """Questions about jobs."""

    def jobs(self, ids: Sequence[str]) -> list[JobView | None]:
        """The jobs of these identifiers (or first halves); None where there is none."""
        found: list[JobView | None] = []
        for at in range(0, len(ids), CHUNK):
            pipe = self._client.pipeline(transaction=False)
            chunk = [short(job) for job in ids[at : at + CHUNK]]
            for job in chunk:
                pipe.hmget(f"{self._prefix}j:{job}", FIELDS)
            rows = cast(list[list[bytes | None]], self._ask(pipe.execute))
            found.extend(job_of(job, row) for job, row in zip(chunk, rows, strict=True))
        return found

    def job(self, job: str) -> JobView | None:
        """One job, or None."""
        return self.jobs([job])[0]

    def states(self, ids: Sequence[str]) -> list[tuple[State, str, str] | None]:
        """State, code and fence of jobs, None where unknown: a cheap advisory read before a submission."""
        found: list[tuple[State, str, str] | None] = []
        for at in range(0, len(ids), CHUNK):
            pipe = self._client.pipeline(transaction=False)
            for job in ids[at : at + CHUNK]:
                pipe.hmget(f"{self._prefix}j:{job[:32]}", "s", "c", "f")
            for state, code, fence in self._ask(pipe.execute):
                found.append(
                    (State(state.decode()), (code or b"").decode(), (fence or b"").decode())
                    if state
                    else None
                )
        return found

    def listing(self, state: State, limit: int = 1000, offset: int = 0) -> list[ShortId]:
        """Jobs in a state, those that entered it last first (READY: of each slot those that start next first)."""
        if state is State.READY:
            ids: list[ShortId] = []
            for slot in self._broker.slots():
                ids += self.ready(slot, offset + limit)
            return ids[offset : offset + limit]
        key = "leases" if state is State.RUNNING else f"s:{state}"
        return self._range(key, offset, offset + limit - 1, newest=True)

    def ready(self, slot: str, limit: int = 1000) -> list[ShortId]:
        """Jobs that are READY in a slot, 'queue:class', without tokens and with, or in one group of it; by priority and
        order.
        """
        found: list[tuple[int, float, ShortId]] = []
        for line in self._lines([slot]):
            priority = int(line.rpartition(":")[2].partition(".")[0])
            members = cast(
                list[tuple[bytes, float]],
                self._ask(lambda line=line: self._client.zrange(line, 0, limit - 1, withscores=True)),
            )
            found += [(-priority, order, ShortId(job.decode())) for job, order in members]
        return [job for *_, job in sorted(found)[:limit]]

    def groups(self) -> list[str]:
        """Those with needs that have READY jobs, 'queue:class:needs'."""
        members = cast(set[bytes], self._ask(lambda: self._client.smembers(f"{self._prefix}groups")))
        return sorted(map(bytes.decode, members))

    def ready_counts(self, slots: Sequence[str]) -> dict[str, int]:
        """How many jobs are READY in each slot."""
        lines = self._lines(slots)
        pipe = self._client.pipeline(transaction=False)
        for line in lines:
            pipe.zcard(line)
        counts = dict.fromkeys(slots, 0)
        for line, count in zip(lines, cast(list[int], self._ask(pipe.execute)), strict=True):
            counts[slot_of(line.removeprefix(f"{self._prefix}ready:"))] += count
        return counts

    def ahead(self, job: JobView) -> int:
        """How many ready jobs of its slot come before a READY job by priority and order; `_AHEAD` at most are looked at."""
        first = self.ready(f"{job.queue}:{job.version}", _AHEAD)
        own = short(job.id)
        return first.index(own) if own in first else len(first)

    def _lines(self, slots: Sequence[str]) -> list[str]:
        """The keys of all lines of READY jobs in some slots."""
        groups = [*slots, *(group for group in self.groups() if slot_of(group) in slots)]
        pipe = self._client.pipeline(transaction=False)
        for group in groups:
            pipe.zrange(f"{self._prefix}lanes:{group}", 0, -1)
        found = cast(list[list[bytes]], self._ask(pipe.execute))
        return [
            f"{self._prefix}ready:{group}:{lane.decode()}"
            for group, lanes in zip(groups, found, strict=True)
            for lane in lanes
        ]

    def _range(self, key: str, first: int, last: int, *, newest: bool) -> list[ShortId]:
        found = self._ask(lambda: self._client.zrange(f"{self._prefix}{key}", first, last, desc=newest))
        return [ShortId(job.decode()) for job in found]

    def counts(self) -> dict[State, int]:
        """How many jobs of the namespace are in each state."""
        lines = self._lines(self._broker.slots())
        pipe = self._client.pipeline(transaction=False)
        plain = [state for state in State if state not in (State.READY, State.RUNNING)]
        for state in plain:
            pipe.zcard(f"{self._prefix}s:{state}")
        pipe.zcard(f"{self._prefix}leases")
        for line in lines:
            pipe.zcard(line)
        found = cast(list[int], self._ask(pipe.execute))
        counts = dict(zip(plain, found, strict=False))
        counts[State.RUNNING] = found[len(plain)]
        counts[State.READY] = sum(found[len(plain) + 1 :])
        return counts

    def find(self, prefix: str) -> list[ShortId]:
        """Jobs whose identifier begins with `prefix` (at least 4 digits), at most 20."""
        head = prefix[:32]
        if len(head) == 32:
            return (
                [ShortId(head)] if self._ask(lambda: self._client.exists(f"{self._prefix}j:{head}")) else []
            )
        start = f"{self._prefix}j:"
        found: list[ShortId] = []
        for page in self._pages(lambda at: self._client.scan(at, match=f"{start}{head}*", count=5000)):
            found += [ShortId(cast(bytes, key).decode()[len(start) :]) for key in page]
            if len(found) >= 20:
                break
        return sorted(set(found))[:20]

    def tasks(self) -> list[str]:
        """The names of the tasks that were ever submitted."""
        found = cast(list[bytes], self._ask(lambda: self._client.hvals(f"{self._prefix}types")))
        types = [TypeInfo.unpack(packed) for packed in found]
        return sorted({one.name for one in types if one.task})

    def failure(self, job: str) -> Failure | None:
        """Why the last attempt of a job failed."""
        packed = self._ask(lambda: self._client.get(f"{self._prefix}err:{short(job)}"))
        if not packed:
            return None
        values = unpack(packed)
        return Failure(values["kind"], values["type"], values["message"], values["traceback"])

    def payloads(self, ids: Sequence[str]) -> list[bytes | None]:
        """The payloads of jobs."""
        names = [f"{self._prefix}p:{short(job)}" for job in ids]
        return cast(list[bytes | None], self._ask(lambda: self._client.mget(names))) if names else []

    def payload(self, job: str) -> bytes | None:
        """A job's payload."""
        return cast(bytes | None, self._ask(lambda: self._client.get(f"{self._prefix}p:{short(job)}")))

    def progress(self, ids: Sequence[str]) -> list[Progress | None]:
        """What running jobs last said of themselves."""
        if not ids:
            return []
        found = self._ask(lambda: self._client.hmget(f"{self._prefix}progress", [short(job) for job in ids]))
        return [_progress(packed) for packed in found]


def _progress(packed: bytes | None) -> Progress | None:
    if not packed:
        return None
    value, desc = unpack(packed)[:2]
    return Progress(float(value), desc or "")
