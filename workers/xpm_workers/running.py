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
from typing import Any, Literal, cast

from xpm.broker.broker import Failure
from xpm.errors import MessageError
from xpm.moments import Moment
from xpm_workers import frames, tree
from xpm_workers.frames import Frame
from xpm_workers.lease import Lease
from xpm_workers.memory import Memory
from xpm_workers.process import GRACEFUL, WRITTEN
from xpm_workers.stops import KILL, STOP_GRACE, Stop, Stopwatch, cancelling, over_time

log = logging.getLogger("xpm.worker")

DEAF = 8.0
"""Seconds after which a zygote that answers nothing is left to itself, when the job is to end: it is busy with an
import that no signal reaches, say."""

OUTSIDE = frozenset({signal.SIGKILL, signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGQUIT})
"""Signals that others send: a job that dies of one runs again. It dies of the rest by its own fault."""


Kind = Literal["done", "failed", "crashed", "lost", "missing", "returned", "continued", "fenced"]
"""`crashed`: its process ended without a word, under a zygote that lives on, or one of its own. `lost`: it ended with its
zygote or pool, or never began. `missing`: an input is. `returned`: it was handed back. `continued`: it wants to be."""


@dataclass(frozen=True, slots=True)
class Ended:
    """How an execution ended."""

    kind: Kind
    fence: str = ""
    """For `done`: the fence of the record that was published or found."""
    failure: Failure | None = None
    text: str = ""
    """For `crashed`, `lost`, `returned` and `continued`: why; for `missing`: the input."""
    said: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """For `done` and `failed`: what the job's process told."""
    pid: int = 0
    clean: bool = True
    """No process of the job is left."""
    written: bool = False
    """The process left its last word in a file."""
    exit_code: int | None = None
    """For `failed` without a word: the status with which the process ended."""

    @property
    def unexplained(self) -> bool:
        """Whether nobody knows why it ended."""
        return self.kind in ("crashed", "lost")


AWAY = "its worker could not reach the broker"
"""Why a job was handed back that had lost its lease, or might have."""

KILLED = Ended("failed", failure=Failure("killed", "Killed", "stopped on request"))
"""Somebody asked for its end."""

OUT_OF_MEMORY = Ended(
    "failed", failure=Failure("oom", "OutOfMemory", "the kernel killed it for want of memory")
)


@dataclass(frozen=True, slots=True)
class Terms:
    """What a job is granted, and how it is told of its end."""

    grace: float
    """Seconds that it has to save and leave, unless it is to end at once."""
    limit: float = 0.0
    """Seconds that it may take; 0: as long as it takes."""
    resumable: bool = False
    announce: Callable[[Stop], None] = lambda stop: None
    """Called before its processes get SIGTERM."""
    memory: Memory = field(default_factory=Memory)
    """Tells what the kernel killed for want of memory from what others killed."""
    line: Callable[[int], None] = os.close
    """Takes the descriptor of a connection over which the job asks for something."""


