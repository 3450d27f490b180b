"""Names of experimaestro: see `xpm.compat`."""

from __future__ import annotations

from xpm.compat.jsonsettings import JsonSettings

__all__ = ["JsonSettings"]
