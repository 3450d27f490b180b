"""Names of experimaestro: see `xpm.compat`."""

from __future__ import annotations

from xpm.compat.hooks import SubmitHook

Type = type

__all__ = ["SubmitHook", "Type"]
