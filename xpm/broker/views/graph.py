"""Which jobs depend on which."""

from __future__ import annotations

from collections.abc import Sequence
from graphlib import TopologicalSorter
from typing import cast

from xpm.broker.jobview import JobView
from xpm.broker.views.asking import CHUNK
from xpm.broker.views.jobs import JobViews
from xpm.core.state import State
from xpm.types import ShortId, short


class GraphViews(JobViews):
    """Questions about jobs and the edges between them."""

    def inputs(self, job: str) -> list[ShortId]:
        """The jobs that this one depends on."""
        return _inputs(self._ask(lambda: self._client.get(f"{self._prefix}in:{short(job)}")))

    def successors(self, job: str, limit: int = 100) -> list[ShortId]:
        """The jobs that depend on this one."""
        name = f"{self._prefix}out:{short(job)}"
        data = cast(bytes, self._ask(lambda: self._client.getrange(name, 0, 36 * limit - 1)))
        named = list(dict.fromkeys(ShortId(data[at : at + 32].decode()) for at in range(0, len(data), 36)))
        return self._still_led_to(short(job), named)

    def successors_of(self, job: str, task: str) -> list[JobView]:
        """The jobs of a task among those that depend on this one."""
        data = cast(bytes, self._ask(lambda: self._client.get(f"{self._prefix}out:{short(job)}"))) or b""
        named = list(dict.fromkeys(ShortId(data[at : at + 32].decode()) for at in range(0, len(data), 36)))
        found: list[JobView] = []
        for at in range(0, len(named), CHUNK):
            part = self.jobs(named[at : at + CHUNK])
            found += [each for each in part if each is not None and each.task == task]
        led = set(self._still_led_to(short(job), [short(each.id) for each in found]))
        return [each for each in found if short(each.id) in led]

    def _still_led_to(self, job: ShortId, named: Sequence[ShortId]) -> list[ShortId]:
        """Those that depend on the job as they are now: one that was submitted again with others may be in its list."""
        still: list[ShortId] = []
        for at in range(0, len(named), CHUNK):
            part = named[at : at + CHUNK]
            pipe = self._client.pipeline(transaction=False)
            for each in part:
                pipe.get(f"{self._prefix}in:{each}")
            found = zip(part, self._ask(pipe.execute), strict=True)
            still += [each for each, inputs in found if job in _inputs(inputs)]
        return still

    def downstream(self, jobs: Sequence[str], limit: int) -> dict[ShortId, State]:
        """The jobs that depend on these, directly or not, and their states; at most `limit` are looked for."""
        seen = {short(job) for job in jobs}
        found: dict[ShortId, State] = {}
        frontier = [short(job) for job in jobs[:limit]]
        while frontier and len(found) < limit:
            named = self._led_to(frontier[:CHUNK], limit)
            frontier = frontier[CHUNK:]
            fresh = [job for job in named if job not in seen][: limit - len(found)]
            seen.update(fresh)
            frontier += fresh
            states = self.states(fresh)
            found |= {job: one[0] for job, one in zip(fresh, states, strict=True) if one is not None}
        return found

    def _led_to(self, jobs: Sequence[str], limit: int) -> list[ShortId]:
        """The jobs that these lead to, each once; one that was given other inputs since is no longer meant."""
        pipe = self._client.pipeline(transaction=False)
        for job in jobs:
            pipe.getrange(f"{self._prefix}out:{job}", 0, 36 * limit - 1)
        leads: dict[ShortId, set[str]] = {}
        for job, data in zip(jobs, cast(list[bytes], self._ask(pipe.execute)), strict=True):
            for at in range(0, len(data), 36):
                leads.setdefault(ShortId(data[at : at + 32].decode()), set()).add(job)
        pipe = self._client.pipeline(transaction=False)
        for child in leads:
            pipe.hget(f"{self._prefix}j:{child}", "rw")
        rewired = [child for child, mark in zip(leads, self._ask(pipe.execute), strict=True) if mark]
        gone = {child for child in rewired if leads[child].isdisjoint(self.inputs(child))}
        return [child for child in leads if child not in gone]

    def ordered(self, jobs: Sequence[str]) -> list[ShortId]:
        """These jobs, inputs before what needs them."""
        graph: dict[ShortId, list[ShortId]] = {short(job): [] for job in jobs}
        ids = list(graph)
        for at in range(0, len(ids), CHUNK):
            pipe = self._client.pipeline(transaction=False)
            for job in ids[at : at + CHUNK]:
                pipe.get(f"{self._prefix}in:{job}")
            for job, packed in zip(ids[at : at + CHUNK], self._ask(pipe.execute), strict=True):
                graph[job] = [parent for parent in _inputs(packed) if parent in graph]
        return list(TopologicalSorter(graph).static_order())


def _inputs(packed: bytes | None) -> list[ShortId]:
    """The inputs of a job, as they are kept: a byte for each, then 16 for each."""
    count = len(packed or b"") // 17
    return [ShortId((packed or b"")[count + 16 * i : count + 16 * i + 16].hex()) for i in range(count)]
