"""The worker: one slot, one job at a time; in RQ's eyes an RQ worker.

What it inherits from RQ is its registration, its command channel and its name; what it runs, when, and under
which lease is the engine's. A report of one job's end fetches the next job in the same call.
"""

from __future__ import annotations

import logging
import os
import signal
import socket
import time
from collections.abc import Callable
from types import FrameType
from typing import Any

from redis.exceptions import RedisError
from rq.worker import Worker as RQWorker

from xpm.broker import rq as rqnames
from xpm.broker.broker import Broker, End, Reply
from xpm.broker.connect import open_client
from xpm.broker.names import WORKER
from xpm.errors import BrokerError, XpmError
from xpm.here import this_host
from xpm_workers import frames
from xpm_workers.board import Board
from xpm_workers.commands import obey
from xpm_workers.orders import Orders
from xpm_workers.serving import DISMISSED, EVERY, UNFIT, Duty, Means, Serving
from xpm_workers.sweeper import Sweeper, Turn

log = logging.getLogger("xpm.worker")

PATIENCE = 12.5
"""Seconds an idle worker waits for its bell before it asks again: its heartbeat. A thousand of them make a thousand waits
and as many questions in that time."""

RESUBSCRIBE = 1.0
"""Seconds between two attempts to hear RQ's commands again."""


def worker_name(duty: Duty, pid: int) -> str:
    """The name of a worker on this host, and of no other worker: containers may share a host's name, and process ids."""
    return f"{duty.namespace}.{this_host()}.{pid}-{duty.pool.rpartition('.')[2]}"


class _Roused(BaseException):
    """Raised by a signal's handler to leave the wait for the bell."""


