"""Names of experimaestro: see `xpm.compat`."""

from __future__ import annotations

from xpm.compat.runs import WorkspaceStateProvider

__all__ = ["WorkspaceStateProvider"]
