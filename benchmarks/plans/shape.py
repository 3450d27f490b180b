"""Runs a graph and tells when it began: `shape.py SHAPE SIZE`."""

from __future__ import annotations

import json
import os
import sys
import time

from shapes import graph
from tasks import Noop, Step

from xpm import experiment

plan = graph(sys.argv[1], int(sys.argv[2]))

with experiment("warm"):
    for n in range(4):
        Noop.C(n=-1 - n).submit()
os.unlink(os.environ["BENCH_LOG"])

begun = time.time()
with experiment("shape"):
    steps: list[Step] = []
    for n, inputs in plan:
        steps.append(Step.C(n=n, after=[steps[each] for each in inputs]).submit())
    described = time.time()
print(json.dumps({"begun": begun, "described": described, "ended": time.time()}))
