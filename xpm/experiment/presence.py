"""Which jobs have something on disk, by few looks."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor

from xpm.core.naming import task_dir
from xpm.errors import WorkspaceError
from xpm.types import JobId
from xpm.workspace.layout import Workspace
from xpm.workspace.paths import job_dir
from xpm.workspace.results import Proof, proof

_READERS = 8
_FEW = 32
_SLOW = 0.0002
"""Seconds that a look may take before several are made at once: on a local disk threads only hinder one another."""


class Presence:
    """The job directories of a workspace as they were when each folder was first asked about."""

    def __init__(self, workspace: Workspace) -> None:
        self._root = str(workspace.path)
        self._tasks: dict[str, dict[str, frozenset[str]] | None] = {}

    def has(self, task: str, job: JobId) -> bool:
        """Whether the job had a directory; one scan per task and shard.

        Raises:
            WorkspaceError: that can't be seen.
        """
        shards = self._tasks.get(task, {})
        if shards is None:
            return False
        names = shards.get(job[:2])
        if names is None:
            names = self._look(task, job[:2])
        return job in names

    def _look(self, task: str, shard: str) -> frozenset[str]:
        top = f"{self._root}/jobs/{task_dir(task)}"
        if task not in self._tasks:
            # Most folders of a new task aren't there: one look instead of 256.
            self._tasks[task] = {} if os.path.isdir(top) else None
        shards = self._tasks[task]
        if shards is None:
            return frozenset()
        try:
            shards[shard] = frozenset(os.listdir(f"{top}/{shard}"))
        except FileNotFoundError:
            shards[shard] = frozenset()
        except OSError as error:
            raise WorkspaceError(f"cannot look into {top}/{shard}: {error.strerror or error}") from error
        return shards[shard]

    def proofs(self, jobs: Iterable[tuple[str, JobId]]) -> dict[JobId, Proof]:
        """Those of `jobs` (task, identifier) that have a complete record, and what it tells.

        Raises:
            WorkspaceError: one can't be read.
        """
        wanted = list(jobs)
        paths = [job_dir(self._root, task, job) for task, job in wanted]
        began = time.perf_counter()
        found = [_proof(path) for path in paths[:_FEW]]
        if len(paths) > _FEW:
            if time.perf_counter() - began < _FEW * _SLOW:
                found += map(_proof, paths[_FEW:])
            else:
                with ThreadPoolExecutor(_READERS) as pool:
                    found += pool.map(_proof, paths[_FEW:], chunksize=_FEW)
        return {job: one for (_, job), one in zip(wanted, found, strict=True) if one is not None}


def _proof(path: str) -> Proof | None:
    try:
        return proof(path)
    except OSError as error:
        raise WorkspaceError(f"cannot read the record in {path}: {error.strerror or error}") from error
