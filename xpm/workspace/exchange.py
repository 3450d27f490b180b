"""Two directories change places."""

from __future__ import annotations

import errno
import importlib
import os
from functools import cache
from typing import Any

ASIDE = ".aside"
"""What the name of a folder gets for a moment where two can't be exchanged at one stroke."""
_AT_CWD = -100
_EXCHANGE = 2
_UNKNOWN = frozenset({errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EPERM})


def exchange(one: str, other: str) -> None:
    """What is at `one` is at `other` afterwards, and the other way round: at one stroke, where the file system can.

    Where it can't (NFS), by three renames, between which `other` is missing for a moment and what it was lies at
    `other` with `.aside` behind it.

    Raises:
        FileNotFoundError: one of them isn't there.
        OSError: it could not be done.
    """
    number = _renameat2(one, other)
    if number in _UNKNOWN:
        by_steps(one, other)
    elif number:
        raise OSError(number, os.strerror(number), one, None, other)


def by_steps(one: str, other: str) -> None:
    """The same by three renames."""
    os.rename(other, other + ASIDE)
    try:
        os.rename(one, other)
    except OSError:
        os.rename(other + ASIDE, other)
        raise
    os.rename(other + ASIDE, one)


def _renameat2(one: str, other: str) -> int:
    """The error's number; 0 if there was none."""
    ctypes, call = _function()
    if call is None:
        return errno.ENOSYS
    if call(_AT_CWD, os.fsencode(one), _AT_CWD, os.fsencode(other), _EXCHANGE) == 0:
        return 0
    return ctypes.get_errno()


@cache
def _function() -> tuple[Any, Any]:
    """Glibc's `renameat2`, from 2.28 on; None elsewhere. Loaded late: few processes ever need it."""
    ctypes: Any = importlib.import_module("ctypes")
    return ctypes, getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
