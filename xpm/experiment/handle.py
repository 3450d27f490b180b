"""What `task.job` gives in a script."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from xpm.core.state import State
from xpm.types import JobId


@dataclass(frozen=True, slots=True)
class Handle:
    """The job of a submitted task."""

    id: JobId
    path: Path
    _ask: Callable[[Handle], State] = field(repr=False)

    @property
    def state(self) -> State:
        """Its state, asked now."""
        return self._ask(self)

    @property
    def stdout(self) -> Path:
        """Its standard output; absent when nothing was written."""
        return self.path / "stdout.log"

    @property
    def stderr(self) -> Path:
        """Its standard error; absent when nothing was written."""
        return self.path / "stderr.log"
