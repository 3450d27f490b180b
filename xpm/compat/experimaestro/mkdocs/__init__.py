"""Names of experimaestro: see `xpm.compat`."""

from __future__ import annotations
