"""What lies on another machine's disks."""

from __future__ import annotations

import os
import re
from pathlib import Path

_NETWORK = re.compile(
    r"nfs|cifs|smb|lustre|gpfs|beegfs|ceph|glusterfs|afs|9p|sshfs|pvfs|orangefs|panfs", re.IGNORECASE
)
_MOUNTS = Path("/proc/self/mountinfo")


def on_network(path: Path, mounts: Path = _MOUNTS) -> bool:
    """Whether `path` lies, or would lie, on a file system of another machine; False where nobody can say."""
    try:
        lines = mounts.read_text().splitlines()
    except OSError:
        return False
    where = os.path.realpath(path)
    best, kind = "", ""
    for line in lines:
        before, _, after = line.partition(" - ")
        point = before.split()[4].replace("\\040", " ")
        if len(point) >= len(best) and (where + "/").startswith(point.rstrip("/") + "/"):
            best, kind = point, after.split()[0]
    return _NETWORK.search(kind) is not None
