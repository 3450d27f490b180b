"""Submits independent jobs: `fill.py MODULE COUNT`."""

from __future__ import annotations

import importlib
import sys

from xpm import experiment

module, count = importlib.import_module(sys.argv[1]), int(sys.argv[2])

with experiment("fill"):
    for n in range(count):
        module.Noop.C(n=n).submit()
