"""Runs the command of a task, in the task's own process: its files, its progress, its end."""

from __future__ import annotations

import importlib
import json
import os
import select
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Any

from xpm.core.info import info_of
from xpm.core.live import author_class
from xpm.core.schema import schema_of
from xpm.core.session import progress
from xpm.describe.plain import parameters_of
from xpm.errors import CommandFailed, ResultError

STDOUT = "stdout"
"""What a result is read from that is no file of the command's."""

LAST_LINES = 20
_LAST_BYTES = 16 << 10
_LONGEST_REPORT = 4096
_MUCH = 1 << 16
"""What a pipe holds."""

_MOMENT = 0.1
"""Seconds between two reports of progress that are passed on: those in between count for nothing by then."""

_FIFO = ".xpm/progress"

NOT_STARTED = 126
NOT_FOUND = 127
"""The exit codes of a shell whose command can't be started, or isn't there."""


@dataclass(frozen=True, slots=True)
class Call:
    """A command line, ready to run."""

    label: str
    """The task's class, for messages."""
    arguments: list[str]
    variables: Mapping[str, str]
    success: frozenset[int]


def perform(task: Any, call: Call, parameters: str | None, returns: str | None) -> Any:
    """Runs the command of the live `task` in the current directory.

    Args:
        task: the task.
        call: the command.
        parameters: the file that its parameters are written into.
        returns: what its result is read from; see `xpm.describe.commands.Command`.

    Raises:
        CommandFailed: it ended with another exit code than one of success, by a signal, or can't be started.
        ResultError: it has left no file in the place of one of its outputs, or no JSON as its result.
    """
    environ = {**os.environ, **call.variables}
    if parameters is not None:
        _write(Path(parameters), parameters_of(task))
        environ["XPM_PARAMETERS"] = os.path.abspath(parameters)
    with _Stream(1, task) as output, _Stream(2, task) as errors:
        with _Reports() as reports:
            environ["XPM_PROGRESS"] = reports.path
            status = _run(call, environ, (output, errors))
        if status not in call.success:
            raise _failed(call, status, errors.end())
        for name in schema_of(author_class(task)).generated:
            path: Path = getattr(task, name)
            if not path.exists():
                raise ResultError(f"{call.label}.{name}: the command has ended well, and left no {path.name}")
        if returns is None:
            return None
        return _parsed(call.label, returns, output)


def _run(call: Call, environ: Mapping[str, str], streams: tuple[_Stream, _Stream]) -> int:
    """Runs the command; its exit code, or the negative number of the signal that it died of."""
    sys.stdout.flush()
    sys.stderr.flush()
    try:
        process = subprocess.Popen(
            call.arguments,
            env=environ,
            stdin=subprocess.DEVNULL,
            stdout=streams[0].target,
            stderr=streams[1].target,
        )
    except OSError as error:
        program = call.arguments[0]
        code = NOT_FOUND if isinstance(error, FileNotFoundError) else NOT_STARTED
        raise CommandFailed(
            f"{program} can't be started on {os.uname().nodename}: {error.strerror}", code
        ) from None
    try:
        return process.wait()
    except BaseException:  # the task is to end: the command was told so, too, and may save before
        process.wait()
        raise


def _failed(call: Call, status: int, said: list[str]) -> CommandFailed:
    name = os.path.basename(call.arguments[0])
    last = f": {said[-1].strip()}" if said else ""
    more = "".join(f"\n{line}" for line in said) if len(said) > 1 else ""
    if status >= 0:
        return CommandFailed(f"{name} ended with exit code {status}{last}{more}", status)
    by = signal.Signals(-status).name if -status in set(signal.Signals) else f"signal {-status}"
    return CommandFailed(f"{name} died of {by}{last}{more}", None, by)


