"""Names of experimaestro: see `xpm.compat`."""

from __future__ import annotations

from xpm.compat.experiments import DirtyGitAction
from xpm.compat.sheets import ConfigurationBase
from xpm.describe.configuration import configuration

__all__ = ["ConfigurationBase", "DirtyGitAction", "configuration"]
