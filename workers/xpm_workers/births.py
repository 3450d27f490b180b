"""How the process of a job comes about where its zygote must not fork it, and whether that is so."""

from __future__ import annotations

import os
import signal
import sys
from typing import Any

from xpm_workers import frames, process
from xpm_workers.frames import Frame


def forking_is_safe() -> bool:
    """Whether forking is harmless after what was imported.

    Some libraries (OpenBLAS) stop their threads before a fork and start them again on demand: so a fork
    is tried first, and only what is left of threads counts. What talks to a GPU must not be forked.
    """
    probe = os.fork()
    if probe == 0:
        os._exit(0)
    os.waitpid(probe, 0)
    return threads() == 1 and not _holds_gpu()


def spawn(frame: Frame, workspace: str, channel: int) -> int:
    """Starts a fresh interpreter, where forking would copy threads or a GPU's state; returns its process.

    Args:
        frame: the request.
        workspace: where it can lie until it is read.
        channel: the connection to the worker.

    Raises:
        OSError: there can be no process.
    """
    # Zygotes on other hosts may do the same here.
    path = os.path.join(workspace, ".xpm", f"request-{os.urandom(8).hex()}")
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        os.unlink(path)
        with open(descriptor, "wb", closefd=False) as file:
            file.write(frames.pack(frame))
        os.lseek(descriptor, 0, os.SEEK_SET)
        return os.posix_spawn(
            sys.executable,
            [sys.executable, "-P", "-m", "xpm_workers.process", str(os.getpid())],
            os.environ,
            file_actions=[
                (os.POSIX_SPAWN_DUP2, descriptor, 0),
                (os.POSIX_SPAWN_DUP2, channel, process.CHANNEL),
            ],
            setsigdef=[signal.SIGINT, signal.SIGTERM, signal.SIGCHLD],
        )
    finally:
        os.close(descriptor)


def threads() -> int:
    """The threads of this process."""
    try:
        return os.stat("/proc/self/task").st_nlink - 2  # a folder for each
    except FileNotFoundError:
        threading = sys.modules.get("threading")
        return 1 if threading is None else threading.active_count()


def _holds_gpu() -> bool:
    torch: Any = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_initialized():
        return True
    try:
        return any(_target(each).startswith("/dev/nvidia") for each in os.listdir("/proc/self/fd"))
    except FileNotFoundError:
        return False


def _target(descriptor: str) -> str:
    try:
        return os.readlink(f"/proc/self/fd/{descriptor}")
    except FileNotFoundError:
        return ""  # the one that listed them
