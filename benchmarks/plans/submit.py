"""Submits tasks with ten parameters and three edges, and tells how long it took: `submit.py COUNT`."""

from __future__ import annotations

import json
import sys
import time
from contextlib import suppress

from tasks import Noop, describe

from xpm import experiment

count = int(sys.argv[1])

# What is imported when it is first needed, as rq is before its clock starts.
with suppress(SystemExit), experiment("warm"):  # it detaches
    Noop.C(n=0).submit()

begun = time.perf_counter()
with suppress(SystemExit), experiment("submit"):
    for task in describe(count):
        task.submit()
    described = time.perf_counter()
ended = time.perf_counter()
print(json.dumps({"described": described - begun, "seconds": ended - begun}))
