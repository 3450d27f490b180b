"""Coming back to an experiment whose script is gone."""

from __future__ import annotations

import os
import time
from collections import Counter

from xpm.core.spelling import nearest
from xpm.errors import UsageError, WorkspaceError
from xpm.experiment.ending import status_of
from xpm.experiment.gathering import plan_of, runs
from xpm.experiment.link import Link
from xpm.experiment.summary import Ending, note_end, tell, unfinished
from xpm.experiment.tracking import Tracked
from xpm.experiment.voice import Voice
from xpm.experiment.waiting import Care
from xpm.experiment.watching import watch
from xpm.settings import Settings
from xpm.types import JobId
from xpm.workspace.code import read_code
from xpm.workspace.layout import Workspace
from xpm.workspace.rundir import RunDirectory


def attach(name: str, settings: Settings) -> int:
    """Shows the newest run of the experiment `name` until its end, and says how it ended.

    A server of the workspace that is dead is started again, with its workers; jobs that it has lost are
    submitted again from the run's folder.

    Args:
        name: the experiment.
        settings: the workspace, the broker and the workers.

    Returns:
        The exit status.

    Raises:
        UsageError: there is no such experiment.
        SystemExit: Ctrl-C detached again.
    """
    began = time.monotonic()
    voice = Voice(plain=settings.no_color, quiet=settings.quiet)
    workspace = Workspace.open(settings.workspace, create=False)
    folder = next(iter(runs(workspace.experiment_dir(name))), None)
    if folder is None:
        raise UsageError(f"no experiment {name!r} in {workspace.path}{_nearest(name, workspace)}")
    link = Link(workspace, settings, voice)
    link.connect()
    directory = RunDirectory(folder)
    facts = {"folder": str(folder), "workspace": str(workspace.path)}
    run = Tracked(link, directory, name, folder.name, directory.code, facts)
    try:
        jobs = directory.jobs()
        run.count = len(jobs)
        link.serve()
        view = watch(Care(run, link, voice)).view
        jobs = directory.jobs()  # they may have submitted others meanwhile
        left = unfinished(link.views, workspace, list(jobs)) if view.failed or view.open else []
        if not left and _copied(workspace, directory.code):
            codes = Counter(found[1] for found in link.views.states(list(jobs)) if found)
            note_end(directory, plan_of(jobs.items(), children(directory)), codes, voice)
        tell(Ending(name, link.commands, view, time.monotonic() - began), link, left, voice)
        return status_of(view.counts)
    finally:
        link.close()


def children(directory: RunDirectory) -> set[JobId]:
    """The jobs of a run that only running jobs have submitted."""
    return {child.entry.id for child in directory.children()} - {entry.id for entry in directory.own()}


def _copied(workspace: Workspace, code: str) -> bool:
    """Whether jobs ran a copy of the code: else what they ran is known of each alone."""
    try:
        return read_code(workspace.path, code).copied
    except WorkspaceError:
        return False


def _nearest(name: str, workspace: Workspace) -> str:
    try:
        known = os.listdir(workspace.experiment_dir(name).parent)
    except FileNotFoundError:
        return ""
    return nearest(name, known)
