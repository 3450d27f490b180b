"""A finished plan: `again.py COUNT`."""

from __future__ import annotations

import sys

from tasks import describe

from xpm import experiment

with experiment("again"):
    for task in describe(int(sys.argv[1])):
        task.submit()
