"""What a worker and its supervisor tell each other without a message: a few numbers in memory that both see."""

from __future__ import annotations

import mmap
from enum import IntEnum

from xpm.moments import Moment

ASKED = 1
"""In place of a job's process: one was asked for, and it is not known yet."""


class Wish(IntEnum):
    """What the supervisor wants of a worker; it only grows."""

    GO_ON = 0
    LEAVE = 1
    """Take no new job; the current one may take its time."""
    STOP = 2
    """Take no new job; the current one may end within the grace time, then it is handed back."""
    STOP_NOW = 3
    """Hand the current job back at once."""


_WIDTH = 8


class Numbers:
    """Whole numbers in memory that processes share: made before the fork; each has one writer.

    Args:
        count: how many; they are 0.
    """

    def __init__(self, count: int) -> None:
        self._memory = mmap.mmap(-1, count * _WIDTH)

    def read(self, place: int) -> int:
        """The number at a place."""
        return int.from_bytes(self._memory[place * _WIDTH : (place + 1) * _WIDTH], "little")

    def write(self, place: int, number: int) -> None:
        """Changes the number at a place."""
        self._memory[place * _WIDTH : (place + 1) * _WIDTH] = number.to_bytes(_WIDTH, "little")

    def close(self) -> None:
        """Let go of them."""
        self._memory.close()


class Board:
    """Of one worker and its supervisor."""

    def __init__(self) -> None:
        self._numbers = Numbers(5)

    @property
    def job(self) -> int:
        """Process id of the worker's job, `ASKED` before it is known, 0 if there is none; the worker writes it."""
        return self._numbers.read(0)

    @job.setter
    def job(self, pid: int) -> None:
        self._numbers.write(0, pid)

    @property
    def wish(self) -> Wish:
        """What the supervisor wants; it writes it, and then sends SIGUSR1."""
        return Wish(self._numbers.read(1))

    @wish.setter
    def wish(self, wish: Wish) -> None:
        self._numbers.write(1, wish)

    @property
    def since(self) -> Moment:
        """From when on the lease of the worker's last job counts; the worker writes it."""
        return Moment(self._numbers.read(2), self._numbers.read(3))

    @since.setter
    def since(self, moment: Moment) -> None:
        self._numbers.write(2, moment.steady)
        self._numbers.write(3, moment.wall)

    @property
    def served(self) -> bool:
        """Whether the worker ever had a job."""
        return self.since.steady > 0

    @property
    def frozen(self) -> int:
        """Process id of the job that the supervisor has frozen, 0 if none; it writes it, before it freezes."""
        return self._numbers.read(4)

    @frozen.setter
    def frozen(self, pid: int) -> None:
        self._numbers.write(4, pid)

    def close(self) -> None:
        """Let go of it."""
        self._numbers.close()
