"""Names of experimaestro: see `xpm.compat`."""

from __future__ import annotations

from xpm.compat.saving import deserialize, from_task_dir, load, save, serialize

__all__ = ["deserialize", "from_task_dir", "load", "save", "serialize"]
