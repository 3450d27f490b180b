"""Saved descriptions in repositories of the Hugging Face Hub, through its own library."""

from __future__ import annotations

import importlib
import os
import tempfile
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from xpm import extras
from xpm.errors import UsageError, WorkspaceError
from xpm.workspace.saving import FILES, NAME, load, save

SAVED = [NAME, f"{FILES}/*"]
"""What of a repository is ours."""


def push_to_hub(
    value: Any,
    repo: str,
    *,
    init_tasks: Sequence[Any] = (),
    private: bool | None = None,
    revision: str | None = None,
    message: str = "Save a description",
) -> str:
    """Saves `value`, as `save` does, in a repository of the Hugging Face Hub, which is made if need be.

    What was saved there before is replaced; other files, as the model card, stay. Who pushes is logged in by
    `hf auth login`, or by the variable `HF_TOKEN`.

    Args:
        value: a description, or a list, tuple, set or dict with descriptions in it.
        repo: its name, `user/model`.
        init_tasks: executed when live objects are made of it.
        private: whether a new repository is; None is as the owner has set it.
        revision: the branch, else the main one.
        message: of the commit.

    Returns:
        The address of the commit.

    Raises:
        ConfigError: a parameter is missing, or another process could not find a class.
        WorkspaceError: a file can't be read, or the hub refuses it or doesn't answer.
        UsageError: huggingface-hub is not installed.
    """
    hub = library("push_to_hub")
    with tempfile.TemporaryDirectory() as folder:
        saved = Path(folder, "saved")
        save(value, saved, init_tasks=init_tasks)
        with _told(f"can't push to {repo}"):
            hub.create_repo(repo, private=private, exist_ok=True)
            commit = hub.upload_folder(
                repo_id=repo,
                folder_path=saved,
                revision=revision,
                commit_message=message,
                delete_patterns=SAVED,
            )
    return str(commit.commit_url)


def from_hub(
    repo: str | os.PathLike[str],
    *,
    as_instance: bool = False,
    partial: bool = False,
    revision: str | None = None,
) -> Any:
    """Loads, as `load` does, what `push_to_hub` has saved.

    Its files stay in the cache of the Hugging Face library, and are downloaded once.

    Args:
        repo: the name of a repository, `user/model`, or a folder.
        as_instance: make live objects, and execute the init tasks on them.
        partial: load also what has classes in it that aren't there.
        revision: a branch, a tag or a commit, else the newest one.

    Raises:
        WorkspaceError: nothing was saved there, or the hub doesn't answer.
        MessageError: it is damaged, or was written by a newer xpm.
        ConfigError: a class is not there any more, or has no such parameter.
        UsageError: huggingface-hub is not installed.
    """
    folder = os.fspath(repo)
    if not os.path.isdir(folder):
        folder = downloaded(folder, revision=revision)
    return load(folder, as_instance=as_instance, partial=partial)


def downloaded(repo: str, **options: Any) -> str:
    """The folder with what is saved in a repository.

    Args:
        repo: its name.
        options: those of `huggingface_hub.snapshot_download`.

    Raises:
        WorkspaceError: there is no such repository, or the hub doesn't answer.
        UsageError: huggingface-hub is not installed.
    """
    hub = library("from_hub")
    with _told(f"can't load {repo} from the hub"):
        return hub.snapshot_download(repo, allow_patterns=SAVED, **options)


def library(what: str) -> Any:
    """The module `huggingface_hub`.

    Raises:
        UsageError: it is not installed; the message names `what` needs it.
    """
    try:
        return importlib.import_module("huggingface_hub")
    except ImportError:
        raise UsageError(f"{what} needs huggingface-hub: {extras.install_line('hub')}") from None


@contextmanager
def _told(failed: str) -> Generator[None]:
    """Says errors of the library in one line."""
    errors: Any = importlib.import_module("huggingface_hub.errors")
    wrong = (errors.HTTPError, OSError, ValueError)
    try:
        yield
    except wrong as error:
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        raise WorkspaceError(f"{failed}: {' '.join(lines) or type(error).__name__}") from None
