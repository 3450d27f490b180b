"""What jobs have started and nobody looks after: left over when a pool was killed with its workers and zygotes at once.

Such processes belong to process 1 then, or to the system's `systemd --user`. They can publish nothing, but they hold
memory, files and GPUs; so who starts a pool on the host ends them.
"""

from __future__ import annotations

import logging
import os
import signal
from collections.abc import Callable
from pathlib import Path

import psutil

from xpm.broker.views import Views
from xpm.core.state import State
from xpm_workers import tree

log = logging.getLogger("xpm.pool")

_POOL, _ZYGOTE = "xpm_workers.pool", "xpm_workers.zygote"


class Orphans:
    """Those of one workspace on this host.

    Args:
        workspace: its path.
        spared: whether a process is none of a job's, though a job's code has started it.
    """

    def __init__(self, workspace: Path, spared: Callable[[int], bool]) -> None:
        self._workspace = str(workspace)
        self._spared = spared

    def end(self, views: Views) -> bool:
        """Ends those whose execution is over; whether there are others, of an execution that has its lease yet."""
        others = False
        for process in psutil.process_iter():
            try:
                execution = self._execution(process)
            except psutil.Error:  # it has ended, or is another user's
                continue
            if execution is None:
                continue
            if execution and self._runs(views, *execution):
                others = True
                continue
            log.warning("process %d is ended: it is left over from a job", process.pid)
            tree.signal_tree(process.pid, signal.SIGKILL)
        return others

    def _execution(self, process: psutil.Process) -> tuple[str, str] | tuple[()] | None:
        """Job and fence of an orphan; nothing of a forked one, whose zygote is gone in any case; None: it is no orphan."""
        if process.uids().real != os.getuid() or not _is_orphan(process):
            return None
        words = process.cmdline()
        if _POOL in words or self._spared(process.pid):
            return None
        if _ZYGOTE in words:
            return () if self._workspace in words else None
        environ = process.environ()
        if environ.get("XPM_WORKSPACE") != self._workspace or "XPM_FENCE" not in environ:
            return None
        return environ.get("XPM_JOB", ""), environ["XPM_FENCE"]

    def _runs(self, views: Views, job: str, fence: str) -> bool:
        found = views.job(job) if job else None
        return found is not None and found.state is State.RUNNING and found.fence == fence


def _is_orphan(process: psutil.Process) -> bool:
    parent = psutil.Process(process.ppid())
    if parent.pid != 1 and parent.name() != "systemd":
        return False
    # The first process of a container may be a pool, which has zygotes and looks after all.
    return _POOL not in parent.cmdline()
