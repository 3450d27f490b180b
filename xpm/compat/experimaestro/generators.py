"""Names of experimaestro: see `xpm.compat`."""

from __future__ import annotations

from xpm.compat.rules import pathgenerator
from xpm.core.fields import PathGenerator

__all__ = ["PathGenerator", "pathgenerator"]
