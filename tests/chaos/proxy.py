"""A proxy of our own before Redis: it can cut after a request went on and before its reply comes, stall, refuse.

Run as a process, which may stand in another network namespace than Redis: it reaches that by its socket's path.
"""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

CHUNK = 1 << 16
WITHIN = 10.0


class Pair:
    """One client's connection and the one to Redis that belongs to it."""

    def __init__(self, *ends: asyncio.StreamWriter) -> None:
        self.ends = ends
        self.asked = False
        """The last request was the call of a script."""

    def cut(self) -> None:
        for end in self.ends:
            end.transport.abort()


class Relay:
    """What the process does.

    Args:
        target: the socket of Redis.
    """

    def __init__(self, target: str) -> None:
        self._target = target
        self._pairs: set[Pair] = set()
        self._flows = asyncio.Event()
        self._flows.set()
        self._accepts = True
        self._lose = 0
        self._lost = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Stand between a client and Redis until either goes."""
        try:
            if not self._accepts:
                raise ConnectionRefusedError
            back, on = await asyncio.open_unix_connection(self._target)
        except OSError:
            writer.transport.abort()
            return
        pair = Pair(writer, on)
        self._pairs.add(pair)
        ways = [
            asyncio.create_task(self._forward(pair, reader, on)),
            asyncio.create_task(self._answer(pair, back, writer)),
        ]
        await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        pair.cut()
        await asyncio.gather(*ways, return_exceptions=True)
        self._pairs.discard(pair)

    async def _forward(self, pair: Pair, reader: asyncio.StreamReader, on: asyncio.StreamWriter) -> None:
        while data := await reader.read(CHUNK):
            await self._flows.wait()
            pair.asked = b"EVAL" in data
            on.write(data)
            await on.drain()

    async def _answer(self, pair: Pair, back: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await back.read(CHUNK):
            await self._flows.wait()
            if self._lose and pair.asked:  # an answer came: the script has run
                self._lose -= 1
                self._lost += 1
                return
            writer.write(data)
            await writer.drain()

    def obey(self, word: str) -> None:
        """One of: lose, stall, flow, refuse (which also cuts what is there), accept; any other changes nothing."""
        if word == "lose":
            self._lose += 1
        elif word == "stall":
            self._flows.clear()
        elif word == "flow":
            self._flows.set()
        elif word == "refuse":
            self._accepts = False
            for pair in list(self._pairs):
                pair.cut()
        elif word == "accept":
            self._accepts = True

    async def control(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Words by lines, each answered with the number of replies that were lost."""
        while line := await reader.readline():
            self.obey(line.decode().strip())
            writer.write(b"%d\n" % self._lost)
            await writer.drain()


async def run(target: str, control: str, listen: str) -> None:
    relay = Relay(target)
    if listen.startswith("/"):
        await asyncio.start_unix_server(relay.serve, listen)
    else:
        host, _, port = listen.rpartition(":")
        await asyncio.start_server(relay.serve, host, int(port))
    await asyncio.start_unix_server(relay.control, control)  # last: who reaches this reaches all
    await asyncio.Event().wait()


class Proxy:
    """The process, seen from the driver.

    Args:
        folder: where its sockets lie.
        target: the socket of Redis.
        listen: `host:port`; by default a socket in the folder.
        prefix: what runs the command elsewhere.
    """

    def __init__(self, folder: Path, target: Path, listen: str = "", prefix: Sequence[str] = ()) -> None:
        folder.mkdir(parents=True)
        self.url = f"redis://{listen}/0" if listen else f"unix://{folder / 's'}"
        control = str(folder / "c")
        command = [*prefix, sys.executable, __file__, str(target), control, listen or str(folder / "s")]
        self.process = subprocess.Popen(command)
        self._link = self._reach(control)

    def _reach(self, control: str) -> socket.socket:
        from waiting import until

        def reached() -> socket.socket | None:
            assert self.process.poll() is None, "the proxy did not start"
            link = socket.socket(socket.AF_UNIX)
            try:
                link.connect(control)
            except OSError:
                link.close()
                return None
            link.settimeout(WITHIN)
            return link

        return until(reached, WITHIN)

    def say(self, word: str) -> int:
        """Gives an order; returns how many replies were lost so far."""
        self._link.sendall(f"{word}\n".encode())
        return int(self._link.makefile().readline())

    def close(self) -> None:
        self._link.close()
        self.process.kill()
        self.process.wait()


if __name__ == "__main__":
    asyncio.run(run(*sys.argv[1:4]))
