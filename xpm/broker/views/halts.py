"""What people, RQ's tools and the brake keep from starting."""

from __future__ import annotations

from typing import NamedTuple, cast

from xpm.broker import rq
from xpm.broker.views.asking import Asking
from xpm.core.naming import last_name


class Brake(NamedTuple):
    """A task whose jobs failed alike, so that the rest is held."""

    since: float
    failed: int
    """How many had failed."""
    task: str
    kind: str
    """The type of their failure."""

    def __str__(self) -> str:
        """In a sentence."""
        return f"{self.failed} jobs of {last_name(self.task)} failed alike ({self.kind}): the brake holds the rest"


class HaltViews(Asking):
    """Questions about what is paused, braked, suspended or told to end."""

    def paused(self) -> dict[str, tuple[float, str]]:
        """The queues that are paused: since when, and by whom."""
        found = cast(dict[bytes, bytes], self._ask(lambda: self._client.hgetall(f"{self._prefix}paused")))
        said = {queue.decode(): text.decode().partition(" ") for queue, text in found.items()}
        return {queue: (int(since) / 1000, who) for queue, (since, _, who) in sorted(said.items())}

    def brakes(self) -> list[Brake]:
        """The tasks whose jobs the brake holds, those first that it has held for longest."""
        found = cast(dict[bytes, bytes], self._ask(lambda: self._client.hgetall(f"{self._prefix}brakes")))
        said = [(task.decode(), *text.decode().split(" ", 3)) for task, text in found.items()]
        return sorted(
            (Brake(int(since) / 1000, int(failed), task, kind) for task, since, failed, _, kind in said),
        )

    def suspended(self) -> bool:
        """Whether RQ's tools have suspended all workers."""
        return bool(self._ask(lambda: self._client.exists(rq.SUSPENDED)))

    def dismissed(self) -> set[str]:
        """The workers that were told to end."""
        found = self._ask(lambda: self._client.zrange(f"{self._prefix}dismissed", 0, -1))
        return {name.decode() for name in found}
