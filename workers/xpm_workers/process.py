"""One execution of a job, in a process of its own.

A zygote forks this process and has it run an `Execution`; where it must not fork, it starts a fresh interpreter with
`python -m xpm_workers.process`, which comes to the same point.

It does what is the task's own and no more: the worker has made the directory, and publishes the result that it is told.
So little is done here because each page of memory that a forked process touches is copied first, and so that a task
which closes descriptors, changes its user or dies late harms no record.
"""

from __future__ import annotations

import _signal  # pyright: ignore[reportMissingImports] - typeshed has only signal
import atexit
import faulthandler
import gc
import os
import signal
import socket
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any, NoReturn, cast

from xpm.core import session
from xpm.core.info import Resumable
from xpm.core.initial import perform
from xpm.core.message import JobRef
from xpm.errors import GracefulTimeout, JobError, ResultError, TaskCancelled
from xpm.workspace.attempts import Failure
from xpm.workspace.code import read_code, variant
from xpm.workspace.directory import (
    DURABLE_AFTER,
    SAID,
    STOP,
    Overtaken,
    Removed,
    confirm,
    enter,
    make_durable,
)
from xpm.workspace.paths import LOGS, job_dir
from xpm.workspace.results import result_text
from xpm.workspace.values import encode_result
from xpm_workers import frames, tree
from xpm_workers.failures import describe, names
from xpm_workers.frames import Request
from xpm_workers.loader import Loader
from xpm_workers.seeds import seeder
from xpm_workers.session import JobSession
from xpm_workers.stops import read_stop

CHANNEL = 199
"""The descriptor of the connection to the worker, out of the way of the task's own."""

GRACEFUL = "graceful"
"""The kind of "failure" that a resumable task's wish to be continued travels as."""

DONE, FAILED, WRITTEN = 0, 1, 113
"""How the process exits. Written: the task had closed the connection, so what is to be told lies in a file, `SAID`."""

MENTIONED = 20
"""Files of the project that are named, at most, when they have changed since the job was submitted."""

_signals = cast(Any, _signal)  # without the enums of `signal`, which cost each fork
_TERM = (int(signal.SIGTERM),)
_LOG = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC


class _Unloadable(Exception):
    """The task's code can't be loaded; its cause says why."""


class Channel:
    """The job's side of the connection to its worker.

    Args:
        connected: the connection.
        path: the job's directory.
    """

    def __init__(self, connected: socket.socket, path: str) -> None:
        self._socket = connected
        self._path = path
        self._identity: tuple[int, int] | None = None
        self.written = False
        """Something could only be told by a file."""

    def open(self) -> None:
        """Notes which file the connection is, before the task may close it."""
        self._identity = _identity(self._socket.fileno())

    def send(self, frame: frames.Frame) -> None:
        """Tells the worker; when the task has closed the connection, or used its number for another file, by a file."""
        try:
            if _identity(self._socket.fileno()) == self._identity:
                frames.send(self._socket, frame)
                return
        except OSError:
            return  # the worker is gone; the zygote sees it too and ends this process
        self.written = True
        with open(f"{self._path}/{SAID}", "wb") as file:
            file.write(frames.pack(frame))

    def line(self) -> socket.socket:
        """A connection of its own to the worker, over which it answers.

        Raises:
            JobError: there is no way to the worker any more.
        """
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            try:
                if _identity(self._socket.fileno()) == self._identity:
                    frames.hand(self._socket, ["line"], theirs.fileno())
                    return ours
                gone = "the task has closed the connection to it"
            except OSError as error:
                gone = str(error)
        ours.close()
        raise JobError(f"the job's worker cannot be asked: {gone}")

    def progress(self, value: float, desc: str | None, level: int) -> None:
        """Tells how far the task is; dropped when the worker doesn't keep up."""
        try:
            frames.offer(self._socket, frames.pack(["progress", value, desc, level]))
        except OSError:
            return  # nobody listens any more: no reason to disturb the task


