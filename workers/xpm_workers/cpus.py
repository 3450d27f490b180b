"""How many CPUs this process may use."""

from __future__ import annotations

import math
import os
from pathlib import Path

_CGROUP = Path("/sys/fs/cgroup")


def cpus(root: Path = _CGROUP) -> int:
    """The CPUs of the affinity mask, or fewer where the control group limits them; at least 1.

    Args:
        root: Where the control groups are mounted.
    """
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota = _quota(root)
    return max(1, min(usable, math.ceil(quota))) if quota else usable


def _quota(root: Path) -> float | None:
    """The limit in CPUs, from version 2 (`cpu.max`) or 1 (`cpu.cfs_quota_us`) of control groups."""
    try:
        limit, period = (root / "cpu.max").read_text().split()
    except (OSError, ValueError):
        try:
            limit = (root / "cpu" / "cpu.cfs_quota_us").read_text().strip()
            period = (root / "cpu" / "cpu.cfs_period_us").read_text().strip()
        except OSError:
            return None
    if limit == "max" or int(limit) <= 0 or int(period) <= 0:
        return None
    return int(limit) / int(period)
