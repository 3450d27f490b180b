"""What a script would do, without doing any of it."""

from __future__ import annotations

from collections.abc import Sequence

from xpm.broker.ledger import Ledger
from xpm.broker.views import Views
from xpm.core.plan import Known, Plan, Standing, compare
from xpm.core.requirement import MOST, OTHERWISE, Need, capacities_of, refuse_excess
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


def refuse_plan(jobs: Sequence[Submitted], plan: Plan, ledger: Ledger | None) -> None:
    """Refuses what a submission would: a job that needs more of a token than there is.

    Args:
        jobs: those of the script, in the order of their submission.
        plan: how they stand; what is done needs nothing.
        ledger: the broker's; without one, there is what the script says.

    Raises:
        SubmissionError: a job does.
    """
    finished = {job.id for job in plan.jobs if job.standing in _FINISHED}
    open_jobs = [job for job in jobs if job.requires and job.id not in finished]
    names = {name for job in open_jobs for need in job.requires for name in _names(need)}
    supplies = ledger.supplies(names) if ledger is not None else {}
    there = {name: supply.most for name, supply in supplies.items() if supply.counts}
    for job in open_jobs:
        for need in job.requires:
            name, otherwise = _names(need)
            if name not in there and there.get(otherwise, OTHERWISE) != OTHERWISE:
                there[name] = OTHERWISE
            elif name not in there:
                unknown = -1 if ledger is not None else MOST
                there[name] = capacities_of([need])[name] or unknown
        refuse_excess(there, job.requires, job.label)


def _names(need: Need) -> tuple[str, str]:
    """The resource of a need, and the one that a token of this name is if it is counted in the other way."""
    other = {"t": "h", "h": "t", "l": "l"}[need.kind]
    return need.resource, f"{other}.{need.name}"


def _code(job: Submitted, workspace: Workspace) -> str:
    record = read_record(workspace.jobpath(job.task, job.id))
    return record.code if record else ""
