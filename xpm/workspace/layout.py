"""Where everything lies in a workspace, and the marker that makes a folder one."""

from __future__ import annotations

import json
import os
import re
import secrets
import tomllib
from collections.abc import Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from xpm.core.naming import task_dir
from xpm.errors import WorkspaceError
from xpm.types import Fence, JobId, Namespace
from xpm.workspace.paths import MARKER, job_dir
from xpm.workspace.results import complete

FORMAT = 1

_NAMESPACE = re.compile(r"[0-9a-f]{12}")
_READERS = 8


@dataclass(frozen=True, slots=True)
class Workspace:
    """A folder that holds jobs, experiments and the snapshots of code, and its namespace in the broker."""

    path: Path
    """The real path."""
    namespace: Namespace

    @classmethod
    def open(cls, path: str | os.PathLike[str], create: bool = True) -> Workspace:
        """The workspace at `path`, made there when there is none and `create` is set.

        A tree that was moved is taken over under its new path, which is noted there if `create` is set: who
        only looks writes nothing. A copy of a tree that is still there is refused: both would name the
        same jobs in the broker while their results differ.

        Raises:
            WorkspaceError: there is none, it cannot be read or written, it has a newer format, or it is a
                copy; the message says what to do.
        """
        root = Path(os.path.realpath(path))
        marker = root / MARKER
        try:
            found = _read_marker(marker)
            if found is None:
                if not create:
                    raise WorkspaceError(f"{root} is not a workspace: it has no {MARKER}")
                found = _make_marker(root)
        except OSError as error:
            raise WorkspaceError(f"cannot use the workspace {root}: {error.strerror or error}") from error
        namespace, home = found
        if home != str(root) and _moved(root, home, namespace) and create:
            _note_path(root, namespace)
        return cls(root, namespace)

    def jobpath(self, task: str, job: str) -> Path:
        """The directory of the job `job` of the task `task`."""
        return Path(job_dir(str(self.path), task, job))

    def experiment_dir(self, experiment: str) -> Path:
        """The folder with the runs of an experiment."""
        return self.path / "experiments" / task_dir(experiment)

    @property
    def code_dir(self) -> Path:
        """The folder with the snapshots of code."""
        return self.path / ".xpm" / "code"

    @property
    def log_dir(self) -> Path:
        """The folder with the logs of the workers."""
        return self.path / ".xpm" / "logs"

    def present(self, jobs: Mapping[str, Collection[JobId]]) -> set[JobId]:
        """Those of `jobs` (by task) that have a directory: one scan per task and shard, no file is opened.

        Together with a broker that says DONE this means that the result was not removed.
        """
        found: set[JobId] = set()
        for task, shards in _by_shard(jobs).items():
            top = f"{self.path}/jobs/{task_dir(task)}"
            for shard, wanted in shards.items():
                found |= wanted & _names(f"{top}/{shard}")
        return found

    def finished(self, jobs: Mapping[str, Collection[JobId]]) -> set[JobId]:
        """Those of `jobs` (by task) whose directory holds a complete record; what an empty broker asks.

        Opens the record of each, in threads, after a scan has told which can have one.

        Raises:
            WorkspaceError: one can't be read.
        """
        present = self.present(jobs)
        root = str(self.path)
        candidates = [
            (job, job_dir(root, task, job)) for task, ids in jobs.items() for job in ids if job in present
        ]
        if not candidates:
            return set()
        with ThreadPoolExecutor(_READERS) as pool:
            fences = pool.map(_fence, [path for _, path in candidates], chunksize=64)
            return {job for (job, _), fence in zip(candidates, fences, strict=True) if fence is not None}


def _by_shard(jobs: Mapping[str, Collection[JobId]]) -> dict[str, dict[str, set[JobId]]]:
    shards: dict[str, dict[str, set[JobId]]] = {}
    for task, ids in jobs.items():
        of_task = shards.setdefault(task, {})
        for job in ids:
            of_task.setdefault(job[:2], set()).add(job)
    return shards


def _names(folder: str) -> set[JobId]:
    try:
        return {JobId(name) for name in os.listdir(folder)}
    except FileNotFoundError:
        return set()


def _read_marker(marker: Path) -> tuple[Namespace, str] | None:
    try:
        text = marker.read_text("utf-8")
        values: dict[str, Any] = tomllib.loads(text)
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise WorkspaceError(f"{marker} is damaged ({error}): restore it or delete it") from error
    version, namespace, home = (values.get(key) for key in ("format", "namespace", "path"))
    if isinstance(version, int) and version > FORMAT:
        raise WorkspaceError(f"{marker.parent.parent} was made by a newer xpm (format {version}): update xpm")
    if version != FORMAT or not isinstance(home, str) or not isinstance(namespace, str):
        raise WorkspaceError(f"{marker} is damaged: it needs format, namespace and path")
    if not _NAMESPACE.fullmatch(namespace):
        raise WorkspaceError(f"{marker} is damaged: the namespace is 12 hexadecimal digits")
    return Namespace(namespace), home


def _make_marker(root: Path) -> tuple[Namespace, str]:
    """Makes the marker; of two that do so at once both get what the first wrote."""
    marker = root / MARKER
    marker.parent.mkdir(parents=True, exist_ok=True)
    draft = _draft(marker, Namespace(secrets.token_hex(6)), root)
    try:
        os.link(draft, marker)
    except FileExistsError:
        pass
    finally:
        draft.unlink()
    made = _read_marker(marker)
    if made is None:
        raise WorkspaceError(f"{marker} was removed while it was made: try again")
    return made


def _draft(marker: Path, namespace: Namespace, root: Path) -> Path:
    try:
        str(root).encode("utf-8")
    except UnicodeEncodeError:
        raise WorkspaceError(
            f"the path of the workspace {str(root)!r} is not UTF-8: choose another"
        ) from None
    # A TOML basic string is a JSON string, but for DEL.
    path = json.dumps(str(root), ensure_ascii=False).replace("\x7f", "\\u007f")
    draft = marker.with_name(f"workspace.{secrets.token_hex(4)}.tmp")
    draft.write_text(f'format = {FORMAT}\nnamespace = "{namespace}"\npath = {path}\n', "utf-8")
    return draft


def _moved(root: Path, home: str, namespace: Namespace) -> bool:
    """Whether the tree was moved here from `home`; a copy is refused."""
    try:
        if os.path.samefile(root, home):
            return False  # the same folder under two names, as a bind mount makes them
        other = _read_marker(Path(home) / MARKER)
    except FileNotFoundError:
        other = None
    except OSError as error:
        raise WorkspaceError(f"cannot see whether {root} is a copy of {home}: {error.strerror}") from error
    if other is not None and other[0] == namespace:
        raise WorkspaceError(
            f"{root} is a copy of the workspace {home} and would share its jobs: "
            f"delete {root / MARKER} to make it a workspace of its own, or remove {home}"
        )
    return True


def _note_path(root: Path, namespace: Namespace) -> None:
    """Rewrites the path of a tree that was moved."""
    marker = root / MARKER
    try:
        draft = _draft(marker, namespace, root)
        draft.replace(marker)
    except OSError as error:
        raise WorkspaceError(f"cannot note the new path in {marker}: {error.strerror}") from error


def _fence(path: str) -> Fence | None:
    try:
        return complete(path)
    except OSError as error:
        raise WorkspaceError(f"cannot read the record in {path}: {error.strerror or error}") from error
