"""The private server of a workspace: started by whoever needs it first, found again, stopped when idle.

The server is a process of its own on a unix socket that only its user can open. Any script, worker or
command calls `ensure()`; the first starts it, the others find it, and whoever finds it dead starts it
again on its append-only file.
"""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError
from redis.retry import Retry

from xpm.broker import binary, dirs
from xpm.broker.claim import Claim, create, overwrite, read, refuse_foreign
from xpm.broker.keys import prefix
from xpm.broker.names import KEEPER
from xpm.broker.server import Server, inherit, turn
from xpm.core.state import State
from xpm.errors import BrokerError, BrokerUnreachable, BrokerUnsuitable, WorkspaceError
from xpm.settings import Places
from xpm.types import Namespace

log = logging.getLogger("xpm.broker")

PAUSE = 5_000
"""Milliseconds for which no client can write while the server decides to stop."""


@dataclass(frozen=True, slots=True)
class Status:
    """What there is to say about a workspace's server."""

    running: bool
    here: bool
    """Whether it is this host's and this user's to run."""
    url: str
    host: str
    user: str
    pid: int | None
    since: float | None
    """Unix seconds."""
    server: str
    data: str
    log: str
    clients: int = 0
    memory: int = 0
    """Bytes."""
    busy: dict[str, int] | None = None
    """Jobs in the states that keep the server up."""
    silence: str = ""
    """That a server is there that does not answer, and why."""
    lost: bool = False
    """Whether a server is there whose data directory was removed: whoever needs one ends it and starts another."""


