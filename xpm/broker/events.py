"""The event stream: every transition, in the order in which it happened."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, cast

from xpm.broker.reader import Reader
from xpm.broker.wire import unpack_raw
from xpm.core.state import State
from xpm.types import ShortId


@dataclass(frozen=True, slots=True)
class Event:
    """One transition of one job."""

    job: ShortId
    state: State
    revision: int
    """Grows by one with each transition of the job."""
    runs: tuple[str, ...]
    """The runs that list the job."""
    reason: str


class Events:
    """A reader of the stream that remembers where it is."""

    def __init__(self, broker: Reader, cursor: str = "$") -> None:
        self._broker = broker
        self._cursor: str = cursor if cursor != "$" else self._last()

    def _last(self) -> str:
        name = f"{self._broker.prefix}events"
        found: Any = self._broker.ask(lambda: self._broker.client.xrevrange(name, count=1))
        return found[0][0].decode() if found else "0-0"

    @property
    def cursor(self) -> str:
        """The stream's id up to which this reader has read."""
        return self._cursor

    def read(self, timeout: float, limit: int = 1000) -> list[Event]:
        """The transitions since the last call; blocks up to `timeout` seconds for the first."""
        name = f"{self._broker.prefix}events"
        client = self._broker.client
        found = self._broker.block(
            lambda seconds: client.xread(
                {name: self._cursor}, count=limit, block=max(1, int(seconds * 1000))
            ),
            timeout,
        )
        events: list[Event] = []
        for cursor, fields in _entries(found):
            self._cursor = cursor.decode()
            for job, state, revision, runs, reason in unpack_raw(fields[b"t"]):
                listed = tuple(runs.decode().split())
                events.append(
                    Event(
                        ShortId(job.decode()), State(state.decode()), int(revision), listed, reason.decode()
                    )
                )
        return events


def _entries(found: Any) -> Iterator[tuple[bytes, dict[bytes, bytes]]]:
    """The entries of one stream; RESP 2 answers with a list of pairs, RESP 3 with a mapping."""
    if not found:
        return
    entries: Any = cast(Any, found)[0][1] if isinstance(found, list) else next(iter(found.values()))[0]
    yield from entries
