"""What people do to jobs, as Python offers it: the same verbs on a job and on an experiment."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal, NamedTuple, Protocol

Verb = Literal["cancel", "hold", "kill", "priority", "release", "rerun", "retry"]


class Touch(NamedTuple):
    """What a change of a job touches besides the job itself."""

    dependents: int
    """Jobs that were not started and need it, directly or not; 1,000 at most are counted."""
    experiments: Mapping[str, int]
    """How many of the jobs in question each experiment lists."""


class Steered(Protocol):
    """A job that can be steered. Each verb returns whether it changed anything: what has ended stays as it is."""

    def _steer(self, verb: Verb, value: int = 0) -> bool: ...

    def touches(self) -> Touch:
        """What a change of the job touches besides it: a preview of the verbs below."""
        ...

    def why(self) -> list[str]:
        """Why it isn't running, one sentence each, the most important first: what `xpm why` prints."""
        ...

    def kill(self) -> bool:
        """Ends its execution, if it runs: it is in ERROR soon, unless its result comes first."""
        return self._steer("kill")

    def cancel(self) -> bool:
        """The experiment gives it up; it is cancelled, or stopped, if no other experiment wants it."""
        return self._steer("cancel")

    def hold(self) -> bool:
        """Keeps it from starting until it is released; one that runs goes on."""
        return self._steer("hold")

    def release(self) -> bool:
        """Lets it go, if a person or the brake holds it."""
        return self._steer("release")

    def retry(self) -> bool:
        """Runs it again with fresh budgets, if it failed, was cancelled or lost."""
        return self._steer("retry")

    def rerun(self, *, with_dependents: bool = False) -> bool:
        """Runs it again though it is done; its result stays until there is a new one, or for good if there is none.

        Args:
            with_dependents: also what depends on it, directly or not, and is done.
        """
        return self._steer("rerun", int(with_dependents))

    def priority(self, value: int) -> bool:
        """Sets its priority, from -4095 to 4095: higher starts first."""
        return self._steer("priority", value)


class Logged(Steered, Protocol):
    """A job whose directory is known, and with it its logs."""

    path: Path

    @property
    def stdout(self) -> Path:
        """Its standard output; absent when nothing was written."""
        return self.path / "stdout.log"

    @property
    def stderr(self) -> Path:
        """Its standard error; absent when nothing was written."""
        return self.path / "stderr.log"
