"""Forks the processes of jobs, for one run's code, from an interpreter that has imported it already.

It has no threads and no connection to the broker, so that a fork is safe, and it keeps little, so that a
fork is cheap. A pool starts it, with a pipe as standard input whose end is the pool's end; the workers
connect to its socket, one connection each, and ask over it for one job at a time. See `frames`. SIGTERM ends
it when no worker is connected any more, the end of the pipe at once, with all its jobs.
"""

from __future__ import annotations

import _signal  # pyright: ignore[reportMissingImports] - typeshed has only signal
import fcntl
import gc
import os
import select
import signal
import socket
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn, cast

from xpm.errors import MessageError
from xpm.workspace.code import read_code
from xpm_workers import births, frames, process, tree
from xpm_workers.brood import Brood
from xpm_workers.frames import Frame, Request
from xpm_workers.loader import Loader
from xpm_workers.practice import practise
from xpm_workers.ticker import Ticker

FIRST = process.CHANNEL + 1
"""Its own descriptors are numbered from here on, so that a child closes them all at once."""

BIND_NOW, FOR_ZYGOTE = "LD_BIND_NOW", "for the zygote"
"""A variable that has the dynamic linker look up all functions at the start, and not each in every job that calls it."""

LINGER = 5.0
"""Seconds that what a job left over may take to die before the job's end is told all the same."""

IMPORT_PATIENCE = 30.0
"""Seconds for which jobs wait for an import; a job that has waited longer does it in a process of its own."""

_RETRY_MS = 5
# `signal.signal` turns its arguments into enums, which costs each job 0.3 ms after a fork.
_set_signal = cast(Any, _signal).signal
_SIGCHLD, _SIGTERM, _SIGINT = int(signal.SIGCHLD), int(signal.SIGTERM), int(signal.SIGINT)
_IN = select.POLLIN
_OUT = select.POLLOUT
_GONE = select.POLLHUP | select.POLLERR


@dataclass(eq=False, slots=True)
class Line:
    """The connection of one worker."""

    socket: socket.socket
    parts: list[bytes] = field(default_factory=list[bytes])
    outbox: list[bytes] = field(default_factory=list[bytes])
    job: int = 0
    """The process of its job; 0 when there is none."""
    end: Frame | None = None
    """The last frame, while what the job left over is dying."""
    told: float = 0.0
    """When `end` is sent whatever still lives."""
    blocked: bool = False
    """The worker doesn't read, and something waits to be sent."""


