"""Finds and ends what a test left running."""

from __future__ import annotations

import os
import time
from pathlib import Path

import psutil


def processes(home: Path) -> list[psutil.Process]:
    """The processes, this one aside, that were started with the test's `home`.

    It shows in their environment, and in the command line of a server, which writes over its environment.
    """
    found = []
    for process in psutil.process_iter():
        try:
            known = [process.environ().get("HOME", ""), *process.cmdline()]
            if process.pid != os.getpid() and any(str(home) in one for one in known):
                found.append(process)
        except (psutil.NoSuchProcess, psutil.AccessDenied, psutil.ZombieProcess):
            continue
    return found


def end(left: list[psutil.Process]) -> None:
    """Kills the given processes and waits until they have ended, reaped or not."""
    for process in left:
        try:
            process.kill()
        except psutil.NoSuchProcess:
            continue
    deadline = time.monotonic() + 5
    while any(map(_runs, left)) and time.monotonic() < deadline:
        time.sleep(0.002)


def _runs(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
