"""Finds and ends what a test left running."""

from __future__ import annotations

import os

import psutil


def processes(variable: str, value: str) -> list[psutil.Process]:
    """The processes, this one aside, whose environment was started with `variable=value`."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.pid != os.getpid() and process.environ().get(variable) == value:
                found.append(process)
        except (psutil.NoSuchProcess, psutil.AccessDenied, psutil.ZombieProcess):
            continue
    return found


def end(left: list[psutil.Process]) -> None:
    """Kills the given processes and waits until they are gone."""
    for process in left:
        try:
            process.kill()
        except psutil.NoSuchProcess:
            continue
    psutil.wait_procs(left, timeout=5)
