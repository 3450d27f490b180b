"""Submits jobs that wait for tokens which somebody holds, then jobs that need none: `crowd.py WAITING COUNT`.

Holds the tokens until it is killed, once both are submitted and `submitted` is printed.
"""

from __future__ import annotations

import sys
import time
from contextlib import suppress

from tasks import Noop

from xpm import experiment, token

waiting, count = int(sys.argv[1]), int(sys.argv[2])
gpu, licence = token("gpu", 2), token("licence", 2)
needs = ([gpu(1)], [licence(1)], [gpu(1), licence(1)], [gpu(2)])

with gpu.acquire(2), licence.acquire(2):
    if waiting:
        with suppress(SystemExit), experiment("crowd"):  # it detaches
            for n in range(waiting):
                Noop.C(n=count + n).submit(requires=needs[n % len(needs)])
    with suppress(SystemExit), experiment("plain"):
        for n in range(count):
            Noop.C(n=n).submit()
    print("submitted", flush=True)
    while True:
        time.sleep(3600)