class Zygote:
    """The process; see the module."""

    def __init__(self, loader: Loader, listener: socket.socket, preload: bool) -> None:
        self._loader = loader
        self._preload = preload
        self._pid = os.getpid()
        self._pool = _raised(0)
        os.close(0)
        os.open(os.devnull, os.O_RDONLY)  # becomes the standard input
        self._listener = socket.socket(fileno=_raised(listener.detach()))
        os.dup2(self._listener.fileno(), process.CHANNEL, inheritable=False)  # keeps the number for children
        self._channel = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET, 0, process.CHANNEL)
        reading, writing = os.pipe()
        self._bell, self._ring = _raised(reading), _raised(writing)
        os.set_blocking(self._bell, False)
        os.set_blocking(self._ring, False)
        self._brood = Brood(self._pid, above=FIRST)
        self._lines: dict[int, Line] = {}
        self._jobs: dict[int, Line] = {}
        self._known: set[str] = set()
        self._starting: list[tuple[Line, Request, Frame]] = []
        """Jobs that have yet to begin: more than one while modules are being imported."""
        self._ended: list[Line] = []
        """Lines of jobs whose end is not told yet: what they left over is dying."""
        self._rung = False
        """A child may have ended."""
        self._fork_safe = True
        self._retired = False
        self._poll = select.poll()
        for descriptor in (self._pool, self._listener.fileno(), self._bell):
            self._poll.register(descriptor, _IN)
        self._watch_signals()

    def run(self) -> NoReturn:
        """Serves until the pool is gone."""
        while True:
            for descriptor, event in self._poll.poll(_RETRY_MS if self._brood.left else None):
                self._attend(descriptor, event)
                if self._starting:
                    self._begin_all()
                    break  # meanwhile other events may have been attended to
            if self._rung or self._brood.left:
                self._rung = False
                self._reap()
            if self._retired and not self._lines:
                self._end()

    def _watch_signals(self) -> None:
        signal.signal(signal.SIGCHLD, _ignore)
        signal.signal(signal.SIGTERM, self._on_term)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.set_wakeup_fd(self._ring, warn_on_full_buffer=False)
        signal.pthread_sigmask(
            signal.SIG_UNBLOCK, {signal.SIGTERM}
        )  # blocked by the pool until somebody listens

    def _on_term(self, *_: object) -> None:
        """The pool needs it no more; its workers may still have jobs."""
        self._retired = True

    def _attend(self, descriptor: int, event: int) -> None:
        if descriptor == self._bell:
            os.read(descriptor, 4096)
            self._rung = True
        elif descriptor == self._pool:
            self._end()
        elif descriptor == self._listener.fileno():
            self._accept()
        elif descriptor in self._lines:
            self._serve(self._lines[descriptor], event)

    def _accept(self) -> None:
        accepted, _ = self._listener.accept()
        line = Line(socket.socket(fileno=_raised(accepted.detach())))
        self._lines[line.socket.fileno()] = line
        self._poll.register(line.socket, _IN)

    def _serve(self, line: Line, event: int) -> None:
        if event & _OUT:
            self._flush(line)
        if not event & (_IN | _GONE):
            return
        message = frames.receive_message(line.socket)
        if not message:
            self._hang_up(line)
            return
        try:
            frame = frames.unpack(message)
            if frame[0] == "part":
                line.parts.append(frame[2])
                if frame[1]:
                    return
                frame = frames.unpack(b"".join(line.parts))
            line.parts.clear()
            self._obey(line, frame)
        except MessageError as error:
            self._send(line, ["refused", str(error)])

    def _obey(self, line: Line, frame: Frame) -> None:
        if frame[0] == "signal":
            self._pass_on(line, int(frame[1]))
            return
        if frame[0] == "ask":
            self._send(line, ["here"])
            return
        if frame[0] != "run" or line.job or line.end or (self._starting and self._waits(line)):
            raise MessageError(f"{frame[0]!r} was not expected")
        self._starting.append((line, Request.of(frame[1]), frame))

    def _pass_on(self, line: Line, number: int) -> None:
        if line.job:
            tree.signal_tree(line.job, number)
        elif self._waits(line) and number in (_SIGTERM, signal.SIGKILL):
            self._drop(line)
            self._send(line, ["exit", number, True])

    def _waits(self, line: Line) -> bool:
        return any(each is line for each, _, _ in self._starting)

    def _drop(self, line: Line) -> None:
        self._starting = [each for each in self._starting if each[0] is not line]

    def _hang_up(self, line: Line) -> None:
        """The worker is gone: so is its right to the job."""
        descriptor = line.socket.fileno()
        self._poll.unregister(descriptor)
        self._drop(line)
        if line.job:
            tree.signal_tree(line.job, signal.SIGKILL)
        del self._lines[descriptor]
        line.socket.close()

    # A job's beginning

    def _begin_all(self) -> None:
        """Begins the jobs that wait for it, in their order; what they need is imported before, once."""
        while self._starting:
            if self._load(self._starting[0][1]):
                continue  # that took time, in which the job may have been given up, or begun by `_meanwhile`
            line, request, frame = self._starting.pop(0)
            self._start(line, request, frame, fork=self._fork_safe and births.threads() == 1)

    def _meanwhile(self, waited: float) -> None:
        """What must go on while a module is being imported, which may take long or never end: all but forks."""
        for descriptor, event in self._poll.poll(0):
            self._attend(descriptor, event)
        self._reap_jobs()
        if self._retired and not self._lines:
            self._end()
        if waited > IMPORT_PATIENCE:
            while self._starting:
                self._start(*self._starting.pop(0), fork=False)

    def _start(self, line: Line, request: Request, frame: Frame, *, fork: bool) -> None:
        try:
            if fork:
                job = self._fork(line, request)
            else:
                job = births.spawn(frame, request.workspace, line.socket.fileno())
        except OSError as error:
            self._send(line, ["refused", f"no process for the job: {error.strerror or error}"])
            return
        line.job = job
        self._jobs[job] = line
        self._brood.add(job)
        self._send(line, ["started", job])

    def _load(self, request: Request) -> bool:
        """Imports what the job needs, once; what can't be imported fails again, and for all to see, in the job.

        Returns whether there was anything to import.
        """
        new = request.types.keys() - self._known
        if not new or not self._preload:
            return False
        self._known |= new
        with Ticker(self._meanwhile):
            for key in new:
                try:
                    self._loader.find(self._loader.type(key, request.types[key]))
                except BaseException:  # a module may raise anything; the job repeats and reports it
                    continue
        self._loader.task(request.task)
        self._watch_signals()  # the modules may have taken the signals
        self._rung = True
        self._brood.keep()
        with suppress(OSError, ValueError, AttributeError):  # the modules may have closed or replaced them
            sys.stdout.flush()
            sys.stderr.flush()
        gc.collect()
        gc.freeze()
        self._fork_safe = births.forking_is_safe()
        return True

    def _fork(self, line: Line, request: Request) -> int:
        execution = process.Execution(request, self._channel, self._loader)
        on_term = execution.on_term  # made here, it costs the job no page
        gc.freeze()  # or the job's first collection would look at, and so copy, what was made here
        job = os.fork()
        if job:
            return job
        try:
            self._become(line, on_term)
            execution.run()
        finally:
            os._exit(process.FAILED)

    def _become(self, line: Line, on_term: Callable[[int, object], None]) -> None:
        """The child's side of the fork: lets go of what is the zygote's."""
        signal.set_wakeup_fd(-1)
        _set_signal(_SIGCHLD, 0)
        _set_signal(_SIGTERM, on_term)
        _set_signal(_SIGINT, signal.default_int_handler)
        os.dup2(line.socket.fileno(), process.CHANNEL, False)
        os.closerange(FIRST, max(self._lines, default=self._ring) + 8)
        process.settle(self._pid)

    # A job's end

    def _reap(self) -> None:
        for job, status in self._brood.reap():
            self._note_end(job, status)
        if (self._ended or self._brood.left) and self._brood.look():
            self._brood.kill_left()
            now = time.monotonic()
            if any(now >= line.told for line in self._ended):
                self._tell_ends(clean=False)
                self._brood.give_up()
        elif self._ended:
            self._tell_ends(clean=True)

    def _reap_jobs(self) -> None:
        """Tells which jobs have ended while a module is being imported."""
        for job, status in self._brood.reap_jobs():
            self._note_end(job, status)
        if self._ended:
            self._tell_ends(clean=self._brood.clean)

    def _note_end(self, job: int, status: int) -> None:
        line = self._jobs.pop(job)
        line.job = 0
        line.end = ["exit", status]
        line.told = time.monotonic() + LINGER
        self._ended.append(line)

    def _tell_ends(self, *, clean: bool) -> None:
        for line in self._ended:
            end, line.end = line.end, None
            if end is not None and line.socket.fileno() >= 0:  # else its worker is gone
                self._send(line, [*end, clean])
        self._ended.clear()

    def _send(self, line: Line, frame: Frame) -> None:
        """Sends without ever waiting: a worker that doesn't read must not hold up the others."""
        line.outbox += frames.messages(frame)
        self._flush(line)

    def _flush(self, line: Line) -> None:
        try:
            while line.outbox and frames.offer(line.socket, line.outbox[0]):
                del line.outbox[0]
        except OSError:
            line.outbox.clear()  # it is gone: the poll will say so too
        if line.blocked != bool(line.outbox):
            line.blocked = not line.blocked
            self._poll.modify(line.socket, _IN | _OUT if line.blocked else _IN)

    def _end(self) -> NoReturn:
        """Kills all that is below it and exits."""
        self._brood.end(LINGER)
        os._exit(0)


def _raised(descriptor: int) -> int:
    """The descriptor under a number of `FIRST` or above."""
    raised = fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, FIRST)
    if descriptor != 0:
        os.close(descriptor)
    return raised


def _ignore(*_: object) -> None:
    """Only so that the bell rings."""


def main(arguments: list[str]) -> NoReturn:
    """`zygote WORKSPACE CODE LISTENER [--no-preload]`; the pool's pipe is the standard input."""
    workspace, code, listener, *options = arguments
    tree.adopt_orphans()
    if os.environ.get(BIND_NOW) == FOR_ZYGOTE:
        del os.environ[BIND_NOW]  # not for what jobs start
    process.prepare_interpreter(workspace)
    loader = Loader(read_code(Path(workspace), code), Path(workspace))
    loader.install()
    gc.disable()
    practise(loader)
    # What isn't copied may change: each job imports it as it is then.
    preload = loader.code.copied and "--no-preload" not in options
    Zygote(loader, socket.socket(fileno=int(listener)), preload).run()


if __name__ == "__main__":
    main(sys.argv[1:])
