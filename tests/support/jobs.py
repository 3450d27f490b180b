"""Jobs without a broker: a project, its snapshot, a zygote, and the worker's side of the connection."""

from __future__ import annotations

import importlib.util
import secrets
import select
import socket
import subprocess
import sys
import textwrap
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

from sessions import Recorder

from xpm.broker.broker import Claim, Failure
from xpm.core.submission import Prepared
from xpm.workspace.code import Code
from xpm.workspace.layout import Workspace
from xpm.workspace.results import Record, read_record
from xpm.workspace.snapshot import Entry, snapshot
from xpm.workspace.spares import Spares
from xpm_workers import frames
from xpm_workers.premises import Premises
from xpm_workers.process import WRITTEN
from xpm_workers.running import Ended, ended_by

WITHIN = 20.0
"""Seconds within which a frame must come."""

HEAD = """
import os, sys, time
from pathlib import Path
from xpm.core.config import Config, Task, Param, Meta, PathGenerator, field
from xpm.core.session import progress
"""


class Worker:
    """A worker, as far as one job after another needs it: its connection to a zygote, and the job's directory."""

    def __init__(self, path: str, lab: Lab) -> None:
        self._lab = lab
        self._spares = Spares(lab.workspace.path, secrets.token_hex(4))
        self._premises: Premises | None = None
        self._word: list[Any] = []
        self._parts: list[bytes] = []
        self._pid = 0
        self.ended: Ended | None = None
        """How the last job ended."""
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.socket.connect(path)

    def ask(self, request: dict[str, Any]) -> None:
        """Takes the job's directory and has the job run, unless it can't or needn't: then it has `ended`."""
        claim = self._lab.claim(request)
        taken = Premises.take(claim, request["types"], "tester", request["workspace"], self._spares)
        self.ended = taken if isinstance(taken, Ended) else None
        if isinstance(taken, Premises):
            self._premises = taken
            frames.send_request(self.socket, request)

    def signal(self, number: int) -> None:
        frames.send(self.socket, ["signal", number])

    def frame(self, within: float = WITHIN) -> list[Any] | None:
        readable, _, _ = select.select([self.socket], [], [], within)
        assert readable, f"no frame within {within} s"
        frame = frames.receive(self.socket, self._parts)
        if frame is None:
            return None
        if frame[0] == "started":
            self._pid = frame[1]
        elif frame[0] in ("done", "failed"):
            self._word = frame
        elif frame[0] in ("exit", "refused") and self._premises is not None:
            self._leave(frame)
        return frame

    def _leave(self, frame: list[Any]) -> None:
        assert self._premises is not None
        word, self._word = self._word, []
        written = frame[0] == "exit" and frame[1] == WRITTEN << 8
        if word:
            ended = ended_by(word)
        else:
            ended = (
                Ended("failed", failure=Failure("exit", "", ""), written=True)
                if written
                else Ended("crashed")
            )
        self.ended = self._premises.leave(replace(ended, pid=self._pid))
        self._premises = None

    def until(self, *names: str) -> list[Any]:
        """The next frame of one of these names."""
        while True:
            frame = self.frame()
            assert frame is not None, "the zygote is gone"
            if frame[0] in names:
                return frame

    def rest(self) -> list[list[Any]]:
        """All frames up to the job's end."""
        found: list[list[Any]] = []
        while not found or found[-1][0] not in ("exit", "refused"):
            frame = self.frame()
            assert frame is not None, "the zygote is gone"
            found.append(frame)
        return found

    def close(self) -> None:
        self._spares.close()
        self.socket.close()


