"""Experiments, their runs, and which jobs these list."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from xpm.broker.jobview import JobView
from xpm.broker.views.asking import CHUNK, Asking
from xpm.broker.wire import unpack
from xpm.core.state import ENDED, State
from xpm.types import Scalar, ShortId, short


@dataclass(frozen=True, slots=True)
class RunView:
    """A run of an experiment, with the number of its jobs per state."""

    token: str
    experiment: str
    name: str
    start: float
    code: str
    facts: Mapping[str, Any]
    total: int
    counts: Mapping[State, int]
    held: int
    """Jobs that a person holds, or that need more of a token than there is until somebody raises it."""
    settling: bool
    """The broker still spreads news through the graph: counts may change without any job running."""
    kept: int = 0
    """Jobs that the experiment gave up, and that went on for others; they may have ended, or be wanted again."""

    @property
    def open(self) -> int:
        """Jobs that will still move without anybody's help."""
        moving = (State.WAITING, State.READY, State.RUNNING, State.SCHEDULED)
        return sum(self.counts.get(state, 0) for state in moving)

    @property
    def ended(self) -> bool:
        """Every job is DONE, ERROR, CANCELLED, or on HOLD behind one of these; not while a person is to let one go."""
        return self.open == 0 and self.held == 0 and not self.settling

    @property
    def failed(self) -> bool:
        """Some job ended, or will stay, without a result."""
        return any(
            n for state, n in self.counts.items() if state in ENDED | {State.HOLD} and state != State.DONE
        )


class RunViews(Asking):
    """Questions about the runs of experiments."""

    def experiments(self) -> list[RunView]:
        """The newest run of every experiment, newest first."""
        serials = cast(
            dict[bytes, bytes], self._ask(lambda: self._client.hgetall(f"{self._prefix}experiments"))
        )
        pipe = self._client.pipeline(transaction=False)
        for serial in serials.values():
            pipe.lindex(f"{self._prefix}runs:{serial.decode()}", -1)
        tokens = [token.decode() for token in self._ask(pipe.execute) if token]
        views = [view for token in tokens if (view := self.run(token))]
        return sorted(views, key=lambda view: view.start, reverse=True)

    def runs(self, experiment: str) -> list[str]:
        """The tokens of an experiment's runs, oldest first."""
        serial = self._ask(lambda: self._client.hget(f"{self._prefix}experiments", experiment))
        if serial is None:
            return []
        found = self._ask(lambda: self._client.lrange(f"{self._prefix}runs:{serial.decode()}", 0, -1))
        return [token.decode() for token in found]

    def all_runs(self) -> Iterator[str]:
        """The tokens of the runs of all experiments."""
        for name in self._ask(lambda: self._client.hkeys(f"{self._prefix}experiments")):
            yield from self.runs(name.decode())

    def run(self, token: str) -> RunView | None:
        """A run and its counts."""
        pipe = self._client.pipeline(transaction=False)
        pipe.hgetall(f"{self._prefix}run:{token}")
        pipe.llen(f"{self._prefix}todo")
        fields, todo = cast(tuple[dict[bytes, bytes], int], self._ask(pipe.execute))
        if not fields:
            return None
        counts = {state: int(fields.get(state.encode(), 0)) for state in State}
        facts = cast(
            dict[str, Any],
            unpack(fields.get(b"facts", b"\x80")),
        )
        return RunView(
            token, fields[b"experiment"].decode(), fields[b"name"].decode(), int(fields[b"start"]) / 1000,
            fields.get(b"code", b"").decode(), facts, int(fields.get(b"total", 0)), counts, int(fields.get(b"held", 0)),
            todo > 0, int(fields.get(b"kept", 0)),
        )  # fmt: skip

    def members(self, token: str) -> Iterator[tuple[ShortId, dict[str, Scalar]]]:
        """The jobs that a run lists, with their tags there."""
        name = f"{self._prefix}tags:{token}"
        for page in self._pages(lambda at: self._client.hscan(name, at, count=CHUNK)):
            for job, packed in page.items():
                yield ShortId(job.decode()), cast(dict[str, Scalar], unpack(packed))

    def tags(self, jobs: Sequence[JobView]) -> list[dict[str, dict[str, Scalar]]]:
        """For each of `jobs` its tags in each run that lists it, by the run's token."""
        listed: dict[str, list[JobView]] = {}
        for job in jobs:
            for token in job.runs:
                listed.setdefault(token, []).append(job)
        if not listed:
            return [{} for _ in jobs]
        pipe = self._client.pipeline(transaction=False)
        for token, its in listed.items():
            pipe.hmget(f"{self._prefix}tags:{token}", [short(job.id) for job in its])
        answers = cast(list[list[bytes | None]], self._ask(pipe.execute))
        found: dict[str, dict[str, dict[str, Scalar]]] = {job.id: {} for job in jobs}
        for (token, its), answer in zip(listed.items(), answers, strict=True):
            for job, packed in zip(its, answer, strict=True):
                if packed:
                    found[job.id][token] = cast(dict[str, Scalar], unpack(packed))
        return [found[job.id] for job in jobs]
