"""What every job of every system does: one line, with its number and the time. So the count is proven."""

from __future__ import annotations

import os
import time


def mark(n: int) -> int:
    """Notes that job `n` runs now."""
    now = time.time()
    file = os.open(os.environ["BENCH_LOG"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    os.write(file, b"%d %.6f\n" % (n, now))
    os.close(file)
    return n


def marks(path: str) -> list[tuple[int, float]]:
    """The jobs that ran, in the order of their lines, and when."""
    try:
        with open(path) as file:
            lines = file.read().splitlines()
    except FileNotFoundError:
        return []
    return [(int(n), float(at)) for n, at in map(str.split, lines)]


def await_lines(path: str, count: int, patience: float, pause: float = 0.0005) -> bool:
    """Waits until `count` lines are there; False when they didn't come."""
    deadline = time.monotonic() + patience
    seen = lines = 0
    while True:
        try:
            size = os.stat(path).st_size
        except FileNotFoundError:
            size = 0
        if size != seen:
            seen = size
            with open(path, "rb") as file:
                lines = file.read().count(b"\n")
        if lines >= count:
            return True
        if time.monotonic() > deadline:
            return False
        time.sleep(pause)
