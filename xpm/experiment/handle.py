"""What `task.job` gives in a script."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from xpm.core.state import State
from xpm.core.steering import Logged, Touch, Verb
from xpm.experiment.jobs import Jobs
from xpm.types import JobId


@dataclass(frozen=True, slots=True)
class Handle(Logged):
    """The job of a submitted task."""

    id: JobId
    path: Path
    _jobs: Jobs = field(repr=False)

    @property
    def state(self) -> State:
        """Its state, asked now."""
        return self._jobs.state(self.id, self.path)

    def touches(self) -> Touch:
        """What a change of the job touches besides it."""
        return self._jobs.touched([self.id])

    def why(self) -> list[str]:
        """Why it isn't running, one sentence each, the most important first: what `xpm why` prints."""
        return self._jobs.explained(self.id)

    def _steer(self, verb: Verb, value: int = 0) -> bool:
        return self._jobs.steer(verb, [self.id], value) > 0
