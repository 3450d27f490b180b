"""Names of experimaestro: see `xpm.compat`."""

from __future__ import annotations

from xpm.compat.launchers import Launcher

__all__ = ["Launcher"]
