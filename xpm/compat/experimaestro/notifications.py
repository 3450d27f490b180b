"""Names of experimaestro: see `xpm.compat`."""

from __future__ import annotations

from xpm.compat.notifying import tqdm
from xpm.core.session import progress

__all__ = ["progress", "tqdm"]
