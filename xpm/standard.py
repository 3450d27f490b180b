"""Standard input, output and error, which whoever starts a program may have closed: cron, a daemon, `>&-`."""

from __future__ import annotations

import os
import sys


def open_missing() -> None:
    """Opens those that are closed on nothing: else the next file takes their place, and what is printed lands there."""
    for number, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        if getattr(sys, name) is not None:
            continue
        try:
            os.fstat(number)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # it gets the lowest number that is free
        setattr(sys, name, os.fdopen(os.open(os.devnull, os.O_RDWR), mode))
