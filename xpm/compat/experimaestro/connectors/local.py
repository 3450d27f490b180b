"""Names of experimaestro: see `xpm.compat`."""

from __future__ import annotations

from xpm.compat.launchers import LocalConnector

__all__ = ["LocalConnector"]
