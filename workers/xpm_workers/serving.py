"""Serving jobs: from a claim over its execution to the report, which brings the next claim."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

from xpm.broker import rq as rqnames
from xpm.broker.broker import Broker, Claim, Failure, Reply
from xpm.core.environ import unpack_environ
from xpm.core.message import PAYLOAD_VERSION, JobRef, references, type_keys
from xpm.errors import BrokerError, BrokerStalled, BrokerUnreachable, MessageError, XpmError
from xpm.here import this_host
from xpm.moments import Moment
from xpm.mounts import on_network
from xpm.types import Fence, Namespace
from xpm.workspace.fitness import hindrance
from xpm.workspace.spares import Spares
from xpm_workers import frames
from xpm_workers.board import ASKED, Board, Wish
from xpm_workers.channels import Channels
from xpm_workers.complaint import Complaint
from xpm_workers.errands import Errands
from xpm_workers.further import covered
from xpm_workers.inputs import NETWORK_PATIENCE, PATIENCE, Inputs
from xpm_workers.lease import Lease
from xpm_workers.memory import Memory
from xpm_workers.nursery import zygote_of
from xpm_workers.orders import RETURN, RETURN_NOW, Orders
from xpm_workers.premises import Interrupted, Premises
from xpm_workers.running import KILLED, Ended, Running, Terms

log = logging.getLogger("xpm.worker")

T = TypeVar("T")


UNREACHED = 3
"""Exit status of a worker that was stopped while the broker was away: there is nobody to sign off with."""

DISMISSED = 4
"""Exit status of a worker that was told to end, by name: no other takes its place."""

RQ = "a tool of RQ"
"""Who killed a job that RQ's commands ended."""

UNFIT = 5
"""Exit status of a worker that can make nothing in the workspace: no other of its pool could."""

EVERY = "*"
"""In place of queues: all of them, also those to come."""

TOGETHER = 1.0
"""Seconds within which a signal for all processes of a pool reaches the worker after its job."""

_OVER = {"fenced": Ended("fenced"), "stop": KILLED, "cancel": KILLED}
"""How a job ends that must not go on, by the answer to a renewal."""


@dataclass(frozen=True, slots=True)
class Duty:
    """What a worker is told when it is started."""

    workspace: Path
    namespace: Namespace
    url: str
    queues: tuple[str, ...]
    lease: float
    grace: float
    burst: bool
    pool: str
    freeze_limit: float
    brake: int = 20

    @property
    def slots(self) -> str:
        """Queues and payload versions that the worker can serve, in order; `*` is every queue there is."""
        if self.queues == (EVERY,):
            return f"{EVERY}:{PAYLOAD_VERSION}"
        return " ".join(f"{q}:{v}" for q in self.queues for v in range(1, PAYLOAD_VERSION + 1))


@dataclass(frozen=True, slots=True)
class Means:
    """What a worker has from those around it."""

    zygote: Callable[[str], str]
    """Gives the socket of the zygote for a code."""
    apart: Callable[[], Broker]
    """Makes a broker with connections of its own, for other threads."""
    revive: Callable[[], None] = lambda: None
    """Called when the broker does not answer."""
    meanwhile: Callable[[], None] = lambda: None
    """Called now and then while a job runs."""
    board: Board = field(default_factory=Board)
    """Tells the supervisor of the current job, and the worker what the supervisor has done to it."""


