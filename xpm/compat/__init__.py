"""Code that was written for experimaestro, on xpm: see docs/experimaestro.md."""

from __future__ import annotations

from xpm.aliases import install

__all__ = ["install"]
