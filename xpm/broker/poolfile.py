"""The file of a local pool: locked while the pool lives, it says who that is; beside it stands what is wanted of it."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import time
from dataclasses import asdict, dataclass
from pathlib import Path

LOOKS, PAUSE = 5, 0.01


@dataclass(frozen=True, slots=True)
class Holder:
    """The pool that lives."""

    pid: int
    asked: int
    """The number of workers that it was asked for; 0: as many as there are CPUs."""


class PoolFile:
    """One of the files `pool-*.lock` of a namespace on this host."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._wish = path.with_suffix(".wanted")
        self._descriptor = -1

    # The pool

    def take(self) -> bool:
        """Lock it for the life of this process; False when another pool has it."""
        descriptor = self._open()
        for _ in range(LOOKS):
            if _lock(descriptor):
                break
            time.sleep(PAUSE)  # whoever only looks whether it is held has it for a moment
        else:
            os.close(descriptor)
            return False
        os.ftruncate(descriptor, 0)
        self._wish.unlink(missing_ok=True)
        self._descriptor = descriptor
        return True

    def release(self) -> None:
        """Unlock it while this process goes on: from here on a script may start another pool."""
        os.close(self._descriptor)
        self._descriptor = -1

    def tell(self, asked: int) -> None:
        """Say who has it; from here on the pool listens to SIGUSR1."""
        line = json.dumps(asdict(Holder(os.getpid(), asked))).encode()
        os.ftruncate(self._descriptor, 0)
        os.pwrite(self._descriptor, line, 0)

    def wanted(self) -> int | None:
        """The number of workers that was asked for last, if any."""
        try:
            return int(self._wish.read_text())
        except (FileNotFoundError, ValueError):
            return None

    # Scripts

    def held(self) -> bool:
        """Whether a pool has it."""
        descriptor = self._open()
        try:
            return not _lock(descriptor)
        finally:
            os.close(descriptor)

    def holder(self) -> Holder | None:
        """The pool that has it; None when there is none, or it has only just begun."""
        if not self.held():
            return None
        try:
            return Holder(**json.loads(self.path.read_text()))
        except (OSError, ValueError, TypeError):
            return None

    def want(self, holder: Holder, workers: int) -> None:
        """Ask the pool for another number of workers."""
        draft = self._wish.with_suffix(f".{os.getpid()}")
        draft.write_text(str(workers))
        draft.replace(self._wish)
        self._send(holder, signal.SIGUSR1)

    def dismiss(self, holder: Holder) -> None:
        """Ask the pool to end."""
        self._send(holder, signal.SIGTERM)

    def _send(self, holder: Holder, number: int) -> None:
        if self.holder() != holder:
            return
        try:
            os.kill(holder.pid, number)
        except ProcessLookupError:
            return

    def _open(self) -> int:
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)  # it may be removed at any time
        return os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)


def _lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
