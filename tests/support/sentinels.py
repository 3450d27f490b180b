"""A real Sentinel with a master and a replica, for tests."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

import redis
from servers import Server, free_port
from waiting import until


class Watched(NamedTuple):
    """A master, its replica, and the port of a Sentinel that knows both by the name `main`."""

    master: Server
    replica: Server
    port: int


@contextmanager
def watched(binary: str, folder: Path) -> Iterator[Watched]:
    """Starts all three; they end with the block."""
    with ExitStack() as started:

        def start(server: Server) -> Server:
            started.callback(server.close)
            return server.start()

        master = start(Server(binary, port=free_port(), options=("--repl-diskless-sync-delay", "0")))
        of = ("--replicaof", "127.0.0.1", str(master.port))
        replica = start(Server(binary, port=free_port(), options=of))
        with replica.client() as client:
            until(lambda: client.info("replication")["master_link_status"] == "up")
        port = free_port()
        config = folder / "sentinel.conf"
        config.write_text(
            f"sentinel monitor main 127.0.0.1 {master.port} 1\n"
            "sentinel down-after-milliseconds main 300\nsentinel failover-timeout main 1000\n"
        )
        watcher = Server(binary, port=port)
        started.callback(watcher.close)
        command = [binary, str(config), "--sentinel", "--port", str(port), "--dir", str(folder)]
        watcher.process = subprocess.Popen([*command, "--logfile", str(config.with_suffix(".log"))])
        until(lambda: _knows_the_replica(port))
        yield Watched(master, replica, port)


def _knows_the_replica(port: int) -> bool:
    with redis.Redis(port=port, retry=None) as client:
        try:
            return bool(client.execute_command("SENTINEL", "REPLICAS", "main"))
        except redis.ConnectionError:
            return False
