"""Names of experimaestro: see `xpm.compat`."""

from __future__ import annotations

from xpm.compat.configs import PathSerializationLWTask, SerializationLWTask

__all__ = ["PathSerializationLWTask", "SerializationLWTask"]
