"""The environment that jobs get: variables beside those that their worker has."""

from __future__ import annotations

import json
from collections.abc import Mapping

from xpm.errors import UsageError

LONGEST = 8192
"""Characters that the packed variables may have: each job of the broker holds them."""

OURS = "XPM_"


def checked_variable(name: object, value: object) -> tuple[str, str]:
    """A variable that a job can get.

    Raises:
        UsageError: no variable can have this name or value, or it is one of xpm's own.
    """
    if not isinstance(name, str) or not name or "=" in name or "\0" in name:
        raise UsageError(f"setenv(): expected the name of a variable, got {name!r}")
    if name.startswith(OURS):
        raise UsageError(f"setenv(): {name} is xpm's own; jobs get it from their worker")
    if not isinstance(value, str) or "\0" in value:
        raise UsageError(f"setenv(): {name}: expected a text, got {value!r}")
    return name, value


def pack_environ(environ: Mapping[str, str]) -> str:
    """Variables as the broker keeps them; empty for none.

    Raises:
        UsageError: they take too much room.
    """
    if not environ:
        return ""
    packed = json.dumps(environ, sort_keys=True, separators=(",", ":"))
    if len(packed) > LONGEST:
        raise UsageError(
            f"setenv(): the variables take {len(packed):,} characters, at most {LONGEST:,} are kept"
        )
    return packed


def unpack_environ(packed: str) -> dict[str, str]:
    """What `pack_environ` was given."""
    return json.loads(packed) if packed else {}
