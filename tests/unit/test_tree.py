"""Who descends from whom."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager

import psutil
import pytest
from waiting import ended, until

from xpm_workers import tree
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


LATE_FORK = """
import os, signal
much = bytearray(200 << 20)
for page in range(0, len(much), 4096):
    much[page] = 1
print("forks", flush=True)
os.fork()
signal.pause()
"""
"""A fork that takes milliseconds, since all those pages are noted for the child."""


@pytest.mark.parametrize("leads", [True, False])
def test_a_fork_that_is_under_way_when_all_is_stopped_gets_nobody_away(leads: bool) -> None:
    with started(LATE_FORK, leads) as parent:
        tree.signal_tree(parent.pid, signal.SIGSTOP)
        found = tree.descendants(parent.pid)
        assert standing(parent.pid, *found)
        tree.signal_tree(parent.pid, signal.SIGKILL)
        until(lambda: all(ended(pid) for pid in found))


CHAINS = """
import os, signal, time
from xpm_workers import tree
tree.adopt_orphans()
last = time.monotonic() + 20
for _ in range(3):
    if os.fork() == 0:
        while time.monotonic() < last:
            if os.fork():
                os._exit(0)
            time.sleep(0.002)  # the processors are for those that stop them, too
        os._exit(0)
print("forks", flush=True)
signal.pause()
"""
"""Children that fork all the time, and end: nobody stops one by its number before it has gone."""


@pytest.mark.parametrize("_", range(10))
def test_processes_that_fork_all_the_time_and_end_are_all_stopped_and_killed(_: int) -> None:
    with started(CHAINS) as root:
        tree.signal_tree(root.pid, signal.SIGSTOP)
        stopped = living(root.pid)
        assert len(stopped) >= 3, "one that has just forked stands beside its child"
        assert standing(*stopped)
        assert living(root.pid) == stopped
        tree.signal_tree(root.pid, signal.SIGKILL)
        until(lambda: all(ended(pid) for pid in stopped))


def standing(*pids: int) -> bool:
    """Whether all stand still, and so have no more children."""
    return all(psutil.Process(pid).status() == psutil.STATUS_STOPPED for pid in pids)


def living(root: int) -> list[int]:
    return [pid for pid in tree.descendants(root) if not ended(pid)]


@contextmanager
def started(program: str, leads: bool = True) -> Generator[subprocess.Popen[bytes]]:
    """A process that has told that it is about to fork."""
    command = [sys.executable, "-c", program]
    with subprocess.Popen(command, stdout=subprocess.PIPE, start_new_session=leads) as process:
        assert process.stdout and process.stdout.readline()
        try:
            yield process
        finally:
            tree.signal_tree(process.pid, signal.SIGKILL)
