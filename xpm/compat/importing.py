"""Makes the done jobs of an experimaestro workspace done jobs of the same tasks in one of xpm."""

from __future__ import annotations

import os
import shutil
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from xpm import aliases
from xpm.compat.old import MARKER, Describing, OldJob, Unusable, done_jobs
from xpm.core.decoding import parameters
from xpm.core.submission import Prepared
from xpm.errors import ConfigError, UsageError
from xpm.here import this_host, this_user
from xpm.project import project_root
from xpm.types import Fence
from xpm.workspace.drafts import published
from xpm.workspace.layout import Workspace
from xpm.workspace.results import RECORD, Record, complete, pack_record
from xpm.workspace.scripts import find
from xpm.workspace.sharing import link_or_copy

_OWN = frozenset({".experimaestro", "locks.json"})
"""What experimaestro itself has in a job's directory, beside files with the task's name."""

_ENDINGS = (".py", ".lock", ".pid", ".done", ".failed")


@dataclass(slots=True)
class Imported:
    """What became of the old jobs."""

    new: int = 0
    """Jobs that are done now."""
    there: int = 0
    """Jobs that were done here before."""
    refused: Counter[tuple[str, str]] = field(default_factory=Counter[tuple[str, str]])
    """How many jobs of which task can't be used, and why."""


class Import:
    """One import.

    Args:
        old: the old workspace.
        workspace: the new one.
        script: for jobs of a script, the script of today, if it isn't where it was.
        copy: copy files, rather than have them in both workspaces at once.
        dry: write nothing.

    Raises:
        UsageError: there is no old workspace.
    """

    def __init__(
        self, old: Path, workspace: Workspace, *, script: str | None, copy: bool = False, dry: bool = False
    ) -> None:
        if not (old / MARKER).is_file():
            raise UsageError(f"{old} is no workspace of experimaestro: it has no {MARKER}")
        self._old = Path(os.path.realpath(old))
        self._workspace = workspace
        self._given = script
        self._copy: Callable[..., Any] = shutil.copy2 if copy else link_or_copy
        self._dry = dry

    def run(self, progress: Callable[[int], None] = lambda done: None) -> Imported:
        """Imports all done jobs; what was imported before stays, so it can be repeated.

        Args:
            progress: is told now and then how many were looked at.

        Raises:
            OSError: something can't be read or written; the jobs before it are imported.
        """
        aliases.install()
        describing = Describing(
            self._old, find, self._script, lambda ref: self._workspace.jobpath(ref.task, ref.id)
        )
        found = Imported()
        for count, job in enumerate(done_jobs(self._old)):
            progress(count)
            try:
                prepared = describing.prepared(job)
            except Unusable as why:
                found.refused[job.type, str(why)] += 1
                continue
            except (
                Exception
            ) as error:  # what the user's modules raise when they are imported is told with the others
                found.refused[job.type, f"{type(error).__name__}: {error}"] += 1
                continue
            target = self._workspace.jobpath(prepared.task, prepared.id)
            if complete(target) is not None:
                found.there += 1
            elif target.exists():
                found.refused[job.type, f"there is a job in {target} already, which is not done"] += 1
            else:
                found.new += 1
                if not self._dry:
                    self._publish(job, prepared, target)
        return found

    def _script(self, path: str) -> str:
        """The script, relative to the project in the working directory, that has the classes of the old one."""
        root, _ = project_root(Path.cwd())
        chosen = Path(self._given or path)
        for candidate in (chosen, root / chosen.name):
            real = Path(os.path.realpath(candidate))
            if real.is_file() and real.is_relative_to(root):
                return real.relative_to(root).as_posix()
        raise ConfigError(f"the script {chosen} isn't in this project: name it by --script")

    def _publish(self, job: OldJob, prepared: Prepared, target: Path) -> None:
        """Makes the directory beside, and gives it its name in one step."""
        with published(
            job.path, target, self._copy, lambda folder, names: _kept_out(job, folder, names)
        ) as draft:
            for ending, log in ((".out", "stdout.log"), (".err", "stderr.log")):
                if (draft / f"{job.name}{ending}").exists():
                    (draft / f"{job.name}{ending}").rename(draft / log)
            (draft / RECORD).parent.mkdir()
            (draft / RECORD).write_bytes(pack_record(_record(job, prepared)))


def _kept_out(job: OldJob, folder: str | os.PathLike[str], names: list[str]) -> set[str]:
    if os.path.realpath(folder) != os.path.realpath(job.path):
        return set()
    return {name for name in names if name in _OWN or name in {job.name + each for each in _ENDINGS}}


def _record(job: OldJob, prepared: Prepared) -> Record:
    ended = job.ended()
    types: Mapping[str, bytes] = {key: info.pack() for key, info in prepared.types.items()}
    return Record(
        job=prepared.id,
        task=prepared.task,
        label=prepared.label,
        parameters=parameters(prepared.payload, prepared.types),
        payload=prepared.payload,
        types=types,
        execution=1,
        attempt=1,
        host=this_host(),
        user=this_user(),
        worker=f"imported from {job.path}",
        pid=0,
        started=job.started(),
        ended=ended,
        code="",
        result=None,
        fence=Fence(f"{int(1000 * ended):013d}{1:013d}"),
    )
