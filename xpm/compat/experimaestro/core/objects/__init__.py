"""Names of experimaestro: see `xpm.compat`."""

from __future__ import annotations

from xpm.compat.configs import Config, LightweightTask, copyconfig
from xpm.compat.tasks import ResumableTask, Task
from xpm.core.live import ObjectStore

__all__ = ["Config", "LightweightTask", "ObjectStore", "ResumableTask", "Task", "copyconfig"]
