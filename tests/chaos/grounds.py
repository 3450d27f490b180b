"""Where it happens: a server, two pools behind a proxy each, dashboards, and the processes of all of them."""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import leftovers
import psutil
from clock import Clock
from farm import Farm
from hosts import Hosts, hosts
from ledger import note
from proxy import Proxy
from servers import Server, free_port
from shapes import TASKS

from xpm.broker.broker import Broker
from xpm.broker.connect import open_client
from xpm.broker.views import Views
from xpm.errors import BrokerError
from xpm_workers import tree

LEASE = 2.0
POOLS = 2
SLOTS = 2

GAVE_UP = (1, 3)
"""Exit statuses of a pool whose workers died one after the other soon after their birth, or that found no Redis."""

SERVE = "import sys; from xpm.web.rqdashboard import serve; serve(sys.argv[1], port=int(sys.argv[2]))"


@dataclass
class Pool:
    """A pool of workers, started again whenever it is gone."""

    number: int
    url: str
    environ: dict[str, str]
    prefix: Sequence[str] = ()
    process: subprocess.Popen[bytes] | None = None
    starts: int = 0
    ends: list[int] = field(default_factory=list)
    """Exit statuses of those that ended by themselves."""

    @property
    def name(self) -> str:
        return f"p{self.number}"

    @property
    def pid(self) -> int:
        return self.process.pid if self.process is not None and self.process.poll() is None else 0