class Execution:
    """One execution of a job, from its directory to the report of its end.

    Made before the fork, where it is cheap; in a zygote it must not become part of a cycle, since nothing collects
    those there.
    """

    def __init__(self, request: Request, connected: socket.socket, loader: Loader) -> None:
        self.request = request
        self.loader = loader
        self.started = 0.0
        self._files: dict[str, str] = {}
        self._pid = 0
        self._at_work = False
        """The task's own code runs."""
        self._cancelled = False
        self._names: list[str] = []
        self._path = request.folder or job_dir(request.workspace, request.task, request.job)
        self._channel = Channel(connected, self._path)
        self._session = JobSession(request, self._path, loader, self._channel)
        self._task = self._session.ahead(self._ref, request.payload, request.types)

    @property
    def _ref(self) -> JobRef:
        return JobRef(self.request.job, self.request.task)

    def begin(self) -> None:
        """Notes what is known only in the job's own process."""
        self.started = time.time()
        self._pid = os.getpid()
        self._channel.open()
        if self.request.limit:
            self._session.limit(self.request.limit)

    def on_term(self, number: int, _frame: object) -> None:
        """SIGTERM: in the task's own code, in its main thread, it is raised once; elsewhere it ends the process as ever."""
        if os.getpid() != self._pid or not self._at_work:
            _die(number)
        if not self._cancelled:
            self._cancelled = True
            try:
                with open(f"{self._path}/{STOP}", "rb") as file:
                    told = file.read()
            except OSError:
                told = b""
            raise TaskCancelled(*read_stop(told))

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
        except TaskCancelled:  # it came just when the task had ended
            _die(signal.SIGTERM)
        except BaseException as error:  # whatever happens, the worker is told
            failure = self._describe(error, _kind(error))
        if os.getpid() != self._pid:
            return FAILED  # a copy that the task forked came back from `execute`: the job itself reports
        if failure is not None:
            about = {"names": self._names, **self._about(time.time())}
            self._channel.send(["failed", {**asdict(failure), **about}])
        return WRITTEN if self._channel.written else DONE if failure is None else FAILED

    def _run(self) -> Failure | None:
        self._move_in()
        value, failure = self.execute()
        if os.getpid() != self._pid:
            return None
        trouble = _wind_up()
        if self._cancelled and (failure is None or failure.kind != GRACEFUL):
            _leave(failure)
        if failure or trouble:
            return failure or trouble
        try:
            self.tell(value)
        except FileNotFoundError:
            confirm(self._path, self.request.fence)  # if that is why, it says so better
            raise
        return None

    def _move_in(self) -> None:
        """Makes the directory this process's home."""
        enter(self._path, self.request.fence)
        for number, name in enumerate(LOGS, 1):
            log = os.open(name, _LOG, 0o666)
            os.dup2(log, number)
            os.close(log)
        introduce(self.request)
        code = self.loader.code
        if not code.copied:
            self._files = code.today()

    def execute(self) -> tuple[Any, Failure | None]:
        """Executes the task: what it returned, or how it failed."""
        try:
            session.adopt(self._session)
            task = self._task = self._session.task = self._task or self._build()
            gc.enable()
            self._at_work = True
            value = perform(task)
            self._at_work = False
            return value, None
        except _Unloadable as error:
            return None, self._describe(error.__cause__ or error, "import")
        except BaseException as error:  # a task may raise anything, and all of it is its failure
            self._at_work = False
            if isinstance(error, TaskCancelled) and self._cancelled:
                return None, None
            graceful = isinstance(error, GracefulTimeout) and isinstance(self._task, Resumable)
            if isinstance(error, GracefulTimeout) and not graceful:
                error.add_note("only a ResumableTask is continued: derive the task from it")
            return None, self._describe(error, GRACEFUL if graceful else "exception")

    def _describe(self, error: BaseException, kind: str) -> Failure:
        self._names = names(error)
        return describe(error, kind, self._shown())

    def _build(self) -> Any:
        request = self.request
        try:
            types = {key: self.loader.type(key, packed) for key, packed in request.types.items()}
            for info in types.values():
                self.loader.find(info)
        except BaseException as error:  # a module of the user's may raise anything, SystemExit too
            raise _Unloadable from error
        return self._session.own(self._ref, request.payload, types)

    def tell(self, value: Any) -> None:
        """Hands the worker `value`, to be the job's result."""
        text = result_text(self.request.task, encode_result(value, self._path))
        ended = time.time()
        if ended - self.started > DURABLE_AFTER:
            make_durable(self._path)
        self._channel.send(["done", {**self._about(ended), "result": text}])

    def _about(self, ended: float) -> dict[str, Any]:
        about: dict[str, Any] = {"started": self.started, "ended": ended}
        then = self.loader.code.files
        if self._files and self._files != then:
            changed = [name for name, now in self._files.items() if now != then[name]]
            about["changed"] = changed[:MENTIONED]
            about["code"] = variant(self.request.code, self._files)
        return about

    def _shown(self) -> tuple[str, str]:
        return self.loader.folder, self.loader.code.root


