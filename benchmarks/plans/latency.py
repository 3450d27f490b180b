"""From submit() to the first line of execute(), one job after another on idle workers: `latency.py COUNT`."""

from __future__ import annotations

import json
import os
import sys
import time

from journal import await_lines, marks
from tasks import Noop

from xpm import experiment

WARM = 6
log = os.environ["BENCH_LOG"]
submitted: list[float] = []

with experiment("latency"):
    for n in range(WARM + int(sys.argv[1])):
        task = Noop.C(n=n)
        submitted.append(time.time())
        task.submit()
        if not await_lines(log, n + 1, 30.0):
            raise SystemExit(f"job {n} did not start")
        time.sleep(0.04)

began = dict(marks(log))
delays = [began[n] - at for n, at in enumerate(submitted)]
print(json.dumps({"delays": delays[WARM:]}))
