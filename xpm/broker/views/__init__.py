"""Read-only questions for people and scripts. Nothing here is on a job's way, and nothing changes anything."""

from __future__ import annotations

from xpm.broker.views.graph import GraphViews
from xpm.broker.views.halts import Brake, HaltViews
from xpm.broker.views.jobs import Progress
from xpm.broker.views.runs import RunView, RunViews
from xpm.broker.views.workers import SICK, WorkerView, WorkerViews

__all__ = ["SICK", "Brake", "Progress", "RunView", "Views", "WorkerView"]


class Views(GraphViews, RunViews, WorkerViews, HaltViews):
    """All the questions, over one broker."""
