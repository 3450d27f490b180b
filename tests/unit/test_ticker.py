"""Duties that are done while something else runs."""

from __future__ import annotations

import signal
import threading
import time

import pytest

from xpm_workers import ticker
from xpm_workers.ticker import Ticker


@pytest.fixture(autouse=True)
def fast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ticker, "FIRST", 0.02)
    monkeypatch.setattr(ticker, "EVERY", 0.01)


def test_duties_are_done_in_the_middle_of_a_wait_that_goes_on() -> None:
    times: list[float] = []
    lock = threading.Lock()
    lock.acquire()
    with Ticker(times.append):
        began = time.monotonic()
        assert not lock.acquire(timeout=0.3)
        assert time.monotonic() - began >= 0.3
    assert len(times) >= 3 and times == sorted(times) and times[0] >= 0.02


def test_a_duty_is_not_interrupted_by_the_next() -> None:
    inside = []

    def duty(_: float) -> None:
        assert not inside
        inside.append(1)
        time.sleep(0.05)
        inside.pop()

    with Ticker(duty):
        time.sleep(0.2)


def test_nothing_is_left_behind() -> None:
    before = signal.getsignal(signal.SIGALRM)
    with Ticker(lambda waited: None):
        time.sleep(0.05)
    assert signal.getsignal(signal.SIGALRM) is before
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)


def test_an_alarm_that_the_block_sets_for_itself_stays() -> None:
    before = signal.getsignal(signal.SIGALRM)
    rung = threading.Event()
    try:
        with Ticker(lambda waited: None):
            signal.signal(signal.SIGALRM, lambda *_: rung.set())
            signal.setitimer(signal.ITIMER_REAL, 0.05)
        assert rung.wait(5)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
