"""How the code of a run is found again; `xpm.workspace.snapshot` makes what is described here."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from xpm.core.naming import cells_file, is_notebook
from xpm.errors import WorkspaceError

FORMAT = 1

_LISTS = ("sys_path", "extra_path", "argv")


@dataclass(frozen=True, slots=True)
class Code:
    """How a run's code is found again: what `.xpm/code/<id>.json` holds."""

    fingerprint: str
    """Of the files' names and contents; also the name of the folder with their copy."""
    root: str
    """The project's folder when the run was submitted."""
    copied: bool
    """Whether jobs import from the copy, not from `root` itself."""
    sys_path: tuple[str, ...]
    """The entries of `sys.path` inside the project, relative to it, in their order."""
    extra_path: tuple[str, ...]
    """Its other entries."""
    script: str | None
    """The script that was run, relative to the project."""
    module: str | None
    """The module that was run with `python -m`."""
    argv: tuple[str, ...]
    cwd: str
    python: str
    stands_in: bool = False
    """Whether xpm stood in for packages that the code imports; see `xpm.aliases`."""
    cells: str = ""
    """The name of the folder with what the cells of a notebook define; empty where there is none."""
    files: Mapping[str, str] = field(default_factory=dict[str, str])
    """What the project's files held, as `digest` gives it, by their names; empty when there is a copy."""

    @property
    def id(self) -> str:
        """The name under which runs and jobs refer to it."""
        return hashlib.sha256(pack_code(self)).hexdigest()[:16]

    def folder(self, workspace: Path) -> Path:
        """Where jobs import from."""
        return workspace / ".xpm" / "code" / self.fingerprint if self.copied else Path(self.root)

    def script_file(self, workspace: Path, script: str) -> Path:
        """Where jobs find a script of the project, or what the cells of a notebook define."""
        if is_notebook(script) and self.cells:
            return workspace / ".xpm" / "code" / self.cells / cells_file(script)
        return self.folder(workspace) / script

    def today(self) -> dict[str, str]:
        """What `files` would be now; nothing when jobs import from a copy."""
        return {name: _digest_of(os.path.join(self.root, name)) for name in self.files}


def variant(code: str, files: Mapping[str, str]) -> str:
    """What is noted, in place of the id `code`, as the code of a job that ran with `files` as they were then."""
    return f"{code}+{digest(repr(sorted(files.items())).encode('utf-8', 'surrogateescape'))}"


def digest(content: bytes) -> str:
    """What is noted of a file that is not copied."""
    return hashlib.sha256(content).hexdigest()[:16]


def _digest_of(path: str) -> str:
    try:
        with open(path, "rb") as file:
            return digest(file.read())
    except OSError:
        return ""


def read_code(workspace: Path, code: str) -> Code:
    """The code of a run by its id, or by that of a `variant` of it.

    Raises:
        WorkspaceError: it is not in the workspace, or was written by a newer xpm.
    """
    path = workspace / ".xpm" / "code" / f"{code.partition('+')[0]}.json"
    try:
        values: dict[str, Any] = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise WorkspaceError(f"the code of the run cannot be read from {path}: {error}") from error
    if values.pop("format", None) != FORMAT:
        raise WorkspaceError(f"{path} was written by a newer xpm: update xpm")
    for key in _LISTS:
        values[key] = tuple(values[key])
    return Code(**values)


def pack_code(code: Code) -> bytes:
    """What is written for `code`."""
    return json.dumps({"format": FORMAT, **asdict(code)}, sort_keys=True).encode("ascii") + b"\n"
