"""Names of experimaestro: see `xpm.compat`."""

from __future__ import annotations

from xpm.compat.rules import field
from xpm.core.fields import Constant, DataPath, Meta, Param

__all__ = ["Constant", "DataPath", "Meta", "Param", "field"]
