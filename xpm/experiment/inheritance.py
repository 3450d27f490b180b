"""What jobs of a plan have submitted in earlier runs: it is part of this one, too."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from xpm.errors import WorkspaceError
from xpm.experiment.gathering import Gathering, has_grown, own_jobs, runs
from xpm.types import JobId

if TYPE_CHECKING:
    from xpm.workspace.rundir import Child, RunDirectory


class Inheritance:
    """What is handed down to one run.

    A job's own comes from the newest run that had listed the job and looked for that itself. One that broke off did
    not, so older ones count as well; a run whose plan left the job out says nothing of it.

    Args:
        experiment: the folder of the experiment's runs.
        gathering: the jobs of this run.
        tell: says what the user should know.
    """

    def __init__(self, experiment: Path, gathering: Gathering, tell: Callable[[str], None]) -> None:
        self._experiment = experiment
        self._gathering = gathering
        self._tell = tell
        self._settled: set[JobId] = set()
        """Jobs for whose own nobody need look any more."""

    def take(self, besides: Path | None) -> list[tuple[RunDirectory, list[Child]]]:
        """What jobs that do not begin anew have submitted, by the run in whose folder it stands; each is given once.

        Args:
            besides: the folder of this run, if there is one.
        """
        earlier = runs(self._experiment, besides)
        grown = [has_grown(run) for run in earlier]
        found: list[tuple[RunDirectory, list[Child]]] = []
        settled = set(self._settled)
        for at, run in enumerate(earlier):
            if not any(grown[at:]) or self._gathering.heirs <= settled:
                break
            if grown[at]:
                directory = _directory(run)
                try:
                    children = directory.children()
                except WorkspaceError as error:
                    self._tell(passed_over(error))
                    continue
                if fresh := self._gathering.inherited(children, settled):
                    found.append((directory, fresh))
                settled |= {child.entry.id for child in children}
            settled |= own_jobs(run)
        self._settled |= self._gathering.heirs
        return found


def passed_over(error: WorkspaceError) -> str:
    """What to say of an earlier run that can't be read: no later one would begin if that were an error."""
    return f"warning: {error}; what jobs had submitted there is not waited for"


def _directory(run: Path) -> RunDirectory:
    """The folder of a run, to be read; loaded late, since it knows the broker's values."""
    module: Any = importlib.import_module("xpm.workspace.rundir")
    directory: RunDirectory = module.RunDirectory(run)
    return directory
