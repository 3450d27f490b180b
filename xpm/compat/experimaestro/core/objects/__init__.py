"""Names of experimaestro: see `xpm.compat`."""

from __future__ import annotations

from xpm.compat.configs import Config, LightweightTask, copyconfig
from xpm.compat.tasks import ResumableTask, Task

__all__ = ["Config", "LightweightTask", "ResumableTask", "Task", "copyconfig"]
