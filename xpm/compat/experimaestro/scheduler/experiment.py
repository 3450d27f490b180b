"""Names of experimaestro: see `xpm.compat`."""

from __future__ import annotations

from xpm.compat.experiments import experiment

__all__ = ["experiment"]
