"""Who takes jobs: workers of xpm, and RQ's own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import cast

from xpm.broker import rq
from xpm.broker.jobview import worker_place
from xpm.broker.views.asking import Asking
from xpm.core.spelling import nearest
from xpm.errors import UsageError
from xpm.types import ShortId

SICK = 3
"""So many different jobs that died in a row as soon as they had begun, and their pool gets no more (see `lua/lib/served.lua`)."""


@dataclass(frozen=True, slots=True)
class WorkerView:
    """A worker that was enrolled and has not departed."""

    name: str
    host: str
    pid: int
    pool: str
    slots: tuple[str, ...]
    """What it serves: 'queue:class'."""
    born: float
    seen: float
    job: ShortId | None
    suspects: tuple[ShortId, ...] = ()
    """Jobs that died one after the other as soon as they had begun, if its pool therefore gets no more."""
    stock: bool = False
    """Whether it is one of RQ's own, which claims each job as it starts it, and is heard of by RQ only."""
    behind: str = ""
    """RQ's name of the worker that has started it for one job, if that is one of RQ's own."""

    @property
    def names(self) -> frozenset[str]:
        """What people may call it: its host, its process, both, or all of its name."""
        host, pid = self.place
        return frozenset((self.name, host, pid, f"{host}.{pid}"))

    @property
    def place(self) -> tuple[str, str]:
        """Host and process; from the name when the broker has lost the rest."""
        host, process = worker_place(self.name)
        return self.host or host, str(self.pid or process)

    def serves(self, queue: str, version: int = 1) -> bool:
        """Whether it takes jobs of a queue and payload version, and is given them."""
        return not self.suspects and self.offers(queue, version)

    def offers(self, queue: str, version: int = 1) -> bool:
        """Whether it asks for jobs of a queue and payload version; `*` is every queue, up to its version."""
        return f"{queue}:{version}" in self.slots or any(
            slot.startswith("*:") and int(slot[2:]) >= version for slot in self.slots
        )


class WorkerViews(Asking):
    """Questions about workers."""

    def workers(self) -> list[WorkerView]:
        """The workers that are enrolled, then RQ's own that serve our queues."""
        enrolled, stock = self.enrolled(), {one.name: one for one in self._stock()}
        for one in enrolled:
            if one.behind in stock:
                stock[one.behind] = replace(stock[one.behind], job=one.job)
        return [*(one for one in enrolled if one.behind not in stock), *stock.values()]

    def enrolled(self) -> list[WorkerView]:
        """The workers that are enrolled: ours, and what RQ's own start for a job, as long as it runs."""
        names = [
            name.decode() for name in self._ask(lambda: self._client.zrange(f"{self._prefix}workers", 0, -1))
        ]
        pipe = self._client.pipeline(transaction=False)
        for name in names:
            pipe.hgetall(f"{self._prefix}w:{name}")
        found = [_worker(name, row) for name, row in zip(names, self._ask(pipe.execute), strict=True) if row]
        return self._suspected(found)

    def named(self, names: Sequence[str]) -> list[WorkerView]:
        """The workers that people call so, each once; see `WorkerView.names`.

        Raises:
            UsageError: a name is of none.
        """
        workers, found = self.enrolled(), dict[str, WorkerView]()
        for name in names:
            own = [one for one in workers if name in one.names]
            foreign = [] if own else [one for one in self._stock() if name in one.names]
            if foreign:
                host, pid = foreign[0].place
                raise UsageError(
                    f"{name}: is RQ's own worker, which ends after its job on SIGTERM: kill {pid}, on {host}"
                )
            if not own:
                hosts = sorted({one.place[0] for one in workers})
                known = f"; there are workers on {', '.join(hosts[:10])}" if hosts else ": there are none"
                raise UsageError(f"no worker or host {name!r}{nearest(name, hosts) or known}")
            found.update((one.name, one) for one in own)
        return list(found.values())

    def _stock(self) -> list[WorkerView]:
        """RQ's own workers on our queues."""
        queues = sorted({slot.partition(":")[0] for slot in self._broker.slots()})
        pipe = self._client.pipeline(transaction=False)
        for queue in queues:
            pipe.smembers(rq.workers(rq.queue(self._broker.namespace, queue)))
        serving: dict[str, list[str]] = {}
        for queue, found in zip(queues, self._ask(pipe.execute), strict=True):
            for key in found:
                serving.setdefault(key.decode(), []).append(queue)
        own = f"{rq.WORKER}{self._broker.namespace}."
        keys = sorted(key for key in serving if not key.startswith(own))
        for key in keys:
            pipe.hgetall(key)
        rows = zip(keys, self._ask(pipe.execute), strict=True)
        # A horse that outlived its worker leaves a hash of counters, which never goes.
        there = [(key, row) for key, row in rows if b"last_heartbeat" in row]
        return [_stock(key, row, serving[key]) for key, row in there]

    def _suspected(self, workers: list[WorkerView]) -> list[WorkerView]:
        """The workers, each with the jobs for which its pool gets no more."""
        pools = sorted({worker.pool for worker in workers if worker.pool})
        names = [f"{self._prefix}sick:{pool}" for pool in pools]
        found = cast(list[bytes | None], self._ask(lambda: self._client.mget(names)) if names else [])
        suspects = {
            pool: tuple(ShortId(job) for job in text.decode().split())
            for pool, text in zip(pools, found, strict=True)
            if text and len(text.split()) >= SICK
        }
        return [replace(worker, suspects=suspects.get(worker.pool, ())) for worker in workers]


def _worker(name: str, row: dict[bytes, bytes]) -> WorkerView:
    fields = {key.decode(): value.decode("utf-8", "replace") for key, value in row.items()}
    return WorkerView(
        name, fields.get("host", ""), int(fields.get("pid", 0)), fields.get("pool", ""),
        tuple(fields.get("slots", "").split()), int(fields.get("born", 0)) / 1000, int(fields.get("seen", 0)) / 1000,
        ShortId(fields["g"]) if fields.get("g") else None, behind=fields.get("rq", ""),
    )  # fmt: skip


def _stock(key: str, row: dict[bytes, bytes], queues: Sequence[str]) -> WorkerView:
    """One of RQ's own workers, as RQ keeps it."""
    fields = {name.decode(): value.decode("utf-8", "replace") for name, value in row.items()}
    pid = fields.get("pid", "")
    return WorkerView(
        key.removeprefix(rq.WORKER), fields.get("hostname", ""), int(pid) if pid.isdigit() else 0, "rq",
        tuple(f"{queue}:1" for queue in queues), rq.moment(fields.get("birth", "")),
        rq.moment(fields.get("last_heartbeat", "")), None, stock=True,
    )  # fmt: skip
