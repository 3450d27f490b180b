"""The children of a zygote: jobs, what modules started when they were imported, and what ended jobs left over."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator

from xpm_workers import tree


class Brood:
    """Knows them apart: whatever becomes a child and is neither a job nor kept was left over by a job that has ended.

    Args:
        pid: the zygote.
        above: the least number of a descriptor.
    """

    def __init__(self, pid: int, above: int) -> None:
        self._pid = pid
        self._list = tree.Children(pid, above)
        self._jobs: set[int] = set()
        self._kept: set[int] = set()
        """What modules started, and what did not die."""
        self.left: set[int] = set()
        """What ended jobs left over and is being killed."""

    def add(self, job: int) -> None:
        """The process `job` is one from now on."""
        self._jobs.add(job)

    def keep(self) -> None:
        """Lets live what modules have started on being imported."""
        self._kept |= set(tree.children(self._pid)) - self._jobs - self.left

    def reap(self) -> Iterator[tuple[int, int]]:
        """Buries all that have ended; gives the jobs among them, and `waitpid`'s status of each."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:  # nobody is left
                self.left.clear()
                return
            if pid == 0:
                return
            self._kept.discard(pid)
            self.left.discard(pid)
            if pid in self._jobs:
                self._jobs.discard(pid)
                yield pid, status

    def reap_jobs(self) -> Iterator[tuple[int, int]]:
        """Buries and gives the jobs that have ended; other children may be those of a module that waits for them."""
        for job in list(self._jobs):
            pid, status = os.waitpid(job, os.WNOHANG)
            if pid:
                self._jobs.discard(job)
                yield job, status

    def look(self) -> bool:
        """Looks for what ended jobs have left over; whether there is anything."""
        self.left = self._others()
        return bool(self.left)

    @property
    def clean(self) -> bool:
        """Whether there is nothing such; while modules are imported, what they start cannot be told from it."""
        return not self._others()

    def _others(self) -> set[int]:
        return {pid for pid in self._list.pids() if pid not in self._jobs and pid not in self._kept}

    def kill_left(self) -> None:
        """Kills what was left over, with all that is below it."""
        tree.kill_trees(self.left)

    def give_up(self) -> None:
        """What was left over does not die: it is looked at no more."""
        self._kept |= self.left
        self.left = set()

    def end(self, patience: float) -> None:
        """Kills all, for at most `patience` seconds."""
        deadline = time.monotonic() + patience
        while (left := tree.children(self._pid)) and time.monotonic() < deadline:
            tree.kill_trees(set(left))
            for _ in self.reap():
                continue
            time.sleep(0.001)
