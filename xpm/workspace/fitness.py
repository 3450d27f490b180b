"""Whether a process can work in a workspace at all: if not, its host or user is to blame, and no job is."""

from __future__ import annotations

import errno
import os
import tempfile

from xpm.workspace.paths import MARKER

_FULL = (errno.ENOSPC, errno.EDQUOT)


def hindrance(workspace: str | os.PathLike[str]) -> str:
    """Why this process can make nothing in a workspace; empty if it can.

    A full disk is no such reason: it is full for all hosts, and it is mostly the jobs that have filled it.
    """
    root = os.fspath(workspace)
    if reason := gone(root):
        return reason
    folder = f"{root}/jobs" if os.path.isdir(f"{root}/jobs") else root
    try:
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        return "" if error.errno in _FULL else f"{folder} cannot be written to ({error.strerror})"
    return ""


def gone(workspace: str | os.PathLike[str]) -> str:
    """Why a workspace is not one any more as far as this host sees; empty if it is."""
    try:
        os.stat(os.path.join(workspace, MARKER))
    except OSError as error:
        return f"{os.fspath(workspace)} is no workspace here ({error.strerror}: {MARKER})"
    return ""
