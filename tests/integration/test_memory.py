"""What the kernel says of processes that it killed for want of memory."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import cgroups
import pytest

from xpm_workers.memory import Memory

HOG = (
    "import os, sys; open(sys.argv[1] + '/cgroup.procs', 'w').write(str(os.getpid())); print(flush=True); input(); \
x = os.urandom(1 << 20) * 200"
)
SLEEPER = "import time; print(flush=True); time.sleep(600)"


def start(*command: str) -> subprocess.Popen[bytes]:
    process = subprocess.Popen(
        [sys.executable, "-c", *command], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdout and process.stdout.read(1)
    return process


@pytest.mark.root
@pytest.mark.parametrize("log", ["/dev/kmsg", "/nowhere"])
def test_a_process_that_took_too_much_memory(tmp_path: Path, log: str) -> None:
    seen = Memory(log)  # which not everybody may read
    seen.begin()
    with cgroups.limited(tmp_path.name, 100 << 20) as group, start(HOG, str(group)) as process:
        if log == "/nowhere":
            assert not seen.look(process.pid)
        process.communicate(b"\n")
        assert process.returncode == -9
        assert seen.killed(process.pid)
        if log == "/nowhere":
            assert not seen.killed(process.pid), "each kill is counted once"


def test_a_process_that_somebody_killed() -> None:
    seen = Memory()
    seen.begin()
    with start(SLEEPER) as process:
        seen.look(process.pid)
        process.kill()
        process.wait()
        assert not seen.killed(process.pid)
