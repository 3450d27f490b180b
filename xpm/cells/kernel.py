"""The notebook, or prompt of IPython, that runs in this process; IPython itself is never loaded for it."""

from __future__ import annotations

import os
import sys
from pathlib import Path, PurePosixPath
from typing import Any

from xpm.core.naming import NOTEBOOK, SCRIPT
from xpm.core.session import current
from xpm.errors import UsageError
from xpm.project import project_root

_PATHS = ("__vsc_ipynb_file__", "PAPERMILL_INPUT_PATH", "__session__")
"""Variables in which Visual Studio Code, papermill and Jupyter leave a notebook's path."""

_SESSION = "JPY_SESSION_NAME"
"""The variable of the environment in which Jupyter leaves it."""


def shell() -> Any:
    """IPython's shell if this process runs cells; None in a script, or at Python's own prompt."""
    module: Any = sys.modules.get("IPython")
    found = None if module is None else module.get_ipython()
    main = sys.modules["__main__"]
    return found if found is not None and found.user_module is main and not is_file(main) else None


def in_notebook() -> bool:
    """Whether what is displayed is shown below a cell, and can be changed there: not at a prompt in a terminal."""
    return hasattr(shell(), "kernel")


def is_file(main: Any) -> bool:
    """Whether the main module comes from a file, or was started by `python -m`."""
    return bool(getattr(main, "__file__", None)) or getattr(main, "__spec__", None) is not None


def notebook_file() -> Path | None:
    """The notebook's file, where whoever has started the kernel says it."""
    names: dict[str, Any] = vars(sys.modules["__main__"])
    for given in (*map(names.get, _PATHS), os.environ.get(_SESSION)):
        if isinstance(given, str) and given.endswith(NOTEBOOK):
            # The kernel's folder is that of the notebook; a path may be relative to the server's.
            for path in (Path(given), Path(Path(given).name)):
                if path.is_file():
                    return Path(os.path.realpath(path))
    return None


def name_notebook() -> Path | None:
    """Gives the classes of the cells their names, once for a kernel, and returns the notebook's file if it is known."""
    if shell() is None:
        return None
    main, file = sys.modules["__main__"], notebook_file()
    if file is not None and not hasattr(main, SCRIPT):
        setattr(main, SCRIPT, file.relative_to(project_root(file)[0]).as_posix())
    return file


def notebook(name: str) -> None:
    """Names the notebook, or the session of IPython, whose cells define tasks; in its first cell.

    Its classes are then called `name.ipynb:Train` in identifiers, and workers find them by that. Where Jupyter says
    which file the notebook is, its path in the project is its name, and there is no need for this.

    Args:
        name: a name, or a path such as `"studies/first"`.

    Raises:
        UsageError: it is no such name, this is a script, or the classes have another name already.

    Example:
        ```python
        xpm.notebook("study")
        ```
    """
    main = sys.modules["__main__"]
    if current.get() is not None:
        raise UsageError(
            "notebook(): names classes that an open experiment may have; call it in a cell of its own"
        )
    if shell() is None:
        raise UsageError("notebook(): names the cells of a notebook, and this is none")
    given = _sound(name)
    known = getattr(main, SCRIPT, given)
    if known != given:
        raise UsageError(
            f"notebook({name!r}): the classes of this notebook are called {known}:... already; "
            "name it in its first cell, and restart the kernel"
        )
    setattr(main, SCRIPT, given)


def _sound(name: object) -> str:
    path = PurePosixPath(name) if isinstance(name, str) else PurePosixPath()
    if (
        not path.name
        or path.is_absolute()
        or ".." in path.parts
        or not str(path).isprintable()
        or ":" in str(path)
    ):
        raise UsageError(f"notebook({name!r}): expected a name as 'study', or a path in the project")
    return str(path) if path.suffix == NOTEBOOK else f"{path}{NOTEBOOK}"
