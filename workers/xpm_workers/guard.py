"""The supervisor's watch over the leases of its workers: a job stands still whose worker can't, or doesn't, renew."""

from __future__ import annotations

import logging
import signal
from collections.abc import Callable

from xpm_workers import tree
from xpm_workers.board import ASKED, Board
from xpm_workers.lease import FROZEN

log = logging.getLogger("xpm.pool")

AGAIN = 1 / 6
"""Part of a lease after which it looks again at a job that stands still."""

LAST = 11 / 12
"""Part of a lease after which a worker ends that has asked for a process and never heard of it."""


class Guard:
    """Freezes the job of one worker at the time at which the worker itself should have.

    The worker may be stopped, hang, or wait for an answer. It thaws the job when a renewal was answered; both look
    again at what the other has written after they have acted, so that whatever their order, a job whose lease was
    renewed does not stay frozen.

    Args:
        worker: its process.
        board: what it writes.
        lease: the length of leases, in seconds.
        owns: whether a process is a job of this pool.
    """

    def __init__(self, worker: int, board: Board, lease: float, owns: Callable[[int], bool]) -> None:
        self._worker = worker
        self._board = board
        self._lease = lease
        self._owns = owns
        self.withdrawn = False
        """The worker was ended, since a process that it had asked for was late."""

    def look(self) -> float:
        """Freezes or thaws the job, if need be; returns the seconds after which it must look again."""
        job = self._board.job
        if not job:
            self._board.frozen = 0
            return self._lease * FROZEN
        left = self._lease * FROZEN - self._board.since.age
        if left > 0:
            self._thaw()
            return left
        if job != ASKED:
            self._freeze(job)
            return self._lease * AGAIN
        left = self._lease * LAST - self._board.since.age
        if left > 0:
            return left
        # Nobody knows the process, if there is one. The zygote ends it when the worker's connection closes.
        self.withdrawn = True
        tree.send(self._worker, signal.SIGKILL)
        return self._lease * AGAIN

    def _freeze(self, job: int) -> None:
        if not self._owns(job):  # it has ended, and its number may be another's
            return
        if self._board.frozen != job:
            log.warning("job process %d stands still: its lease was not renewed", job)
        self._board.frozen = job
        tree.signal_tree(job, signal.SIGSTOP)
        if self._board.since.age < self._lease * FROZEN:
            self._thaw()

    def _thaw(self) -> None:
        job, self._board.frozen = self._board.frozen, 0
        if job and job == self._board.job and self._owns(job):
            tree.signal_tree(job, signal.SIGCONT)
