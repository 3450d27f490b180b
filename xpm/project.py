"""Which folder is a project: what scripts are named by, and code is copied of."""

from __future__ import annotations

import os
from pathlib import Path

_PROJECT = ("pyproject.toml", ".git")


def project_root(start: Path) -> tuple[Path, bool]:
    """The project that the file or folder `start` belongs to, and whether something marks it as one.

    It is the nearest folder upwards with a pyproject.toml or .git, else the folder of `start` itself.
    """
    start = Path(os.path.realpath(start))
    own = start if start.is_dir() else start.parent
    for folder in (own, *own.parents):
        if any((folder / name).exists() for name in _PROJECT):
            return folder, True
    return own, False
