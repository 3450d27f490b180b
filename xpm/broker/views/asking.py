"""How a question is put to the broker; what the questions share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from xpm.broker.reader import Reader, clock

CHUNK = 500
"""Keys that one call asks for."""


class Asking:
    """Questions to one broker."""

    def __init__(self, broker: Reader) -> None:
        self._broker = broker
        self._client: Any = broker.client
        self._prefix = broker.prefix

    def close(self) -> None:
        """Closes the connections; a later question opens them again."""
        self._client.close()

    def now(self) -> float:
        """The broker's time."""
        return clock(self._broker)

    def _ask(self, question: Callable[[], Any]) -> Any:
        return self._broker.ask(question)

    def _pages(self, scan: Callable[[int], Any]) -> Iterator[Any]:
        """What one of Redis' SCAN commands finds, page by page: each is a question of its own."""
        at = 0
        while True:
            at, page = self._ask(lambda at=at: scan(at))
            yield page
            if not at:
                return
