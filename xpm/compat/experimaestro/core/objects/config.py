"""Names of experimaestro: see `xpm.compat`."""

from __future__ import annotations

from xpm.compat.configs import Config, LightweightTask, copyconfig
from xpm.compat.configs import copyconfig as clone
from xpm.compat.tasks import ResumableTask, Task

__all__ = ["Config", "LightweightTask", "ResumableTask", "Task", "clone", "copyconfig"]
