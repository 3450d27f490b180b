"""Filters on the jobs of an open experiment."""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import partial
from typing import Any

from xpm.broker.sieve import Sieve
from xpm.core.filter import FIELDS, TAG, parse, refuse_unknown
from xpm.core.naming import last_name
from xpm.core.state import State
from xpm.errors import UsageError
from xpm.experiment.gathering import Submitted
from xpm.experiment.link import Link
from xpm.types import JobId, Scalar, short
from xpm.workspace.results import Record

_AT_THE_BROKER = frozenset({"queue", "priority", "submitted"})


def at_broker(link: Link, experiment: str, ids: Sequence[JobId], text: str) -> list[JobId]:
    """Those of `ids` that the filter `text` keeps.

    Raises:
        UsageError: it is no filter, or asks for a tag that no job of the experiment has.
    """
    views = link.views
    sieve = Sieve(views, parse(text))
    kept = sieve.kept([job for job in views.jobs([short(id) for id in ids]) if job is not None])
    sieve.refuse_unknown(views.runs(experiment))
    return [job.id for job in kept]


def on_rows(
    text: str, experiment: str, jobs: Sequence[tuple[Submitted, State, Record | None]]
) -> list[Submitted]:
    """Those of the jobs that the filter `text` keeps, by what the workspace knows.

    Raises:
        UsageError: it is no filter, or asks for a tag that no job has, or for what only the broker knows.
    """
    wanted = parse(text)
    for name in wanted.names():
        if name in _AT_THE_BROKER:
            raise UsageError(f"where: {name}: rows don't have it; xpm jobs --where does")
    kept = [
        job for job, state, record in jobs if wanted.keeps(partial(_look, job, state, record, experiment))
    ]
    refuse_unknown(wanted, {name for job, _, _ in jobs for name in job.tags})
    return kept


def _look(
    job: Submitted, state: State, record: Record | None, experiment: str, name: str
) -> Sequence[Scalar]:
    if name not in FIELDS:
        tag = name if name in job.tags else name.removeprefix(TAG)
        return (job.tags[tag],) if tag in job.tags else ()
    if name == "task":
        return (job.task, last_name(job.task))
    known: dict[str, Any] = {"state": state.value, "label": job.label, "id": job.id, "experiment": experiment}
    if name in known:
        return (known[name],)
    if record is None:
        return ()
    if name == "seconds":
        return (record.ended - record.started,)
    value: Any = getattr(record, name)
    moment = name in ("started", "ended")
    return (time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(value)) if moment else value,)
