"""Saving and loading as experimaestro's users write it; what is written is xpm's own form."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from xpm.workspace import saving

Folder = str | os.PathLike[str]


def save(obj: Any, save_directory: Folder) -> None:
    """Saves descriptions in a folder."""
    saving.save(obj, save_directory)


def serialize(obj: Any, save_directory: Folder, *, init_tasks: Sequence[Any] = ()) -> None:
    """The same, with what is to be executed on the live objects."""
    saving.save(obj, save_directory, init_tasks=init_tasks)


def load(path: Folder, as_instance: bool = False, partial_loading: bool | None = None) -> Any:
    """What was saved in a folder: descriptions, or live objects.

    Args:
        path: the folder.
        as_instance: make live objects.
        partial_loading: also where classes are gone; by default if live objects are made.
    """
    return saving.load(path, as_instance=as_instance, partial=_partial(as_instance, partial_loading))


def from_task_dir(path: Folder, as_instance: bool = False, partial_loading: bool | None = None) -> Any:
    """The task of the job in a directory: its description, or the live task."""
    return load(path, as_instance, partial_loading)


def deserialize(path: Folder, as_instance: bool = False, partial_loading: bool | None = None) -> Any:
    """What `serialize` has saved: live objects, or the descriptions and the list of the init tasks."""
    if as_instance:
        return load(path, as_instance, partial_loading)
    found = saving.saved_in(path, partial=_partial(as_instance, partial_loading))
    return found.value, list(found.init_tasks)


def _partial(as_instance: bool, given: bool | None) -> bool:
    return as_instance if given is None else given
