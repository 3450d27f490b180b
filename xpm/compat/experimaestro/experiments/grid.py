"""Names of experimaestro: see `xpm.compat`."""

from __future__ import annotations

from xpm.compat.sheets import generate_grid
from xpm.describe.configuration import GridSearch

__all__ = ["GridSearch", "generate_grid"]
