"""The zygotes of a pool: one for each code that its jobs run, started when the first job needs it."""

from __future__ import annotations

import logging
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote, unquote

from xpm.core.environ import unpack_environ
from xpm.workspace.code import read_code
from xpm_workers import frames, tree
from xpm_workers.zygote import BIND_NOW, FOR_ZYGOTE

log = logging.getLogger("xpm.nursery")

CLOSING = 7.0
"""Seconds that zygotes have to end their jobs and themselves; they need 5 when a job does not die."""

KEPT = 8
"""Zygotes kept for codes; the one used longest ago is retired when another is needed. Private ones come on top."""

CALLED_FOR = 10.0
"""Seconds in which a worker has called on a zygote that it asked for."""


def zygote_of(code: str, environ: str = "", job: str = "") -> str:
    """The name of a zygote.

    Args:
        code: whose jobs it runs.
        environ: variables that it has, packed by `xpm.core.environ`: what modules read of them when they are imported,
            and the interpreter when it starts, is so for its jobs.
        job: the only job that it is to run.
    """
    return f"{code}{f'?{quote(environ)}' if environ else ''}{f'!{job}' if job else ''}"


def _parts(name: str) -> tuple[str, dict[str, str]]:
    """The code and the variables in the name of a zygote."""
    code, _, environ = name.partition("!")[0].partition("?")
    return code, unpack_environ(unquote(environ))


def _is_private(name: str) -> bool:
    return "!" in name


@contextmanager
def _term_blocked() -> Generator[None]:
    """A process that is begun meanwhile gets SIGTERM when it unblocks it, as a zygote does once it can obey."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@dataclass(slots=True)
class _Zygote:
    process: subprocess.Popen[bytes]
    path: str
    born: float = field(default_factory=time.monotonic)


class Nursery:
    """Starts zygotes and knows where they listen.

    Args:
        workspace: where the code of runs lies.
        local: whether runs are submitted on this host too: then each runs on the interpreter of its script.

    A zygote ends when this process does: it holds the reading end of a pipe that nobody else can write to.
    """

    def __init__(self, workspace: Path, *, local: bool = False) -> None:
        self._local = local
        self._workspace = workspace
        self._folder = Path(tempfile.mkdtemp(prefix="xpm-"))
        self._reading, self._writing = os.pipe()
        self._zygotes: dict[str, _Zygote] = {}
        self._retired: list[_Zygote] = []
        self._started = 0
        self._fragile: set[str] = set()
        """Codes whose zygote died by itself: their modules are imported by the jobs, each for itself."""

    def path(self, name: str) -> str:
        """The socket of the zygote of this name, which is started if need be.

        Raises:
            OSError: it cannot be started.
        """
        for each, other in list(self._zygotes.items()):
            if _is_private(each) and time.monotonic() - other.born > CALLED_FOR:
                self._retire(self._zygotes.pop(each))
        zygote = self._zygotes.pop(name, None)
        if zygote is not None and (status := zygote.process.poll()) is not None:
            self._note_end(name, zygote, status)
            zygote = None
        if zygote is None:
            zygote = self._start(name)
        self._zygotes[name] = zygote  # the last is the one used last
        for oldest in [each for each in self._zygotes if not _is_private(each)][:-KEPT]:
            self._retire(self._zygotes.pop(oldest))
        return zygote.path

    def _start(self, name: str) -> _Zygote:
        code, environ = _parts(name)
        self._started += 1
        path = str(self._folder / f"z{self._started}")
        listener = frames.listen(path)
        with listener, _term_blocked():
            process = subprocess.Popen(
                [
                    self._interpreter(code),
                    "-P",
                    "-m",
                    "xpm_workers.zygote",
                    str(self._workspace),
                    code,
                    str(listener.fileno()),
                    *(["--no-preload"] if code in self._fragile else []),
                ],
                stdin=self._reading,
                pass_fds=[listener.fileno()],
                start_new_session=True,
                env={BIND_NOW: FOR_ZYGOTE, **os.environ, **environ},
            )
        log.info("zygote %d serves code %s", process.pid, code)
        return _Zygote(process, path)

    def _interpreter(self, code: str) -> str:
        python = read_code(self._workspace, code).python if self._local else sys.executable
        return python if os.access(python, os.X_OK) else sys.executable

    def _retire(self, zygote: _Zygote) -> None:
        """It ends as soon as no worker is connected."""
        zygote.process.send_signal(signal.SIGTERM)
        self._retired.append(zygote)
        Path(zygote.path).unlink(missing_ok=True)

    @property
    def pids(self) -> set[int]:
        """The processes of the zygotes, those that were retired and have not ended too."""
        return {zygote.process.pid for zygote in (*self._zygotes.values(), *self._retired)}

    def _note_end(self, name: str, zygote: _Zygote, status: int) -> None:
        log.warning("zygote %d of code %s ended with %d", zygote.process.pid, _parts(name)[0], status)
        # Else by a module that it imported, as far as one can know.
        if status not in (-signal.SIGKILL, -signal.SIGTERM):
            self._fragile.add(_parts(name)[0])

    def forget(self, pid: int, status: int) -> None:
        """A child of this process ended with this exit code; it may have been a zygote."""
        for code, zygote in list(self._zygotes.items()):
            if zygote.process.pid == pid:
                self._note_end(code, zygote, status)
                del self._zygotes[code]
        self._retired = [zygote for zygote in self._retired if zygote.process.pid != pid]

    def abandon(self) -> None:
        """In a forked child: let go of what belongs to the parent."""
        os.close(self._writing)
        os.close(self._reading)

    def close(self) -> None:
        """End all zygotes, and the jobs that they run."""
        os.close(self._writing)
        deadline = time.monotonic() + CLOSING
        for zygote in (*self._zygotes.values(), *self._retired):
            try:
                zygote.process.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                tree.signal_tree(zygote.process.pid, signal.SIGKILL)
                with suppress(subprocess.TimeoutExpired):  # it may hang in the kernel
                    zygote.process.wait(1)
        os.close(self._reading)
        shutil.rmtree(self._folder, ignore_errors=True)
