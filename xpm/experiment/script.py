"""The script that this process runs: its file, and the name that its classes have from it."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from types import FunctionType

from xpm.core.naming import ABOVE, SCRIPT
from xpm.project import project_root


def script_file() -> Path | None:
    """The file of the script; None for a module started by `python -m`, a prompt or a notebook."""
    main = sys.modules["__main__"]
    file = getattr(main, "__file__", None)
    if getattr(main, "__spec__", None) is not None or not file:
        return None
    return Path(os.path.realpath(file))


def name_script() -> Path | None:
    """Gives the classes of the script their names, and returns its file.

    The name is the path in the project, so that it is the same however the script is started.
    """
    script = script_file()
    if script is not None:
        root, _ = project_root(script)
        setattr(sys.modules["__main__"], SCRIPT, script.relative_to(root).as_posix())
    return script


def mark_opening() -> None:
    """Notes what the script has defined so far: a worker loads it up to where it first opens an experiment."""
    main = sys.modules["__main__"]
    if not hasattr(main, ABOVE):
        defined = {
            name: found for name, found in vars(main).items() if isinstance(found, (type, FunctionType))
        }
        setattr(main, ABOVE, defined)
