"""A workspace with real pools of workers on a real server, driven from a test."""

from __future__ import annotations

import importlib.util
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import psutil

from xpm.broker.broker import Broker, Entry, Run
from xpm.broker.connect import open_client
from xpm.broker.events import Events
from xpm.broker.jobview import JobView
from xpm.broker.views import Views
from xpm.core import session
from xpm.core.config import reference
from xpm.core.requirement import needs_text
from xpm.core.session import SubmitOptions
from xpm.core.state import State
from xpm.core.submission import Prepared, prepare
from xpm.core.wishes import settled, wishes_of
from xpm.workspace.layout import Workspace
from xpm.workspace.snapshot import Entry as Start
from xpm.workspace.snapshot import snapshot

LEASE = 3.0
"""Seconds: short, and long enough for a busy machine."""


class Farm:
    """One project, one workspace, one broker.

    Args:
        folder: where all of it lies.
        url: the server.
        code: the text of the project's module `tasks`.
    """

    def __init__(self, folder: Path, url: str, code: str) -> None:
        self.project = folder / "project"
        self.project.mkdir(parents=True)
        self.url = url
        self.workspace = Workspace.open(folder / "ws")
        self.client = open_client(url)
        self.broker = Broker(self.client, self.workspace.namespace, lease=LEASE)
        self.views = Views(self.broker)
        self.pools: list[subprocess.Popen[bytes]] = []
        self.tasks = self.write(code)
        self._prepared: list[tuple[Prepared, SubmitOptions]] = []
        self._ids: dict[str, str] = {}

    # The session protocol, as far as a submission needs it
    def submit(self, task: Any, options: SubmitOptions) -> None:
        self._prepared.append((prepare(task), settled(options, time.time())))

    def jobpath(self, task: Any) -> Path:
        ref = reference(task)
        return self.workspace.jobpath(ref.task, ref.id)

    def write(self, code: str) -> ModuleType:
        """(Re)write the project's module and load it here."""
        path = self.project / "tasks.py"
        path.write_text(code)
        spec = importlib.util.spec_from_file_location("tasks", path)
        assert spec and spec.loader
        module = importlib.util.module_from_spec(spec)
        sys.modules["tasks"] = module
        spec.loader.exec_module(module)
        return module

    def run(self, name: str = "r") -> Run:
        """A run with the project's code as it is now."""
        sys.path.insert(0, str(self.project))
        try:
            code = snapshot(self.project, self.workspace, Start(None, None, ("test",)))
        finally:
            sys.path.remove(str(self.project))
        return self.broker.open("test", name, code.id)

    def send(self, run: Run, *tasks: Any, queue: str = "default", **options: Any) -> list[Any]:
        """Submit descriptions, in order, with the same options."""
        token = session.current.set(self)
        try:
            for task in tasks:
                task.submit(**options)
        finally:
            session.current.reset(token)
        entries, types = [], {}
        for one, how in self._prepared:
            self._ids[one.label] = one.id
            types.update({key: info.pack() for key, info in one.types.items()})
            entries.append(
                Entry(
                    one.id,
                    one.task,
                    one.label,
                    one.payload,
                    tuple(ref.id for ref in one.dependencies),
                    one.tags,
                    queue,
                    wishes=_wishes(one, how),
                )
            )
        self._prepared = []
        return self.broker.submit(run, entries, types)

    def pool(
        self, *options: str, slots: int = 1, under: Sequence[str] = (), **environ: str
    ) -> subprocess.Popen[bytes]:
        """Start a pool, `under` another command if one is given."""
        command = [*under, sys.executable, "-m", "xpm_workers.pool", "--workspace", str(self.workspace.path)]
        command += ["--broker", self.url, "--slots", str(slots), *options]
        environment = {**os.environ, "XPM_LEASE": str(LEASE), "XPM_GRACE": "5", **environ}
        log = (self.workspace.path / f"pool{len(self.pools)}.log").open("wb")
        self.pools.append(
            subprocess.Popen(command, env=environment, stdout=log, stderr=log, start_new_session=True)
        )
        return self.pools[-1]

    def until(self, true: Callable[[], Any], within: float = 30.0) -> Any:
        """Wait for something, looking at each event."""
        events = Events(self.broker)
        deadline = time.monotonic() + within
        while not (found := true()):
            assert time.monotonic() < deadline, f"not within {within} s: {self.told()}"
            events.read(0.1)
        return found

    def job(self, label: str) -> JobView:
        """The job that was submitted with this label."""
        found = self.views.job(self._ids[label])
        assert found is not None, f"no job {label}: {self.told()}"
        return found

    def in_state(self, label: str, *states: State) -> Callable[[], JobView | None]:
        """A condition for `until`."""
        return lambda: job if (job := self.job(label)).state in states else None

    def told(self) -> str:
        """What the pools logged, for a failing test."""
        counts = {state.value: n for state, n in self.views.counts().items() if n}
        logs = "\n".join(
            path.read_text(errors="replace")[-2000:] for path in self.workspace.path.glob("pool*.log")
        )
        return f"{counts}\n{logs}"

    def workers(self, pool: subprocess.Popen[bytes]) -> list[psutil.Process]:
        """A pool's worker processes."""
        pids = {worker.pid for worker in self.views.workers()}
        return [child for child in psutil.Process(pool.pid).children() if child.pid in pids]

    def close(self) -> None:
        """End all pools."""
        for pool in self.pools:
            if pool.poll() is None:
                pool.send_signal(signal.SIGTERM)
                pool.send_signal(signal.SIGTERM)
        for pool in self.pools:
            try:
                pool.wait(10)
            except subprocess.TimeoutExpired:
                pool.kill()
        self.client.close()
        sys.modules.pop("tasks", None)


def _wishes(one: Prepared, how: SubmitOptions) -> dict[str, str | int]:
    wishes = dict(wishes_of(how, lambda here: here, resumable=one.resumable))
    return {**wishes, "rs": needs_text(how.requires)} if how.requires else wishes


@contextmanager
def farm(folder: Path, url: str, code: str) -> Iterator[Farm]:
    """A farm that is gone at the end."""
    made = Farm(folder, url, code)
    try:
        yield made
    finally:
        made.close()
