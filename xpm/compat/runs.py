"""Runs that have been, as experimaestro's users read them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from xpm.compat.actions import Actions
from xpm.errors import UsageError
from xpm.types import Scalar
from xpm.workspace.layout import Workspace
from xpm.workspace.past import load_job
from xpm.workspace.results import complete
from xpm.workspace.rundir import RunDirectory


class ExperimentInfo(NamedTuple):
    """What a run has left."""

    jobs: Mapping[str, Any]
    """The descriptions of the tasks whose jobs are done, by their identifiers."""
    actions: Mapping[str, Any]
    """The descriptions of the actions of the experiment's newest run, by their names."""


def load_xp_info(path: str | os.PathLike[str]) -> ExperimentInfo:
    """What the run in the folder `path` has left; classes that are gone have stand-ins.

    Raises:
        UsageError: no run is there.
    """
    folder = Path(os.path.realpath(path))
    if not (folder / "jobs.jsonl").is_file():
        raise UsageError(f"{folder} is no folder of a run")
    workspace = Workspace.open(folder.parents[2], create=False)
    jobs: dict[str, Any] = {}
    for entry in RunDirectory(folder).entries():
        directory = workspace.jobpath(entry.task, entry.id)
        if entry.id not in jobs and complete(directory) is not None:
            jobs[entry.id] = load_job(directory, as_instance=False, lacking=True, tags=entry.tags)
    actions = Actions(folder.parent)
    return ExperimentInfo(jobs, {name: actions.load(name) for name in actions.names()})


class WorkspaceStateProvider:
    """A workspace, to be asked for its runs.

    Args:
        path: the workspace.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._workspace = Workspace.open(path, create=False)

    def load_xp_info(self, experiment: str, run_id: str | None = None) -> ExperimentInfo:
        """What a run of an experiment has left, by default the newest.

        Raises:
            UsageError: there is no such run.
        """
        return load_xp_info(self._run(experiment, run_id))

    def get_tags_map(self, experiment: str, run_id: str | None = None) -> dict[str, Mapping[str, Scalar]]:
        """The tags of the jobs that a run lists, by their identifiers."""
        jobs = RunDirectory(self._run(experiment, run_id)).jobs()
        return {str(job): tags for job, tags in jobs.items()}

    def get_dependencies_map(self, experiment: str, run_id: str | None = None) -> dict[str, list[str]]:
        """The jobs that each job of a run depends on directly."""
        entries = RunDirectory(self._run(experiment, run_id)).entries()
        return {entry.id: list(entry.inputs) for entry in entries}

    def _run(self, experiment: str, run_id: str | None) -> Path:
        folder = self._workspace.experiment_dir(experiment)
        runs = sorted(each.parent.name for each in folder.glob("*/jobs.jsonl"))
        if run_id is None and runs:
            return folder / runs[-1]
        if run_id not in runs:
            there = f"; there are {', '.join(runs)}" if runs else ""
            raise UsageError(f"{experiment} has no run{f' {run_id}' if run_id else ''}{there}")
        return folder / str(run_id)
