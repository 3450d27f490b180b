"""Files that are in two places at once, where the file system can do that."""

from __future__ import annotations

import os
import shutil


def link_or_copy(source: str | os.PathLike[str], target: str | os.PathLike[str]) -> None:
    """Gives the file `source` the name `target`, too, or copies it, to another file system, say."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)
