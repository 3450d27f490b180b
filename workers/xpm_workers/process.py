"""One execution of a job, in a process of its own.

A zygote forks this process and has it run an `Execution`; where it must not fork, it starts a fresh interpreter with
`python -m xpm_workers.process`, which comes to the same point.
"""

from __future__ import annotations

import atexit
import faulthandler
import gc
import os
import pwd
import signal
import socket
import sys
import time
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any, NoReturn, cast

from xpm.core import session
from xpm.core.message import JobRef, TypeInfo, parameters, references
from xpm.errors import ResultError
from xpm.mounts import on_network
from xpm.types import JobId
from xpm.workspace.attempts import Attempt, Failure, write_attempt
from xpm.workspace.code import read_code
from xpm.workspace.directory import LOGS, JobDirectory, Overtaken
from xpm.workspace.paths import job_dir
from xpm.workspace.results import Record, complete, pack_record
from xpm.workspace.values import encode_result
from xpm_workers import frames, tree
from xpm_workers.failures import describe
from xpm_workers.frames import Request
from xpm_workers.loader import Loader
from xpm_workers.seeds import seed_of, seeder
from xpm_workers.session import JobSession

CHANNEL = 199
"""The descriptor of the connection to the worker, out of the way of the task's own."""

DONE, FAILED, DONE_UNTOLD, FAILED_UNTOLD = 0, 1, 113, 114
"""How the process exits. Untold: the task had closed the connection, so the zygote must tell."""

INPUT_PATIENCE = 1.0
NETWORK_PATIENCE = 90.0
"""Seconds in which the record of an input must be seen: network file systems remember for a while what was not there."""

DURABLE_AFTER = 1.0
"""A job that took more seconds survives a loss of power; a shorter one is run again."""

_LONGEST_PAUSE = 1.0
_UNCOUNTED = ("input", "moved")
_HOST = os.uname().nodename
_ANNOUNCED = ("XPM_JOB", "XPM_FENCE", "XPM_ATTEMPT", "XPM_WORKSPACE")
_announced: dict[str, str] = {}
"""What is set already: some of it is the same for the next job."""


class _Unloadable(Exception):
    """The task's code can't be loaded; its cause says why."""


class Execution:
    """One execution of a job, from the look at its inputs to the report of its end.

    Made before the fork, where it is cheap; in the forked process each page that is written to is copied first.
    """

    def __init__(self, request: Request, connected: socket.socket, loader: Loader) -> None:
        self.request = request
        self.loader = loader
        self.started = 0.0
        self._socket = connected
        self._channel: tuple[int, int] | None = None
        self._pid = 0
        self._path = job_dir(request.workspace, request.task, request.job)
        self._session = JobSession(request.workspace, request.job, self._path, loader, self._progress)
        self._directory: JobDirectory | None = None
        self._types: dict[str, TypeInfo] = {}
        self._untold = False

    def begin(self) -> None:
        """Notes what is known only in the job's own process."""
        self.started = time.time()
        self._pid = os.getpid()
        self._channel = _identity(self._socket.fileno())

    def run(self) -> NoReturn:
        """All of it; then ends this process."""
        status = FAILED
        try:
            self.begin()
            status = self._outcome()
        finally:
            os._exit(status)

    def _outcome(self) -> int:
        try:
            failure = self._run()
        except BaseException as error:  # whatever happens, the worker is told
            failure = describe(error, _kind(error), self._shown())
        if os.getpid() != self._pid:
            return FAILED  # a copy that the task forked came back from `execute`: the job itself reports
        if failure is None:
            return DONE_UNTOLD if self._untold else DONE
        self._fail(failure)
        return FAILED_UNTOLD if self._untold else FAILED

    def _run(self) -> Failure | None:
        missing = _await_inputs(self.request)
        if missing:
            return Failure("input", message=f"the result of {missing} did not appear", input=missing)
        taken = JobDirectory.take(self._path, self.request.fence)
        if isinstance(taken, Record):
            self._tell_done(taken.started, taken.ended, taken.fence, reused=True)
            return None
        self._directory = taken
        self._move_in(taken)
        value, failure = self.execute()
        if os.getpid() != self._pid:
            return None
        trouble = _wind_up()
        return failure or trouble or self.publish(taken, value)

    def _move_in(self, directory: JobDirectory) -> None:
        """Makes the directory this process's home."""
        os.fchdir(directory.descriptor)
        for number, name in enumerate(LOGS, 1):
            log = directory.open_log(name)
            os.dup2(log, number)
            os.close(log)
        for name, value in self.request.environ.items():
            os.environ[name] = value
        seeder.sow()

    def execute(self) -> tuple[Any, Failure | None]:
        """Builds the task and executes it: what it returned, or how it failed."""
        request = self.request
        try:
            types = self._types = self._load()
            session.current.set(self._session)
            task = self._session.own(JobRef(request.job, request.task), request.payload, types)
            self._send(["started", self._pid, self.started])
            gc.enable()
            return task.execute(), None
        except _Unloadable as error:
            return None, describe(error.__cause__ or error, "import", self._shown())
        except BaseException as error:  # a task may raise anything, and all of it is its failure
            return None, describe(error, "exception", self._shown())

    def _load(self) -> dict[str, TypeInfo]:
        try:
            types = {key: self.loader.type(key, packed) for key, packed in self.request.types.items()}
            for info in types.values():
                self.loader.find(info)
        except BaseException as error:  # a module of the user's may raise anything, SystemExit too
            raise _Unloadable from error
        return types

    def publish(self, directory: JobDirectory, value: Any) -> None:
        """Makes `value` the job's result and tells the worker."""
        request = self.request
        result = encode_result(value, self._path)
        ended = time.time()
        record = Record(
            job=request.job,
            task=request.task,
            label=request.label,
            parameters=parameters(request.payload, self._types),
            payload=request.payload,
            types=request.types,
            execution=request.execution,
            attempt=request.attempt,
            host=_HOST,
            user=_USER,
            worker=request.worker,
            pid=self._pid,
            started=self.started,
            ended=ended,
            code=request.code,
            result=result,
            fence=request.fence,
        )
        first = directory.publish(pack_record(record), durable=ended - self.started > DURABLE_AFTER)
        self._tell_done(self.started, ended, request.fence, reused=not first)

    def _fail(self, failure: Failure) -> None:
        ended = time.time()
        if self._directory is not None and failure.kind not in _UNCOUNTED:
            # A full disk is often the reason for the failure; the worker hears of it all the same.
            with suppress(OSError, Overtaken):
                self._note(failure, ended)
        self._send(failed_frame(failure, self.started, ended))

    def _note(self, failure: Failure, ended: float) -> None:
        request, directory = self.request, cast(JobDirectory, self._directory)
        directory.abandon()
        attempt = Attempt(
            n=request.attempt,
            execution=request.execution,
            fence=request.fence,
            host=_HOST,
            worker=request.worker,
            started=self.started,
            ended=ended,
            failure=failure,
        )
        if directory.in_place():
            write_attempt(self._path, attempt)

    def _tell_done(self, started: float, ended: float, fence: str, *, reused: bool) -> None:
        self._send(["done", {"started": started, "ended": ended, "reused": reused, "fence": fence}])

    def _send(self, frame: frames.Frame) -> None:
        """Tells the worker, unless the task has closed the connection or used its number for another file."""
        if _identity(self._socket.fileno()) != self._channel:
            self._untold = True
            return
        try:
            frames.send(self._socket, frame)
        except OSError:
            self._untold = True  # the worker is gone; the zygote sees it too and ends this process

    def _progress(self, value: float, desc: str | None, level: int) -> None:
        try:
            frames.offer(self._socket, frames.pack(["progress", value, desc, level]))
        except OSError:
            return  # nobody listens any more: no reason to disturb the task

    def _shown(self) -> tuple[str, str]:
        return self.loader.folder, self.loader.code.root


