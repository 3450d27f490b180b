"""Names of experimaestro: see `xpm.compat`."""

from __future__ import annotations

from xpm.compat.launchers import DirectLauncher

__all__ = ["DirectLauncher"]
