"""Names of experimaestro: see `xpm.compat`."""

from __future__ import annotations

from xpm.compat.experiments import RunMode, Workspace

__all__ = ["RunMode", "Workspace"]
