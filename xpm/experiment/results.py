"""The result of one job, waited for."""

from __future__ import annotations

import time
from typing import Any

from xpm.broker.events import Events
from xpm.broker.jobview import JobView
from xpm.core.message import JobRef
from xpm.core.state import State
from xpm.errors import BrokerUnreachable, JobCancelled, JobError, JobFailed, JobHeld
from xpm.experiment.link import Link
from xpm.experiment.obstacles import stays, why_held
from xpm.experiment.waiting import Care
from xpm.workspace.layout import Workspace
from xpm.workspace.results import Record, read_record
from xpm.workspace.values import decode_result

PAUSE = 0.002
"""Seconds between two questions, however much is heard."""


def result_of(ref: JobRef, workspace: Workspace, care: Care, timeout: float | None) -> Any:
    """What the job returned; waits until it is there.

    Args:
        ref: the job, which was submitted.
        workspace: where its directory is.
        care: sees to the job's run meanwhile.
        timeout: seconds; None waits as long as it takes.

    Raises:
        JobFailed, JobCancelled, JobHeld, JobError: there will be none.
        TimeoutError: the time is over.
    """
    path = workspace.jobpath(ref.task, ref.id)
    deadline = None if timeout is None else time.monotonic() + timeout
    record: Record | None = None
    while record is None:
        record = _look(ref, workspace, care, deadline)
    return decode_result(record.result, path, job=ref)


def _look(ref: JobRef, workspace: Workspace, care: Care, deadline: float | None) -> Record | None:
    """One look at the job, and a wait for news; its record when it is there."""
    link = care.link
    try:
        events = Events(link.broker)
        job = link.views.job(ref.id)
        link.answered()
        if job is not None:
            if job.state is State.DONE:
                return _record(ref, workspace)
            _refuse(job, link)
        left = care.patience if deadline is None else min(care.patience, deadline - time.monotonic())
        if left <= 0:
            raise TimeoutError(f"{ref.task} {ref.id[:8]}: no result yet, it is {_state(job)}")
        care.visit(lost=job is None)
        time.sleep(min(PAUSE, left))
        events.read(left, limit=1)
    except BrokerUnreachable as error:
        if deadline is not None and time.monotonic() >= deadline:
            raise TimeoutError(f"{ref.task} {ref.id[:8]}: no result yet: {error}") from error
        care.mend(error)
    return None


def _state(job: JobView | None) -> str:
    return job.state if job else "unknown to the broker"


def _record(ref: JobRef, workspace: Workspace) -> Record:
    path = workspace.jobpath(ref.task, ref.id)
    record = read_record(path)
    if record is None:
        raise JobError(f"{ref.task} {ref.id[:8]} is done, but its result was removed from {path}")
    return record


def _refuse(job: JobView, link: Link) -> None:
    """Raises when the job will have no result."""
    name = f"{job.label} {job.id[:8]}"
    if job.state is State.ERROR:
        failure = link.views.failure(job.id)
        text = (failure.traceback or f"{failure.type}: {failure.message}") if failure else job.reason
        raise JobFailed(f"{name} failed:\n{text}")
    if job.state is State.CANCELLED:
        raise JobCancelled(f"{name} was cancelled")
    if job.state is State.HOLD and stays(link.views, job):
        raise JobHeld(f"{name} is on hold: {why_held(link.views, job)}")
    if job.state is State.LOST:
        raise JobError(f"{name} was done, but its only outputs are gone")
