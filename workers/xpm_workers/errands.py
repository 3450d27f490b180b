"""What a worker does for the code of its job while that runs: it holds tokens and locks, and submits tasks.

A job asks over a line, a connection of its own that it hands to the worker (see `xpm_workers.frames`). Each line has a
thread here, and one more while something is waited for, so that its end is heard meanwhile: what it holds comes back then.

| from | frame | meaning |
| --- | --- | --- |
| job | `["acquire", needs, timeout, priority]` | hold these until the line is closed |
| worker | `["granted", fence]`, `["late"]` | they are held; the time is over |
| job | `["submit", {...}]` | a task for the experiments of the job; see `xpm_workers.offspring.Asked` |
| worker | `["submitted"]` | it is in the graph |
| job | `["outputs", [[place, method, arguments], ...]]` | what the task has registered: see `xpm_workers.watchers` |
| worker | `["told"]` | what is to be done for them is in the graph |
| job | `["payload", id]` | of a job |
| worker | `["payload", payload, types]` | empty when there is none any more |
| job | `["tags", id]` | of a job |
| worker | `["tags", tags]` | those of all runs that list it; where they differ, the newest's |
| job | `["state", id]` | of a job |
| worker | `["state", state]` | asked now |
| worker | `["refused", class of the error, message]` | in place of an answer |
| worker | `["note", text]` | for the job's log; the answer follows |
"""

from __future__ import annotations

import logging
import os
import secrets
import socket
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from xpm.broker.broker import Broker, Claim
from xpm.broker.ledger import declare
from xpm.broker.scripts import StaleEpoch
from xpm.broker.views import Views
from xpm.core.message import type_keys
from xpm.core.outputs import Output
from xpm.core.requirement import Need, needs_text, refuse_excess
from xpm.core.state import State
from xpm.errors import (
    BrokerError,
    BrokerUnreachable,
    JobError,
    MessageError,
    RunForgotten,
    WorkspaceError,
    XpmError,
)
from xpm.here import this_host
from xpm_workers import frames
from xpm_workers.frames import Frame
from xpm_workers.offspring import Asked, Offspring
from xpm_workers.watchers import Watchers

log = logging.getLogger("xpm.worker")

T = TypeVar("T")

PASSING = (BrokerUnreachable, RunForgotten, StaleEpoch)
"""What keeps a call from being answered now, and not for good: a refusal is the job's to know."""

PAUSE = (0.1, 2.0)
"""The first and the longest pause, in seconds, before a broker that is away is asked again."""


class Errands:
    """A worker's, for one job after the other.

    Args:
        workspace: its path.
        apart: makes a broker with connections of its own.
    """

    def __init__(self, workspace: Path, apart: Callable[[], Broker]) -> None:
        self._apart = apart
        self._broker: Broker | None = None
        self._lock = threading.Lock()
        self.offspring = Offspring(workspace, f"{this_host()}-{os.getpid()}-{secrets.token_hex(4)}")

    @property
    def broker(self) -> Broker:
        """The broker, for threads; made when the first job asks for something."""
        with self._lock:
            if self._broker is None:
                self._broker = self._apart()
            return self._broker

    def serve(self, claim: Claim) -> Lines:
        """The lines of a job that begins."""
        return Lines(self, claim)


class Lines:
    """The lines of one execution of a job."""

    def __init__(self, errands: Errands, claim: Claim) -> None:
        self._errands = errands
        self._claim = claim
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._watchers = Watchers(errands.offspring, claim)
        self.over = threading.Event()
        """The execution has ended."""

    def take(self, descriptor: int) -> None:
        """Serves another line."""
        line = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET, 0, descriptor)
        with self._lock:
            self._open.add(line)
        try:
            threading.Thread(target=self._serve, args=[line], name="xpm-line", daemon=True).start()
        except RuntimeError as error:  # the system has no room for one: no reason for the worker to end
            log.warning("a line of job %s is not served: %s", self._claim.id[:8], error)
            with self._lock:
                self._open.discard(line)
            line.close()

    def _serve(self, line: socket.socket) -> None:
        errand = _Errand(self._errands, self._claim, self._watchers, line, self.over)
        try:
            with line:
                errand.run()
        finally:
            with self._lock:
                self._open.discard(line)

    def close(self) -> None:
        """The execution has ended: nothing is done for it any more, and what it holds comes back with its report."""
        self.over.set()
        with self._lock:
            for line in self._open:
                with suppress(OSError):
                    line.shutdown(socket.SHUT_RDWR)


