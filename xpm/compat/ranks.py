"""What a process knows of the job that it belongs to, as code for several processes asks for it."""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path
from typing import ClassVar

RANKS = ("SLURM_PROCID", "RANK", "LOCAL_RANK")
"""Variables in which launchers of several processes number them."""


class Env:
    """The process, as `Env.instance()` gives it."""

    taskpath: ClassVar[Path | None] = None
    """The job's directory; None stands for the working directory when it was first asked for."""

    def __init__(self) -> None:
        if type(self).taskpath is None:
            type(self).taskpath = Path.cwd()

    @staticmethod
    @cache
    def instance() -> Env:
        """The one of this process."""
        return Env()

    @property
    def slave(self) -> bool:
        """Whether it is another than the first process of its job."""
        return any(os.environ.get(name, "0") not in ("", "0") for name in RANKS)

    @property
    def wspath(self) -> Path | None:
        """The workspace; None outside of jobs."""
        found = os.environ.get("XPM_WORKSPACE")
        return Path(found) if found else None
