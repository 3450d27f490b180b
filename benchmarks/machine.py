"""What the figures were measured on."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from xpm.broker import binary

FAST = 15.0
"""Milliseconds that `python -c pass` may take on a machine for which absolute targets hold unscaled."""


def process_ms(command: Sequence[str], runs: int = 11, env: dict[str, str] | None = None) -> list[float]:
    """Milliseconds of a whole process, sorted; it must succeed."""
    times: list[float] = []
    for _ in range(runs):
        begun = time.perf_counter()
        subprocess.run(command, check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, env=env)
        times.append((time.perf_counter() - begun) * 1e3)
    return sorted(times)


def describe() -> dict[str, Any]:
    """The machine."""
    return {
        "cpu": _cpu(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "python_pass_ms": round(statistics.median(process_ms([sys.executable, "-c", "pass"])), 2),
        "load": round(os.getloadavg()[0], 2),
    }


def versions() -> dict[str, str]:
    """What xpm itself runs on."""
    found = {
        name: importlib.metadata.version(name)
        for name in ("xpm-experiments", "redis", "hiredis", "msgpack", "numpy")
    }
    return {"server": str(binary.find()), "commit": _commit(), **found}


def scale(machine: dict[str, Any]) -> float:
    """By what absolute targets are multiplied: more than 1 on a slow machine."""
    return max(1.0, machine["python_pass_ms"] / FAST)


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def _commit() -> str:
    command = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout.strip() or "unknown"
