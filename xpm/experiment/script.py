"""The script that this process runs: its file, and the name that its classes have from it."""

from __future__ import annotations

import importlib
import os
import sys
from pathlib import Path
from types import FunctionType
from typing import TYPE_CHECKING, Any

from xpm.cells.kernel import is_file, name_notebook, shell
from xpm.core.naming import ABOVE, SCRIPT, is_notebook, main_script
from xpm.project import project_root
from xpm.workspace.snapshot import Entry as Start

if TYPE_CHECKING:
    from xpm.cells.source import Cells


def script_file() -> Path | None:
    """The file of the script; None for a module started by `python -m`, a prompt or a notebook."""
    main = sys.modules["__main__"]
    if getattr(main, "__spec__", None) is not None or not is_file(main):
        return None
    return Path(os.path.realpath(str(main.__file__)))


def name_script() -> Path | None:
    """Gives the classes of the script, or of the notebook, their names, and returns its file.

    The name is the path in the project, so that it is the same however the script is started.
    """
    script = script_file()
    if script is None:
        return name_notebook()
    root, _ = project_root(script)
    setattr(sys.modules["__main__"], SCRIPT, script.relative_to(root).as_posix())
    return script


def cells_now() -> Cells | None:
    """What the cells of this notebook have defined so far; None where this is none that has a name."""
    name, running = main_script(), shell()
    if running is None or name is None:
        return None
    source: Any = importlib.import_module("xpm.cells.source")  # scripts have no need of it
    history: Any = importlib.import_module("xpm.cells.history")
    names = vars(sys.modules["__main__"])
    return source.Cells(
        name, history.History(running.history_manager.input_hist_parsed[1:], running.transform_cell), names
    )


def start_of(script: Path | None) -> Start:
    """How this process was started; a kernel's own arguments say nothing about its notebook."""
    if shell() is None:
        return Start.of_process()
    return Start(script, None, (main_script() or "",))


def mark_opening() -> None:
    """Notes what the script has defined so far: a worker loads it up to where it first opens an experiment."""
    main = sys.modules["__main__"]
    if not hasattr(main, ABOVE) and not is_notebook(main_script()):
        defined = {
            name: found for name, found in vars(main).items() if isinstance(found, (type, FunctionType))
        }
        setattr(main, ABOVE, defined)
