"""What all who use the system meanwhile have in common: a thread of their own, and patience with a broker that is away."""

from __future__ import annotations

import threading
from abc import abstractmethod
from collections.abc import Callable
from typing import TypeVar

from xpm.errors import BrokerError

T = TypeVar("T")

LOOK = 0.2
"""Seconds between two looks, or two tries."""


class Person(threading.Thread):
    """One who does things until told to end."""

    def __init__(self, name: str) -> None:
        super().__init__(name=name)
        self.trouble: Exception | None = None
        """What no user should ever see."""
        self._ending = threading.Event()

    def run(self) -> None:
        try:
            self._live()
        except Exception as error:  # of whatever kind: told by the driver, which fails
            self.trouble = error

    def finish(self) -> None:
        """End, when what is under way is answered."""
        self._ending.set()
        self.join()

    @abstractmethod
    def _live(self) -> None:
        """All that the person does, until `_ending` is set."""

    def _patiently(self, call: Callable[[], T]) -> T | None:
        """What `call` gives, tried until the broker answers; None at the end."""
        while True:
            try:
                return call()
            except BrokerError as error:
                if type(error) is not BrokerError and "does not answer" not in str(error):
                    raise
                if self._ending.wait(LOOK):
                    return None