class Lab:
    """A project with a module of tasks, and a workspace for its jobs.

    `source` is the text of the module; `files` are more files of the project by name.
    """

    def __init__(self, folder: Path, source: str, files: dict[str, str] | None = None) -> None:
        self.root = folder / "project"
        self.root.mkdir()
        (self.root / "pyproject.toml").touch()
        for name, text in (files or {}).items():
            (self.root / name).parent.mkdir(parents=True, exist_ok=True)
            (self.root / name).write_text(textwrap.dedent(text))
        self.name = f"tasks_{secrets.token_hex(4)}"
        self.file = self.root / f"{self.name}.py"
        self.file.write_text(HEAD + textwrap.dedent(source))
        sys.path.insert(0, str(self.root))
        self.workspace = Workspace.open(folder / "runs")
        self.zygotes: list[subprocess.Popen[bytes]] = []
        self.workers: list[Worker] = []
        self.executions = 0
        self._module: ModuleType | None = None
        self._code: Code | None = None
        self._folder = folder
        self._labels: dict[str, str] = {}
        self._prepared: dict[int, tuple[Any, Prepared]] = {}

    @property
    def module(self) -> Any:
        """The module of tasks, imported here."""
        if self._module is None:
            spec = importlib.util.spec_from_file_location(self.name, self.file)
            assert spec is not None and spec.loader is not None
            self._module = sys.modules[self.name] = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(self._module)
        return self._module

    def snapshot(self, entry: Entry | None = None, *, copy: bool = True) -> Code:
        self._code = snapshot(self.root, self.workspace, entry or Entry(None, None, ("prog",)), copy=copy)
        return self._code

    @property
    def code(self) -> Code:
        return self._code or self.snapshot()

    def prepare(self, task: Any) -> Prepared:
        """What a submission of `task` makes; its dependencies must have been prepared before."""
        if id(task) not in self._prepared:
            with Recorder() as recorder:
                task.submit()
            self._prepared[id(task)] = (task, recorder.last)
        return self._prepared[id(task)][1]

    def request(self, prepared: Prepared, **changes: Any) -> dict[str, Any]:
        self.executions += 1
        self._labels[prepared.id] = prepared.label
        return {
            "job": prepared.id,
            "task": prepared.task,
            "fence": f"{self.executions:026}",
            "attempt": 1,
            "payload": prepared.payload,
            "types": {key: info.pack() for key, info in prepared.types.items()},
            "workspace": str(self.workspace.path),
            "code": self.code.id,
            "environ": {},
            **changes,
        }

    def claim(self, request: dict[str, Any]) -> Claim:
        """What a broker would have granted for `request`."""
        job = request["job"]
        return Claim(
            job, request["task"], self._labels.get(job, ""), self.executions, request["fence"],
            request["attempt"], request["payload"], request["code"], "default", 0, (),
        )  # fmt: skip

    def zygote(self, *options: str, start: tuple[str, ...] = ("-m", "xpm_workers.zygote")) -> str:
        """Starts a zygote; returns the path of its socket."""
        path = str(self._folder / f"z{len(self.zygotes)}")
        with frames.listen(path) as listener:
            self.zygotes.append(
                subprocess.Popen(
                    [
                        *(sys.executable, "-P", *start),
                        *(str(self.workspace.path), self.code.id, str(listener.fileno()), *options),
                    ],
                    stdin=subprocess.PIPE,
                    pass_fds=[listener.fileno()],
                    start_new_session=True,
                )
            )
        return path

    def worker(self, path: str | None = None) -> Worker:
        """A connection to the zygote at `path`, else to a new one."""
        self.workers.append(Worker(path or self.zygote(), self))
        return self.workers[-1]

    def run(self, worker: Worker, task: Any, **changes: Any) -> list[list[Any]]:
        """Runs a task to its end; returns all frames."""
        worker.ask(self.request(self.prepare(task), **changes))
        return worker.rest()

    def path(self, prepared: Prepared) -> Path:
        return self.workspace.jobpath(prepared.task, prepared.id)

    def record(self, prepared: Prepared) -> Record | None:
        return read_record(self.path(prepared))

    def close(self) -> None:
        for worker in self.workers:
            worker.close()
        for zygote in self.zygotes:
            assert zygote.stdin is not None
            zygote.stdin.close()
        for zygote in self.zygotes:
            zygote.wait(10)
        for name, module in list(sys.modules.items()):
            if (getattr(module, "__file__", None) or "").startswith(f"{self.root}/"):
                del sys.modules[name]
        sys.path.remove(str(self.root))
