"""Descriptions in folders: saved with the files that belong to them, and loaded again."""

from __future__ import annotations

import json
import os
import secrets
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

from xpm.core.form import Loaded, form_of, value_of
from xpm.core.frozen import thaw
from xpm.core.live import Instances
from xpm.errors import MessageError, WorkspaceError
from xpm.workspace.scripts import find
from xpm.workspace.sharing import link_or_copy

NAME = "description.json"
FILES = "files"

T = TypeVar("T")


def serialize(value: Any, *, init_tasks: Sequence[Any] = ()) -> dict[str, Any]:
    """`value` as data for JSON: a description, or a list, tuple, set or dict with descriptions in it.

    What is shared stays shared; tags, enums, paths and numbers that JSON lacks stay what they are. The form is
    specified in docs/saving.md, and has a JSON Schema.

    Args:
        value: complete descriptions.
        init_tasks: descriptions of `LightweightTask`, executed when live objects are made of it.

    Raises:
        ConfigError: a parameter is missing, or another process could not find a class.
    """
    return form_of(value, init_tasks=init_tasks)


def deserialize(data: Any, *, as_instance: bool = False) -> Any:
    """What `serialize` was given: descriptions that can be changed, or the live objects that they describe.

    Args:
        data: JSON data.
        as_instance: make live objects, and execute the init tasks on them.

    Raises:
        MessageError: `data` is damaged, or was written by a newer xpm.
        ConfigError: a class is not there any more, or has no such parameter.
    """
    return _made(value_of(data, find), as_instance=as_instance)


def save(value: Any, folder: str | os.PathLike[str], *, init_tasks: Sequence[Any] = ()) -> None:
    """Saves `value` in a folder, with the files of its `DataPath` parameters; what was saved there is replaced.

    Files are hard-linked where the file system can do that, else copied. Either all is there in the end, or what was
    there before.

    Args:
        value: a description, or a list, tuple, set or dict with descriptions in it.
        folder: made, if need be; it must be empty, or hold what was saved there before.
        init_tasks: as for `serialize`.

    Raises:
        ConfigError: a parameter is missing, or another process could not find a class.
        WorkspaceError: the folder holds something else, or a file can't be read or written.
    """
    target = Path(folder)
    if target.exists() and not (target / NAME).is_file() and (not target.is_dir() or any(target.iterdir())):
        raise WorkspaceError(f"{target} is no folder of a saved description: name another, or an empty one")
    made = target.with_name(f".{target.name}.{secrets.token_hex(4)}")
    try:
        (made / FILES).mkdir(parents=True)
        form = form_of(value, init_tasks=init_tasks, carry=_Carrier(made))
        if not any((made / FILES).iterdir()):
            (made / FILES).rmdir()
        (made / NAME).write_text(json.dumps(form, indent=1, allow_nan=False) + "\n", "utf-8")
        _replace(made, target)
    except OSError as error:
        raise WorkspaceError(f"can't save to {target}: {error}") from None
    finally:
        shutil.rmtree(made, ignore_errors=True)


def load(folder: str | os.PathLike[str], *, as_instance: bool = False) -> Any:
    """What was saved in a folder: descriptions that can be changed, or the live objects that they describe.

    Args:
        folder: as it was given to `save`; it may have been moved since.
        as_instance: make live objects, and execute the init tasks on them.

    Raises:
        WorkspaceError: nothing was saved there.
        MessageError: it is damaged, or was written by a newer xpm.
        ConfigError: a class is not there any more, or has no such parameter.
    """
    path = Path(folder)
    try:
        data: Any = json.loads((path / NAME).read_text("utf-8"))
    except OSError as error:
        raise WorkspaceError(f"no description is saved in {path}: {error.strerror}") from None
    except ValueError as error:
        raise MessageError(f"{path / NAME} can't be read: {error}") from None
    return _made(value_of(data, find, path.absolute()), as_instance=as_instance)


def _made(loaded: Loaded, *, as_instance: bool) -> Any:
    if not as_instance:
        return loaded.value
    instances = Instances()
    made = thaw(loaded.value, instances.leaf)
    for each in loaded.init_tasks:
        instances.leaf(each).execute()
    return made


class _Carrier:
    """Takes files along into the folder `made`."""

    def __init__(self, made: Path) -> None:
        self.made = made
        self.names: dict[str, str] = {}

    def __call__(self, path: Path) -> str:
        real = os.path.realpath(path)
        if real not in self.names:
            name = f"{FILES}/{len(self.names)}/{path.name}"
            target = self.made / name
            target.parent.mkdir()
            if os.path.isdir(real):
                shutil.copytree(real, target, copy_function=link_or_copy)
            else:
                link_or_copy(real, target)
            self.names[real] = name
        return self.names[real]


def _replace(made: Path, target: Path) -> None:
    """Puts the folder `made` where `target` is."""
    if target.exists():
        old = target.with_name(f"{made.name}.old")
        os.rename(target, old)
        try:
            os.rename(made, target)
        except OSError:
            os.rename(old, target)
            raise
        shutil.rmtree(old, ignore_errors=True)
    else:
        os.rename(made, target)
