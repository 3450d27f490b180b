"""Memory cgroups for tests, where they can be made."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from waiting import until

KINDS = (
    (Path("/sys/fs/cgroup/memory"), "memory.limit_in_bytes"),
    (Path("/sys/fs/cgroup"), "memory.max"),
)


@contextmanager
def limited(name: str, size: int) -> Iterator[Path]:
    """A cgroup whose processes have so many bytes; skips the test where there can be none."""
    made = _make(name[-20:], size)
    if made is None:
        pytest.skip("no memory cgroup can be made here")
    try:
        yield made
    finally:
        until(lambda: not (made / "cgroup.procs").read_text())
        made.rmdir()


def _make(name: str, size: int) -> Path | None:
    for root, limit in KINDS:
        made = root / f"xpm-test-{os.getpid()}-{name}"
        try:
            made.mkdir()
        except OSError:
            continue
        try:
            (made / limit).write_text(str(size))
        except OSError:
            made.rmdir()
            continue
        return made
    return None
