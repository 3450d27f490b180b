"""Names of experimaestro: see `xpm.compat`."""

from __future__ import annotations

import shutil
from pathlib import Path


def cleanupdir(path: Path) -> None:
    """Makes the directory `path`, or empties it."""
    shutil.rmtree(path, ignore_errors=True)
    path.mkdir(parents=True, exist_ok=True)


__all__ = ["cleanupdir"]