class Worker(RQWorker):
    """One worker process.

    Args:
        duty: what to serve.
        supervisor: the connection to the pool, which starts zygotes on request; its end is the worker's end.
        board: tells the supervisor the process of the running job, for the case that this one dies, and this one what
            the supervisor wants.
        revive: called when the broker does not answer; starts an embedded server again.
        turn: whose turn it is among the workers of the pool to sweep.
    """

    def __init__(
        self,
        duty: Duty,
        supervisor: socket.socket,
        board: Board,
        revive: Callable[[], None],
        turn: Turn,
    ) -> None:
        self.duty = duty
        self._supervisor = supervisor
        self._board = board
        self._waiting = False
        self._complained = False
        self._dismissed = False
        super().__init__(  # pyright: ignore[reportUnknownMemberType]
            [rqnames.queue(duty.namespace, queue) for queue in duty.queues if queue != EVERY]
            or [rqnames.queue(duty.namespace, "default")],
            name=worker_name(duty, os.getpid()),
            connection=open_client(duty.url),
            serializer="xpm.broker.rq.Serializer",
        )
        # A call that is not answered must not be tried again for so long that its lease ends meanwhile.
        client = open_client(duty.url, timeout=duty.lease / 6, patience=duty.lease / 30)
        self.broker = Broker(client, duty.namespace, lease=duty.lease, brake=duty.brake)
        # The wait for the bell is longer than a call may take, and is to be one call: see `Reader.block`.
        self._patience = min(PATIENCE, max(duty.lease / 2.4, 1.0))
        self._bell = Broker(
            open_client(duty.url, timeout=2 * self._patience), duty.namespace, lease=duty.lease
        )
        for each in (client, self._bell.client, self.connection):
            each.connection_pool.connection_kwargs["client_name"] = WORKER
        self._sweeper = Sweeper(self.broker, turn)
        self._orders = Orders(supervisor)
        self._serving = Serving(
            duty,
            self.broker,
            self.name,
            self._orders,
            Means(self._zygote, self._apart, revive, self._duties, board),
        )

    def work(self, *_: Any, **__: Any) -> bool:
        """Serve until told to stop (or, in a burst, until nothing is ready). Returns whether a job ended.

        Raises:
            SystemExit: dismissed, or unfit: no other is to be started in its place.
        """
        signal.signal(signal.SIGTERM, self._on_stop)
        signal.signal(signal.SIGUSR1, self._on_wish)
        for number in (signal.SIGINT, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)  # Ctrl-C and the terminal are the pool's business
        self._orders.obey(self._board.wish)  # it may have changed before anybody here listened
        self._serving.patiently(self._enrol)
        self._serving.patiently(self._listen)
        worked = False
        try:
            reply = self._serving.claim()
            while True:
                if reply.claim is not None and self._orders.leaving:
                    self._serving.give_back(reply.claim)
                    break
                if reply.claim is not None:
                    worked = True
                    reply = self._serving.serve(reply.claim)
                    self._confirm()
                    self._duties()
                    continue
                next_reply = self._without_job(reply)
                if next_reply is None:
                    break
                reply = next_reply
        except SystemExit:
            self._serving.close()
            raise
        except BaseException:
            self._leave()
            raise
        self._leave()
        if self._dismissed:
            raise SystemExit(DISMISSED)
        if self._serving.unfit:
            log.error("%s", self._serving.unfit)
            raise SystemExit(UNFIT)
        return worked

    def _without_job(self, reply: Reply) -> Reply | None:
        """There was no job: the next reply, or None when it is time to end."""
        if reply.outcome == "dismissed":
            log.info("dismissed: ending")
            self._dismissed = True
            return None
        if reply.outcome == "stranger" and not self._orders.leaving:
            log.warning("the broker has lost its memory: enrolling again")
            self._serving.patiently(self._enrol_again)
            return self._serving.claim()
        complained, self._complained = self._complained, bool(reply.suspects)
        if reply.suspects and not complained:
            log.error(
                "this pool gets no more jobs: %s died one after the other as soon as they had begun; "
                "mend the host and start the pool anew",
                ", ".join(job[:8] for job in reply.suspects),
            )
        if self._orders.leaving or (self.duty.burst and not reply.backlog):
            return None
        if not reply.backlog:
            self._idle(reply.due)
            if self._orders.leaving:
                return None
        return self._serving.claim()

    def _enrol(self) -> None:
        try:
            self.connection.delete(self.key)  # else RQ takes what is left of it for a live worker
            self.register_birth()
            self.set_state("idle")  # RQ shows `?` otherwise, until its first job
        except (RedisError, ValueError) as error:  # the second: a worker of this name is alive
            raise BrokerError(f"not registered with RQ: {error}") from error
        facts = {
            "host": this_host(),
            "pid": os.getpid(),
            "pool": self.duty.pool,
            "slots": self.duty.slots,
        }
        self.broker.enrol(self.name, facts)

    def _enrol_again(self) -> None:
        self.broker.client.connection_pool.disconnect()  # a new connection says hello: fences must go on growing
        self._enrol()

    def _listen(self) -> None:
        try:
            self.subscribe()
        except RedisError as error:
            raise BrokerError(f"RQ's commands are not heard: {error}") from error

    def _confirm(self) -> None:
        """Ends with its pool, signed off: else lists would call it idle, and then silent for a day."""
        if self._orders.orphaned:
            self._leave("returned")  # a job that came with the last answer has not begun
            self._orders.confirm()

    def _leave(self, end: End = "crashed") -> None:
        self._serving.close()
        try:
            self.broker.depart(self.name, end=end)
            self.unsubscribe()
            self.register_death()
        except Exception as error:  # the broker is gone, or RQ's thread: the sweepers of others do the rest
            log.warning("not signed off: %s", error)

    def _on_stop(self, _number: int, _frame: FrameType | None) -> None:
        self._orders.stop()
        self._rouse()

    def _on_wish(self, _number: int, _frame: FrameType | None) -> None:
        self._orders.obey(self._board.wish)
        self._rouse()

    def _rouse(self) -> None:
        if self._waiting and self._orders.leaving:
            self._waiting = False
            raise _Roused

    def handle_payload(self, message: Any) -> None:
        """RQ's commands, on RQ's thread."""
        if obey(message, self._serving) == "shutdown":
            os.kill(os.getpid(), signal.SIGTERM)

    def _pubsub_exception_handler(self, exc: Exception, pubsub: Any, pubsub_thread: Any) -> None:
        """RQ's thread goes on, whatever keeps it from the broker: RQ's own ends it when a connection is late."""
        log.debug("RQ's commands are not heard: %s", exc)
        time.sleep(RESUBSCRIBE)  # nobody tells when the broker is to be reached again

    def _idle(self, due: float | None) -> None:
        """Wait for the bell, or until a job is due; the call that follows is the heartbeat."""
        longest = min(self._patience, max(self._sweeper.rest, 0.1))
        try:
            self._wait_for_bell(longest if due is None else min(longest, max(due, 0.005)))
        except _Roused:  # wherever in the wait the signal came
            return
        self._confirm()
        self._duties()

    def _wait_for_bell(self, longest: float) -> None:
        self._waiting = True
        try:
            if not self._orders.leaving:  # the signal may have come before `_waiting` was set
                self._bell.wait(self.name, longest)
        except BrokerError as error:
            self._waiting = False
            self._serving.trouble(error)
        finally:
            self._waiting = False

    def _duties(self) -> None:
        """What is to be done now and then, also while a job runs."""
        self._orders.confirm()
        try:
            self._sweeper.sweep()
        except BrokerError as error:
            self._serving.trouble(error)

    def _apart(self) -> Broker:
        client = open_client(self.duty.url, timeout=PATIENCE + 5)
        client.connection_pool.connection_kwargs["client_name"] = WORKER
        return Broker(client, self.duty.namespace, lease=self.duty.lease)

    def _zygote(self, code: str) -> str:
        frames.send(self._supervisor, ["zygote", code])
        answer = frames.receive(self._supervisor)
        if answer is None:
            os._exit(1)  # the pool is gone
        if answer[0] != "zygote":
            raise XpmError(f"the job's code cannot be loaded: {answer[1]}")
        return str(answer[2])
