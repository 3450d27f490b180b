"""Small duties of a process without threads, done while it is busy with something that may never end."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any

FIRST = 1.0
"""Seconds before the first duty: what is done by then was not disturbed at all."""

EVERY = 0.2
"""Seconds between two duties from then on."""


class Ticker:
    """Calls `duty` now and then while its block runs, with the seconds that the block has run.

    It does so from the handler of SIGALRM, on the same thread, between two steps of the interpreter or in the middle
    of a call to the system that waits: that is interrupted, and Python makes it again (PEP 475). A block that hangs
    inside of foreign code which makes its own call again is not reached.
    """

    def __init__(self, duty: Callable[[float], None]) -> None:
        self._duty = duty
        self._began = 0.0
        self._running = False
        self._before: Any = None

    def __enter__(self) -> Ticker:
        self._began = time.monotonic()
        self._running = True
        self._before = signal.signal(signal.SIGALRM, self._on_alarm)
        signal.setitimer(signal.ITIMER_REAL, FIRST, EVERY)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._running = False
        if signal.getsignal(signal.SIGALRM) == self._on_alarm:  # else what ran has a use of its own for it
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, self._before or signal.SIG_DFL)

    def _on_alarm(self, *_: object) -> None:
        if not self._running:  # a signal that came last, or in the middle of a duty
            return
        self._running = False
        try:
            self._duty(time.monotonic() - self._began)
        finally:
            self._running = True
