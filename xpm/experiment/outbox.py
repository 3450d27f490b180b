"""Where submissions wait for a few milliseconds, so that they go out together."""

from __future__ import annotations

import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from itertools import takewhile
from typing import Generic, TypeVar

TURN = 0.0002
"""Seconds for which a thread that computes keeps the interpreter while something goes out."""

CLOSING = 2.0
"""Seconds for which the end of the thread is waited for."""

T = TypeVar("T")

BATCH = 10_000
"""What goes out at once, at most."""

MANY = 1000
"""With so many waiting, the first does not wait for others."""

PAUSE = 0.003
"""Seconds for which the first waits for others."""

QUIET = 0.02
"""After so many seconds without a submission the first of them goes out at once."""


class Outbox(Generic[T]):
    """Hands what is put in to `send`, in order and in batches, on a thread of its own.

    Args:
        send: takes a batch; what it raises is raised by the next call here, and nothing more goes out.
    """

    def __init__(self, send: Callable[[list[T]], None]) -> None:
        self._send = send
        self._waiting: deque[T] = deque()
        self._wake = threading.Event()
        self._state = threading.Condition()
        self._lasts: list[Callable[[], None]] = []
        self._busy = False
        self._urgent = threading.Event()
        self._sent = float("-inf")
        self._under_way: list[T] = []
        self._dropped = False
        self._closed = False
        self._error: BaseException | None = None
        self._thread: threading.Thread | None = None

    def put(self, item: T) -> None:
        """Adds an item and returns at once."""
        if self._error is not None:
            raise self._error
        self._waiting.append(item)
        if not self._wake.is_set():
            self._wake.set()
            if self._thread is None:
                self._start()

    def flush(self, last: Callable[[], None] | None = None, patience: float | None = None) -> bool:
        """Returns when all that was put in is out; False when it was not within `patience` seconds.

        Args:
            last: done then, on the same thread: what it deals with has one thread at a time.
            patience: None waits as long as it takes.
        """
        if last is not None and self._closed:
            last()
            return True
        with self._state:
            if last is not None:
                self._lasts.append(last)
            if self._pending and self._thread is None:
                self._start()
            self._urgent.set()
            self._wake.set()
            out = self._state.wait_for(lambda: self._error is not None or not self._pending, patience)
            self._urgent.clear()
        if self._error is not None:
            raise self._error
        return out

    def drop(self) -> None:
        """Nothing more goes out; `flush` then waits for what is on its way."""
        self._dropped = True

    def going(self, items: Iterable[T]) -> Iterator[T]:
        """The items, as long as they are to go out: `send` may end its batch with the last of them."""
        return takewhile(lambda _: not (self._dropped or self._closed), items)

    @property
    def left(self) -> list[T]:
        """What has not gone out; the batch that is on its way counts as a whole."""
        return [*self._under_way, *self._waiting]

    def close(self, patience: float = CLOSING) -> bool:
        """Ends the thread after the batch that is under way; what still waits is dropped.

        Returns:
            Whether it has ended within `patience` seconds. One that waits for a broker may never do so.
        """
        with self._state:
            self._closed = True
            self._waiting.clear()
        self._wake.set()
        if self._thread is not None:
            self._thread.join(patience)
            if self._thread.is_alive():
                return False
            self._thread = None
        return True

    @property
    def _going(self) -> bool:
        """Whether something waits that is to go out."""
        return bool(self._waiting) and not self._dropped

    @property
    def _pending(self) -> bool:
        return self._going or bool(self._lasts) or self._busy

    def _start(self) -> None:
        # A daemon, so that a broker that doesn't answer can't keep a failed script from ending.
        self._thread = threading.Thread(target=self._run, name="xpm-outbox", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._closed and self._error is None:
            self._wake.wait()
            if len(self._waiting) < MANY and time.monotonic() - self._sent < QUIET:
                self._urgent.wait(PAUSE)
            self._wake.clear()
            with _turns:
                self._send_all()
            self._sent = time.monotonic()
            with self._state:
                self._busy = False
                self._state.notify_all()

    def _send_all(self) -> None:
        while step := self._take():
            try:
                step()
            except BaseException as error:  # it belongs to the caller's thread, which raises it
                self._error = error
                return

    def _take(self) -> Callable[[], None] | None:
        """What is to be done next; None when that is nothing."""
        with self._state:
            if not self._dropped:
                self._under_way = []
            self._busy = not self._closed and (self._going or bool(self._lasts))
            if not self._busy:
                return None
            if not self._going:
                return self._lasts.pop(0)
            batch = [self._waiting.popleft() for _ in range(min(len(self._waiting), BATCH))]
            self._under_way = batch
            return lambda: self._send(batch)


class _Turns:
    """Lets a thread have its turn soon beside one that computes.

    By default it waits 5 ms for it after each word with the broker and each file: many times what these take.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._users = 0
        self._usual = 0.0

    def __enter__(self) -> None:
        with self._lock:
            self._users += 1
            if self._users == 1:
                self._usual = sys.getswitchinterval()
                sys.setswitchinterval(min(self._usual, TURN))

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._users -= 1
            if not self._users:
                sys.setswitchinterval(self._usual)


_turns = _Turns()
"""Those of this process."""