class Running:
    """Follows one job until its last process is gone.

    Args:
        channel: the connection to the zygote on which the request was sent.
        wake: readable when somebody wants something of the worker; see `attend`.
        lease: the right to the job.
        patience: seconds for which the job stands still at most while the lease can't be renewed.
        note: told the process id of the job.
        frozen: whether the supervisor has frozen the process of this id.
        terms: what the job is granted.
    """

    def __init__(
        self,
        channel: socket.socket,
        wake: int,
        lease: Lease,
        patience: float,
        note: Callable[[int], None],
        frozen: Callable[[int], bool],
        terms: Terms,
    ) -> None:
        self._channel = channel
        self._wake = wake
        self._lease = lease
        self._patient = patience
        self._started = note
        self._frozen_by_pool = frozen
        self._frozen: Moment | None = None
        self._waking = False
        """The pool has not seen yet that the job it froze goes on: it is woken with each renewal until then."""
        self._pid = 0
        self._progress = b""
        self._terms = terms
        self._watch: Stopwatch | None = None
        self._reached = 0.0
        self._parts: list[bytes] = []
        self._handed: list[int] = []
        self._word: Frame | None = None
        self._kill_at: float | None = None
        self._deaf_at: float | None = None
        self._return_at: float | None = None
        self._returning: Stop | None = None
        self._stop: Stop | None = None
        self._fenced = False

    # What the worker may be asked for meanwhile

    def kill(self) -> None:
        """End the job's processes at once: somebody asked for it."""
        self._end(KILL)

    def cancel(self) -> None:
        """End the job's processes, which may save what they like before: nobody wants the job any more."""
        self._end(cancelling(self._terms.grace))

    def hand_back(self, after: float, why: str) -> None:
        """Let the job go on for `after` seconds; then end it and hand it back.

        One that can be resumed is told at once: it saves within that time what another worker goes on with.
        """
        if self._terms.resumable and after > 0:
            self._end(Stop("returned", why, after))
            return
        at = time.monotonic() + after
        self._return_at = at if self._return_at is None else min(at, self._return_at)
        self._returning = Stop("returned", why)

    def _end(self, stop: Stop) -> None:
        """SIGTERM now, SIGKILL after the grace; another reason may come later, and can only shorten that."""
        # What has not begun has nothing to save.
        at = time.monotonic() + (stop.grace if self._pid else min(stop.grace, STOP_GRACE))
        if self._kill_at is None:
            self._stop, self._kill_at = stop, at
            self._terms.announce(stop)
            self._signal(signal.SIGTERM)
            return
        self._kill_at = min(at, self._kill_at)
        if self._stop is None or (stop.by_people and not self._stop.by_people):
            self._stop = stop

    def _end_now(self) -> None:
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
                    self._tell_progress()
                    return replace(self._ended(int(frame[1])), pid=self._pid, clean=bool(frame[2]))
                if frame[0] == "refused":
                    return Ended("lost", text=f"it could not be started: {frame[1]}")
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
            return frames.receive(self._channel, self._parts, self._handed)
        except (OSError, MessageError) as error:
            log.warning("the zygote is gone: %s", error)
            return None
        finally:
            while self._handed:
                self._terms.line(self._handed.pop(0))

    def _patience(self) -> float:
        now = time.monotonic()
        waits = [at - now for at in (self._kill_at, self._return_at, self._deaf_at) if at is not None]
        waits.append(self._due())
        if self._frozen is None:
            waits.append(self._lease.left)
        if self._watch is not None and self._kill_at is None and self._frozen is None:
            waits.append(self._terms.limit - self._watch.seconds)
        return max(0.0, min(waits))

    def _due(self) -> float:
        """Seconds until the lease is to be renewed: progress is told at once, as far as that goes."""
        return self._lease.due(1.0) if self._progress else self._lease.due()

    def _note(self, frame: Frame) -> None:
        if frame[0] == "started":
            self._pid = int(frame[1])
            self._started(self._pid)
            if self._terms.limit:
                self._watch = Stopwatch()
            if self._frozen is not None:
                tree.signal_tree(self._pid, signal.SIGSTOP)
        elif frame[0] == "here":
            self._deaf_at = math.inf
        elif frame[0] == "progress":
            self._note_progress(*frame[1:4])
        elif frame[0] in ("done", "failed"):
            self._word = frame

    def _note_progress(self, value: float, desc: str | None, level: int) -> None:
        """What is told of the job's progress, and for one that can be resumed how far it is as a whole."""
        if not self._terms.resumable:
            self._progress = frames.pack([value, desc])
            return
        if level == 0 and self._reached < value < math.inf:
            self._reached = value
        self._progress = frames.pack([value, desc, self._reached])

    def _tell_progress(self) -> None:
        """How far a job came before it ended counts, if it is to go on from there."""
        if self._terms.resumable and self._progress and (self._word is None or self._word[0] != "done"):
            self._lease.renew(self._progress)
            self._progress = b""

    def _tick(self) -> None:
        now = time.monotonic()
        if self._kill_at is not None and now >= self._kill_at:
            self._end_now()
            self._kill_at = now + STOP_GRACE
        if self._return_at is not None and now >= self._return_at and self._returning is not None:
            self._return_at = now + STOP_GRACE
            self._end(self._returning)
        if self._watch is not None and self._kill_at is None and self._watch.seconds >= self._terms.limit:
            self._end(over_time(self._terms.limit, self._terms.grace))
        self._keep()

    # Its lease

    def _keep(self) -> None:
        """Renews the lease; the job stands still while nobody knows whether it has one, for as long as is allowed."""
        if self._lease.over:
            self._freeze()
        if self._due() <= 0:
            progress, self._progress = self._progress, b""
            self._terms.memory.look(self._pid)
            answer = self._lease.renew(progress)
            if answer == "away":
                self._progress = self._progress or progress
            self._obey(answer)
        if self._frozen is not None and self._frozen.age >= self._patient and self._kill_at is None:
            log.warning("the job has stood still for %g s: it is ended and handed back", self._patient)
            self._end_and_hand_back()

    def _obey(self, answer: str) -> None:
        if answer == "fenced":
            self._fenced = True
            self._end_now()
        elif answer != "away":
            self._thaw()
            if answer == "stop":
                self.kill()
            elif answer == "cancel":
                self.cancel()

    def _freeze(self) -> None:
        if self._frozen is not None:
            return
        self._frozen = Moment.now()
        if self._watch is not None:
            self._watch.pause()
        if self._pid:
            log.warning("the job stands still: its lease could not be renewed in time")
            tree.signal_tree(self._pid, signal.SIGSTOP)
        else:
            self._end_and_hand_back()  # its process has not begun, and must not now

    def _thaw(self) -> None:
        frozen, self._frozen = self._frozen, None
        if self._watch is not None:
            self._watch.resume()
        by_pool = bool(self._pid) and self._frozen_by_pool(self._pid)
        if self._pid and (frozen is not None or by_pool):
            if not self._waking:
                log.info("the lease was renewed: the job goes on")
            tree.signal_tree(self._pid, signal.SIGCONT)
        self._waking = by_pool

    def _end_and_hand_back(self) -> None:
        self._stop = self._stop or Stop("returned", AWAY)
        self._kill_at = time.monotonic() + STOP_GRACE
        self._end_now()

    def _ended(self, status: int | None) -> Ended:
        word = self._word
        if self._fenced:
            return Ended("fenced")
        if word and word[0] == "done":
            return ended_by(word)
        stop = self._stop
        if stop is not None and stop.by_people:
            return KILLED
        said = ended_by(word) if word else None
        if said is not None and said.kind == "continued":
            return said
        if stop is not None and stop.why == "timeout":
            return Ended("failed", failure=Failure("timeout", "TimeLimit", stop.text))
        if stop is not None:
            return Ended("returned", text=stop.text)
        return said or self._unsaid(status)

    def _unsaid(self, status: int | None) -> Ended:
        """The process ended without a word, and nobody here wanted that."""
        killed = status is not None and os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
        if killed and self._terms.memory.killed(self._pid):
            return OUT_OF_MEMORY
        ended = Ended("lost", text="its parent process died") if status is None else _silent(status)
        if ended.unexplained and self._frozen is not None:
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
    if said.get("kind") == GRACEFUL:
        return Ended("continued", text=str(said.get("message", "")), said=said, clean=clean)
    told = (str(said.get(name, "")) for name in ("kind", "type", "message", "traceback"))
    return Ended("failed", failure=Failure(*told), said=said, clean=clean)


def _silent(status: int) -> Ended:
    """The process ended without a word."""
    if not os.WIFSIGNALED(status):
        code = os.waitstatus_to_exitcode(status)
        failure = Failure("exit", "Exit", f"the process ended with status {code} before its task did")
        return Ended("failed", failure=failure, written=code == WRITTEN, exit_code=code)
    number = os.WTERMSIG(status)
    name = signal.Signals(number).name
    if number in OUTSIDE:
        return Ended("crashed", text=f"its process was ended by {name}")
    return Ended(
        "failed", failure=Failure("signal", name, f"the process died of {signal.strsignal(number) or name}")
    )
