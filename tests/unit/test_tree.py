"""Who descends from whom."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

from xpm_workers.tree import Children, children

ABOVE = 50


def test_children_come_and_go() -> None:
    here = Children(os.getpid(), above=ABOVE)
    assert here.pids() == children(os.getpid())
    before = set(here.pids())
    with subprocess.Popen(["sleep", "60"]) as one, subprocess.Popen(["sleep", "60"]) as two:
        assert set(here.pids()) == before | {one.pid, two.pid}
        one.send_signal(signal.SIGKILL)
        one.wait()
        assert set(here.pids()) == before | {two.pid}
        two.kill()
    assert set(here.pids()) == before


def test_more_children_than_the_kernel_tells_at_once() -> None:
    many = 1000
    program = f"""
import os, signal
from xpm_workers.tree import Children
here = Children(os.getpid(), above={ABOVE})
made = []
for _ in range({many}):
    made.append(os.fork())
    if not made[-1]:
        signal.pause()
assert set(here.pids()) == set(made), len(here.pids())
for pid in made:
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
assert here.pids() == []
"""
    subprocess.run([sys.executable, "-c", program], check=True)