class Embedded:
    """The server of one workspace, seen from one process.

    Args:
        workspace: its directory.
        namespace: its name in the broker.
        places: this user's directories.
        idle_stop: seconds after which a server that nobody needs is stopped.
        tell: says what the user should know.
    """

    def __init__(
        self,
        workspace: Path,
        namespace: Namespace,
        places: Places,
        *,
        idle_stop: float = 600.0,
        tell: Callable[[str], None] = log.warning,
    ) -> None:
        self._workspace = workspace
        self._namespace = namespace
        self._places = places
        self._idle_stop = idle_stop
        self._tell = tell
        self._file = workspace / ".xpm" / "broker.json"

    def ensure(self) -> str:
        """The URL of the running server, started if need be.

        Raises:
            BrokerUnreachable: It can't be started, or it is another host's or user's.
            BrokerUnsuitable: The program that there is must not be used.
        """
        try:
            return self._ensured()
        except (BrokerUnreachable, BrokerUnsuitable):
            raise
        except BrokerError as error:  # whatever is in its way: nobody reaches it
            raise BrokerUnreachable(str(error)) from error

    def _ensured(self) -> str:
        began = time.monotonic()
        try:
            claim = self._claim()
            if claim is not None:
                refuse_foreign(self._file, claim)
                server = _server(claim)
                if server.ping() == "ready" and server.alive:
                    self._keep(server)
                    return _url(server)
            with self._turn() as claimed:
                server = self._started(claimed, began)
                self._keep(server)
                return _url(server)
        except OSError as error:  # a full disk, a directory that became unwritable
            raise BrokerError(f"the server did not start: {error.filename}: {error.strerror}") from error

    def status(self) -> Status:
        """What runs where; starts nothing."""
        claim = self._claim()
        if claim is None:
            return Status(False, True, "", "", "", None, None, "", "", "")
        server = _server(claim)
        status = Status(
            running=claim.here and server.alive,
            here=claim.here,
            url=_url(server),
            host=claim.host,
            user=claim.user,
            pid=claim.pid or None,
            since=claim.start,
            server=claim.server,
            data=claim.data,
            log=str(server.log),
            lost=claim.here and not server.alive and server.served_by(claim.pid),
        )
        if not status.running:
            return status
        if (answer := server.ping()) != "ready":
            return replace(status, silence="loads its data" if answer == "loading" else server.silence)
        try:
            with _client(server) as client:
                info = _call(client, "INFO")
                return replace(
                    status,
                    clients=len(_others(client)),
                    memory=int(info["used_memory"]),
                    busy=self._busy(client),
                )
        except RedisError as error:  # it ended, or began to hang, after its answer
            return replace(status, silence=f"does not answer: {error}")

    def stop(self, *, force: bool = False, ignore: tuple[str, ...] = ()) -> bool:
        """Stops the server; False when none was running.

        Args:
            force: Stop in any case.
            ignore: Clients that don't count, by the beginnings of their names.

        Raises:
            BrokerError: Jobs wait or run, or somebody is connected.
        """
        claim = self._claim()
        if claim is None:
            return False
        refuse_foreign(self._file, claim)
        with self._turn() as claimed:
            server = _server(claimed)
            stopped = server.await_answer()
            if stopped:
                with _client(server) as client:
                    self._shutdown(client, force, ignore)
                if not server.await_end():
                    server.end()
            else:
                stopped = server.end_lost(claimed.pid)
            _clear(server)
            with suppress(OSError):  # on a disk that can't be written any more it names a server that is gone
                self._file.unlink(missing_ok=True)
            return stopped

    def keep(self, server: Server) -> None:
        """Watches the server until it has stopped, by itself or for being idle: what the keeper does."""
        with _client(server, KEEPER) as client, suppress(RedisError):
            seen, since = -1, time.monotonic()
            while True:
                time.sleep(self._idle_stop / 10)
                # All connections there ever were: a short visit between two looks counts too.
                connections = _call(client, "INFO", "stats")["total_connections_received"]
                if self._needed(client) or connections != seen:
                    seen, since = connections, time.monotonic()
                elif time.monotonic() - since >= self._idle_stop and self._stopped_idle():
                    return
                if self._abandoned(server, client):
                    return

    def _stopped_idle(self) -> bool:
        try:
            return self.stop()
        except BrokerError:  # somebody came at the last moment
            return False

    def _abandoned(self, server: Server, client: Redis) -> bool:
        """Ends a server whose workspace was removed, or its data, once nobody is connected."""
        if not server.alive:  # nor is the lock there; its socket's name may be another server's by now
            if _others(client):
                return False
            with suppress(RedisConnectionError):
                _call(client, "SHUTDOWN", "NOSAVE")
            return True
        with turn(server.data / "lock"):
            claim = self._claim()
            if (claim is not None and claim.data == str(server.data)) or _others(client):
                return False
            with suppress(RedisConnectionError):
                _call(client, "SHUTDOWN", "NOSAVE")
            if server.await_end():
                _clear(server)
            return True

    def takeover(self) -> None:
        """Makes this host the home of the workspace's server, whatever ran elsewhere."""
        overwrite(self._file, self._mine())

    def _mine(self) -> Claim:
        socket = dirs.sockets(self._places, self._namespace) / "s.sock"
        return Claim(self._namespace, str(socket), str(dirs.data(self._places, self._namespace)))

    def _claim(self) -> Claim | None:
        """The claim, unless it came with a copy of the tree of another workspace."""
        claim = read(self._file)
        return claim if claim is not None and claim.namespace == self._namespace else None

    @contextmanager
    def _turn(self) -> Generator[Claim]:
        """The claim, with the right to start and stop its server.

        Two processes of one user may see different directories (`cron` knows no XDG_STATE_HOME): the
        first claim decides, and its data directory holds the lock.
        """
        while True:
            claim = self._claim()
            if claim is None:
                self._make_claim()
                continue
            refuse_foreign(self._file, claim)
            dirs.private(Path(claim.data))
            with turn(Path(claim.data) / "lock"):
                # Whoever held the lock before may have removed the claim, or answered it.
                now = self._claim()
                if now is not None and now.data == claim.data:
                    yield now
                    return

    def _make_claim(self) -> None:
        mine = self._mine()
        if create(self._file, mine):
            return
        with turn(Path(mine.data) / "lock"):
            if self._claim() is None:
                overwrite(self._file, mine)

    def _started(self, claim: Claim, began: float) -> Server:
        server = _server(claim)
        # Counted from when the caller came: others may have waited for it in vain before, one after the other.
        if server.await_answer(began):
            return server
        if server.end_lost(claim.pid):
            self._tell(
                f"{claim.data} was removed: its server (process {claim.pid}) was ended, and a new one is started"
            )
        # A reboot, a logout or a cleaner may have taken the socket's directory away: take today's.
        told = claim.socket
        claim = replace(claim, socket=str(dirs.sockets(self._places, self._namespace) / "s.sock"))
        server = _server(claim)
        program = binary.find()
        server.start(program)
        try:
            overwrite(self._file, claim.answered(server.pid or 0, str(program)))
        except WorkspaceError:  # a workspace that can only be read: its server is found all the same,
            if told != claim.socket:  # if it is where it was
                raise
        return server

    def keep_again(self) -> None:
        """Hands on to a new keeper when another server has come up while this one was ending."""
        claim = self._claim()
        if claim is not None and claim.here and _server(claim).alive:
            self._keep(_server(claim))

    def _keep(self, server: Server) -> None:
        """Sees that the process is there that stops the server when it is idle."""
        lock = inherit(server.data / "keeper")
        if lock is None:
            return
        whose = (str(self._workspace), self._namespace, str(self._idle_stop))
        keeper = (sys.executable, "-P", "-m", "xpm.broker.keeper", *whose, str(lock))
        try:
            # By way of a shell that ends at once, so that the keeper is nobody's child to wait for.
            subprocess.run(
                ["/bin/sh", "-c", '"$@" &', "sh", *keeper, str(server.data), str(server.socket)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                cwd=server.data,
                pass_fds=[lock],
                start_new_session=True,
                check=False,
            )
        finally:
            os.close(lock)

    def _shutdown(self, client: Redis, force: bool, ignore: tuple[str, ...]) -> None:
        """Decides and stops while nobody can write: what comes later meets a closed door and starts anew."""
        try:
            _call(client, "CLIENT PAUSE", PAUSE, "WRITE")
            needed = "" if force else self._needed(client, ignore)
            if needed:
                _call(client, "CLIENT UNPAUSE")
                raise BrokerError(f"{self._workspace}: the server is in use: {needed}")
            _call(client, "SHUTDOWN", "NOSAVE")
        except RedisConnectionError:
            return
        except RedisError as error:
            raise BrokerError(f"{self._workspace}: the server did not stop: {error}") from error

    def _needed(self, client: Redis, ignore: tuple[str, ...] = ()) -> str:
        parts = [f"{count} {state}" for state, count in self._busy(client).items() if count]
        jobs = f"jobs {', '.join(parts)}" if parts else ""
        others = _others(client, ignore)
        return "; ".join(part for part in (jobs, f"{len(others)} connected" if others else "") if part)

    def _busy(self, client: Redis) -> dict[str, int]:
        """The jobs in the states that need the server; where these are indexed says `keys.py`."""
        head = prefix(self._namespace)
        groups: set[bytes] = _call(client, "SUNION", f"{head}queues", f"{head}groups")
        ready = 0
        for group in groups:
            lanes: list[bytes] = _call(client, "ZRANGE", f"{head}lanes:{group.decode()}", 0, -1)
            ready += sum(
                _call(client, "ZCARD", f"{head}ready:{group.decode()}:{lane.decode()}") for lane in lanes
            )
        return {
            State.READY.value: ready,
            State.RUNNING.value: _call(client, "ZCARD", f"{head}leases"),
            State.SCHEDULED.value: _call(client, "ZCARD", f"{head}s:{State.SCHEDULED}"),
        }


def _others(client: Redis, ignore: tuple[str, ...] = ()) -> list[str]:
    """The names of the other clients."""
    me = str(_call(client, "CLIENT ID"))
    clients: list[dict[str, str]] = _call(client, "CLIENT LIST", "TYPE", "NORMAL")
    return [
        one["name"] for one in clients if one["id"] != me and not one["name"].startswith((KEEPER, *ignore))
    ]


def _server(claim: Claim) -> Server:
    return Server(Path(claim.data), Path(claim.socket))


def _clear(server: Server) -> None:
    """Takes away the socket and its directory."""
    server.socket.unlink(missing_ok=True)
    with suppress(OSError):
        server.socket.parent.rmdir()


def _url(server: Server) -> str:
    return f"unix://{server.socket}"


def _call(client: Redis, command: str, *args: str | int) -> Any:
    return client.execute_command(command, *args)  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]


def _client(server: Server, name: str | None = None) -> Redis:
    return Redis(
        unix_socket_path=str(server.socket),
        retry=Retry(NoBackoff(), 0),
        socket_timeout=10,
        client_name=name,
    )
