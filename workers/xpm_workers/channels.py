"""A worker's connections to zygotes, one for each code that its last jobs ran."""

from __future__ import annotations

import socket
from collections.abc import Callable, Mapping
from typing import Any

from xpm_workers import frames

KEPT = 4
"""Zygotes that a worker stays connected to."""


class Channels:
    """Asks zygotes to run jobs.

    Args:
        zygote: gives the socket of the zygote for a code.
    """

    def __init__(self, zygote: Callable[[str], str]) -> None:
        self._zygote = zygote
        self._open: dict[str, socket.socket] = {}

    def ask(self, code: str, request: Mapping[str, Any]) -> socket.socket:
        """Asks the zygote for `code` to run a job; returns the connection on which it will tell.

        Raises:
            XpmError: the code cannot be loaded.
            OSError: there is no zygote.
        """
        known = self._open.get(code)
        if known is not None:
            try:
                frames.send_request(known, request)
                return known
            except OSError:  # it ended since the last job, which is not this one's fault
                self.forget(code)
        channel = self._connect(code)
        frames.send_request(channel, request)
        return channel

    def _connect(self, code: str) -> socket.socket:
        channel = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        channel.connect(self._zygote(code))
        self._open[code] = channel
        while len(self._open) > KEPT:
            self.forget(next(iter(self._open)))
        return channel

    def forget(self, code: str) -> None:
        """Lets go of the zygote for `code`, which ends what it still runs for this worker."""
        channel = self._open.pop(code, None)
        if channel is not None:
            channel.close()

    def close(self) -> None:
        """Lets go of all zygotes."""
        for code in list(self._open):
            self.forget(code)
