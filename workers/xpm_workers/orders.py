"""What others want of a worker: told from signal handlers and other threads, attended to where it waits."""

from __future__ import annotations

import logging
import os
import select
import socket
import time
from collections import deque

from xpm_workers.board import Wish

log = logging.getLogger("xpm.worker")

RETURN, RETURN_NOW, STOP_JOB = "return", "return now", "stop"


class Orders:
    """The wish of those who stop the worker, and orders about its current job.

    Args:
        pool: the connection to its supervisor, which speaks only when asked.
    """

    def __init__(self, pool: socket.socket | None = None) -> None:
        self._pool = pool
        self._wish = Wish.GO_ON
        self._stops = 0
        self._waiting: deque[str] = deque()
        self.wake, self._bell = os.pipe()
        """`wake` is readable when there are orders."""
        os.set_blocking(self.wake, False)
        os.set_blocking(self._bell, False)

    @property
    def leaving(self) -> bool:
        """Whether no further job is wanted."""
        return self._wish > Wish.GO_ON

    @property
    def stopping(self) -> bool:
        """Whether the current job is not wanted for much longer either."""
        return self._wish >= Wish.STOP

    def stop(self) -> None:
        """Takes no new job; the current one may end within the grace time. Again: hand it back at once."""
        self._stops += 1
        self.obey(Wish.STOP if self._stops == 1 else Wish.STOP_NOW)

    def obey(self, wish: Wish) -> None:
        """Does what the pool wants.

        A signal for all processes of a pool comes twice to a worker, once by way of the pool, and is one wish.
        """
        if wish <= self._wish:
            return
        self._wish = wish
        if wish >= Wish.STOP:
            self._give(RETURN_NOW if wish is Wish.STOP_NOW else RETURN)

    def stop_job(self, job: str, fence: str) -> None:
        """Ends the current job, if it is `job` (RQ's id) in the execution with this fence."""
        self._give(f"{STOP_JOB} {job} {fence}")

    def _give(self, order: str) -> None:
        self._waiting.append(order)
        try:
            os.write(self._bell, b"!")
        except BlockingIOError:  # it is ringing already
            return

    def take(self) -> list[str]:
        """The orders that came since the last look."""
        try:
            os.read(self.wake, 4096)
        except BlockingIOError:
            return []
        orders: list[str] = []
        while self._waiting:  # others may add to them meanwhile
            orders.append(self._waiting.popleft())
        return orders

    @property
    def orphaned(self) -> bool:
        """Whether its pool is gone."""
        # Whatever is to be read between questions is the supervisor's end.
        return self._pool is not None and bool(select.select([self._pool], [], [], 0)[0])

    def confirm(self) -> None:
        """Ends this process if its pool is gone; its job is then ended by the zygote, which sees the connection close."""
        if self.orphaned:
            log.warning("the pool is gone")
            os._exit(1)

    def rest(self, seconds: float) -> None:
        """Sleeps, unless the worker is to stop."""
        self.confirm()  # or who waits for a broker that never comes back would do so for ever
        if self.heard(seconds) and not self.stopping:
            time.sleep(seconds)  # orders about the job stay until it is attended to

    def heard(self, seconds: float) -> bool:
        """Waits for an order; whether there is one."""
        return bool(select.select([self.wake], [], [], seconds)[0])
