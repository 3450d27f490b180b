"""The copy of a project's Python files in the workspace, made once per change.

A job imports from the copy that was made when it was submitted, so that editing while it waits changes
nothing for it.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import MappingProxyType, ModuleType

from xpm import aliases
from xpm.core.naming import FILES
from xpm.errors import WorkspaceError
from xpm.project import project_root
from xpm.workspace.code import Code, digest, pack_code
from xpm.workspace.layout import Workspace
from xpm.workspace.paths import MARKER

MAX_FILES = 20_000
MAX_RESOURCE = 64 << 10
"""The largest file beside the modules of a package that still counts as code."""

_SKIPPED = frozenset({"__pycache__", "node_modules", "site-packages", "build", "dist"})


@dataclass(frozen=True, slots=True)
class Entry:
    """How the running program was started."""

    script: Path | None
    module: str | None
    argv: tuple[str, ...]

    @classmethod
    def of_process(cls) -> Entry:
        """Of this process: a script, `python -m module`, or neither (a prompt, a notebook)."""
        main = sys.modules["__main__"]
        spec = getattr(main, "__spec__", None)
        file = getattr(main, "__file__", None)
        if spec is not None:
            return cls(None, spec.name, tuple(sys.argv))
        return cls(Path(os.path.realpath(file)) if file else None, None, tuple(sys.argv))


def snapshot(
    root: Path,
    workspace: Workspace,
    entry: Entry,
    *,
    copy: bool = True,
    cells: Mapping[str, bytes] = MappingProxyType({}),
) -> Code:
    """Copies the project at `root` into the workspace, unless the same code is there already.

    Args:
        root: the project's folder.
        workspace: where the copy is kept.
        entry: how the program was started.
        copy: False to let jobs import from the project itself; what its files hold is noted all the same.
        cells: what the cells of a notebook define, by name: written in any case, since no file of the project has it.

    Raises:
        WorkspaceError: the project has too many files, or the copy can't be written.
    """
    root = Path(os.path.realpath(root))
    files = _contents(root, _project_files(root))
    code = Code(
        fingerprint=_fingerprint(files),
        root=str(root),
        copied=copy,
        sys_path=tuple(_inside(root)),
        extra_path=tuple(path for path in sys.path if path and not _is_inside(root, path)),
        script=_relative(root, entry.script),
        module=entry.module,
        argv=entry.argv,
        cwd=os.getcwd(),
        python=sys.executable,
        stands_in=aliases.installed(),
        cells=_fingerprint(cells) if cells else "",
        files={} if copy else {name: digest(content) for name, content in sorted(files.items())},
    )
    try:
        workspace.code_dir.mkdir(parents=True, exist_ok=True)
        if copy:
            _store(code.folder(workspace.path), files, root)
        if cells:
            _store(workspace.code_dir / code.cells, cells)
        _write_spec(workspace.code_dir / f"{code.id}.json", pack_code(code))
    except OSError as error:
        raise WorkspaceError(
            f"cannot copy the code to {workspace.code_dir}: {error.strerror or error}"
        ) from error
    return code


def fingerprint(root: Path) -> str:
    """The fingerprint of the code that stands in `root` now."""
    root = Path(os.path.realpath(root))
    return _fingerprint(_contents(root, _project_files(root)))


def _write_spec(path: Path, data: bytes) -> None:
    if path.exists():
        return
    draft = path.with_name(f"{path.stem}.{secrets.token_hex(4)}.tmp")
    draft.write_bytes(data)
    draft.replace(path)


def _store(folder: Path, files: Mapping[str, bytes], root: Path | None = None) -> None:
    """Writes the files beside and gives them their name in one step; of two that do so, one wins."""
    if folder.is_dir():
        return
    draft = folder.with_name(f"{folder.name}.{secrets.token_hex(4)}.tmp")
    try:
        draft.mkdir()
        for name, content in files.items():
            target = draft / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)
            if root is not None and os.access(root / name, os.X_OK):
                target.chmod(0o777 & (target.stat().st_mode | 0o111))
        try:
            draft.rename(folder)
        except OSError:
            if not folder.is_dir():
                raise
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _fingerprint(files: Mapping[str, bytes]) -> str:
    found = hashlib.sha256()
    for name in sorted(files):
        found.update(b"%b\0%b" % (os.fsencode(name), hashlib.sha256(files[name]).digest()))
    return found.hexdigest()[:16]


def _contents(root: Path, names: Iterable[str]) -> dict[str, bytes]:
    contents: dict[str, bytes] = {}
    for name in names:
        if len(contents) == MAX_FILES:
            raise WorkspaceError(
                f"the project {root} has more than {MAX_FILES} Python files: "
                "put a pyproject.toml into the folder that is meant, or let git ignore the others"
            )
        try:
            contents[name] = (root / name).read_bytes()
        except (FileNotFoundError, IsADirectoryError):
            continue  # deleted but still tracked, or a link to a folder
        except OSError as error:
            raise WorkspaceError(f"cannot read the project's {root / name}: {error.strerror}") from error
    return contents


def _project_files(root: Path) -> set[str]:
    """The files of the project that are code, relative to it."""
    listed = _git_files(root)
    names = listed if listed is not None else set(_walk(root, everywhere=project_root(root)[1]))
    packages = {os.path.dirname(name) for name in names if os.path.basename(name) == "__init__.py"}
    found = {name for name in names if name.endswith(".py") or _is_resource(root, name, packages)}
    return found | _loaded(root)


def _is_resource(root: Path, name: str, packages: set[str]) -> bool:
    folder = os.path.dirname(name)
    while folder and folder not in packages:
        folder = os.path.dirname(folder)
    try:
        return bool(folder) and (root / name).stat().st_size <= MAX_RESOURCE
    except OSError:
        return False


def _git_files(root: Path) -> set[str] | None:
    """What git tracks below `root`, and what it neither tracks nor ignores; None without git."""
    command = ["git", "-C", str(root), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    try:
        done = subprocess.run(command, capture_output=True, check=False, stdin=subprocess.DEVNULL)
    except OSError:
        return None
    if done.returncode != 0:
        return None
    return {
        name for name in os.fsdecode(done.stdout).split("\0") if name and not _skipped(Path(name).parts[:-1])
    }


def _skipped(parts: Sequence[str]) -> bool:
    return any(part in _SKIPPED or part.startswith(".") for part in parts)


def _walk(root: Path, *, everywhere: bool) -> Iterator[str]:
    """The files below `root`; only those of packages when nothing says that the folder is a project.

    A script may lie in a home directory, which must not be read through.
    """
    for folder, folders, names in os.walk(root):
        folders[:] = [
            name
            for name in folders
            if not _skipped((name,)) and _is_ours(os.path.join(folder, name), everywhere)
        ]
        for name in names:
            yield os.path.relpath(os.path.join(folder, name), root)


def _is_ours(folder: str, everywhere: bool) -> bool:
    if os.path.exists(os.path.join(folder, "pyvenv.cfg")) or os.path.exists(os.path.join(folder, MARKER)):
        return False
    return everywhere or os.path.exists(os.path.join(folder, "__init__.py"))


def own_files(module: ModuleType) -> list[str]:
    """The files that are the code of a loaded module: itself, and what it names."""
    file = getattr(module, "__file__", None)
    own = [file] if isinstance(file, str) and file.endswith(".py") else []
    return [*own, *getattr(module, "__dict__", {}).get(FILES, ())]


def _loaded(root: Path) -> set[str]:
    """Modules of the project that this process has loaded, also generated ones, which git ignores; and their files."""
    found: set[str] = set()
    for module in list(sys.modules.values()):
        for each in own_files(module):
            if _folder_inside(str(root), os.path.dirname(each)):
                found.add(os.path.relpath(os.path.realpath(each), root))
    return found


def _inside(root: Path) -> list[str]:
    """The entries of `sys.path` in the project, and the folders that its packages were found in by hooks."""
    found = [
        os.path.relpath(os.path.realpath(path), root) for path in sys.path if _is_inside(root, path or ".")
    ]
    for name, module in list(sys.modules.items()):
        file = getattr(module, "__file__", None)
        if "." in name or name == "__main__" or not isinstance(file, str):
            continue
        if not _folder_inside(str(root), os.path.dirname(file)):
            continue
        folder = os.path.dirname(os.path.realpath(file))
        if hasattr(module, "__path__"):
            folder = os.path.dirname(folder)
        if _is_inside(root, folder):
            found.append(os.path.relpath(folder, root))
    return list(dict.fromkeys(found))


def _is_inside(root: Path, path: str) -> bool:
    """Whether `path` is the project's own: in its folder, but in no environment there."""
    return _folder_inside(str(root), path if os.path.isdir(path) else os.path.dirname(path))


@cache
def _folder_inside(root: str, folder: str) -> bool:
    real = os.path.realpath(folder)
    if real != root and not real.startswith(root + os.sep):
        return False
    installed = {
        os.path.realpath(sys.prefix),
        os.path.realpath(sys.base_prefix),
        sysconfig.get_path("stdlib"),
    }
    if any(each != root and real.startswith(each) for each in installed):
        return False
    return "site-packages" not in Path(real).parts


def _relative(root: Path, script: Path | None) -> str | None:
    return None if script is None else os.path.relpath(script, root)
