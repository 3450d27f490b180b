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
from xpm_workers.lease import Lease
from xpm_workers.moments import Moment
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


AWAY = "its worker could not reach the broker"
"""Why a job was handed back that had lost its lease, or might have."""

STOPPED = Ended("failed", failure=Failure("killed", "Killed", "stopped on request"))
"""Somebody asked for its end."""


class Running:
    """Follows one job until its last process is gone.

    Args:
        channel: the connection to the zygote on which the request was sent.
        wake: readable when somebody wants something of the worker; see `attend`.
        lease: the right to the job.
        patience: seconds for which the job stands still at most while the lease can't be renewed.
        note: told the process id of the job.
        frozen: whether the supervisor has frozen the process of this id.
    """

    def __init__(
        self,
        channel: socket.socket,
        wake: int,
        lease: Lease,
        patience: float,
        note: Callable[[int], None],
        frozen: Callable[[int], bool],
    ) -> None:
        self._channel = channel
        self._wake = wake
        self._lease = lease
        self._patient = patience
        self._started = note
        self._frozen_by_pool = frozen
        self._frozen: Moment | None = None
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
        now = time.monotonic()
        waits = [at - now for at in (self._kill_at, self._return_at, self._deaf_at) if at is not None]
        waits.append(self._due())
        if self._frozen is None:
            waits.append(self._lease.left)
        return max(0.0, min(waits))

    def _due(self) -> float:
        """Seconds until the lease is to be renewed: progress is told at once, as far as that goes."""
        return self._lease.due(1.0) if self._progress else self._lease.due()

    def _note(self, frame: Frame) -> None:
        if frame[0] == "started":
            self._pid = int(frame[1])
            self._started(self._pid)
            if self._frozen is not None:
                tree.signal_tree(self._pid, signal.SIGSTOP)
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
        self._keep()

    # Its lease

    def _keep(self) -> None:
        """Renews the lease; the job stands still while nobody knows whether it has one, for as long as is allowed."""
        if self._lease.over:
            self._freeze()
        if self._due() <= 0:
            progress, self._progress = self._progress, b""
            answer = self._lease.renew(progress)
            if answer == "away":
                self._progress = self._progress or progress
            self._obey(answer)
        if self._frozen is not None and self._frozen.age >= self._patient and self._kill_at is None:
            log.warning("the job has stood still for %g s: it is ended and handed back", self._patient)
            self._hand_back_dead()

    def _obey(self, answer: str) -> None:
        if answer == "fenced":
            self._fenced = True
            self._kill()
        elif answer != "away":
            self._thaw()
            if answer == "stop":
                self.stop()

    def _freeze(self) -> None:
        if self._frozen is not None:
            return
        self._frozen = Moment.now()
        if self._pid:
            log.warning("the job stands still: its lease could not be renewed in time")
            tree.signal_tree(self._pid, signal.SIGSTOP)
        else:
            self._hand_back_dead()  # its process has not begun, and must not now

    def _thaw(self) -> None:
        frozen, self._frozen = self._frozen, None
        if self._pid and (frozen is not None or self._frozen_by_pool(self._pid)):
            log.info("the lease was renewed: the job goes on")
            tree.signal_tree(self._pid, signal.SIGCONT)

    def _hand_back_dead(self) -> None:
        self._returning = AWAY
        self._kill_at = time.monotonic() + STOP_GRACE
        self._kill()

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
        ended = Ended("crashed", text="its zygote died") if status is None else _silent(status)
        if ended.kind == "crashed" and self._frozen is not None:
            return Ended("returned", text=AWAY)  # it did nothing: whatever ended it is not its doing
        return ended


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
