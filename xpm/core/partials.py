"""Directories that tasks share which are equal in some of their parameters."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from xpm.core.fields import Partial
from xpm.core.identifier import partial_digest
from xpm.core.jobpath import ABOVE
from xpm.core.naming import task_dir
from xpm.core.requirement import ALL, Need, collected
from xpm.core.schema import Schema

_KEY = 32
"""The digits of a lock's name; a name has 64 characters at most."""


def shared_names(task: Any, names: Mapping[str, str]) -> dict[str, str]:
    """The generated paths of `task` that lie in such directories, from the directory of its job.

    Args:
        task: a complete description.
        names: the paths in the directories, by their parameters.
    """
    schema: Schema = task.__xpm_schema__
    found: dict[str, str] = {}
    for parameter, partial in schema.partials.items():
        name, key = _key(task, parameter, partial)
        folder = f"{ABOVE}partials/{task_dir(schema.name)}/{name}/{key}"
        found[parameter] = f"{folder}/{names[parameter]}" if names[parameter] else folder
    return found


def locks_of(task: Any) -> tuple[Need, ...]:
    """The locks that the job of `task` holds while it runs, to have these directories alone.

    Their names come before all that begin with a letter: what the job acquires besides comes later, as it must.
    """
    schema: Schema = task.__xpm_schema__
    keys = {_key(task, parameter, partial)[1] for parameter, partial in schema.partials.items()}
    return collected([Need("l", f"0-partial-{key[:_KEY]}", ALL) for key in keys])


def _key(task: Any, parameter: str, partial: Partial) -> tuple[str, str]:
    name = partial.name or parameter
    return name, partial_digest(task, partial, name).hex()