def introduce(request: Request) -> None:
    """Sets what the job finds in its environment, and its seed.

    In its own process: the C library keeps all values that a variable ever had.
    """
    environ = os.environ
    environ["XPM_JOB"] = request.job
    environ["XPM_FENCE"] = request.fence
    environ["XPM_ATTEMPT"] = str(request.attempt)
    for name, value in request.environ.items():
        environ[name] = value
    seeder.sow(request.job, request.attempt)


def settle(parent: int) -> None:
    """Makes this process a job's: a session of its own, the reaper of its orphans, not outliving `parent`."""
    os.setsid()
    tree.die_with(parent)
    tree.adopt_orphans()


def prepare_interpreter(workspace: str) -> None:
    """What a job's process has from its interpreter, be it forked or fresh."""
    os.environ["XPM_WORKSPACE"] = workspace
    faulthandler.enable(file=2)
    os.register_at_fork(before=_block_term, after_in_parent=_unblock_term, after_in_child=_forget_term)
    if seeder not in sys.meta_path:
        sys.meta_path.insert(0, seeder)
    for stream in (sys.stdout, sys.stderr):
        cast(Any, stream).reconfigure(line_buffering=True, errors="backslashreplace")


# A forked process forgets signals that came before it was set up, if Python handles them: whoever ends a process as soon
# as it was forked, as a pool of processes does, would wait for it in vain. So SIGTERM waits for the fork to be over.


def _block_term() -> None:
    _signals.pthread_sigmask(_signals.SIG_BLOCK, _TERM)


def _unblock_term() -> None:
    _signals.pthread_sigmask(_signals.SIG_UNBLOCK, _TERM)


def _forget_term() -> None:
    _signals.signal(_TERM[0], _signals.SIG_DFL)
    _signals.pthread_sigmask(_signals.SIG_UNBLOCK, _TERM)


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


def _leave(failure: Failure | None) -> NoReturn:
    """The task left because it was told to: what it returned is no result, and what it raised is not why it ended."""
    if failure is not None:
        sys.stderr.write(failure.traceback)
        sys.stderr.flush()
    _die(signal.SIGTERM)


def _die(number: int) -> NoReturn:
    """Ends as a process does that has no handler for this signal."""
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)
    os._exit(128 + number)  # it is blocked


def _kind(error: BaseException) -> str:
    if isinstance(error, Overtaken):
        return "moved"
    if isinstance(error, ResultError):
        return "result"
    return "disk" if isinstance(error, OSError | Removed) else "exception"


def _identity(descriptor: int) -> tuple[int, int] | None:
    try:
        found = os.fstat(descriptor)
    except OSError:
        return None
    return (found.st_dev, found.st_ino)


def main() -> NoReturn:
    """A fresh interpreter for one job: the request on standard input, the zygote's id as the argument."""
    settle(int(sys.argv[1]))
    with open(0, "rb") as file:
        frame = frames.unpack(file.read())
    os.open(os.devnull, os.O_RDONLY)  # becomes the standard input
    signal.signal(signal.SIGINT, signal.default_int_handler)
    request = Request.of(frame[1])
    prepare_interpreter(request.workspace)
    workspace = Path(request.workspace)
    loader = Loader(read_code(workspace, request.code), workspace)
    loader.install()
    connected = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET, fileno=CHANNEL)
    execution = Execution(request, connected, loader)
    signal.signal(signal.SIGTERM, execution.on_term)
    execution.run()


if __name__ == "__main__":
    main()
