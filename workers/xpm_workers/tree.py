"""Process trees: who descends from whom, and signals for all of them.

A job's process is the reaper of its orphans, and the zygote that of the job's process. So as long as a job
runs, all that it started, daemons too, is below its process; and whatever becomes a child of the zygote
itself was left over by a job that has ended.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import signal
import sys
import time
from collections.abc import Collection
from contextlib import suppress

_SET_PDEATHSIG = 1
_SET_CHILD_SUBREAPER = 36
_SIGKILL = int(signal.SIGKILL)
_MUCH, _PART = 1 << 16, 2048
_STATE, _PPID, _THREADS = 0, 1, 17  # in /proc/<pid>/stat, counted from behind the name
_ENDED = (b"Z", b"X")
_STILL = (b"T", b"t", *_ENDED)  # stopped, and traced

_SETTLING = 0.5
"""Seconds after which those are left that don't stand still: the kernel may hold a process in a call for long."""

_LOOK = 0.001
"""Seconds between two looks at whether they do."""

_prctl = ctypes.CDLL(None).prctl if sys.platform == "linux" else None
_LISTS_CHILDREN = os.path.exists(f"/proc/self/task/{os.getpid()}/children")


def die_with(parent: int) -> None:
    """Has the kernel kill this process when `parent`, which must be its parent, dies; where it can."""
    if _prctl is not None:
        _prctl(_SET_PDEATHSIG, _SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)  # it died before the kernel was told


def adopt_orphans() -> None:
    """Makes this process the new parent of orphans below it; where the kernel can."""
    if _prctl is not None:
        _prctl(_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def children(pid: int) -> list[int]:
    """The children of the process `pid`; none when it is gone."""
    if not _LISTS_CHILDREN:
        return [each for each, parent in _parents().items() if parent == pid]
    found: list[int] = []
    try:
        for thread in os.listdir(f"/proc/{pid}/task"):
            with suppress(FileNotFoundError), open(f"/proc/{pid}/task/{thread}/children", "rb") as file:
                found += map(int, file.read().split())
    except (FileNotFoundError, ProcessLookupError):
        return []
    return found


class Children:
    """The children that a process got by its first thread, looked at often: what lists them stays open.

    Args:
        pid: the process.
        above: the least number of the descriptor.
    """

    def __init__(self, pid: int, above: int) -> None:
        self._pid = pid
        self._list: int | None = None
        if _LISTS_CHILDREN:
            found = os.open(f"/proc/{pid}/task/{pid}/children", os.O_RDONLY | os.O_CLOEXEC)
            self._list = fcntl.fcntl(found, fcntl.F_DUPFD_CLOEXEC, above)
            os.close(found)

    def pids(self) -> list[int]:
        """Those that it has now."""
        if self._list is None:
            return children(self._pid)
        found = part = os.pread(self._list, _MUCH, 0)
        while len(part) >= _PART:  # the kernel makes the list in pages
            part = os.pread(self._list, _MUCH, len(found))
            found += part
        return [int(pid) for pid in found.split()]


def descendants(pid: int) -> list[int]:
    """All processes below `pid`, parents before their children."""
    found = children(pid)
    for each in found:  # grows as it goes
        found += children(each)
    return found


def parent(pid: int) -> int | None:
    """The parent of the process `pid`; None when it is gone, or the system does not tell."""
    found = _stat(pid)
    return int(found[_PPID]) if found else None


def is_child(pid: int, of: Collection[int]) -> bool:
    """Whether the process `pid` is a child of one of these; where the system does not tell, it is believed."""
    return parent(pid) in of or not os.path.isdir("/proc/self")


def send(pid: int, signum: int) -> None:
    """Sends a signal; a process that is gone is none's loss."""
    with suppress(ProcessLookupError, PermissionError):
        os.kill(pid, signum)


def signal_tree(root: int, signum: int) -> None:
    """Sends `signum` to `root` and all that is below it.

    To stop or to kill, all are stopped first, each as soon as it is seen, until a look that began when all stood still
    finds nothing new. A stop does not end a fork that is under way (only a fatal signal does, since Linux 4.20), so a
    process may have one more child until it stands still. Where `root` leads a session, whole groups are stopped: the
    kernel does that in one step, while a process that forks and ends at once is gone before its number is used.
    """
    if signum not in (signal.SIGSTOP, signal.SIGKILL):
        for pid in (root, *descendants(root)):
            send(pid, signum)
        return
    seen = _Seen(root)
    deadline = time.monotonic() + _SETTLING
    still = False
    while (seen.look() or not still) and time.monotonic() < deadline:
        still = seen.stand_still()
        if not still:
            time.sleep(_LOOK)  # the kernel tells only a parent that a process has stopped
    if signum == signal.SIGKILL:
        seen.kill()


class _Seen:
    """The processes of a tree that is being stopped."""

    def __init__(self, root: int) -> None:
        self._root = root
        self._stopped: set[int] = set()
        self._ended: set[int] = set()
        self._by_groups = _session(root) == root  # then all groups below are of this tree alone

    def look(self) -> bool:
        """Stops those that are new; whether there was one."""
        before = len(self._stopped) + len(self._ended)
        line, groups = [self._root], set[int]()
        for pid in line:  # grows as it goes
            if pid not in self._ended:
                if pid not in self._stopped:
                    self._stopped.add(pid)
                    self._send(pid, signal.SIGSTOP, groups)
                line += children(pid)
        return len(self._stopped) + len(self._ended) > before

    def stand_still(self) -> bool:
        """Whether all do that were stopped. Those that have ended are not looked at again: there may be thousands."""
        states = [(pid, _stat(pid)) for pid in self._stopped]
        ended = {pid for pid, stat in states if _has_ended(stat)}
        self._stopped -= ended
        self._ended |= ended
        return all(stat[_STATE] in _STILL for pid, stat in states if pid not in ended)

    def kill(self) -> None:
        """Ends them; the first in any case, where the system tells of none."""
        groups: set[int] = set()
        for pid in (self._root, *self._stopped):
            self._send(pid, signal.SIGKILL, groups)

    def _send(self, pid: int, signum: int, groups: set[int]) -> None:
        """To the process, and to its group unless that is among `groups`, which have got the signal."""
        if self._by_groups:
            with suppress(ProcessLookupError, PermissionError):
                group = os.getpgid(pid)
                if group not in groups:
                    groups.add(group)
                    os.killpg(group, signum)
        send(pid, signum)


def kill_trees(roots: set[int]) -> None:
    """Kills the trees below `roots`."""
    for root in roots:
        signal_tree(root, signal.SIGKILL)


def _session(pid: int) -> int | None:
    """The session of the process `pid`; None when it is gone."""
    with suppress(ProcessLookupError, PermissionError):
        return os.getsid(pid)
    return None


def _has_ended(stat: list[bytes]) -> bool:
    """Whether all of a process has: its first thread alone may have, too."""
    return not stat or (stat[_STATE] in _ENDED and int(stat[_THREADS]) <= 1)


def _stat(pid: int) -> list[bytes]:
    """What the kernel tells of a process, from its state on; nothing when it is gone, or the system does not tell."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return file.read().rpartition(b")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return []


def _parents() -> dict[int, int]:
    """The parent of each process, where the kernel doesn't list children."""
    parents: dict[int, int] = {}
    if not os.path.isdir("/proc/self"):
        return parents
    for name in os.listdir("/proc"):
        if name.isdecimal() and (found := parent(int(name))) is not None:
            parents[int(name)] = found
    return parents
