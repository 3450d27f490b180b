"""What a resumable job has saved goes on into the directory of its next execution.

By then the directory of the last one lies in `.xpm/stale/<n>` of the new one. An execution whose end was seen writes no
more: its files are moved, which costs nothing. One that was lost may live, frozen or cut off, and still hold its files
open: they are copied (shared until one side writes, where the file system can), so that whatever it writes stays in
its own.
"""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Callable
from contextlib import suppress

CARRIED = ".xpm/carried"
"""Is there when all was carried over: without it, the directory before has what is missing."""

_DRAFT = ".xpm/carrying"
_CLONE = 0x40049409  # FICLONE: the two files share their blocks until one is written
_PART = 16 << 20


def carry(
    path: str, stale: str, kept_out: frozenset[str], lives: Callable[[str], bool], pulse: Callable[[], None]
) -> None:
    """Carries over what earlier executions have saved.

    Args:
        path: the new directory.
        stale: the folder in it with the earlier ones, numbered from 1.
        kept_out: what stays with the execution that it belongs to.
        lives: whether the execution of a directory may still be at work.
        pulse: called now and then.

    Raises:
        OSError: something cannot be carried over; the next execution finds it all the same.
    """
    shutil.rmtree(f"{path}/{_DRAFT}", ignore_errors=True)
    numbers = sorted(int(name) for name in os.listdir(stale) if name.isdecimal())
    for number in reversed(numbers):
        source = f"{stale}/{number}"
        take = _copy if lives(source) else _move
        for name in sorted(os.listdir(source)):
            if name not in kept_out and not os.path.lexists(f"{path}/{name}"):
                take(f"{source}/{name}", f"{path}/{name}", f"{path}/{_DRAFT}", pulse)
        if os.path.exists(f"{source}/{CARRIED}"):
            break
    os.close(os.open(f"{path}/{CARRIED}", os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o666))


def _move(source: str, target: str, draft: str, pulse: Callable[[], None]) -> None:
    del draft, pulse  # it is done in one step
    os.rename(source, target)


def _copy(source: str, target: str, draft: str, pulse: Callable[[], None]) -> None:
    """Copies under another name first, so that what is there under its own is whole."""
    _copy_any(source, draft, pulse)
    if os.path.lexists(draft):
        os.rename(draft, target)


def _copy_any(source: str, target: str, pulse: Callable[[], None]) -> None:
    pulse()
    with suppress(FileNotFoundError):  # its owner may still remove things
        if os.path.islink(source):
            os.symlink(os.readlink(source), target)
        elif os.path.isdir(source):
            os.mkdir(target)
            for name in os.listdir(source):
                _copy_any(f"{source}/{name}", f"{target}/{name}", pulse)
            shutil.copystat(source, target)
        elif os.path.isfile(source):  # neither sockets nor pipes
            _copy_file(source, target, pulse)
            shutil.copystat(source, target)


def _copy_file(source: str, target: str, pulse: Callable[[], None]) -> None:
    with open(source, "rb") as old, open(target, "xb") as new:
        with suppress(OSError):
            fcntl.ioctl(new, _CLONE, old.fileno())
            return
        while part := old.read(_PART):
            new.write(part)
            pulse()
