"""From a task to what the broker is told of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from xpm.core.deprecation import Deprecation, meant
from xpm.core.encoding import encode
from xpm.core.former import former_jobs
from xpm.core.identifier import digest
from xpm.core.info import JobRef, Resumable, own_info
from xpm.core.partials import locks_of
from xpm.core.requirement import Need
from xpm.core.schema import Schema
from xpm.core.sealing import seal, unseal
from xpm.core.tags import label_of, tags_of
from xpm.core.typeinfo import TypeInfo
from xpm.errors import SubmissionError
from xpm.types import JobId, Scalar


class Prepared(NamedTuple):
    """A task, checked and sealed, as it goes into the graph."""

    id: JobId
    task: str
    """The class's name."""
    label: str
    payload: bytes
    types: Mapping[str, TypeInfo]
    """The types that the payload names."""
    dependencies: tuple[JobRef, ...]
    """The direct ones, those of nested configs and containers included."""
    tags: Mapping[str, Scalar]
    resumable: bool = False
    """Whether the job's directory is kept between attempts."""
    former: tuple[JobRef, ...] = ()
    """The jobs that were the same before classes were renamed or replaced."""
    locks: tuple[Need, ...] = ()
    """What it must hold to have the directories alone that it shares with others."""


def prepare(task: Any) -> Prepared:
    """Checks and seals `task`, and gives all that its submission needs; the same again when asked again.

    Raises:
        ConfigError: a parameter is missing or wrong; then nothing has been sealed.
        SubmissionError: it depends on a task that wasn't submitted, or can't become a job.
    """
    schema: Schema = task.__xpm_schema__
    if not hasattr(schema.cls, "execute"):
        raise SubmissionError(f"{schema.label}: has no method execute")
    if schema.deprecation is not None:
        return _prepare_meant(task)
    sealing = seal(task)
    info = own_info(task)
    done = False
    try:
        ref = info.ref = JobRef(JobId(digest(task).hex()), schema.name)
        payload, types, dependencies = encode(task)
        if sealing is not None:
            sealing.refuse_paths(dependencies)
        tags = tags_of(task)
        label = label_of(task, tags)
        if Deprecation.known:
            info.former = former_jobs(task)
        done = True
    finally:
        if not done:
            unseal(task, sealing)
    resumable = isinstance(task, Resumable)
    locks = locks_of(task) if schema.partials else ()
    return Prepared(
        ref.id, ref.task, label, payload, types, dependencies, tags, resumable, info.former, locks
    )


def _prepare_meant(task: Any) -> Prepared:
    """Prepares the task that one of a deprecated class stands for; they have one job."""
    sealing = seal(task)
    info = own_info(task)
    done = False
    try:
        used = meant(task)
        hidden = own_info(used)
        hidden.init = info.init
        prepared = prepare(used)
        if sealing is not None:
            sealing.refuse_paths(prepared.dependencies)
        digest(task)  # others refer to it by that
        info.ref = hidden.ref
        info.former = tuple(dict.fromkeys((*former_jobs(task), *hidden.former)))
        tags = tags_of(task)
        label = label_of(used, tags)
        done = True
    finally:
        if not done:
            unseal(task, sealing)
    return prepared._replace(tags=tags, label=label, former=info.former)
