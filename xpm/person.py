"""Who sits before this process, as others read it."""

from __future__ import annotations

import os
import pwd
import socket


def person() -> str:
    """`user@host`."""
    try:
        user = pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        user = str(os.getuid())
    return f"{user}@{socket.gethostname()}"
