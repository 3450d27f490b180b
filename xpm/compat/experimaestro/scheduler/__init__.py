"""Names of experimaestro: see `xpm.compat`."""

from __future__ import annotations

from xpm.compat.experiments import DirtyGitAction, RunMode, experiment
from xpm.core.state import State as JobState

__all__ = ["DirtyGitAction", "JobState", "RunMode", "experiment"]
