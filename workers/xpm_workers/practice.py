"""Runs a job for practice, in the zygote itself, before the first one is forked.

The interpreter rewrites bytecode and fills its caches when code runs for the first times. Done here, it is done
once; done in a forked process, each job would do it again, and copy the memory pages for it too.
"""

from __future__ import annotations

import gc
import socket

from xpm.core import session
from xpm.core.config import Param, Task
from xpm.core.submission import prepare
from xpm.types import Fence
from xpm_workers import frames, process
from xpm_workers.loader import Loader

ROUNDS = 12
"""The interpreter specialises code that ran eight times."""


class Rehearsal(Task):
    """A task that does nothing."""

    count: Param[int]
    rate: Param[float] = 0.5
    name: Param[str] = "rehearsal"

    def execute(self) -> float:
        """Returns a number."""
        return self.rate * self.count


def practise(loader: Loader) -> None:
    """Runs a job `ROUNDS` times, with all but its effects on this process."""
    worker, channel = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with worker, channel:
        for number in range(ROUNDS):
            _run(_request(number), channel, loader)
            while frames.unpack(frames.receive_message(worker))[0] != "done":
                continue
    session.adopt(None)
    gc.disable()


def _request(number: int) -> frames.Request:
    prepared = prepare(Rehearsal.C(count=number))
    return frames.Request(
        job=prepared.id,
        task=prepared.task,
        fence=Fence("0" * 26),
        attempt=1,
        payload=prepared.payload,
        types={key: info.pack() for key, info in prepared.types.items()},
        workspace="/nowhere",
        code="",
    )


def _run(request: frames.Request, channel: socket.socket, loader: Loader) -> None:
    execution = process.Execution(request, channel, loader)
    execution.begin()
    value, _ = execution.execute()
    execution.tell(value)
