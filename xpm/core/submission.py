"""From a task to what the broker is told of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from xpm.core.encoding import encode
from xpm.core.identifier import digest
from xpm.core.info import JobRef, Resumable, own_info
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


def prepare(task: Any) -> Prepared:
    """Checks and seals `task`, and gives all that its submission needs; the same again when asked again.

    Raises:
        ConfigError: a parameter is missing or wrong; then nothing has been sealed.
        SubmissionError: it depends on a task that wasn't submitted, or can't become a job.
    """
    schema: Schema = task.__xpm_schema__
    if not hasattr(schema.cls, "execute"):
        raise SubmissionError(f"{schema.label}: has no method execute")
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
        done = True
    finally:
        if not done:
            unseal(task, sealing)
    return Prepared(ref.id, ref.task, label, payload, types, dependencies, tags, isinstance(task, Resumable))
