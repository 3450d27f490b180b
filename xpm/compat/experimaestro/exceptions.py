"""Names of experimaestro: see `xpm.compat`."""

from __future__ import annotations

from xpm.compat.experiments import GracefulExperimentExit
from xpm.errors import GracefulTimeout, TaskCancelled

__all__ = ["GracefulExperimentExit", "GracefulTimeout", "TaskCancelled"]
