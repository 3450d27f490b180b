"""HyperQueue running `true`, a process a task: `hq_side.py COUNT`; answers with a line of JSON."""

from __future__ import annotations

import json
import sys
import time

from hyperqueue import Job, LocalCluster
from hyperqueue.cluster import WorkerConfig


def main(count: int) -> dict[str, float]:
    """Runs the tasks on a cluster of two cores."""
    with LocalCluster() as cluster:
        cluster.start_worker(WorkerConfig(cores=2))
        client = cluster.client()
        client.wait_for_jobs([client.submit(_job(8))])
        begun = time.perf_counter()
        client.wait_for_jobs([client.submit(_job(count))])
        return {"seconds": time.perf_counter() - begun}


def _job(count: int) -> Job:
    job = Job(max_fails=0)
    for _ in range(count):
        job.program(["/bin/true"], stdout=None, stderr=None)
    return job


if __name__ == "__main__":
    print(json.dumps(main(int(sys.argv[1]))))
