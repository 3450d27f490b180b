"""Names of experimaestro: see `xpm.compat`."""

from __future__ import annotations

from xpm.compat.sheets import ConfigurationBase, ExperimentHelper
from xpm.describe.configuration import configuration

__all__ = ["ConfigurationBase", "ExperimentHelper", "configuration"]
