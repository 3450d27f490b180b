"""Names of experimaestro: see `xpm.compat`."""

from __future__ import annotations

from xpm.core.fields import ParameterGroup, Partial, param_group, partial

__all__ = ["ParameterGroup", "Partial", "param_group", "partial"]
