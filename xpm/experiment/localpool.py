"""Local workers: those of a script that needs some, which serve all scripts of the workspace on this host."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from xpm.broker.poolfile import Holder, PoolFile
from xpm.errors import BrokerError
from xpm.experiment.voice import Voice
from xpm.settings import Settings

ENDING = 9.0
"""Seconds for which a script waits until workers that nobody needs have made room: a pool takes at most 7 to end its
zygotes."""

PAUSES = (2.0, 60.0)
"""The first and the longest pause, in seconds, before workers that could not be started are started again."""

_FAILED = "xpm: error: "
_LOGGED = re.compile(r"\d{4}-\d\d-\d\d [^ ]+ \d+ [\w.]+ (?P<level>[A-Z]+) (?P<message>.*)")
"""A line of the log; what a pool that can't start leaves there is what Python or the pool prints on standard error."""

_OWN = frozenset(
    {
        "XPM_BROKER",
        "XPM_WORKERS",
        "XPM_DETACH",
        "XPM_DRY_RUN",
        "XPM_NO_COLOR",
        "XPM_QUIET",
        "XPM_VERBOSE",
        "XPM_WORKSPACE",
    }
)
_FLEETING = frozenset(
    {"_", "PWD", "OLDPWD", "SHLVL", "COLORTERM", "COLUMNS", "LINES", "TTY", "GPG_TTY", "STY"}
)
_SCREENS = ("TERM", "TMUX", "WINDOW", "VTE_", "KITTY_", "ITERM_", "STARSHIP_", "MAKE", "PYTEST_CURRENT")
"""What differs from terminal to terminal, or from command to command, and means nothing to a job: whole names, and
beginnings."""
_SESSIONS = (
    "SSH_",
    "XDG_",
    "DBUS_",
    "DISPLAY",
    "WAYLAND_",
    "DESKTOP",
    "GNOME_",
    "KDE_",
    "VSCODE_",
    "SESSION_",
)
_SERVICES = ("SUDO_", "INVOCATION_ID", "JOURNAL_STREAM", "SYSTEMD_", "DIRENV_")
"""What is new in each login or service: jobs get the newest when they can, but no word is lost on it."""


class LocalPool:
    """The pool of a workspace and broker on this host.

    Args:
        file: its file.
        log: the file that it logs to.
        command: what follows `python -m xpm_workers.pool`, but for what is said otherwise.
        settings: those of the script, which the pool has too, and how many workers.
        environ: the environment of its jobs.
        voice: says what the user should know.
    """

    def __init__(
        self,
        file: Path,
        log: Path,
        command: list[str],
        settings: Settings,
        environ: Mapping[str, str],
        voice: Voice,
    ) -> None:
        self._file = PoolFile(file)
        self._log = log
        self._asked = settings.workers or 0
        # The settings are handed over: the pool lives in the script's current directory, which may be any.
        given = {
            "--slots": self._asked,
            "--lock": file,
            "--log": log,
            "--project": settings.project,
            "--lease": settings.lease,
            "--grace": settings.grace,
        }
        self._command = [*command, *(str(word) for pair in given.items() for word in pair)]
        self._seen: int | None = None
        """How long the log was when this script started the pool."""
        self._pause = PAUSES[0]
        self._next = 0.0
        self._environ = environ
        self._voice = voice

    @property
    def started(self) -> bool:
        """Whether this script has started it, now or earlier."""
        return self._seen is not None

    def ensure(self) -> None:
        """Starts the pool if there is none; says why, when one that was started before has failed to.

        Raises:
            BrokerError: it can't be started.
        """
        if self._file.held() or time.monotonic() < self._next:
            return
        reason = self._reason()
        if reason:
            self._voice.once(f"local workers cannot be started: {reason}; their log is {self._log}")
            self._next = time.monotonic() + self._pause
            self._pause = min(2 * self._pause, PAUSES[1])
        self._start()

    def _reason(self) -> str:
        """Why the pool that this script has started is gone; empty if it ended as a pool may."""
        if self._seen is None:
            return ""
        try:
            with self._log.open("rb") as file:
                file.seek(self._seen)
                lines = file.read().decode(errors="replace").split("\n")
        except OSError:
            return ""
        last = next((line for line in reversed(lines) if line.strip()), "")
        logged = _LOGGED.fullmatch(last)
        if logged is None:
            return last.removeprefix(_FAILED).strip()
        return logged["message"] if logged["level"] == "ERROR" else ""

    def fit(self, idle: Callable[[], bool]) -> None:
        """Makes a pool that another script has started fit this one, as far as that harms nobody.

        A pool that nobody needs makes room for one of this script. One that is at work gets the number of workers that
        this script asks for, if it does, and keeps its environment.
        """
        holder = self._file.holder()
        if holder is None:
            return
        strange = self._strange(holder)
        if self._asked == holder.asked and not strange:
            return
        if idle():
            self._end(holder)
            return
        if self._asked and self._asked != holder.asked:
            self._file.want(holder, self._asked)
            before = holder.asked or "as many as CPUs"
            self._voice.remark(f"local workers: {self._asked} from now on ({before} before)")
        if named := [name for name in strange if not name.startswith(_SESSIONS + _SERVICES)]:
            self._voice.say(
                "local workers are at work, in the environment of the script that started them; other there: "
                f"{_listed(named)}; a script that starts when no job waits or runs brings its own"
            )

    def dismiss(self, idle: Callable[[], bool]) -> None:
        """Ends a pool that another script has started and nobody needs: this script wants no local workers."""
        holder = self._file.holder()
        if holder is not None and idle():
            self._end(holder)

    def _end(self, holder: Holder) -> None:
        self._file.dismiss(holder)
        self._await_end(holder)

    def _strange(self, holder: Holder) -> list[str]:
        """The variables that the pool's jobs have otherwise than they would have by this script."""
        theirs = environment(holder.pid)
        if theirs is None:
            return []
        names = sorted(theirs.keys() | self._environ.keys())
        return [name for name in names if theirs.get(name) != self._environ.get(name) and _matters(name)]

    def _await_end(self, holder: Holder) -> None:
        deadline = time.monotonic() + ENDING
        while self._file.holder() == holder and time.monotonic() < deadline:
            time.sleep(0.01)

    def _start(self) -> None:
        command = [sys.executable, "-P", "-m", "xpm_workers.pool", *self._command]
        try:
            self._log.parent.mkdir(parents=True, exist_ok=True)
            with self._log.open("ab") as log:
                self._seen = log.tell()
                # By way of a shell that ends at once, so that the pool is nobody's child to wait for.
                subprocess.run(
                    ["/bin/sh", "-c", '"$@" &', "sh", *command],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=log,
                    env=self._environ,
                    start_new_session=True,
                    check=False,
                )
        except OSError as error:
            raise BrokerError(f"local workers cannot be started: {error}") from error


def environment(pid: int) -> dict[str, str] | None:
    """The variables with which a process of this user was started; None where that can't be seen."""
    try:
        text = Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:
        return None
    pairs = (os.fsdecode(each).partition("=") for each in text.split(b"\0") if each)
    return {name: value for name, _, value in pairs}


def _matters(name: str) -> bool:
    return name not in _OWN and name not in _FLEETING and not name.startswith(_SCREENS)


def _listed(names: list[str], most: int = 6) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")
