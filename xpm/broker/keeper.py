"""The process that stops a workspace's server when nobody has needed it for a while.

`python -m xpm.broker.keeper WORKSPACE NAMESPACE SECONDS LOCK DATA SOCKET`; one for each server,
started with it and by whoever finds it missing. LOCK is the descriptor of a locked file, which says that
there is one. It holds one connection, looks ten times in the idle time, and ends with its server.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from xpm.broker.embedded import Embedded
from xpm.broker.server import Server
from xpm.settings import places
from xpm.types import Namespace


def main(workspace: str, namespace: str, idle_stop: str, lock: str, data: str, socket: str) -> None:
    """Keeps the server of a workspace."""
    embedded = Embedded(Path(workspace), Namespace(namespace), places(), idle_stop=float(idle_stop))
    embedded.keep(Server(Path(data), Path(socket)))
    os.close(int(lock))
    embedded.keep_again()


if __name__ == "__main__":
    main(*sys.argv[1:])
