"""Whether a process was killed for want of memory: SIGKILL alone doesn't tell.

The kernel counts such kills for each memory cgroup, and for the system, which counts here only where there are no
cgroups; and where this may read the kernel's log, that names the process. The counts are those of all jobs in the
cgroup, so they are looked at often; what lies between two looks is taken for the doing of the job that was killed by
SIGKILL then.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator
from contextlib import suppress

_FRESH = 1.0
"""Seconds for which a look is good enough for a job that begins."""

_OF_THE_SYSTEM = "/proc/vmstat"
_COUNT = re.compile(rb"^oom_kill (\d+)$", re.MULTILINE)
_SLACK = 10.0  # seconds by which the clock of the log may be off
_RECORD = 8192


class Memory:
    """What one worker has seen of the kernel's counts.

    Args:
        log: the kernel's log.
    """

    def __init__(self, log: str = "/dev/kmsg") -> None:
        self._log = log
        self._counts: dict[str, int] = {}
        self._looked = self._began = 0.0

    def begin(self) -> None:
        """A job begins."""
        self._began = time.monotonic()
        if self._began - self._looked > _FRESH:
            self.look()

    def look(self, pid: int = 0) -> bool:
        """Reads the counts again; whether one has risen since the last look.

        Args:
            pid: a process of the job, whose cgroup may be another than this one's; 0 when there is none.
        """
        self._looked = time.monotonic()
        files = set(self._counts) or set(_files("self")) or {_OF_THE_SYSTEM}
        if pid:
            files.update(_files(str(pid)))
        risen = False
        for path in files:
            count = _read(path)
            if count is not None:
                risen = risen or count > self._counts.get(path, count)
                self._counts[path] = count
        return risen

    def killed(self, pid: int) -> bool:
        """Whether the kernel has killed the process `pid`, which ended by SIGKILL, for want of memory."""
        return self.look() or _named(self._log, pid, self._began)


def _files(process: str) -> Iterator[str]:
    """The files with counts that concern a process: its memory cgroup's, and those above."""
    try:
        with open(f"/proc/{process}/cgroup", encoding="utf-8") as file:
            lines = [line.rstrip("\n").split(":", 2) for line in file]
    except (OSError, ValueError):
        return
    for _, controllers, path in lines:
        if controllers == "memory":
            yield from _upwards("/sys/fs/cgroup/memory", path, "memory.oom_control")
        elif not controllers:
            yield from _upwards("/sys/fs/cgroup", path, "memory.events")


def _upwards(root: str, path: str, name: str) -> Iterator[str]:
    parts = [part for part in path.split("/") if part not in ("", "..")]
    for end in range(len(parts), -1, -1):
        found = os.path.join(root, *parts[:end], name)
        if os.path.exists(found):
            yield found


def _read(path: str) -> int | None:
    try:
        with open(path, "rb") as file:
            found = _COUNT.search(file.read())
    except OSError:
        return None
    return int(found.group(1)) if found else None


def _named(path: str, pid: int, since: float) -> bool:
    """Whether the kernel's log says so of this process, from `since` on: numbers of processes come again."""
    wanted = b"Killed process %d " % pid
    earliest = (since - _SLACK) * 1e6
    with suppress(OSError):
        log = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            while True:
                try:
                    record = os.read(log, _RECORD)
                except BrokenPipeError:  # what was next has been overwritten meanwhile
                    continue
                if not record:
                    return False
                if wanted in record and int(record.split(b",", 3)[2]) >= earliest:
                    return True
        finally:
            os.close(log)
    return False
