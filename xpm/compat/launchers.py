"""Launchers, as far as experimaestro's scripts see them: which queue a task goes to, and its environment."""

from __future__ import annotations

from collections.abc import Iterable


class Launcher:
    """Where tasks run: the workers that serve a queue.

    Args:
        connector: not looked at: workers are on their hosts already.
        queue: the queue; None is the experiment's own.
        spec: what was asked for, as text.
    """

    def __init__(self, connector: object = None, *, queue: str | None = None, spec: str = "") -> None:
        self.connector = connector
        self.queue = queue
        self.spec = spec
        self.environ: dict[str, str] = {}
        """What submit hooks give to the job."""

    def setenv(self, name: str, value: str) -> None:
        """The same, of one variable."""
        self.environ[name] = value

    def __repr__(self) -> str:
        return f"{type(self).__name__}(queue={self.queue!r}, spec={self.spec!r})"


class DirectLauncher(Launcher):
    """The same."""


class LocalConnector:
    """This host."""

    @classmethod
    def instance(cls) -> LocalConnector:
        """The one."""
        return cls()


def find_launcher(*specs: object, tags: Iterable[str] = ()) -> Launcher:
    """The launcher for what a task asks for: its queue is the experiment's own, or the one tag's.

    What the specification says of GPUs, memory and time is not looked at: see docs/experimaestro.md.

    Args:
        specs: specifications like `"duration=3h & cuda(mem=4G)*1"`.
        tags: of one tag the queue has the name.
    """
    names = sorted(tags)
    queue = names[0] if len(names) == 1 else None
    return Launcher(queue=queue, spec=" | ".join(str(each) for each in specs))
