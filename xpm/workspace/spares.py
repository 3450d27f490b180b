"""Empty files that become the logs of jobs.

A job that prints nothing leaves no logs. To make two files for it and to remove them again would be dear: file systems
keep what was just removed aside for a while (ext4 for five seconds) and search past it whenever a file is made. So an
empty log is one more name of a spare file, and loses only that name; one that was written to stays with its job, and
another spare takes its place.
"""

from __future__ import annotations

import os
import stat
import time
from contextlib import suppress

FOLDER = ".xpm/spare"
"""Where the spare files lie, below the workspace: on the file system of the jobs."""

_FORGOTTEN = 7 * 86400.0
"""Seconds after which a spare file may be taken for that of a worker that was killed."""

_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC


class Spares:
    """The spare files of one worker, which runs one job at a time.

    Args:
        workspace: its path.
        worker: the worker's name, as no other has it.
    """

    def __init__(self, workspace: str | os.PathLike[str], worker: str) -> None:
        self._folder = os.path.join(workspace, FOLDER)
        self._worker = worker
        self._inodes: dict[str, int] = {}
        """The spare files there are, by the name of the log."""

    def lend(self, name: str, directory: int) -> None:
        """Makes the empty file `name` in an open directory.

        Raises:
            OSError: it can't be made.
        """
        if name not in self._inodes:
            self._make(name)
        if name in self._inodes:
            try:
                os.link(self._path(name), name, dst_dir_fd=directory)
            except OSError:  # removed by somebody; another file system; too many names
                del self._inodes[name]
            else:
                return
        os.close(os.open(name, _NEW, 0o666, dir_fd=directory))

    def take_back(self, name: str, directory: int, *, clean: bool = True) -> None:
        """Removes the log `name` if it is empty.

        Args:
            name: what `lend` was told.
            directory: the same.
            clean: nobody has the file open any more; else it can't be another job's log.
        """
        spare = self._inodes.get(name)
        try:
            found = os.stat(name, dir_fd=directory, follow_symlinks=False)
            if found.st_size == 0 and stat.S_ISREG(found.st_mode):
                os.unlink(name, dir_fd=directory)
                if found.st_ino == spare and clean:
                    return
        except FileNotFoundError:  # the task removed it, and may have written to it before
            pass
        if spare is not None:
            self._drop(name)

    def close(self) -> None:
        """Removes the spare files."""
        for name in list(self._inodes):
            self._drop(name)

    def _make(self, name: str) -> None:
        path = self._path(name)
        try:
            if not self._inodes:
                os.makedirs(self._folder, exist_ok=True)
                self._clear()
            with suppress(FileNotFoundError):
                os.unlink(path)  # of an earlier worker of this name
            descriptor = os.open(path, _NEW, 0o666)
        except OSError:
            return  # a full disk, perhaps: the job's own file then says so
        self._inodes[name] = os.fstat(descriptor).st_ino
        os.close(descriptor)

    def _drop(self, name: str) -> None:
        del self._inodes[name]
        with suppress(OSError):
            os.unlink(self._path(name))

    def _clear(self) -> None:
        """Removes what killed workers left."""
        oldest = time.time() - _FORGOTTEN
        with os.scandir(self._folder) as entries:
            for entry in entries:
                with suppress(FileNotFoundError):
                    if entry.stat(follow_symlinks=False).st_mtime < oldest:
                        os.unlink(entry.path)

    def _path(self, name: str) -> str:
        return f"{self._folder}/{self._worker}.{name}"
