"""Results that other code than today's has made.

What counts is the code that this process has loaded from the project: another script beside it, or a
module that nothing imports, can be changed without any effect on the jobs.
"""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from xpm.core.info import Described
from xpm.core.naming import is_defined
from xpm.errors import WorkspaceError
from xpm.experiment.voice import jobs
from xpm.workspace.code import digest, read_code, variant
from xpm.workspace.layout import Workspace
from xpm.workspace.snapshot import own_files

if TYPE_CHECKING:
    from xpm.cells.source import Cells


class Today:
    """The code of this process, to be compared with what made older results.

    Args:
        project: its folder.
        workspace: where copies of older code are.
        cells: what the cells of this notebook define, if it is one.
    """

    def __init__(self, project: Path, workspace: Workspace, cells: Cells | None = None) -> None:
        self._project = os.path.realpath(project)
        self._workspace = workspace
        self._cells = cells
        self._known: dict[str, bool] = {}
        self._roots: dict[str, str] = {}
        """The project's folder for each code that differs."""
        self._files: dict[str, bytes] | None = None

    def differs(self, code: str) -> bool:
        """Whether the code with the id `code` is another; False too when nobody knows it any more."""
        if code not in self._known:
            self._known[code] = bool(code) and self._compare(code)
        return self._known[code]

    def about(self, codes: Mapping[str, int], before: int) -> str:
        """What to say of those of the jobs, counted by code id, that were made by other code; empty if there are none.

        Args:
            codes: how many were made by which.
            before: how many were done before.
        """
        others = Counter({code: n for code, n in codes.items() if self.differs(code)})
        if not others:
            return ""
        verb = "was" if others.total() == 1 else "were"
        said = f"{others.total():,} of the {jobs(before)} done before {verb} made by other code than today's"
        ((most, _),) = others.most_common(1)
        root = self._roots[most]
        return said if os.path.realpath(root) == self._project else f"{said}: that of {root}"

    def _compare(self, code: str) -> bool:
        try:
            then = read_code(self._workspace.path, code)
        except WorkspaceError:
            return False
        self._roots[code] = then.root
        if (
            self._cells is not None
            and then.cells
            and self._have_changed(self._workspace.code_dir / then.cells)
        ):
            return True
        if self._files is None:
            self._files = _loaded(self._project)
        if not then.copied and "+" in code:
            return variant(then.id, then.today()) != code
        if not then.copied:
            return any(then.files.get(name) != digest(content) for name, content in self._files.items())
        folder = then.folder(self._workspace.path)
        if not folder.is_dir():
            return False
        return any(_content(folder / name) != content for name, content in self._files.items())

    def _have_changed(self, folder: Path) -> bool:
        """Whether the cells of this notebook defined something else in the run that has left `folder`."""
        assert self._cells is not None, "this is a notebook"
        for name, content in self._cells.files().items():
            before = _content(folder / name)
            # Cells that are run again, or in another order, leave the same lines in another order.
            if before is not None and sorted(before.splitlines()) != sorted(content.splitlines()):
                return True
        return False


def _content(path: Path | str) -> bytes | None:
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError:
        return None


def _loaded(project: str) -> dict[str, bytes]:
    """The project's modules that this process has loaded, and their files, as they stand there now."""
    found: dict[str, bytes] = {}
    for name, module in list(sys.modules.items()):
        files = own_files(module)
        if not files or name.partition(".")[0] == "xpm":
            continue
        if (module is sys.modules["__main__"] or is_defined(module)) and not _describes(module):
            continue
        for real in map(os.path.realpath, files):
            if _own(project, os.path.dirname(real)) and (content := _content(real)) is not None:
                found[os.path.relpath(real, project)] = content
    return found


def _describes(main: ModuleType) -> bool:
    """Whether the script, or the file of definitions, has classes of its own; one that only uses others' makes no result different."""
    return any(
        isinstance(each, type) and issubclass(each, Described) and each.__module__ == main.__name__
        for each in list(vars(main).values())
    )


@cache
def _own(project: str, folder: str) -> bool:
    """Whether a folder is the project's, and in no environment that lies there."""
    if folder != project and not folder.startswith(project + os.sep):
        return False
    parts = Path(folder).relative_to(project).parts
    return "site-packages" not in parts and not any(part.startswith(".") for part in parts)
