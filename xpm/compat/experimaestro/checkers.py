"""Names of experimaestro: see `xpm.compat`."""

from __future__ import annotations

from xpm.core.limits import Choices

__all__ = ["Choices"]
