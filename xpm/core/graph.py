"""A grid as a picture: its jobs, and what they depend on."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, cast

from xpm.core.aligned import clean
from xpm.core.identifier import identifier
from xpm.core.info import Description, JobRef, Submittable, info_of
from xpm.core.naming import last_name
from xpm.core.sources import Source
from xpm.core.tags import label_of, labelled, tags_of


def dot(source: Source[Any]) -> str:
    """The jobs of the descriptions and their dependencies, in DOT."""
    labels: dict[str, str] = {}
    edges: dict[tuple[str, str], None] = {}
    waiting = [job for each in source for job in ([each] if isinstance(each, Submittable) else _needed(each))]
    for job in waiting:  # which grows meanwhile
        name = _id(job)
        if name in labels:
            continue
        labels[name] = _label(job)
        if isinstance(job, Submittable):
            needed = list(_needed(job))
            edges |= dict.fromkeys((_id(each), name) for each in needed)
            waiting += needed
    lines = [f'  "{name[:12]}" [label="{_quoted(label)}"];' for name, label in labels.items()]
    lines += [f'  "{one[:12]}" -> "{other[:12]}";' for one, other in edges]
    return "\n".join(["digraph jobs {", "  rankdir=LR;", "  node [shape=box];", *lines, "}"])


def _needed(value: Any) -> Iterator[Any]:
    """The tasks that a value depends on directly, and the descriptions in it that jobs have given out."""
    if isinstance(value, Description):
        description: Any = value
        held = description.__dict__
        parts: Iterable[Any] = [held.get(name) for name in description.__xpm_schema__.holders]
        info = info_of(description)
        parts = [*parts, *(() if info is None else info.init)]
    elif isinstance(value, (list, tuple, set, frozenset)):
        parts = cast("Iterable[Any]", value)
    elif isinstance(value, dict):
        parts = cast("dict[Any, Any]", value).values()
    else:
        return
    for each in parts:
        if isinstance(each, Submittable) or _producer(each) is not None:
            yield each
        else:
            yield from _needed(each)


def _producer(value: Any) -> JobRef | None:
    info = info_of(value) if isinstance(value, Description) else None
    return None if info is None else info.producer


def _id(job: Any) -> str:
    producer = _producer(job)
    return identifier(job) if producer is None else producer.id


def _label(job: Any) -> str:
    producer = _producer(job)
    return (
        label_of(job, tags_of(job)) if producer is None else labelled(last_name(producer.task), tags_of(job))
    )


def _quoted(text: str) -> str:
    return clean(text).replace("\\", "\\\\").replace('"', '\\"')