class Grounds:
    """All that runs, and how to reach it.

    Args:
        folder: where all files lie.
        server: Redis, with its append-only file.
        made: the hosts that the pools stand on, if they have some of their own.
    """

    def __init__(self, folder: Path, server: Server, made: Hosts | None = None) -> None:
        self.server = server
        self.hosts = made
        self.ledger = folder / "ledger"
        self.log = folder / "pools.log"
        self.token = f"chaos-{secrets.token_hex(6)}"
        self.stack = ExitStack()
        sockets = server.directory  # a short path
        self.scripts = Proxy(sockets / "scripts", server.socket)
        self.stack.callback(self.scripts.close)
        self.farm = Farm(folder, self.scripts.url, TASKS)
        self.stack.callback(self.farm.close)
        self.broker = Broker(self.farm.client, self.farm.workspace.namespace, lease=LEASE)
        self.farm.broker = self.broker
        self.direct = Broker(
            open_client(server.url, timeout=2.0, patience=0.0), self.farm.workspace.namespace, lease=LEASE
        )
        self.views = Views(self.direct)
        self.proxies: list[Proxy] = []
        self.pools: list[Pool] = []
        self.clocks: list[Clock] = []
        for number in range(POOLS):
            self._place(number, folder)
        self.dashboards: list[str] = []

    def _place(self, number: int, folder: Path) -> None:
        environ = {"CHAOS_POOL": f"p{number}", "CHAOS_TOKEN": self.token}
        sockets, prefix = self.server.directory / f"p{number}", ()
        if self.hosts is None:
            proxy = Proxy(sockets, self.server.socket)
        else:
            self.clocks.append(Clock(folder / f"clock{number}"))
            environ |= self.clocks[-1].environ
            prefix = self.hosts.inside(str(number))
            listen = f"{self.hosts.hub(number)}:6379"
            proxy = Proxy(sockets, self.server.socket, listen, self.hosts.inside("hub"))
        self.stack.callback(proxy.close)
        self.proxies.append(proxy)
        self.pools.append(Pool(number, proxy.url, environ, prefix))

    # Pools

    def start(self, pool: Pool) -> None:
        command = [*pool.prefix, sys.executable, "-m", "xpm_workers.pool", "--broker", pool.url]
        command += ["--workspace", str(self.farm.workspace.path), "--slots", str(SLOTS)]
        environ = {**os.environ, **pool.environ, "XPM_LEASE": str(LEASE), "XPM_GRACE": "5"}
        with self.log.open("ab") as log:
            pool.process = subprocess.Popen(
                command, env=environ, stdout=log, stderr=log, start_new_session=True
            )
        pool.starts += 1

    def tend(self) -> None:
        """Starts pools that have ended, as a service manager does."""
        for pool in self.pools:
            if pool.process is not None and (status := pool.process.poll()) is not None:
                if status != -signal.SIGKILL:
                    assert status in GAVE_UP, f"{pool.name} ended with {status}: {self.told()}"
                    pool.ends.append(status)
                self.start(pool)
        self._wake_the_sick()

    def _wake_the_sick(self) -> None:
        """A pool on which jobs died one after the other gets no more until somebody starts it anew."""
        try:
            sick = {worker.pool.split(".")[-2] for worker in self.views.workers() if worker.suspects}
        except BrokerError:
            return
        for pool in self.pools:
            if pool.process is not None and str(pool.pid) in sick:
                self.note(f"{pool.name} gets no more jobs: it is started anew")
                pool.process.kill()

    def end_pools(self) -> None:
        """Asks all pools to end, and waits until they have."""
        for pool in self.pools:
            if pool.process is not None:
                pool.process.send_signal(signal.SIGTERM)
        for pool in self.pools:
            if pool.process is not None:
                status = pool.process.wait(60)
                # The second: it had just been started again.
                assert status in (0, -signal.SIGTERM, *GAVE_UP), f"{pool.name} ended with {status}"

    # Processes

    def zygotes(self, pool: Pool) -> list[int]:
        return [pid for pid in tree.children(pool.pid) if _is_zygote(pid)] if pool.pid else []

    def workers(self, pool: Pool) -> list[int]:
        return [pid for pid in tree.children(pool.pid) if not _is_zygote(pid)] if pool.pid else []

    def jobs(self, pool: Pool) -> list[int]:
        return [job for zygote in self.zygotes(pool) for job in tree.children(zygote)]

    def family(self, pool: Pool) -> list[int]:
        return [pool.pid, *tree.descendants(pool.pid)] if pool.pid else []

    def left(self) -> list[psutil.Process]:
        """Processes of any pool, or of its jobs, that are still there."""
        found = []
        for process in psutil.process_iter():
            try:
                if process.environ().get("CHAOS_TOKEN") == self.token:
                    found.append(process)
            except psutil.Error:
                continue
        return [each for each in found if each.is_running() and each.status() != psutil.STATUS_ZOMBIE]

    # Dashboards

    def open_dashboards(self) -> None:
        """Ours, and the stock one that knows nothing of us."""
        for words in (
            (sys.executable, "-c", SERVE, self.server.url),
            (_stock(), "-u", self.server.url, "-b"),
        ):
            port = str(free_port())
            command = [*words, port] if words[-1] != "-b" else [*words, "127.0.0.1", "-p", port]
            process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            self.stack.callback(process.wait)
            self.stack.callback(process.kill)
            self.dashboards.append(f"http://127.0.0.1:{port}")

    # Telling

    def note(self, text: str) -> None:
        note(self.ledger, text)

    def told(self) -> str:
        """What the pools logged last, for a failing test."""
        return self.log.read_text(errors="replace")[-6000:]

    def close(self) -> None:
        leftovers.end(self.left())
        self.direct.client.close()
        self.stack.close()


def _is_zygote(pid: int) -> bool:
    try:
        return b"xpm_workers.zygote" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False


def _stock() -> str:
    return str(Path(sys.executable).with_name("rq-dashboard"))


@contextmanager
def grounds(
    folder: Path, start_server: Callable[..., Server], *, apart: bool, dashboards: bool
) -> Iterator[Grounds]:
    """All of it, with hosts of their own for the pools if they are to stand `apart`."""
    with ExitStack() as stack:
        network = stack.enter_context(hosts(POOLS)) if apart else None
        made = Grounds(folder, start_server(), network)
        stack.callback(made.close)
        if dashboards:
            made.open_dashboards()
        for pool in made.pools:
            made.start(pool)
        yield made
