"""What a worker does around the process of a job: it takes the directory before, and publishes in it after.

See `xpm_workers.process` for why the process does not do so itself.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import lru_cache

from xpm.broker.broker import Claim
from xpm.broker.broker import Failure as ToldFailure
from xpm.core.message import TypeInfo, parameters
from xpm.errors import MessageError
from xpm.here import this_host, this_user
from xpm.workspace.attempts import Attempt, Failure, write_attempt
from xpm.workspace.directory import DURABLE_AFTER, JobDirectory, Overtaken, Removed
from xpm.workspace.paths import job_dir
from xpm.workspace.results import Record, complete, pack_record
from xpm.workspace.spares import Spares
from xpm_workers import frames
from xpm_workers.further import budget_left, covered
from xpm_workers.running import Ended, ended_by
from xpm_workers.stops import Stop


class Interrupted(Exception):
    """The execution is over before it has begun."""

    def __init__(self, ended: Ended) -> None:
        super().__init__(ended.kind)
        self.ended = ended


class Premises:
    """The directory of one execution, from its taking to what is left in it.

    Args:
        claim: the job.
        types: the packed descriptions of the types that its payload names.
        worker: the worker's name.
        directory: what was taken for the claim.
    """

    def __init__(
        self, claim: Claim, types: Mapping[str, bytes], worker: str, directory: JobDirectory
    ) -> None:
        self._claim = claim
        self._types = types
        self._worker = worker
        self._directory = directory
        self._began = time.time()

    @classmethod
    def take(
        cls,
        claim: Claim,
        types: Mapping[str, bytes],
        worker: str,
        workspace: str,
        spares: Spares,
        pulse: Callable[[], None] = lambda: None,
    ) -> Premises | Ended:
        """A new directory for the job; or how its execution ended, since there is a record, or no directory to be had.

        Args:
            claim: the job.
            types: the packed descriptions of the types that its payload names.
            worker: the worker's name.
            workspace: its path.
            spares: of the worker.
            pulse: called now and then while much is copied; may raise `Interrupted`.
        """
        path = job_dir(workspace, claim.task, claim.id)
        try:
            if claim.replaces:
                taken = JobDirectory.take_beside(path, claim.fence, spares, claim.replaces)
            else:
                taken = JobDirectory.take(path, claim.fence, spares, pulse if claim.resumable else None)
        except Interrupted as error:
            return error.ended
        except Overtaken as error:
            return Ended("returned", text=str(error))
        except OSError as error:
            return Ended("failed", failure=_disk(error))
        if isinstance(taken, Record):
            return Ended("done", fence=taken.fence)
        return cls(claim, types, worker, taken)

    @property
    def folder(self) -> str:
        """Where the job's process is to work."""
        return self._directory.path

    def announce(self, stop: Stop) -> None:
        """Tells the job's process why it is to end, for when it gets the signal."""
        with suppress(OSError):  # it ends all the same
            self._directory.announce(stop.pack())

    def leave(self, ended: Ended) -> Ended:
        """Publishes the result, or notes the failure, and lets go of the directory; returns how it ended after all."""
        try:
            if ended.kind == "failed" and ended.written:
                ended = self._read(ended)
            if ended.kind == "done":
                return self._publish(ended)
            self._directory.abandon(clean=ended.clean)
            if ended.failure is not None or ended.unexplained:
                self._note(ended)
            return ended
        except Overtaken as error:
            return Ended("returned", text=str(error))
        except Removed as error:
            return Ended("failed", failure=_disk(error))
        except OSError as error:
            # A full disk is often the reason for a failure: that is the one to be told.
            return ended if ended.failure is not None else Ended("failed", failure=_disk(error))
        finally:
            self._directory.close()

    def _read(self, ended: Ended) -> Ended:
        """How the job ended by the word that it could only leave in a file."""
        try:
            return ended_by(frames.unpack(self._directory.said()), clean=ended.clean)
        except MessageError:
            return ended

    def _publish(self, ended: Ended) -> Ended:
        said, claim = ended.said, self._claim
        started, until = float(said["started"]), float(said["ended"])
        record = Record(
            job=claim.id,
            task=claim.task,
            label=claim.label,
            parameters=parameters(claim.payload, self._readable()),
            payload=claim.payload,
            types=self._types,
            execution=claim.execution,
            attempt=claim.attempt,
            host=this_host(),
            user=this_user(),
            worker=self._worker,
            pid=ended.pid,
            started=started,
            ended=until,
            code=said.get("code", claim.code),
            result=None,
            fence=claim.fence,
            changed=said.get("changed", ()),
        )
        line = pack_record(record, said["result"])
        try:
            first = self._directory.publish(line, durable=until - started > DURABLE_AFTER, clean=ended.clean)
        except OSError:
            with suppress(OSError):
                self._directory.abandon(clean=ended.clean)
            raise
        there = claim.fence if first else complete(self._directory.path) or claim.fence
        return Ended("done", fence=there)

    def _readable(self) -> dict[str, TypeInfo]:
        return {key: _type(packed) for key, packed in self._types.items()}

    def _note(self, ended: Ended) -> None:
        said, claim, told = ended.said, self._claim, ended.failure
        if said:
            failure = Failure.of(dict(said))
        elif told is not None:
            failure = Failure(told.kind, told.type, told.message, told.traceback, exit_code=ended.exit_code)
        else:
            failure = Failure("lost", message=ended.text)
        attempt = Attempt(
            n=claim.attempt,
            execution=claim.execution,
            fence=claim.fence,
            host=this_host(),
            worker=self._worker,
            started=float(said.get("started", self._began)),
            ended=float(said.get("ended", time.time())),
            failure=failure,
            changed=said.get("changed", ()),
            again=covered(claim, ended) and budget_left(claim),
        )
        if self._directory.in_place():
            write_attempt(self._directory.home, attempt)


@lru_cache(maxsize=1024)
def _type(packed: bytes) -> TypeInfo:
    return TypeInfo.unpack(packed)


def _disk(error: OSError | Removed) -> ToldFailure:
    return ToldFailure("disk", type(error).__name__, str(error))
