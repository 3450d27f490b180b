"""Copies of job directories, made beside and given their name in one step."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from xpm.workspace.results import complete
from xpm.workspace.sharing import link_or_copy


@contextmanager
def published(
    source: Path,
    target: Path,
    copy: Callable[..., Any] = link_or_copy,
    keep_out: Callable[[str | os.PathLike[str], list[str]], set[str]] | None = None,
) -> Generator[Path]:
    """Gives a copy of the folder `source`, which is `target` when the block ends without an error.

    Somebody who was faster is right.

    Args:
        source: the directory of a job.
        target: that of another, which isn't there yet.
        copy: copies a file.
        keep_out: gives the names in a folder that are left out, as for `shutil.copytree`.

    Raises:
        OSError: something can't be read or written.
    """
    draft = target.with_name(f".import-{secrets.token_hex(6)}")
    try:
        shutil.copytree(source, draft, symlinks=True, copy_function=copy, ignore=keep_out)
        yield draft
        try:
            draft.rename(target)
        except OSError:
            if complete(target) is None:
                raise
    finally:
        shutil.rmtree(draft, ignore_errors=True)
