"""Dask's side of the shapes: `dask_side.py shape SHAPE SIZE PATIENCE`; answers with a line of JSON."""

from __future__ import annotations

import json
import logging
import os
import sys
import time
from typing import Any

from dask import delayed
from distributed import Client, LocalCluster, wait
from journal import mark
from shapes import graph


def step(n: int, after: Any) -> int:
    """One line."""
    return mark(n)


def main(name: str, size: str, patience: str) -> dict[str, float]:
    """Runs a graph and tells when it began."""
    plan = graph(name, int(size))
    cluster = LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None, silence_logs=logging.ERROR
    )
    with cluster, Client(cluster) as client:
        wait([client.submit(step, -1 - n, None, pure=False) for n in range(4)])
        os.unlink(os.environ["BENCH_LOG"])
        begun = time.time()
        make = delayed(step, pure=False)
        jobs: list[Any] = []
        needed: set[int] = set()
        for n, inputs in plan:
            jobs.append(make(n, [jobs[each] for each in inputs], dask_key_name=f"step-{n}"))
            needed.update(inputs)
        last = [jobs[n] for n, _ in plan if n not in needed]
        futures = client.compute(last, optimize_graph=False)
        described = time.time()
        wait(futures, timeout=float(patience))
        return {"begun": begun, "described": described, "ended": time.time()}


if __name__ == "__main__":
    print(json.dumps(main(*sys.argv[2:])))