def failed_frame(failure: Failure, started: float, ended: float) -> frames.Frame:
    """The frame that tells of `failure`."""
    return ["failed", {**asdict(failure), "started": started, "ended": ended}]


def announce(request: Request) -> None:
    """Sets what the job finds in its environment, and its seed; before the fork, as `Execution` is made."""
    values = (request.job, request.fence, str(request.attempt), request.workspace)
    for name, value in zip(_ANNOUNCED, values, strict=True):
        if _announced.get(name) != value:
            os.environ[name] = _announced[name] = value
    seeder.prepare(seed_of(request.job, request.attempt))


def settle(parent: int) -> None:
    """Makes this process a job's: a session of its own, the reaper of its orphans, not outliving `parent`."""
    os.setsid()
    tree.die_with(parent)
    tree.adopt_orphans()


def prepare_interpreter() -> None:
    """What a job's process has from its interpreter, be it forked or fresh."""
    faulthandler.enable(file=2)
    if seeder not in sys.meta_path:
        sys.meta_path.insert(0, seeder)
    for stream in (sys.stdout, sys.stderr):
        cast(Any, stream).reconfigure(line_buffering=True, errors="backslashreplace")


def _await_inputs(request: Request) -> JobId | None:
    """Waits until the record of each input is that of its fence; returns the first that doesn't come."""
    if not request.inputs:
        return None
    tasks = {ref.id: ref.task for ref in references(request.payload)}
    deadline = None
    for job, fence in request.inputs:
        path = job_dir(request.workspace, tasks[job], job)
        pause = 0.01
        while (found := complete(path)) is None or (fence and found != fence):
            if deadline is None:
                remote = on_network(Path(request.workspace))
                deadline = time.monotonic() + (NETWORK_PATIENCE if remote else INPUT_PATIENCE)
            if time.monotonic() > deadline:
                return job
            time.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)
    return None


def _wind_up() -> Failure | None:
    """Ends what the task began as the interpreter would: threads, exit functions, buffers."""
    threading = sys.modules.get("threading")
    if threading is not None and threading.active_count() > 1:
        cast(Any, threading)._shutdown()
    cast(Any, atexit)._run_exitfuncs()
    try:
        for stream in (sys.stdout, sys.stderr):
            if stream is not None and not stream.closed:
                stream.flush()
    except OSError as error:
        return describe(error, "disk")
    return None


def _kind(error: BaseException) -> str:
    if isinstance(error, Overtaken):
        return "moved"
    if isinstance(error, ResultError):
        return "result"
    return "disk" if isinstance(error, OSError) else "exception"


def _identity(descriptor: int) -> tuple[int, int] | None:
    try:
        found = os.fstat(descriptor)
    except OSError:
        return None
    return (found.st_dev, found.st_ino)


def _user() -> str:
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return str(os.getuid())


_USER = _user()


def main() -> NoReturn:
    """A fresh interpreter for one job: the request on standard input, the zygote's id as the argument."""
    settle(int(sys.argv[1]))
    with open(0, "rb") as file:
        frame = frames.unpack(file.read())
    os.open(os.devnull, os.O_RDONLY)  # becomes the standard input
    signal.signal(signal.SIGINT, signal.default_int_handler)
    request = Request.of(frame[1])
    prepare_interpreter()
    workspace = Path(request.workspace)
    loader = Loader(read_code(workspace, request.code), workspace)
    loader.install()
    announce(request)
    connected = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET, fileno=CHANNEL)
    Execution(request, connected, loader).run()


if __name__ == "__main__":
    main()
