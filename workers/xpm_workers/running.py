"""One job under way, seen from its worker: what it says of itself, and how it ends."""

from __future__ import annotations

import logging
import os
import select
import signal
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from xpm.broker.broker import Claim, Failure
from xpm.errors import MessageError
from xpm_workers import frames
from xpm_workers.frames import Frame

log = logging.getLogger("xpm.worker")

STOP_GRACE = 1.5
"""Seconds between asking a job's processes to end and ending them."""

OUTSIDE = frozenset({signal.SIGKILL, signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGQUIT})
"""Signals that others send: a job that dies of one runs again. It dies of the rest by its own fault."""


@dataclass(frozen=True, slots=True)
class Ended:
    """How an execution ended."""

    kind: str
    """`done`, `failed`, `crashed`, `missing` (an input), `returned` (handed back) or `fenced`."""
    fence: str = ""
    failure: Failure | None = None
    text: str = ""
    """For `crashed` and `returned`: why; for `missing`: the input."""


class Running:
    """Follows one job until its last process is gone.

    Args:
        claim: the job.
        channel: the connection to the zygote on which the request was sent.
        wake: readable when somebody wants something of the worker; see `attend`.
        renew: keeps the lease: called with packed progress, answers `ok`, `stop`, `fenced` or `away`.
        interval: seconds between renewals.
        note: told the process id of the job.
    """

    def __init__(
        self,
        claim: Claim,
        channel: socket.socket,
        wake: int,
        renew: Callable[[bytes], str],
        interval: float,
        note: Callable[[int], None],
    ) -> None:
        self._claim = claim
        self._channel = channel
        self._wake = wake
        self._renew = renew
        self._interval = interval
        self._started = note
        self._renewed = time.monotonic()
        self._progress = b""
        self._word: Frame | None = None
        self._kill_at: float | None = None
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

    def _signal(self, number: int) -> None:
        try:
            frames.send(self._channel, ["signal", int(number)])
        except OSError as error:  # the zygote is gone, and the job with it
            log.debug("no signal: %s", error)

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
                    return self._ended(None)
                if frame[0] == "exit":
                    return self._ended(int(frame[1]))
                if frame[0] == "refused":
                    return Ended("crashed", text=f"it could not be started: {frame[1]}")
                self._note(frame)
            self._tick()

    def _receive(self) -> Frame | None:
        try:
            return frames.receive(self._channel)
        except (OSError, MessageError) as error:
            log.warning("the zygote is gone: %s", error)
            return None

    def _patience(self) -> float:
        pause = min(1.0, self._interval) if self._progress else self._interval
        moments = [self._renewed + pause]
        moments += [at for at in (self._kill_at, self._return_at) if at is not None]
        return max(0.0, min(moments) - time.monotonic())

    def _note(self, frame: Frame) -> None:
        if frame[0] == "started":
            self._started(int(frame[1]))
        elif frame[0] == "progress":
            self._progress = frames.pack(frame[1:3])
        elif frame[0] in ("done", "failed"):
            self._word = frame

    def _tick(self) -> None:
        now = time.monotonic()
        if self._kill_at is not None and now >= self._kill_at:
            self._signal(signal.SIGKILL)
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
                self._signal(signal.SIGKILL)
            elif answer == "stop":
                self.stop()

    def _ended(self, status: int | None) -> Ended:
        word = self._word
        if self._fenced:
            return Ended("fenced")
        if word and word[0] == "done":
            return Ended("done", fence=word[1].get("fence") or self._claim.fence)
        if self._stopping:
            return Ended("failed", failure=Failure("killed", "Killed", "stopped on request"))
        if self._kill_at is not None:
            return Ended("returned", text=self._returning)
        if word:
            return _failed(word[1])
        if status is None:
            return Ended("crashed", text="its zygote died")
        return _silent(status)


def _failed(said: dict[str, Any]) -> Ended:
    if said.get("kind") == "input":
        return Ended("missing", text=str(said["input"]))
    if said.get("kind") == "moved":
        return Ended("returned", text=str(said.get("message", "")))
    return Ended(
        "failed",
        failure=Failure(
            str(said.get("kind", "exception")),
            str(said.get("type", "")),
            str(said.get("message", "")),
            str(said.get("traceback", "")),
        ),
    )


def _silent(status: int) -> Ended:
    """The process ended without a word."""
    if not os.WIFSIGNALED(status):
        code = os.waitstatus_to_exitcode(status)
        return Ended(
            "failed",
            failure=Failure("exit", "Exit", f"the process ended with status {code} before its task did"),
        )
    number = os.WTERMSIG(status)
    name = signal.Signals(number).name
    if number in OUTSIDE:
        return Ended("crashed", text=f"its process was ended by {name}")
    return Ended(
        "failed", failure=Failure("signal", name, f"the process died of {signal.strsignal(number) or name}")
    )