def _write(path: Path, values: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8") as file:
        if path.suffix == ".json":
            json.dump(values, file, indent=1)
        else:
            yaml: Any = importlib.import_module("yaml")  # few commands want it
            yaml.safe_dump(values, file, sort_keys=False)


def _parsed(label: str, returns: str, output: _Stream) -> Any:
    try:
        return json.loads(output.written() if returns == STDOUT else Path(returns).read_bytes())
    except FileNotFoundError:
        raise ResultError(f"{label}: the command has ended well, and left no {returns} to return") from None
    except ValueError as wrong:
        raise ResultError(f"{label}: what is to be returned is no JSON: {returns}: {wrong}") from None


class _Stream:
    """What the command writes to one of its standard streams.

    In a job, that is a log, which is read from where the command began. Elsewhere, it is kept beside, and passed on at
    the end.

    Args:
        number: 1 or 2.
        task: the live task.
    """

    def __init__(self, number: int, task: Any) -> None:
        self._number = number
        self.target: int | None = None
        """The descriptor to give to the command; None leaves it the one of this process."""
        log = _log(number, task)
        self._file: IO[bytes] = tempfile.TemporaryFile() if log is None else log  # noqa: SIM115 - closed by `__exit__`
        self._begin = self._file.seek(0, os.SEEK_END)
        if log is None:
            self.target = self._file.fileno()

    def __enter__(self) -> _Stream:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.target is not None:
            stream = sys.stdout if self._number == 1 else sys.stderr
            stream.write(self.written().decode("utf-8", "replace"))
        self._file.close()

    def written(self) -> bytes:
        """All that the command has written."""
        self._file.seek(self._begin)
        return self._file.read()

    def end(self) -> list[str]:
        """The last lines of it."""
        size = self._file.seek(0, os.SEEK_END)
        self._file.seek(max(self._begin, size - _LAST_BYTES))
        text = self._file.read().decode("utf-8", "replace").replace("\0", "")
        return [line for line in text.splitlines() if line.strip()][-LAST_LINES:]


def _log(number: int, task: Any) -> IO[bytes] | None:
    """The job's log, if that is what the descriptor writes."""
    info = info_of(task)
    if info is None or info.session is None:
        return None
    path: Path = task.job.stdout if number == 1 else task.job.stderr
    try:
        if os.path.samestat(os.fstat(number), path.stat()):
            return path.open("rb")
    except OSError:
        pass  # no such log: the task runs in another process than its job's
    return None


class _Reports:
    """The file that the command writes its progress into, one line for each report: `0.5 training`.

    It is a pipe with a name, so that a shell can write it like a file. One thread reads all that comes, and this process
    keeps it open for writing, too: so neither to open it nor to write it makes the command wait.
    """

    def __init__(self) -> None:
        self.path = os.devnull
        self._pipe: int | None = None
        try:
            if os.path.lexists(_FIFO):
                os.unlink(_FIFO)  # of an attempt that was killed, in a directory that goes on
            os.mkfifo(_FIFO, 0o600)
        except OSError:
            return  # outside of a job, or on a file system that has none: progress is lost, and nothing else
        self.path = os.path.abspath(_FIFO)
        self._pipe = os.open(_FIFO, os.O_RDWR | os.O_CLOEXEC | os.O_NONBLOCK)
        self._ended = False
        self._thread = threading.Thread(target=self._follow, daemon=True)

    def __enter__(self) -> _Reports:
        if self._pipe is not None:
            self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._pipe is None:
            return
        os.unlink(_FIFO)
        self._ended = True
        with suppress(BlockingIOError):  # it is full: there is something to read already
            os.write(self._pipe, b"\n")  # wakes the reader
        self._thread.join()
        os.close(self._pipe)

    def _follow(self) -> None:
        assert self._pipe is not None
        rest, last, due = b"", b"", 0.0
        closing = False
        while not closing:
            closing = self._ended
            # More reports in a moment than are passed on: the last of them is, when the moment is over.
            wait = max(0.0, due - time.monotonic()) if last else None
            if select.select([self._pipe], [], [], 0.0 if closing else wait)[0]:
                *lines, rest = (rest + os.read(self._pipe, _MUCH)).split(b"\n")
                rest = rest[:_LONGEST_REPORT]
                last = next((line for line in reversed(lines) if _part(line) is not None), last)
            if last and (closing or time.monotonic() >= due):
                _report(last)
                last, due = b"", time.monotonic() + _MOMENT


def _part(line: bytes) -> float | None:
    """The number that a line begins with; one that doesn't is no report, and no reason to fail."""
    try:
        return float(line.split(maxsplit=1)[0])
    except (ValueError, IndexError):
        return None


def _report(line: bytes) -> None:
    value, (_, *words) = _part(line), line.decode("utf-8", "replace").split(maxsplit=1)
    if value is not None:
        progress(value, words[0].strip() if words else None)
