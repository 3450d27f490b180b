"""Where the embedded server keeps its data and its socket: private, and on this host."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from xpm.errors import BrokerUnreachable
from xpm.here import this_host
from xpm.mounts import on_network
from xpm.settings import Places
from xpm.types import Namespace

SOCKET_LIMIT = 104
"""Bytes that a socket's path may have on every system."""

_LASTING = Path("/var/tmp")


def private(path: Path) -> Path:
    """Makes `path`, for its owner only, and checks that it is so.

    Raises:
        BrokerUnreachable: It is a link, or somebody else's, or open to others.
    """
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = path.lstat()
    except OSError as error:
        hint = "set XDG_STATE_HOME and XDG_RUNTIME_DIR to folders that you may write to"
        raise BrokerUnreachable(f"{path}: cannot be made: {error.strerror}; {hint}") from error
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o077:
        raise BrokerUnreachable(f"{path}: not a directory that only this user can open; remove it")
    return path


def sockets(places: Places, namespace: Namespace) -> Path:
    """The directory of a namespace's socket: in the user's runtime directory, else in the temporary one.

    A runtime directory that is somebody else's (su and sudo may leave the variable) isn't used.

    Raises:
        BrokerUnreachable: Neither can be used.
    """
    if places.runtime is not None and _own(places.runtime):
        path = places.runtime / "xpm" / namespace
        if _fits(path):
            return private(private(path.parent) / namespace)
    path = private(places.temporary / f"xpm-{os.getuid()}") / namespace
    if not _fits(path):
        raise BrokerUnreachable(f"{path}: too long for a socket; set TMPDIR to a shorter directory")
    return private(path)


def data(places: Places, namespace: Namespace) -> Path:
    """The directory of a namespace's data on this host, never on a file system that hosts share.

    Raises:
        BrokerUnreachable: It can't be made.
    """
    name = f"{namespace}@{this_host()}"
    if not on_network(places.state):
        return private(places.state / "brokers" / name)
    return private(private(_LASTING / f"xpm-{os.getuid()}") / name)


def _own(path: Path) -> bool:
    try:
        found = path.stat()
    except OSError:
        return False
    return found.st_uid == os.getuid() and os.access(path, os.W_OK)


def _fits(directory: Path) -> bool:
    return len(os.fsencode(directory / "s.sock")) <= SOCKET_LIMIT
