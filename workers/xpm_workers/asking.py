"""What a job asks of its worker, over a line of its own; the other side is `xpm_workers.errands`."""

from __future__ import annotations

import socket
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from xpm import errors
from xpm.core.message import JobRef
from xpm.core.outputs import Output
from xpm.core.requirement import Need, not_free
from xpm.core.session import SubmitOptions
from xpm.core.state import State
from xpm.core.submission import Prepared
from xpm.core.wishes import settled, wishes_of
from xpm.errors import JobError
from xpm.types import JobId, Scalar
from xpm_workers import frames
from xpm_workers.frames import Frame


class Grip:
    """What was granted; it comes back when the line is closed, by whatever it is."""

    lost = False
    """It is taken away with the job alone."""

    def __init__(self, line: socket.socket, fence: str) -> None:
        self._line = line
        self.fence = fence

    def free(self) -> None:
        """Gives it back."""
        with suppress(OSError):  # the worker has closed it
            self._line.shutdown(socket.SHUT_RDWR)  # whoever was forked meanwhile has it open too
        self._line.close()


def acquire(line: socket.socket, needs: Sequence[Need], timeout: float | None, priority: int) -> Grip:
    """Waits until `needs` are granted.

    Raises:
        TimeoutError: the time is over.
        SubmissionError: there is not so much of it, or no such token.
        JobError: the worker gives no answer.
    """
    granted = False
    try:
        answer = ask(line, ["acquire", _told(needs), timeout, priority])
        granted = answer[0] == "granted"
    finally:
        if not granted:
            line.close()
    if not granted:
        raise TimeoutError(not_free(needs, timeout))
    return Grip(line, str(answer[1]))


def submit(line: socket.socket, prepared: Prepared, options: SubmitOptions) -> None:
    """Submits a task to the experiments of the job; returns when it is in the graph.

    Raises:
        SubmissionError: something of it can't be.
        JobError: this execution of the job has ended, or the worker gives no answer.
    """
    wishes = wishes_of(settled(options, time.time()), lambda here: here, resumable=prepared.resumable)
    asked = {
        "id": prepared.id,
        "task": prepared.task,
        "label": prepared.label,
        "payload": prepared.payload,
        "types": {key: info.pack() for key, info in prepared.types.items()},
        "inputs": [ref.id for ref in prepared.dependencies],
        "tags": dict(prepared.tags),
        "queue": options.queue,
        "priority": options.priority,
        "needs": _told(options.requires),
        "wishes": dict(wishes),
    }
    with line:
        ask(line, ["submit", asked])


def tell_outputs(line: socket.socket, outputs: Sequence[Output]) -> None:
    """Tells what the task has registered; returns when what is to be done for it is in the graph.

    Raises:
        JobError: this execution of the job has ended, or the worker gives no answer.
    """
    with line:
        ask(line, ["outputs", [list(output) for output in outputs]])


def payload(line: socket.socket, ref: JobRef) -> tuple[bytes, dict[str, bytes]]:
    """The payload of another job, and the packed types that it names.

    Raises:
        JobError: there is none, or the worker gives no answer.
    """
    with line:
        _, found, types = ask(line, ["payload", ref.id])
    if not found:
        raise JobError(f"{ref.task} {ref.id[:8]}: the broker doesn't know it any more")
    return found, types


def state(line: socket.socket, job: JobId) -> State:
    """The state of a job, asked now.

    Raises:
        JobError: the worker gives no answer.
    """
    with line:
        return State(ask(line, ["state", job])[1])


def tags(line: socket.socket, job: JobId) -> dict[str, Scalar]:
    """The tags of a job, asked now: those of all runs that list it.

    Raises:
        JobError: the worker gives no answer.
    """
    with line:
        return ask(line, ["tags", job])[1]


def _told(needs: Sequence[Need]) -> list[list[Any]]:
    return [[need.kind, need.name, need.amount, need.capacity] for need in needs]


def ask(line: socket.socket, frame: Frame) -> Frame:
    """The worker's answer; what it has to say meanwhile goes to the log of the job.

    Raises:
        XpmError: it refuses.
    """
    try:
        frames.send(line, frame)
        while answer := frames.receive(line):
            if answer[0] == "refused":
                raise _error(*answer[1:3])
            if answer[0] != "note":
                return answer
            sys.stderr.write(f"xpm: {answer[1]}\n")
    except OSError as error:
        raise JobError(f"the job's worker does not answer: {error}") from None
    raise JobError("the job's worker does not answer")


def _error(kind: str, message: str) -> Exception:
    cls: Any = getattr(errors, kind, JobError)
    return cls(message)
