"""Names of experimaestro: see `xpm.compat`."""

from __future__ import annotations

from xpm.compat.actions import Action, CLIInteraction, Interaction

__all__ = ["Action", "CLIInteraction", "Interaction"]
