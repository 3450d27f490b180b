"""Submits tasks with ten parameters and three edges, and tells how long it took: `submit.py COUNT`."""

from __future__ import annotations

import json
import sys
import time

from tasks import describe

from xpm import experiment

count = int(sys.argv[1])
begun = time.perf_counter()
try:
    with experiment("submit"):
        opened = time.perf_counter()
        for task in describe(count):
            task.submit()
        described = time.perf_counter()
except SystemExit:  # it detaches
    pass
ended = time.perf_counter()
print(json.dumps({"whole": ended - begun, "described": described - opened, "seconds": ended - opened}))
