"""What a worker and its supervisor tell each other without a message: a few numbers in memory that both see."""

from __future__ import annotations

import mmap
from enum import IntEnum


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


class Board:
    """Made before the fork; each number has one writer."""

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, 2 * _WIDTH)

    @property
    def job(self) -> int:
        """Process id of the worker's job, 0 if none; the worker writes it."""
        return self._read(0)

    @job.setter
    def job(self, pid: int) -> None:
        self._write(0, pid)

    @property
    def wish(self) -> Wish:
        """What the supervisor wants; it writes it, and then sends SIGUSR1."""
        return Wish(self._read(1))

    @wish.setter
    def wish(self, wish: Wish) -> None:
        self._write(1, wish)

    def close(self) -> None:
        """Let go of it."""
        self._memory.close()

    def _read(self, place: int) -> int:
        return int.from_bytes(self._memory[place * _WIDTH : (place + 1) * _WIDTH], "little")

    def _write(self, place: int, number: int) -> None:
        self._memory[place * _WIDTH : (place + 1) * _WIDTH] = number.to_bytes(_WIDTH, "little")
