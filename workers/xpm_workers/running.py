"""One job under way, seen from its worker: what it says of itself, and how it ends."""

from __future__ import annotations

import logging
import math
import os
import select
import signal
import socket
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, cast

from xpm.broker.broker import Failure
from xpm.errors import MessageError
from xpm_workers import frames, tree
from xpm_workers.frames import Frame
from xpm_workers.process import WRITTEN

log = logging.getLogger("xpm.worker")

STOP_GRACE = 1.5
"""Seconds between asking a job's processes to end and ending them."""

DEAF = 8.0
"""Seconds after which a zygote that answers nothing is left to itself, when the job is to end: it is busy with an
import that no signal reaches, say."""

OUTSIDE = frozenset({signal.SIGKILL, signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGQUIT})
"""Signals that others send: a job that dies of one runs again. It dies of the rest by its own fault."""


@dataclass(frozen=True, slots=True)
class Ended:
    """How an execution ended."""

    kind: str
    """`done`, `failed`, `crashed`, `missing` (an input), `returned` (handed back) or `fenced`."""
    fence: str = ""
    """For `done`: the fence of the record that was published or found."""
    failure: Failure | None = None
    text: str = ""
    """For `crashed` and `returned`: why; for `missing`: the input."""
    said: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """For `done` and `failed`: what the job's process told."""
    pid: int = 0
    clean: bool = True
    """No process of the job is left."""
    written: bool = False
    """The process left its last word in a file."""


STOPPED = Ended("failed", failure=Failure("killed", "Killed", "stopped on request"))
"""Somebody asked for its end."""


