"""Names of experimaestro: see `xpm.compat`."""

from __future__ import annotations

from xpm.compat.launchers import find_launcher

__all__ = ["find_launcher"]
