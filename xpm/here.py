"""Who runs this process, and where, as others read it."""

from __future__ import annotations

import os
import pwd
from functools import cache


@cache
def this_user() -> str:
    """The name of the user whose process this is; in a container that has none for it, the number."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return str(os.getuid())


def this_host() -> str:
    """The name of the host that this process is on."""
    return os.uname().nodename


def person() -> str:
    """`user@host`."""
    return f"{this_user()}@{this_host()}"
