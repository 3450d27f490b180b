"""A task whose module imports numpy."""

from __future__ import annotations

import numpy as np
from journal import mark

from xpm import Param, Task


class Noop(Task):
    n: Param[int]

    def execute(self) -> int:
        return int(np.int64(mark(self.n)))
