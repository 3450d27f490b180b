"""What a script would do, without doing any of it."""

from __future__ import annotations

from collections.abc import Sequence

from xpm.broker.views import Views
from xpm.core.plan import Known, Plan, Standing, compare
from xpm.core.state import State
from xpm.core.words import plural
from xpm.experiment.gathering import Submitted
from xpm.experiment.link import Link
from xpm.experiment.others import Today
from xpm.experiment.voice import Voice
from xpm.types import JobId
from xpm.workspace.layout import Workspace
from xpm.workspace.results import read_record

LISTED = 20
"""Jobs that are named, at most."""


def plan_of(jobs: Sequence[Submitted], workspace: Workspace, views: Views | None, today: Today) -> Plan:
    """How the jobs of a script stand; from the broker if there is one, and from the workspace."""
    by_task: dict[str, list[JobId]] = {}
    for job in jobs:
        by_task.setdefault(job.task, []).append(job.id)
    finished = workspace.finished(by_task)
    found = views.states([job.id for job in jobs]) if views else [None] * len(jobs)
    known: dict[JobId, Known] = {}
    for job, standing in zip(jobs, found, strict=True):
        done = job.id in finished
        if standing is None and not done:
            continue
        other = False
        if done:
            made_by = standing[1] if standing and standing[0] is State.DONE else _code(job, workspace)
            other = today.differs(made_by)
        known[job.id] = Known(standing[0] if standing else None, done, other)
    return compare(((job.id, job.task, job.label) for job in jobs), known)


def tell_plan(experiment: str, plan: Plan, link: Link, *, left: int, asked: bool, voice: Voice) -> None:
    """Says what would be done; `asked` tells whether the broker was.

    Args:
        experiment: its name.
        plan: how its jobs stand.
        link: to the broker.
        left: jobs of an earlier run that this one leaves out.
        asked: whether the broker was asked.
        voice: says it.
    """
    alone = "no server runs" if link.embedded else "the broker was not reached"
    source = link.url if asked else f"the workspace alone: {alone}"
    voice.say(f"{experiment}: dry run, compared with {source}", style="bold")
    for line in plan.lines():
        voice.say(f"  {line}")
    if left:
        voice.say(f"would cancel {plural(left, 'job')} of an earlier run, which this one leaves out")
    to_run = plan.to_run
    if to_run:
        voice.say("would run:")
        for job in to_run[:LISTED]:
            voice.say(f"  {job.label}  {job.id[:8]}  {job.standing}")
        if len(to_run) > LISTED:
            voice.say(f"  and {len(to_run) - LISTED:,} more")
    elif plan.jobs and all(job.standing in _FINISHED for job in plan.jobs):
        voice.say("nothing to do")


_FINISHED = (Standing.DONE, Standing.OTHER_CODE)


def _code(job: Submitted, workspace: Workspace) -> str:
    record = read_record(workspace.jobpath(job.task, job.id))
    return record.code if record else ""
