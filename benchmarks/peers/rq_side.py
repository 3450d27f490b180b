"""RQ's side of the cases: `rq_side.py URL VERB ...`; answers with a line of JSON."""

from __future__ import annotations

import json
import os
import sys
import time
from typing import Any

from journal import await_lines, marks
from redis import Redis
from rq import Queue
from shapes import graph

LOG = os.environ["BENCH_LOG"]
CHUNK = 1000


def fill(queue: Queue, function: str, count: str) -> dict[str, Any]:
    """Enqueues independent jobs."""
    for first in range(0, int(count), CHUNK):
        last = min(first + CHUNK, int(count))
        queue.enqueue_many([Queue.prepare_data(function, args=(n,)) for n in range(first, last)])
    return {}


def submit(queue: Queue, count: str) -> dict[str, Any]:
    """Enqueues jobs of ten parameters, and tells how long it took."""
    begun = time.perf_counter()
    for first in range(0, int(count), CHUNK):
        datas = []
        for n in range(first, min(first + CHUNK, int(count))):
            parameters = {
                "a": n, "b": 2, "c": 3, "d": 0.1, "e": 1e-3, "f": n / 7, "g": "adam", "h": "digits", "i": True,
                "j": False,
            }  # fmt: skip
            datas.append(Queue.prepare_data("rq_jobs.ten", kwargs=parameters))
        queue.enqueue_many(datas)
    return {"seconds": time.perf_counter() - begun, "count": queue.count}


def shape(queue: Queue, name: str, size: str, patience: str) -> dict[str, Any]:
    """Runs a graph and tells when it began."""
    plan = graph(name, int(size))
    for n in range(4):
        queue.enqueue("rq_jobs.noop", -1 - n)
    await_lines(LOG, 4, 30.0)
    time.sleep(0.1)
    os.unlink(LOG)
    begun = time.time()
    jobs: list[Any] = []
    for n, inputs in plan:
        more = {"depends_on": [jobs[each] for each in inputs]} if inputs else {}
        jobs.append(queue.enqueue("rq_jobs.noop", n, **more))
    described = time.time()
    await_lines(LOG, len(plan), float(patience), 0.05)
    return {"begun": begun, "described": described, "ended": time.time()}


def latency(queue: Queue, count: str) -> dict[str, Any]:
    """From enqueue() to the job's first line, one after another."""
    submitted: list[float] = []
    for n in range(6 + int(count)):
        submitted.append(time.time())
        queue.enqueue("rq_jobs.noop", n)
        if not await_lines(LOG, n + 1, 30.0):
            raise SystemExit(f"job {n} did not start")
        time.sleep(0.04)
    began = dict(marks(LOG))
    return {"delays": [began[n] - at for n, at in enumerate(submitted)][6:]}


VERBS = {"fill": fill, "submit": submit, "shape": shape, "latency": latency}


if __name__ == "__main__":
    url, verb, *arguments = sys.argv[1:]
    print(json.dumps(VERBS[verb](Queue("default", connection=Redis.from_url(url)), *arguments)))