class Running:
    """Follows one job until its last process is gone.

    Args:
        channel: the connection to the zygote on which the request was sent.
        wake: readable when somebody wants something of the worker; see `attend`.
        renew: keeps the lease: called with packed progress, answers `ok`, `stop`, `fenced` or `away`.
        interval: seconds between renewals.
        note: told the process id of the job.
    """

    def __init__(
        self,
        channel: socket.socket,
        wake: int,
        renew: Callable[[bytes], str],
        interval: float,
        note: Callable[[int], None],
    ) -> None:
        self._channel = channel
        self._wake = wake
        self._renew = renew
        self._interval = interval
        self._started = note
        self._renewed = time.monotonic()
        self._pid = 0
        self._progress = b""
        self._parts: list[bytes] = []
        self._word: Frame | None = None
        self._kill_at: float | None = None
        self._deaf_at: float | None = None
        self._return_at: float | None = None
        self._returning = ""
        self._stopping = False
        self._fenced = False

    # What the worker may be asked for meanwhile

    def stop(self) -> None:
        """End the job's processes: somebody asked for it."""
        self._stopping = True
        self._end()

    def hand_back(self, after: float, why: str) -> None:
        """Let the job go on for `after` seconds; then end it and hand it back."""
        at = time.monotonic() + after
        self._return_at = at if self._return_at is None else min(at, self._return_at)
        self._returning = why

    def _end(self) -> None:
        if self._kill_at is None:
            self._kill_at = time.monotonic() + STOP_GRACE
            self._signal(signal.SIGTERM)

    def _kill(self) -> None:
        self._signal(signal.SIGKILL)
        if self._deaf_at is None:
            self._deaf_at = time.monotonic() + DEAF
            self._tell(["ask"])

    def _signal(self, number: int) -> None:
        self._tell(["signal", int(number)])

    def _tell(self, frame: Frame) -> None:
        try:
            frames.send(self._channel, frame)
        except OSError as error:  # the zygote is gone, and the job with it
            log.debug("%s was not told: %s", frame, error)

    # The loop

    def follow(self, attend: Callable[[Running], None]) -> Ended:
        """Wait for the end; `attend` is called when `wake` is readable."""
        while True:
            readable, _, _ = select.select([self._channel, self._wake], [], [], self._patience())
            if self._wake in readable:
                attend(self)
            if self._channel in readable:
                frame = self._receive()
                if frame is None:
                    return replace(self._ended(None), pid=self._pid, clean=False)
                if frame[0] == "exit":
                    return replace(self._ended(int(frame[1])), pid=self._pid, clean=bool(frame[2]))
                if frame[0] == "refused":
                    return Ended("crashed", text=f"it could not be started: {frame[1]}")
                self._note(frame)
            self._tick()
            if self._deaf_at is not None and time.monotonic() >= self._deaf_at:
                return self._abandoned()

    def _abandoned(self) -> Ended:
        """The zygote doesn't listen. It will when it can, and end the job if that has begun; here it is over now."""
        log.warning("a zygote does not answer: the job is ended without it")
        if self._pid:
            tree.signal_tree(self._pid, signal.SIGKILL)
        return replace(self._ended(None), pid=self._pid, clean=False)

    def _receive(self) -> Frame | None:
        try:
            return frames.receive(self._channel, self._parts)
        except (OSError, MessageError) as error:
            log.warning("the zygote is gone: %s", error)
            return None

    def _patience(self) -> float:
        pause = min(1.0, self._interval) if self._progress else self._interval
        moments = [self._renewed + pause]
        moments += [at for at in (self._kill_at, self._return_at, self._deaf_at) if at is not None]
        return max(0.0, min(moments) - time.monotonic())

    def _note(self, frame: Frame) -> None:
        if frame[0] == "started":
            self._pid = int(frame[1])
            self._started(self._pid)
        elif frame[0] == "here":
            self._deaf_at = math.inf
        elif frame[0] == "progress":
            self._progress = frames.pack(frame[1:3])
        elif frame[0] in ("done", "failed"):
            self._word = frame

    def _tick(self) -> None:
        now = time.monotonic()
        if self._kill_at is not None and now >= self._kill_at:
            self._kill()
            self._kill_at = now + STOP_GRACE
        if self._return_at is not None and now >= self._return_at:
            self._return_at = now + STOP_GRACE
            self._end()
        pause = min(1.0, self._interval) if self._progress else self._interval
        if now - self._renewed >= pause:
            self._renewed = now
            progress, self._progress = self._progress, b""
            answer = self._renew(progress)
            if answer == "fenced":
                self._fenced = True
                self._kill()
            elif answer == "stop":
                self.stop()

    def _ended(self, status: int | None) -> Ended:
        word = self._word
        if self._fenced:
            return Ended("fenced")
        if word and word[0] == "done":
            return ended_by(word)
        if self._stopping:
            return STOPPED
        if self._kill_at is not None:
            return Ended("returned", text=self._returning)
        if word:
            return ended_by(word)
        if status is None:
            return Ended("crashed", text="its zygote died")
        return _silent(status)


def ended_by(word: Frame, *, clean: bool = True) -> Ended:
    """What the last word of a job's process means.

    Raises:
        MessageError: it is no last word.
    """
    verb = word[0]
    said = cast(dict[str, Any], word[1]) if len(word) == 2 and isinstance(word[1], dict) else {}
    if verb == "done" and said:
        return Ended("done", said=said, clean=clean)
    if verb != "failed" or not said:
        raise MessageError(f"{verb!r} is not how a job ends")
    if said.get("kind") == "moved":
        return Ended("returned", text=str(said.get("message", "")), clean=clean)
    told = (str(said.get(name, "")) for name in ("kind", "type", "message", "traceback"))
    return Ended("failed", failure=Failure(*told), said=said, clean=clean)


def _silent(status: int) -> Ended:
    """The process ended without a word."""
    if not os.WIFSIGNALED(status):
        code = os.waitstatus_to_exitcode(status)
        failure = Failure("exit", "Exit", f"the process ended with status {code} before its task did")
        return Ended("failed", failure=failure, written=code == WRITTEN)
    number = os.WTERMSIG(status)
    name = signal.Signals(number).name
    if number in OUTSIDE:
        return Ended("crashed", text=f"its process was ended by {name}")
    return Ended(
        "failed", failure=Failure("signal", name, f"the process died of {signal.strsignal(number) or name}")
    )
