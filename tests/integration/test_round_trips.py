"""What a busy worker asks of the broker: one call a job, which reports its end and brings the next."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from math import ceil
from pathlib import Path

import pytest
from farm import LEASE, farm
from servers import Server, free_port

from xpm.broker.scripts import digest
from xpm.core.state import State

TASKS = """
from xpm import Param, Task

class Quick(Task):
    n: Param[int]
    def execute(self):
        return self.n

class After(Task):
    first: Param[Quick]
    def execute(self):
        return self.first.result()
"""

JOBS = 60
WARM = 10
"""Jobs at the beginning and at the end that are not counted: the code is loaded, the queue runs dry."""

RARE = 4
"""Calls in each third of a lease that have nothing to do with jobs, beside a sweep: RQ's heartbeat."""

SWEEP = {digest(name) for name in ("overdue", "neglected", "expire", "lapse", "revisit", "refill", "repair")}
"""A sweep's calls, which come by page, not by job; a server that does not know them gets each a second time, as a text."""


@dataclass(frozen=True)
class Heard:
    """One call of a client."""

    address: str
    command: str
    time: float


@contextmanager
def overheard(server: Server) -> Iterator[list[Heard]]:
    """All that clients send meanwhile, without what scripts call inside of the server."""
    heard: list[Heard] = []
    ready = threading.Event()

    def listen() -> None:
        with server.client() as client, client.monitor() as monitor:
            ready.set()
            for one in monitor.listen():
                if one["command"] == "ECHO enough":
                    return
                if one["client_type"] != "lua":
                    address = f"{one['client_address']}:{one['client_port']}"
                    heard.append(Heard(address, one["command"], one["time"]))

    ear = threading.Thread(target=listen)
    ear.start()
    ready.wait()
    try:
        yield heard
    finally:
        with server.client() as client:
            client.echo("enough")
        ear.join()


@pytest.mark.rq
def test_a_busy_worker_asks_once_a_job(tmp_path: Path, start_server: Callable[..., Server]) -> None:
    server = start_server(port=free_port())  # on a port, so that each connection has an address of its own
    with farm(tmp_path, server.url, TASKS) as here:
        tasks = here.tasks
        run = here.run()
        quick = [tasks.Quick.C(n=n) for n in range(JOBS // 2)]
        here.send(run, *quick)
        here.send(run, *(tasks.After.C(first=one) for one in quick))
        with overheard(server) as heard:
            ours = {one["addr"] for one in here.client.client_list()}
            here.pool()
            here.until(lambda: here.views.counts()[State.DONE] == JOBS)
        jobs = here.views.jobs(here.views.listing(State.DONE))
    ended = sorted(job.ended for job in jobs if job is not None)[WARM:-WARM]
    calls = [one for one in heard if one.address not in ours and ended[0] < one.time <= ended[-1]]
    calls = [one for one in calls if one.command.split(" ")[1] not in SWEEP and one.command[:5] != "EVAL "]
    rare = RARE * ceil((ended[-1] - ended[0]) / (LEASE / 3))
    reports = [one for one in calls if one.command.startswith("EVALSHA")]
    assert len(reports) >= len(ended) - 2, "what is counted here are the reports"
    assert len(calls) <= len(ended) + rare, Counter(one.command[:60] for one in calls).most_common(10)
