"""What was typed to start this process: `xpm run` becomes Python with the script, and leaves word of itself."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence

_MARK = "xpm="


def options(typed: Sequence[str]) -> list[str]:
    """The options of Python by which the process that it starts knows what was typed.

    Any user of the host can see them, so no password may be in `typed`.
    """
    return ["-X", _MARK + shlex.join(typed)]


def words() -> list[str]:
    """The words that started this process, as they were typed."""
    given = sys.orig_argv
    if given[1:2] == ["-X"] and given[2].startswith(_MARK):
        return shlex.split(given[2].removeprefix(_MARK))
    return given
