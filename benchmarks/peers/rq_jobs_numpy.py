"""What RQ's workers run, in a module that imports numpy."""

from __future__ import annotations

import numpy as np
from journal import mark


def noop(n: int) -> int:
    """One line."""
    return int(np.int64(mark(n)))
