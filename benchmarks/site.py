"""A place for one measurement: a server as xpm starts its own, a workspace, a project, workers. All of it goes."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

from benchmarks.plans.journal import marks
from xpm.broker import binary
from xpm.broker.broker import Broker
from xpm.broker.connect import open_client
from xpm.broker.server import Server
from xpm.broker.views import Views
from xpm.workspace.layout import Workspace

HERE = Path(__file__).parent
WORKERS = 2
PATIENCE = 300.0
"""Seconds after which something that was started is given up."""

used: list[Path] = []
"""Folders that `sweep` removes. Not earlier: for minutes ext4 steers clear of every inode that was just freed, and
new files then cost ten times as much."""

Process = subprocess.Popen[bytes]


class Site:
    """One server, one workspace, one project; a context.

    Args:
        folder: where it lies; by default where temporary files do.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self.path = Path(tempfile.mkdtemp(prefix="xpm-bench-", dir=folder))
        self.log = self.path / "lines"
        self.project = self.path / "project"
        self.server = Server(self.path / "server", self.path / "s.sock")
        self.url = f"unix://{self.server.socket}"
        self._running: list[Process] = []

    def __enter__(self) -> Self:
        self.server.data.mkdir()
        shutil.copytree(HERE / "plans", self.project, ignore=shutil.ignore_patterns("__pycache__"))
        (self.project / "pyproject.toml").touch()
        self.workspace = Workspace.open(self.path / "ws")
        self.server.start(binary.find())
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._running:
            end(process)
        self.server.end()
        used.append(self.path)

    @property
    def environ(self) -> dict[str, str]:
        """The environment of everything that runs here: nothing of the user's own settings."""
        environ = {name: value for name, value in os.environ.items() if not name.startswith("XPM_")}
        for name in ("CONFIG_HOME", "STATE_HOME", "CACHE_HOME"):
            environ[f"XDG_{name}"] = str(self.path / name.lower())
        return {
            **environ,
            "BENCH_LOG": str(self.log),
            "XPM_WORKSPACE": str(self.workspace.path),
            "XPM_BROKER": self.url,
        }

    # xpm

    def plan(self, script: str, *arguments: object, **environ: str) -> dict[str, Any]:
        """Runs a script of the project; returns what it printed as JSON, and what it said under `said`."""
        command = [sys.executable, str(self.project / script), *map(str, arguments)]
        done = subprocess.run(
            command,
            env={**self.environ, **environ},
            cwd=self.project,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
        )
        if done.returncode:
            raise SystemExit(f"{script} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
        printed = json.loads(done.stdout.splitlines()[-1]) if done.stdout.strip() else {}
        return {**printed, "said": done.stderr}

    @contextmanager
    def pool(self, *options: str, slots: int = WORKERS) -> Iterator[Process]:
        """A pool of xpm's workers."""
        command = [sys.executable, "-P", "-m", "xpm_workers.pool", "--workspace", str(self.workspace.path)]
        with self.running([*command, "--broker", self.url, "--slots", str(slots), *options]) as process:
            yield process

    def views(self) -> Views:
        """Questions to the broker."""
        return Views(Broker(open_client(self.url), self.workspace.namespace))

    def forget(self) -> None:
        """Empties the server."""
        with open_client(self.url) as client:
            client.flushall()

    # Anything

    @contextmanager
    def running(self, command: list[str], env: dict[str, str] | None = None) -> Iterator[Process]:
        """Something that is ended when the block is left."""
        with (self.path / "output").open("ab") as output:
            process = subprocess.Popen(
                command,
                env={**self.environ, **(env or {})},
                cwd=self.path,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        self._running.append(process)
        try:
            yield process
        finally:
            end(process)

    def await_end(self, *processes: Process) -> None:
        """Waits until they have ended by themselves, and well."""
        for process in processes:
            if status := process.wait(PATIENCE):
                raise SystemExit(f"a worker ended with {status}:\n{self.output()}")

    def output(self) -> str:
        """The end of what the processes said."""
        return (self.path / "output").read_text(errors="replace")[-2000:]

    def times(self, count: int) -> list[float]:
        """When the jobs 0 to `count` - 1 ran, sorted; each must have run just once."""
        lines = marks(str(self.log))
        numbers = sorted(n for n, _ in lines)
        if numbers != list(range(count)):
            raise SystemExit(
                f"{len(numbers)} lines, {len(set(numbers))} jobs, expected {count}:\n{self.output()}"
            )
        return sorted(at for _, at in lines)

    def clear(self) -> None:
        """Forgets the lines."""
        self.log.unlink(missing_ok=True)


def sweep() -> None:
    """Removes what all sites have left."""
    while used:
        shutil.rmtree(used.pop(), ignore_errors=True)


def end(process: Process) -> None:
    """Ends a process that was started here: asked twice, then by force."""
    for number in (signal.SIGTERM, signal.SIGTERM, signal.SIGKILL):
        if process.poll() is not None:
            return
        process.send_signal(number)
        try:
            process.wait(3.0 if number != signal.SIGKILL else None)
        except subprocess.TimeoutExpired:
            continue


def rate(times: list[float]) -> float:
    """Jobs a second from the first that began to the last."""
    return (len(times) - 1) / max(times[-1] - times[0], 1e-9)
