"""One job that runs until it is released: `recover.py NUMBER`."""

from __future__ import annotations

import sys

from tasks import Hold

from xpm import experiment

with experiment("recover"):
    Hold.C(n=int(sys.argv[1])).submit()
