"""Which jobs are meant: by the first digits of an identifier, alone or after a task's name and a slash.

A task's name alone means its job, if it has just one.
"""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from xpm.cli.words import DIGITS
from xpm.core.aligned import clean
from xpm.core.naming import last_name, task_dir
from xpm.core.spelling import nearest
from xpm.core.state import State
from xpm.errors import UsageError
from xpm.types import JobId
from xpm.workspace.results import read_record

if TYPE_CHECKING:
    from xpm.broker.jobview import JobView
    from xpm.broker.views import Views
    from xpm.workspace.layout import Workspace

FEWEST = 4
"""Digits that name a job without its task."""

SEVERAL = 20
"""Jobs that are looked for at most, when one is meant."""

_HEX = re.compile(r"[0-9a-f]{1,64}")
_ALL = 1 << 30
_PAGE = 500


@dataclass(frozen=True, slots=True)
class Wanted:
    """A job as it was named on the command line."""

    text: str
    task: str
    digits: str
    """Empty when only the task was named."""


@dataclass(frozen=True, slots=True)
class Found:
    """A job that was found: what the broker says of it, and where its directory is."""

    id: JobId
    task: str
    label: str
    view: JobView | None
    path: Path


def parse(text: str) -> Wanted:
    """Reads `digits`, `task/digits` or `task`."""
    name = text.strip().rstrip("/")
    task, _, digits = name.rpartition("/")
    if not _HEX.fullmatch(digits.lower()) or (not task and len(digits) < FEWEST):
        return Wanted(text, name, "")
    return Wanted(text, task, digits.lower())


def of_task(task: str, wanted: str) -> bool:
    """Whether people can mean `task` by `wanted`: its whole name, its last part, or its folder."""
    return (
        not wanted
        or wanted in (task, last_name(task), task_dir(task))
        or task.endswith((f".{wanted}", f"/{wanted}"))
    )


def find(text: str, workspace: Workspace, views: Views | None) -> Found:
    """The one job that `text` names, in the broker or, also without it, in the workspace.

    Raises:
        UsageError: There is none, or several.
    """
    wanted = parse(text)
    if not wanted.task and not wanted.digits:
        raise UsageError("which job? give the first digits of its identifier, task/digits, or a task")
    found = _all(wanted, workspace, views)
    if not found and not wanted.task:
        found = _all(Wanted(text, text, ""), workspace, views)  # a task may be called Face
    if not found and views is not None and views.runs(text):
        raise UsageError(
            f"{text!r} is no job but an experiment; {shlex.join(('xpm', 'jobs', '-e', text))} lists its jobs"
        )
    if not found and not wanted.digits:
        close = nearest(wanted.task, sorted({last_name(task) for task in views.tasks()} if views else ()))
        raise UsageError(
            f"{text!r} is no job and no task with one"
            + (close or f": give the first digits of a job's identifier, at least {FEWEST}, or task/digits")
        )
    if not found:
        raise UsageError(f"no job {text} in {workspace.path}")
    if len(found) > 1:
        raise UsageError(_ambiguous(text, found))
    return found[0]


def _all(wanted: Wanted, workspace: Workspace, views: Views | None) -> list[Found]:
    found = {job.id: job for job in islice(_on_disk(wanted, workspace), SEVERAL)}
    if views is not None:
        found |= {job.id: job for job in islice(_in_broker(wanted, workspace, views), SEVERAL)}
    return list(found.values())


def _ambiguous(text: str, found: list[Found]) -> str:
    digits = max(DIGITS, 2 + max(_common(a.id, b.id) for a in found[:20] for b in found[:20] if a.id != b.id))
    shown = sorted(found, key=lambda job: (job.label, job.id))[:10]
    lines = [f"{text} names {f'{SEVERAL} or more' if len(found) >= SEVERAL else len(found)} jobs:"]
    lines += [f"  {job.id[:digits]}  {clean(job.label)}" for job in shown]
    if len(found) > len(shown):
        lines.append("  ...")
    return "\n".join(lines)


def _common(one: str, other: str) -> int:
    return next(at for at, (a, b) in enumerate(zip(one, other, strict=True)) if a != b)


def _in_broker(wanted: Wanted, workspace: Workspace, views: Views) -> Iterator[Found]:
    if wanted.task and not any(of_task(task, wanted.task) for task in views.tasks()):
        return
    ids = _ids(wanted.digits, views)
    for at in range(0, len(ids), _PAGE):
        for view in views.jobs(ids[at : at + _PAGE]):
            if view is not None and view.id.startswith(wanted.digits) and of_task(view.task, wanted.task):
                yield found_in(workspace, view)


def found_in(workspace: Workspace, view: JobView) -> Found:
    """A job that the broker knows."""
    return Found(view.id, view.task, view.label, view, workspace.jobpath(view.task, view.id))


def _ids(digits: str, views: Views) -> list[str]:
    if len(digits) >= FEWEST:
        return [*views.find(digits)]
    return [job for state in State for job in views.listing(state, _ALL) if job.startswith(digits)]


def _on_disk(wanted: Wanted, workspace: Workspace) -> Iterator[Found]:
    try:
        tasks = sorted(os.listdir(workspace.path / "jobs"))
    except FileNotFoundError:
        return
    for task in tasks:
        if not _folder_of(task, wanted.task):
            continue
        for path in _directories(workspace.path / "jobs" / task, wanted.digits):
            record = read_record(path)
            name, label = (record.task, record.label) if record else (task, task)
            yield Found(JobId(path.name), name, label, None, path)


def _directories(folder: Path, digits: str) -> Iterator[Path]:
    shards = [digits[:2]] if len(digits) >= 2 else _names(folder)
    for shard in shards:
        if shard.startswith(digits[:2]):
            for name in _names(folder / shard):
                if name.startswith(digits) and len(name) == 64:
                    yield folder / shard / name


def _names(folder: Path) -> list[str]:
    try:
        return sorted(os.listdir(folder))
    except (FileNotFoundError, NotADirectoryError):
        return []


def _folder_of(folder: str, wanted: str) -> bool:
    """Whether a folder of jobs can be that of the task `wanted`; a changed name ends with six digits of its hash."""
    plain = re.sub(r"-[0-9a-f]{6}$", "", folder)
    return not wanted or folder == task_dir(wanted) or any(of_task(name, wanted) for name in (folder, plain))
