"""One server process: start it on its data, ask it, end it; what runs holds a lock that dies with it."""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import psutil

from xpm.broker.binary import Program, mark, refuse_older
from xpm.errors import BrokerError

ANSWER = 15.0
"""Seconds after which a live server that says nothing is given up."""

END = 30.0
"""Seconds that a server gets to write its data and end."""

LOG_LIMIT = 1 << 20
"""Bytes above which the log is put aside at a start."""

NO_ROOM = 1 << 16
"""Bytes free on a disk that is as good as full."""

Answer = Literal["ready", "loading", "refused", "silent"]

_STAMP = re.compile(r"^\d+:[A-Z] \d+ \w+ \d+ [\d:.]+ [#*.-] ")


@dataclass(frozen=True, slots=True)
class Server:
    """The server of one data directory, running or not."""

    data: Path
    socket: Path

    @property
    def log(self) -> Path:
        """Where it writes what happens to it."""
        return self.data / "server.log"

    @property
    def pid(self) -> int | None:
        """The process, as far as its file says."""
        try:
            return int((self.data / "server.pid").read_text())
        except (OSError, ValueError):
            return None

    def ping(self, timeout: float = 1.0) -> Answer:
        """Asks the server whether it is there."""
        with socket.socket(socket.AF_UNIX) as link:
            link.settimeout(timeout)
            try:
                link.connect(str(self.socket))
                link.sendall(b"PING\r\n")
                reply = link.recv(64)
            except TimeoutError:
                return "silent"
            except OSError:
                return "refused"
        # With a full disk it refuses this, too, and answers questions.
        if reply.startswith((b"+PONG", b"-MISCONF")):
            return "ready"
        return "loading" if reply.startswith(b"-LOADING") else "refused"

    @property
    def silence(self) -> str:
        """That the server does not answer, and why, as far as that can be seen."""
        pid = self.pid
        with suppress(psutil.Error):
            if pid and psutil.Process(pid).status() == psutil.STATUS_STOPPED:
                return f"does not answer, since somebody has stopped it: kill -CONT {pid}"
        return f"does not answer; the last that it logged: {self.last_words()} (see {self.log})"

    @property
    def alive(self) -> bool:
        """Whether the process is there: it inherited a locked file, which nothing but its end unlocks."""
        try:
            # Not made anew: where it was removed, no server that anybody could watch is there.
            with _opened(self.data / "running", os.O_RDWR) as file:
                return not _locked(file, fcntl.LOCK_SH)  # shared: two that look don't see each other
        except FileNotFoundError:
            return False

    def start(self, program: Program) -> None:
        """Starts the server and returns when it has read its data.

        Raises:
            BrokerError: It can't; the message ends with the last line of its log.
        """
        refuse_older(program, self.data)
        self.socket.unlink(missing_ok=True)
        if self.log.exists() and self.log.stat().st_size > LOG_LIMIT:
            self.log.replace(self.log.with_suffix(".log.1"))
        with _opened(self.data / "running") as running:
            fcntl.flock(running, fcntl.LOCK_EX)  # waits at most for somebody who looks whether it is alive
            try:
                said = subprocess.run(
                    self._command(program),
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT,
                    text=True,
                    cwd=self.data,
                    umask=0o077,
                    pass_fds=[running],
                    start_new_session=True,  # Ctrl-C in the terminal is not for the server
                    check=False,
                )
            except OSError as error:
                raise BrokerError(f"{program.path}: cannot be run: {error.strerror}") from error
        if said.returncode != 0:
            raise BrokerError(f"the server did not start: {_last(said.stdout)} ({program.path})")
        self._await_ready(time.monotonic())
        mark(program, self.data)

    def _command(self, program: Program) -> list[str]:
        return [
            *(program.path, "--daemonize", "yes", "--port", "0"),
            *("--unixsocket", str(self.socket), "--unixsocketperm", "700"),
            *("--dir", str(self.data), "--pidfile", str(self.data / "server.pid")),
            *("--logfile", str(self.log), "--databases", "1"),
            # Plain commands in the append-only file: any newer server, of either family, can read it.
            *("--appendonly", "yes", "--appendfsync", "everysec", "--aof-use-rdb-preamble", "no"),
            *("--save", "", "--maxmemory-policy", "noeviction"),
        ]

    def _await_ready(self, since: float) -> None:
        deadline = max(since + ANSWER, time.monotonic() + 2)
        pause = 0.002
        while (answer := self.ping()) != "ready":
            if not self.alive:
                raise BrokerError(f"the server did not start: {self.last_words()} (see {self.log})")
            if answer == "loading":  # as long as it takes: reading the data ends
                deadline = time.monotonic() + ANSWER
            if time.monotonic() > deadline:
                raise BrokerError(f"the server (process {self.pid}) {self.silence}")
            time.sleep(pause)
            pause = min(2 * pause, 0.05)

    def await_answer(self, since: float | None = None) -> bool:
        """Waits while a live server loads, starts or ends; True once it answers, False when it is gone.

        Args:
            since: when the caller began to wait for it, by `time.monotonic()`; by default now.

        Raises:
            BrokerError: It is there and says nothing.
        """
        if not self.alive:
            return False
        if not self.socket.exists():  # removed under a living server, which nobody can reach any more
            self.end()
            return False
        try:
            self._await_ready(time.monotonic() if since is None else since)
        except BrokerError:
            if self.alive:
                raise
            return False
        return True

    def end(self) -> None:
        """Ends a server that can't be asked to: by a signal, and by force when that isn't heard.

        Raises:
            BrokerError: Something else still holds its data.
        """
        for number in (signal.SIGTERM, signal.SIGKILL):
            self._signal(number)
            if self.await_end():
                return
        raise BrokerError(f"{self.data}: in use by a process that cannot be ended")

    def await_end(self) -> bool:
        """Waits until the process is gone; False if it stays."""
        deadline = time.monotonic() + END
        while self.alive:
            if time.monotonic() > deadline:
                return False
            time.sleep(0.005)
        self.socket.unlink(missing_ok=True)
        return True

    def _signal(self, number: signal.Signals) -> None:
        pid = self.pid
        if pid and self.served_by(pid):
            with suppress(ProcessLookupError):
                os.kill(pid, number)

    def served_by(self, pid: int) -> bool:
        """Whether the process is this server: its number may have gone to another one since."""
        try:
            # It shows its socket in its title.
            return str(self.socket) in " ".join(psutil.Process(pid).cmdline())
        except psutil.Error:
            return False

    def end_lost(self, pid: int) -> bool:
        """Ends a server whose data directory was removed under it, with all by which it is watched; False if none is.

        It can keep nothing any more. Only for whoever may start and stop it.

        Raises:
            BrokerError: It can't be ended.
        """
        if self.alive or not pid or not self.served_by(pid):
            return False
        for number in (signal.SIGTERM, signal.SIGKILL):
            with suppress(ProcessLookupError):
                os.kill(pid, number)
            deadline = time.monotonic() + END
            # It is nobody's child here, and where nobody buries it, its number stays: so it is looked for.
            while (there := self.served_by(pid)) and time.monotonic() < deadline:
                time.sleep(0.005)
            if not there:
                self.socket.unlink(missing_ok=True)
                return True
        raise BrokerError(f"{self.data}: was removed, and its server (process {pid}) cannot be ended")

    def last_words(self) -> str:
        """Why it ended: the last line of the log, without its stamp, unless the log itself had no room."""
        try:
            if shutil.disk_usage(self.data).free < NO_ROOM:
                return "No space left on device"
            return _last(self.log.read_text(errors="replace"))
        except OSError:
            return "no word from it"


def _last(text: str) -> str:
    lines = [line for line in text.splitlines() if line.strip()]
    return _STAMP.sub("", lines[-1]).strip() if lines else "no word from it"


@contextmanager
def _opened(path: Path, flags: int = os.O_RDWR | os.O_CREAT) -> Generator[int]:
    file = os.open(path, flags, 0o600)
    try:
        yield file
    finally:
        os.close(file)


def _locked(file: int, kind: int = fcntl.LOCK_EX) -> bool:
    try:
        fcntl.flock(file, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@contextmanager
def turn(path: Path) -> Generator[None]:
    """One at a time: waits for the lock file `path` and holds it."""
    with _opened(path) as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def inherit(path: Path) -> int | None:
    """Locks the file for a child that will inherit the descriptor; None if somebody holds it."""
    file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    if _locked(file):
        return file
    os.close(file)
    return None
