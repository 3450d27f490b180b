"""Names of experimaestro: see `xpm.compat`."""

from __future__ import annotations

from xpm.compat.ranks import Env

__all__ = ["Env"]
