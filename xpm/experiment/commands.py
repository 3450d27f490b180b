"""The commands that people are told to type, complete for where they stand."""

from __future__ import annotations

import os
import shlex
import sys
from pathlib import Path

from xpm.broker.connect import safe
from xpm.settings import Settings, load


class Commands:
    """Commands on one workspace.

    Args:
        workspace: its path.
        settings: of the script; what other commands wouldn't find by themselves becomes an option.
    """

    def __init__(self, workspace: Path, settings: Settings) -> None:
        self._options: list[str] = []
        found = load()
        if os.path.realpath(found.workspace) != os.path.realpath(workspace):
            self._options += ["-w", min(str(workspace), os.path.relpath(workspace), key=len)]
        if settings.broker is not None and settings.broker != found.broker:
            self._options += ["--broker", safe(settings.broker)]

    def xpm(self, *words: str) -> str:
        """`xpm` with these words."""
        return shlex.join(["xpm", *words, *self._options])

    def again(self) -> str:
        """What started this process."""
        program, *rest = sys.orig_argv
        return shlex.join([os.path.basename(program), *rest])