class _Errand:
    """What is asked over one line."""

    def __init__(
        self,
        errands: Errands,
        claim: Claim,
        watchers: Watchers,
        line: socket.socket,
        over: threading.Event,
    ) -> None:
        self._errands = errands
        self._claim = claim
        self._watchers = watchers
        self._line = line
        self._over = over
        self._left = threading.Event()
        """The line is closed: nobody waits for an answer."""
        self._turn = threading.Lock()
        self._wish = ""

    def run(self) -> None:
        """Answers until the line is closed."""
        try:
            while frame := frames.receive(self._line):
                self._obey(frame)
        except (OSError, MessageError) as error:
            log.debug("a line of job %s: %s", self._claim.id[:8], error)
        self._left.set()
        with self._turn:  # a question that is under way comes first: it may be granted
            if self._wish:
                self._give_back()

    def _obey(self, frame: Frame) -> None:
        if frame[0] == "acquire" and not self._wish:
            self._wish = f"{this_host()}-{os.getpid()}-{secrets.token_hex(4)}"
            needs = tuple(Need(*values) for values in frame[1])
            waiting = threading.Thread(
                target=self._wait, args=[needs, *frame[2:]], name="xpm-wait", daemon=True
            )
            waiting.start()
        elif frame[0] == "submit":
            self._answer(lambda: self._submit(Asked(**frame[1])))
        elif frame[0] == "outputs":
            self._answer(lambda: self._tell([Output(*each) for each in frame[1]]))
        elif frame[0] == "payload":
            self._answer(lambda: self._payload(frame[1]))
        elif frame[0] == "tags":
            self._answer(lambda: self._tags(frame[1]))
        elif frame[0] == "state":
            self._answer(lambda: self._state(frame[1]))
        else:
            raise MessageError(f"{frame[0]!r} was not expected")

    def _answer(self, work: Callable[[], Frame]) -> None:
        try:
            frame = work()
        except XpmError as error:
            frame = ["refused", type(error).__name__, str(error)]
        except OSError as error:  # of the workspace's files, since the broker's are XpmErrors
            frame = ["refused", WorkspaceError.__name__, str(error)]
        with suppress(OSError):  # nobody waits for it any more
            frames.send(self._line, frame)

    # Jobs

    def _submit(self, asked: Asked) -> Frame:
        broker = self._errands.broker
        _, needs = self._patiently(lambda: self._errands.offspring.submit(broker, self._claim, asked))
        if needs:
            self._note(self._patiently(lambda: declare(broker, needs))[1])
        return ["submitted"]

    def _tell(self, outputs: Sequence[Output]) -> Frame:
        self._patiently(lambda: self._watchers.tell(self._errands.broker, outputs))
        return ["told"]

    def _payload(self, job: str) -> Frame:
        broker = self._errands.broker
        payload = self._patiently(lambda: Views(broker).payload(job)) or b""
        types = self._patiently(lambda: broker.types(type_keys(payload))) if payload else {}
        return ["payload", payload, types]

    def _tags(self, job: str) -> Frame:
        views = Views(self._errands.broker)
        found = self._patiently(lambda: views.job(job))
        its = {} if found is None else self._patiently(lambda: views.tags([found]))[0]
        newest_last = sorted(its, key=lambda token: tuple(map(int, token.split("."))))
        return ["tags", {name: value for token in newest_last for name, value in its[token].items()}]

    def _state(self, job: str) -> Frame:
        found = self._patiently(lambda: Views(self._errands.broker).job(job))
        return ["state", (State.WAITING if found is None else found.state).value]

    # Tokens and locks

    def _note(self, differing: Sequence[str]) -> None:
        for told in differing:
            frames.send(self._line, ["note", told])

    def _wait(self, needs: Sequence[Need], timeout: float | None, priority: int) -> None:
        self._answer(lambda: self._acquire(needs, timeout, priority))

    def _acquire(self, needs: Sequence[Need], timeout: float | None, priority: int) -> Frame:
        broker = self._errands.broker
        end = None if timeout is None else time.monotonic() + timeout
        try:
            found, differing = self._patiently(lambda: declare(broker, needs), end)
            self._note(differing)
            refuse_excess(found, needs)
            fence = broker.await_grant(self._wish, lambda: self._ask(needs, priority, end), timeout)
        except PASSING:  # it is away, and the time is over
            fence = None
        return ["late"] if fence is None else ["granted", fence]

    def _ask(self, needs: Sequence[Need], priority: int, end: float | None) -> str | None:
        claim, broker = self._claim, self._errands.broker
        granted = self._patiently(
            lambda: broker.acquire(
                self._wish,
                needs_text(needs),
                priority=priority,
                host=this_host(),
                facts={"what": claim.label},
                job=claim.id,
                execution=claim.execution,
            ),
            end,
        )
        return granted.fence_or_none

    def _give_back(self) -> None:
        """What the line held is free again; when its job has ended, that is so by itself."""
        pause = PAUSE[0]
        while not self._over.is_set():
            try:
                self._errands.broker.free(self._wish)
                return
            except BrokerError as error:
                log.debug("%s", error)  # the worker says it
                self._over.wait(pause)
                pause = min(2 * pause, PAUSE[1])

    def _patiently(self, call: Callable[[], T], end: float | None = None) -> T:
        """Makes a call until the broker has answered it, or nobody waits for the answer.

        Raises:
            JobError: nobody waits any more.
            BrokerError: it was refused; or not answered until `end`, a moment of `time.monotonic()`.
        """
        pause = PAUSE[0]
        while True:
            with self._turn:
                if self._left.is_set() or self._over.is_set():
                    raise JobError("nobody waits for it any more")
                try:
                    return call()
                except PASSING as error:
                    log.debug("%s", error)
                    if end is not None and time.monotonic() >= end:
                        raise
            self._left.wait(pause)
            pause = min(2 * pause, PAUSE[1])