class Serving:
    """One worker's calls to the broker and to the zygotes.

    Args:
        duty: what to serve.
        broker: the worker's own.
        name: the worker's name; its life begins with its enrolment.
        orders: what others want of the worker.
        means: what it has from those around it.
    """

    def __init__(self, duty: Duty, broker: Broker, name: str, orders: Orders, means: Means) -> None:
        self.duty = duty
        self.broker = broker
        self.name = name
        self._means = means
        self._board = means.board
        self._number = 0
        self._sent = Moment.now()
        self._spares = Spares(duty.workspace, name)
        self._types: dict[str, bytes] = {}
        self._channels = Channels(means.zygote)
        self._memory = Memory()
        self._orders = orders
        self._current: Claim | None = None
        self._errands = Errands(duty.workspace, means.apart)
        self._complaint = Complaint()
        self._alone = False
        self.unfit = ""
        """Why this worker can make nothing in the workspace."""

    # The broker

    def patiently(self, call: Callable[[], T]) -> T:
        """Make a call until the broker has answered it: a broker that is away costs time, not work.

        Raises:
            SystemExit: told to stop while the broker is away, and nothing is to be told that it could not find out
                for itself: a published record is found by whoever claims the job next.
        """
        pause = 0.1
        while True:
            try:
                answer = call()
            except BrokerError as error:
                self.trouble(error)
                if self._orders.stopping:
                    raise SystemExit(UNREACHED) from error
                self._orders.rest(pause)
                pause = min(pause * 2, 5.0, self.duty.lease / 6)
            else:
                self._complaint.over()
                return answer

    def trouble(self, error: BrokerError) -> None:
        """The broker failed a call: say so, and start it again if it is ours."""
        self._complaint.say(error)
        if isinstance(error, BrokerStalled) or not isinstance(error, BrokerUnreachable):
            return
        try:
            self._means.revive()
        except XpmError as failed:
            self._complaint.say(failed)

    def claim(self) -> Reply:
        """Ask for a job."""
        return self._numbered(lambda number: self.broker.claim(self.name, number, self._wanted()))

    def only(self, job: str) -> str:
        """Run just the job that RQ handed out; returns what became of it."""
        self._sent = Moment.now()
        reply = self.broker.take(self.name, self._next(), job)
        if reply.claim is None:
            return reply.outcome
        self._orders.obey(Wish.LEAVE)  # nothing further is wanted
        self._alone = True  # no pool would end: RQ would hand out the job again, and again
        return self.serve(reply.claim).outcome

    def _numbered(self, call: Callable[[int], Reply]) -> Reply:
        """Make a call that may bring a job, under the next number; the same one until it is answered.

        The lease of that job may have begun when the call was sent first.
        """
        number = self._next()
        self._sent = Moment.now()
        return self.patiently(lambda: call(number))

    def _next(self) -> int:
        self._number += 1
        return self._number

    def _wanted(self) -> str:
        return "" if self._orders.leaving else self.duty.slots

    # One job

    def stop_job(self, job: str = "", execution: str = "") -> None:
        """End the current job, if it is `job`, and in this execution (by RQ's names; empty: any). On any thread."""
        current = self._current
        if current is not None and execution in ("", current.fence):
            # An order waits for a job to attend to it; this is not for the next.
            self._orders.stop_job(job or rqnames.job(self.duty.namespace, current.id), current.fence)

    def _attend(self, running: Running) -> None:
        for order in self._orders.take():
            if order in (RETURN, RETURN_NOW):
                grace = 0.0 if order == RETURN_NOW else self.duty.grace
                log.info("stopping: the job may end within %g s", grace)
                running.hand_back(grace, "its worker was stopped")
                continue
            _, _, what = order.partition(" ")
            current = self._current
            if current and what == f"{rqnames.job(self.duty.namespace, current.id)} {current.fence}":
                # Who has told the broker too may want no more than that it ends: the broker knows.
                wanted = self._ask(current, b"")
                if wanted == "ok":
                    self._note_kill(current)
                running.cancel() if wanted == "cancel" else running.kill()

    def _note_kill(self, claim: Claim) -> None:
        """RQ's tools tell nobody but the worker; without the broker's knowledge the wish would end with this process."""
        try:
            self.broker.kill([claim.id], RQ)
        except BrokerError as error:
            self.trouble(error)

    def serve(self, claim: Claim) -> Reply:
        """Run a job to its end and report it; the reply may bring the next."""
        log.debug("job %s begins: %s", claim.id[:8], claim.label)
        self._current = claim
        lease = Lease(self.duty.lease, self._sent, lambda said: self._renew(claim, said), self._note_lease)
        ended = self._run(claim, lease)
        self._current = None
        return self._numbered(lambda number: self._report(claim, ended, number))

    def give_back(self, claim: Claim) -> None:
        """A job was granted that is not wanted any more."""
        ended = Ended("returned", text="its worker was stopped")
        self._numbered(lambda number: self._report(claim, ended, number))

    def _run(self, claim: Claim, lease: Lease) -> Ended:
        try:
            types = self._types_of(claim)
            held_up = self._await_inputs(claim, lease) or self._await_lease(lease)
        except XpmError as error:
            return _refused(error)
        if held_up:
            return self._whose_fault(held_up)
        place = str(self.duty.workspace)
        premises = Premises.take(claim, types, self.name, place, self._spares, self._pulse(lease))
        if isinstance(premises, Ended):
            return self._whose_fault(premises)
        return self._whose_fault(premises.leave(self._execute(claim, types, lease, premises)))

    def _whose_fault(self, ended: Ended) -> Ended:
        """A job for which there was no place, or no input, is handed back where this host or user has none for any."""
        disk = ended.failure is not None and ended.failure.kind == "disk"
        if self._alone or not (disk or ended.kind == "missing"):
            return ended
        if not (reason := hindrance(self.duty.workspace)):
            return ended
        self.unfit = reason
        self._orders.obey(Wish.LEAVE)
        return Ended("returned", text=f"{this_host()}: {reason}")

    def _pulse(self, lease: Lease) -> Callable[[], None]:
        """Keeps the lease while the directory of a job is made, which may mean to copy much.

        What it returns raises `Interrupted` when the job is not to go on.
        """

        def beat() -> None:
            if self._orders.stopping:
                raise Interrupted(Ended("returned", text="its worker was stopped"))
            if lease.due() <= 0 and (over := _OVER.get(lease.renew())):
                raise Interrupted(over)

        return beat

    def _await_lease(self, lease: Lease) -> Ended | None:
        """A job begins only under a lease that is not about to end: a claim may have been answered late."""
        while lease.due() <= 0 or not lease.answered:
            over = _OVER.get(lease.renew())
            if over or lease.answered:
                return over
            self._orders.rest(max(0.0, lease.due()))
            if self._orders.stopping:
                return Ended("returned", text="its worker was stopped")
        return None

    def _execute(self, claim: Claim, types: Mapping[str, bytes], lease: Lease, premises: Premises) -> Ended:
        self._board.job = ASKED
        try:
            return self._follow(claim, types, lease, premises)
        finally:
            self._board.job = 0

    def _follow(self, claim: Claim, types: Mapping[str, bytes], lease: Lease, premises: Premises) -> Ended:
        request = request_for(claim, types, str(self.duty.workspace))
        # With losses, it may be what killed its zygote, and the jobs beside it.
        zygote = zygote_of(claim.code, claim.environ, claim.id if claim.losses else "")
        if claim.replaces:
            request["folder"] = premises.folder
        try:
            channel = self._channels.ask(zygote, request)
        except XpmError as error:
            return _refused(error)
        except OSError as error:
            self._channels.forget(zygote)
            return Ended("lost", text=f"its zygote was gone: {error}")
        lines = self._errands.serve(claim)
        terms = Terms(
            self.duty.grace, claim.limit, claim.resumable, premises.announce, self._memory, lines.take
        )
        self._memory.begin()
        running = Running(
            channel, self._orders.wake, lease, self.duty.freeze_limit, self._note, self._is_frozen, terms
        )
        try:
            ended = running.follow(self._attend)
        finally:
            lines.close()
        if ended.unexplained or not ended.clean or zygote != claim.code:
            self._channels.forget(zygote)
        if ended.unexplained and self._orders.orphaned:
            self._orders.obey(Wish.LEAVE)
            # The zygote ended with the pool, and the job with it. It may have been the job that killed its pool, so it counts.
            return Ended("lost", text="its pool died")
        if ended.unexplained and self._ends_too():
            return Ended("returned", text="its pool was stopped")
        if ended.kind == "lost" and ended.pid and zygote != claim.code:
            return replace(ended, kind="crashed")  # no other job was there to end its zygote
        return ended

    def _note(self, pid: int) -> None:
        self._board.job = pid

    def _note_lease(self, since: Moment) -> None:
        self._board.since = since

    def _is_frozen(self, pid: int) -> bool:
        return self._board.frozen == pid

    def _ends_too(self) -> bool:
        """The job was killed: whether that is a part of this worker's end, and so not the job's doing.

        Service managers and batch systems signal all processes at once, in an order of their own.
        """
        if not self._orders.stopping:
            self._orders.heard(TOGETHER)
        return self._orders.stopping

    def _renew(self, claim: Claim, progress: bytes) -> str:
        answer = self._ask(claim, progress)
        if answer != "away":
            self._means.meanwhile()
        return answer

    def _ask(self, claim: Claim, progress: bytes) -> str:
        reached = frames.unpack(progress)[2] if claim.resumable and progress else None
        try:
            answer = self.broker.renew(self.name, claim.id, claim.execution, progress, reached)
        except BrokerError as error:
            self.trouble(error)
            return "away"
        self._complaint.over()
        return answer

    def _types_of(self, claim: Claim) -> dict[str, bytes]:
        keys = type_keys(claim.payload)
        unknown = [key for key in keys if key not in self._types]
        if unknown:
            self._types.update(self.patiently(lambda: self.broker.types(unknown)))
        return {key: self._types[key] for key in keys if key in self._types}

    # Its inputs

    def _await_inputs(self, claim: Claim, lease: Lease) -> Ended | None:
        """Waits until the record of each input is the one that the claim names; or how the job ended before."""
        if not claim.inputs:
            return None
        workspace, jobs = self.duty.workspace, references(claim.payload)
        if len(jobs) != claim.inputs:
            raise MessageError(
                f"the payload names {len(jobs)} inputs, the broker {claim.inputs}: submit the job again"
            )
        inputs = Inputs(str(workspace), jobs, self._fences(claim, jobs))
        pause, began, patience = 0.01, time.monotonic(), None
        while missing := inputs.missing():
            patience = patience or (NETWORK_PATIENCE if on_network(workspace) else PATIENCE)
            if time.monotonic() - began > patience:
                if inputs.trouble is not None:  # its producer would not mend that
                    told = f"the record of its input {missing[:8]} cannot be read: {inputs.trouble}"
                    return Ended("failed", failure=Failure("disk", type(inputs.trouble).__name__, told))
                return Ended("missing", text=missing)
            over = _OVER.get(lease.renew()) if lease.due() <= 0 else None
            if over:
                return over
            self._orders.rest(pause)
            if self._orders.stopping:
                return Ended("returned", text="its worker was stopped")
            pause = min(2 * pause, 1.0)
        return None

    def _fences(self, claim: Claim, jobs: Sequence[JobRef]) -> list[Fence]:
        rest = [ref.id for ref in jobs[len(claim.fences) :]]
        more = self.patiently(lambda: self.broker.fences(rest)) if rest else []
        return [Fence(fence) for fence in (*claim.fences, *more)]

    def _report(self, claim: Claim, ended: Ended, number: int) -> Reply:
        worker = self.name, number, self._wanted()
        at = (*worker, claim.id, claim.execution)
        if ended.kind == "done":
            return self.broker.finish(*at, ended.fence)
        log.info(
            "job %s: %s %s", claim.id[:8], ended.kind, ended.failure.line if ended.failure else ended.text
        )
        if ended.failure is not None:
            again = covered(claim, ended)
            return self.broker.fail(*at, ended.failure, again)
        if ended.kind == "continued":
            return self.broker.adjourn(*at, ended.text[:60])
        if ended.kind == "missing":
            return self.broker.miss(*at, ended.text)
        if ended.kind == "crashed" or ended.kind == "lost":
            return self.broker.crash(*at, ended.text, ended.kind)
        if ended.kind == "returned":
            return self.broker.hand_back(*at, ended.text)
        return self.broker.claim(*worker)

    def close(self) -> None:
        """Let go of the zygotes; a job that still runs is ended by its zygote."""
        self._spares.close()
        self._channels.close()


def request_for(claim: Claim, types: Mapping[str, bytes], workspace: str) -> dict[str, Any]:
    """What a zygote is told: the fields of `frames.Request`."""
    return {
        "job": claim.id,
        "task": claim.task,
        "fence": claim.fence,
        "attempt": claim.attempt,
        "payload": claim.payload,
        "types": types,
        "workspace": workspace,
        "code": claim.code,
        "limit": claim.limit,
        "needs": claim.needs,
        "environ": unpack_environ(claim.environ),
    }


def _refused(error: XpmError) -> Ended:
    return Ended("failed", failure=Failure("refused", type(error).__name__, str(error)))
