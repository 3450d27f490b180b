"""What an earlier run of the same command still has to start, and the newest one leaves out: it is wanted no more."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from math import inf
from pathlib import Path
from typing import Any

from xpm.broker.views import RunView, Views
from xpm.core.state import PENDING
from xpm.errors import WorkspaceError
from xpm.types import JobId, short
from xpm.workspace.rundir import RunDirectory

RUNS = 20
"""Runs that are looked at, the newest first."""


def leavings(
    views: Views, experiment: str, started: Mapping[str, Any], mine: Collection[JobId], before: float = inf
) -> list[str]:
    """The jobs that earlier runs of the same script with the same arguments want, that have not started, and that the
    newest run leaves out.

    What running jobs have submitted is left to these. Another script, or the same one with other arguments, may work on
    a part of its own in the experiment.

    Args:
        views: asks the broker.
        experiment: its name.
        started: how the newest run was started: `script` and `arguments`.
        mine: the jobs that are a part of it.
        before: when it began.
    """
    kept = {short(job) for job in mine}
    found: dict[str, None] = {}
    alike = [run for run in _alike(views, experiment, started) if run.start < before]
    tokens = {run.token for run in alike}
    for run in alike:
        if not any(run.counts.get(state, 0) for state in PENDING):
            continue
        serial = run.token.partition(".")[0]
        folder = Path(str(run.facts["folder"]))
        try:
            children = {short(child.entry.id) for child in RunDirectory(folder).children()}
        except WorkspaceError:  # it is damaged: what may be a running job's is left alone
            continue
        left = [job for job, _ in views.members(run.token) if job not in kept and job not in children]
        for job in views.jobs(left):
            if job is None or job.state not in PENDING or serial not in job.wanted:
                continue
            if all(token in tokens for token in job.runs if token.partition(".")[0] == serial):
                found[job.id] = None
    return [*found]


def _alike(views: Views, experiment: str, started: Mapping[str, Any]) -> Iterator[RunView]:
    """The runs of the same script with the same arguments, the newest first."""
    if not started["script"]:
        return
    for token in reversed(views.runs(experiment)[-RUNS:]):
        run = views.run(token)
        if run is not None and _command(run.facts) == _command(started):
            yield run


def _command(facts: Mapping[str, Any]) -> tuple[str, object]:
    return str(facts.get("script", "")), facts.get("arguments")
