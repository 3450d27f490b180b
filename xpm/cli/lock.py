"""`xpm lock`, which is built as `xpm token` is."""

from __future__ import annotations

from xpm.cli.token import lock

__all__ = ["lock"]
