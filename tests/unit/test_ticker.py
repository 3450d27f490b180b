"""Duties that are done while something else runs."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from xpm_workers import ticker
from xpm_workers.ticker import Ticker

WAIT = 0.3
"""Seconds that each wait takes."""


@pytest.fixture(autouse=True)
def fast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ticker, "FIRST", 0.02)
    monkeypatch.setattr(ticker, "EVERY", 0.01)


def sleeps(_: Path) -> None:
    time.sleep(WAIT)


def reads(_: Path) -> None:
    with subprocess.Popen(["/bin/sh", "-c", f"sleep {WAIT}; echo there"], stdout=subprocess.PIPE) as speaker:
        assert speaker.stdout is not None
        assert os.read(speaker.stdout.fileno(), 100) == b"there\n"


def waits_for_a_process(_: Path) -> None:
    assert subprocess.run(["/bin/sh", "-c", f"sleep {WAIT}; exit 7"], check=False).returncode == 7


def waits_for_a_lock(folder: Path) -> None:
    program = f"import fcntl, time; fcntl.flock(1, fcntl.LOCK_EX); print(flush=True); time.sleep({WAIT})"
    path = folder / "lock"
    with path.open("w") as out, subprocess.Popen([sys.executable, "-c", program], stdout=out) as holder:
        out.close()  # or the lock would be this process's too
        while not path.stat().st_size:
            time.sleep(0.001)
        with path.open() as own:
            fcntl.flock(own, fcntl.LOCK_EX)
        assert holder.wait() == 0


@pytest.mark.parametrize("wait", [sleeps, reads, waits_for_a_process, waits_for_a_lock])
def test_duties_are_done_in_the_middle_of_a_wait_that_goes_on(
    wait: Callable[[Path], None], tmp_path: Path
) -> None:
    times: list[float] = []
    began = time.monotonic()
    with Ticker(times.append):
        wait(tmp_path)
    assert time.monotonic() - began >= WAIT
    assert len(times) >= 3 and times == sorted(times) and times[0] >= 0.02


def test_a_duty_is_not_interrupted_by_the_next() -> None:
    inside: list[int] = []
    duties: list[int] = []

    def duty(_: float) -> None:
        assert not inside
        inside.append(1)
        signal.pause()  # until the next is due
        inside.pop()
        duties.append(1)

    with Ticker(duty):
        while len(duties) < 3:
            signal.pause()


def test_nothing_is_left_behind() -> None:
    before = signal.getsignal(signal.SIGALRM)
    with Ticker(lambda waited: None):
        signal.pause()
    assert signal.getsignal(signal.SIGALRM) is before
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)


def test_an_alarm_that_the_block_sets_for_itself_stays() -> None:
    before = signal.getsignal(signal.SIGALRM)
    rung: list[int] = []
    try:
        with Ticker(lambda waited: None):
            signal.signal(signal.SIGALRM, lambda *_: rung.append(1))
            signal.setitimer(signal.ITIMER_REAL, WAIT)
        time.sleep(2 * WAIT)
        assert rung
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
