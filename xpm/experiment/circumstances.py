"""What an experiment submits under: one value for all that deal with it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from xpm.experiment.voice import Voice
from xpm.settings import Settings
from xpm.workspace.layout import Workspace
from xpm.workspace.snapshot import Entry as Start

if TYPE_CHECKING:
    from xpm.cells.source import Cells


class Circumstances(NamedTuple):
    """What an experiment submits under."""

    experiment: str
    workspace: Workspace
    settings: Settings
    priority: int
    """Of tasks that are submitted without one."""
    script: Path | None
    start: Start
    voice: Voice
    cells: Cells | None = None
    """What the cells of this notebook define; None in a script."""
