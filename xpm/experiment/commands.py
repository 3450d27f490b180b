"""The commands that people are told to type, complete for where they stand."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from pathlib import Path

from xpm import started
from xpm.broker.connect import safe
from xpm.cells.kernel import shell
from xpm.errors import SettingsError
from xpm.settings import Settings, load


def program() -> str:
    """This xpm as it can be typed here: its name if that finds it, else its path."""
    own = os.path.join(os.path.dirname(sys.executable), "xpm")
    found = shutil.which("xpm")
    if found is not None and (not os.path.exists(own) or os.path.samefile(found, own)):
        return "xpm"
    return min(own, os.path.relpath(own), key=len) if os.path.exists(own) else "xpm"


def _here() -> Settings:
    """What commands find where this process stands, which need not be the script's project."""
    try:
        return load()
    except SettingsError:  # in files that are none of the script's: commands will say so themselves
        return Settings()


class Commands:
    """Commands on one workspace.

    Args:
        workspace: its path.
        settings: of the script; what other commands wouldn't find by themselves becomes an option.
    """

    def __init__(self, workspace: Path, settings: Settings) -> None:
        self._program = program()
        self._options: list[str] = []
        found = _here()
        if os.path.realpath(found.workspace) != os.path.realpath(workspace):
            self._options += ["-w", min(str(workspace), os.path.relpath(workspace), key=len)]
        if settings.broker is not None and settings.broker != found.broker:
            self._options += ["--broker", safe(settings.broker)]

    def xpm(self, *words: str) -> str:
        """`xpm` with these words."""
        return shlex.join([self._program, *words, *self._options])

    def again(self) -> str:
        """What started this process; words for it where cells did."""
        if shell() is not None:
            return "(run this cell again)"
        first, *rest = started.words()
        name = os.path.basename(first)
        return shlex.join([self._program if name == "xpm" else name, *map(safe, rest)])
