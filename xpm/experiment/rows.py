"""The results of an experiment as a table."""

from __future__ import annotations

import importlib
import re
from collections.abc import Collection, Mapping
from typing import Any, cast

from xpm.core.config import Task
from xpm.core.info import JobRef
from xpm.core.naming import class_name
from xpm.core.spelling import nearest
from xpm.core.state import State
from xpm.errors import ResultError, UsageError
from xpm.experiment.gathering import Submitted
from xpm.workspace.attempts import Attempt, read_attempts
from xpm.workspace.layout import Workspace
from xpm.workspace.results import Record, read_record
from xpm.workspace.values import decode_result, plain

OWN = ("state", "result", "job", "task", "started", "ended", "seconds")
"""Columns that every row has; a tag or a parameter of that name is called `tag.<name>`."""


def selected(jobs: Collection[Submitted], task: type[Task] | str | None) -> list[Submitted]:
    """The jobs of a task: a class, its whole name, or the end of it.

    Raises:
        UsageError: no job is of a task of that name, or it is none.
    """
    if task is None:
        return list(jobs)
    given: Any = task
    if not isinstance(given, str) and not (isinstance(given, type) and issubclass(given, Task)):
        raise UsageError(f"expected a task, by its class or its name, got {given!r}")
    name = task if isinstance(task, str) else class_name(task)
    found = [job for job in jobs if job.task == name or job.task.endswith((f".{name}", f":{name}"))]
    if not found and jobs and isinstance(task, str):
        raise UsageError(f"no job is of a task {task!r}{_nearest(task, {job.task for job in jobs})}")
    return found


def _nearest(name: str, tasks: Collection[str]) -> str:
    """The end of the message: the task that was meant, or which there are."""
    short = sorted({re.split("[.:]", task)[-1] for task in tasks})
    return nearest(name, [*short, *tasks]) or f"; there are {', '.join(short)}"


def row(
    job: Submitted, record: Record | None, state: State, workspace: Workspace, *, params: bool
) -> dict[str, Any]:
    """One row: tags, state, result, job, times; with `params` also the parameters, as `params.<name>`."""
    found: dict[str, Any] = {
        f"tag.{name}" if name in OWN else name: value for name, value in job.tags.items()
    }
    found["state"] = state.value
    if record is not None:
        found.update(_result(record, workspace))
    else:
        found["result"] = None
    ran = record or _last_attempt(job, state, workspace)
    found["job"] = job.id
    found["task"] = job.task
    found["started"] = ran.started if ran else None
    found["ended"] = ran.ended if ran else None
    found["seconds"] = ran.ended - ran.started if ran else None
    if params and record is not None:
        found.update(_flat("params", record.parameters))
    return found


def record_of(job: Submitted, workspace: Workspace) -> Record | None:
    """The record of a job."""
    return read_record(workspace.jobpath(job.task, job.id))


def _last_attempt(job: Submitted, state: State, workspace: Workspace) -> Attempt | None:
    """How a job that has failed did so."""
    attempts = read_attempts(workspace.jobpath(job.task, job.id)) if state is State.ERROR else []
    return attempts[-1] if attempts else None


def frame(rows: list[dict[str, Any]]) -> Any:
    """The rows as a pandas data frame.

    Raises:
        UsageError: pandas is not installed.
    """
    try:
        pandas: Any = importlib.import_module("pandas")
    except ImportError:
        extras: Any = importlib.import_module("xpm.extras")  # needed here alone, and slow to load
        raise UsageError(
            f"xp.frame() needs pandas: {extras.install_line('pandas')} (xp.rows() needs nothing)"
        ) from None
    return pandas.DataFrame(rows)


def _result(record: Record, workspace: Workspace) -> dict[str, Any]:
    path = workspace.jobpath(record.task, record.job)
    try:
        value = decode_result(record.result, path, job=JobRef(record.job, record.task))
    except ResultError:
        value = decode_result(record.result, path, plain)  # its class is not here any more
    if isinstance(value, dict):
        return {f"result.{key}": each for key, each in cast("dict[Any, Any]", value).items()}
    return {"result": value}


def _flat(prefix: str, values: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in values.items():
        inner = cast("dict[str, Any]", value) if isinstance(value, dict) else {}
        if inner and not any(str(key).startswith("$") for key in inner):
            found.update(_flat(f"{prefix}.{name}", inner))
        else:
            found[f"{prefix}.{name}"] = value
    return found
