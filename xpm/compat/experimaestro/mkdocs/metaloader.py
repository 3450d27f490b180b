"""Names of experimaestro: see `xpm.compat`."""

from __future__ import annotations

from types import ModuleType as Module

__all__ = ["Module"]
