"""Names of experimaestro: see `xpm.compat`."""

from __future__ import annotations

from xpm.errors import GracefulTimeout, TaskCancelled

__all__ = ["GracefulTimeout", "TaskCancelled"]
