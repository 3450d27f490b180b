"""Waiting in tests for what other processes do."""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Callable
from typing import Any

import psutil

LOOK = 0.01
"""Seconds between two looks: what is waited for (a file, a line, a state) rings no bell that a test could hear."""


def until(true: Callable[[], Any], within: float = 60.0) -> Any:
    """Waits until `true()` is, and returns what it found; fails after `within` seconds."""
    deadline = time.monotonic() + within
    while not (found := true()):
        assert time.monotonic() < deadline, f"not within {within} s"
        time.sleep(LOOK)
    return found


def ended(pid: int) -> bool:
    """Whether the process is gone, but for its entry."""
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def left(process: subprocess.Popen[str], timeout: float) -> tuple[str, str]:
    """What a script has written that is to end by itself; if it doesn't, the test tells where each of its threads is.

    The script must run with PYTHONFAULTHANDLER.
    """
    try:
        return process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGABRT)
        out, err = process.communicate()
        raise AssertionError(f"{process.args} does not end in {timeout:g} s\n{out}\n{err}") from None
