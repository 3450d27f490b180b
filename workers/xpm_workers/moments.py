"""Moments, which the other parts measure by, too."""

from __future__ import annotations

from xpm.moments import Moment

__all__ = ["Moment"]
