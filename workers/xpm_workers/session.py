"""What a task finds of xpm in its own process: its dependencies, its directory, its progress."""

from __future__ import annotations

import importlib
import socket
import time
from _thread import allocate_lock
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, Protocol

from xpm.core.config import Task, reference
from xpm.core.hooks import hooked
from xpm.core.info import Resumable
from xpm.core.live import bind, deferred
from xpm.core.message import JobRef, TypeInfo, build, later, references
from xpm.core.outputs import Output, output_of
from xpm.core.requirement import Need, needs_of
from xpm.core.session import SubmitOptions
from xpm.core.state import State
from xpm.core.steering import Logged, Touch, Verb
from xpm.core.submission import prepare
from xpm.core.valued import live_class
from xpm.core.wishes import with_locks
from xpm.errors import JobError
from xpm.moments import Moment
from xpm.types import JobId, Scalar
from xpm.workspace.outputs import Journal, read_outputs
from xpm.workspace.paths import job_dir
from xpm.workspace.results import Record, complete, read_record
from xpm.workspace.values import decode_result
from xpm_workers import asking
from xpm_workers.describing import Descriptions, Payload
from xpm_workers.frames import Request
from xpm_workers.loader import Loader

if TYPE_CHECKING:
    from xpm.core.callbacks import Local

_PAUSE = 0.05
_NOTHING = "xpm nothing"


class _Worker(Protocol):
    """The job's way to its worker."""

    def progress(self, value: float, desc: str | None, level: int) -> None:
        """Takes progress."""
        ...

    def line(self) -> socket.socket:
        """A connection over which it can be asked; see `xpm_workers.asking`."""
        ...


class _Seen(Logged):
    """The job of a task, as seen from a job."""

    id: JobId
    path: Path

    def touches(self) -> Touch:
        """Refuses: a job asks no broker."""
        raise JobError("a job cannot ask what others do: ask in the script")

    def why(self) -> list[str]:
        """Refuses: a job asks no broker."""
        raise JobError("a job cannot ask why others do not run: ask in the script, or by xpm why")

    def _steer(self, verb: Verb, value: int = 0) -> bool:
        what = "set the priority of" if verb == "priority" else verb
        raise JobError(f"a job cannot {what} jobs: do it in the script, or by the command")


@dataclass(frozen=True, slots=True)
class Handle(_Seen):
    """This job, or that of a dependency."""

    id: JobId
    path: Path
    state: State


@dataclass(frozen=True, slots=True)
class Child(_Seen):
    """A job that this one has submitted."""

    id: JobId
    path: Path
    _worker: _Worker = field(repr=False)

    @property
    def state(self) -> State:
        """Its state, asked now."""
        return asking.state(self._worker.line(), self.id)


class JobSession:
    """The session of a running job; of its dependencies it needs the workspace alone, for the rest it asks its worker.

    Args:
        request: the running job.
        path: the directory that it runs in.
        loader: finds the classes of dependencies.
        worker: the way to its worker.
    """

    def __init__(self, request: Request, path: str, loader: Loader, worker: _Worker) -> None:
        self._request = request
        self._workspace = request.workspace
        self._job = request.job
        self._path = path  # as a text: most tasks need no more, and making a `Path` touches a lot of memory
        self._loader = loader
        self._worker = worker
        self._records: dict[JobId, Record] = {}
        self._next_report = 0.0
        self._last_desc: str | None = None
        self._until: float | None = None
        self._children: set[JobId] = set()
        self._tags: dict[JobId, Mapping[str, Scalar]] = {}
        self.task: Task | None = None
        """The live task, once its own code runs; not before the fork, where it would be a cycle."""

        self._described: Descriptions | None = None
        self._journal: Journal | None = None
        self._registering = allocate_lock()  # `threading` is loaded by tasks that use it

    def limit(self, seconds: float) -> None:
        """The job may take so long from now on."""
        self._until = seconds
        self._began = Moment.now()

    def submit(self, task: Task, options: SubmitOptions) -> None:
        """Submits a task to the experiments of this job; returns when it is in the graph."""
        options = hooked(task, options)
        prepared = prepare(task)
        asking.submit(self._worker.line(), prepared, with_locks(options, prepared.locks))
        self._children.add(prepared.id)

    def tags(self, task: Task) -> Mapping[str, Scalar]:
        """The tags of this job, or of one that it depends on."""
        job = reference(task).id
        if job not in self._tags:
            self._tags[job] = asking.tags(self._worker.line(), job)
        return self._tags[job]

    @property
    def required(self) -> tuple[tuple[Need, ...], str]:
        """What the job's requirements hold for it, and the fence of that."""
        return needs_of(self._request.needs), self._request.fence

    def acquire(self, needs: Sequence[Need], timeout: float | None, priority: int) -> asking.Grip:
        """Holds tokens and locks for code of the job; waits until they are free."""
        return asking.acquire(self._worker.line(), needs, timeout, priority)

    def jobpath(self, task: Task) -> Path:
        """The directory of this job or of a dependency."""
        return Path(self._folder(reference(task)))

    def handle(self, task: Task) -> Handle | Child:
        """This job, that of a dependency, or one that this job has submitted."""
        ref = reference(task)
        if ref.id in self._children:
            return Child(ref.id, Path(self._folder(ref)), self._worker)
        state = State.RUNNING if ref.id == self._job else State.DONE
        return Handle(ref.id, Path(self._folder(ref)), state)

    def result(self, task: Task, timeout: float | None) -> Any:
        """What a dependency's `execute` returned; a fresh copy at each call."""
        ref = reference(task)
        if ref.id == self._job:
            raise JobError(f"{ref.task}: a job has no result of its own while it runs")
        if ref.id in self._children:
            raise JobError(
                f"{ref.task} {ref.id[:8]}: a job cannot wait for a job that it has submitted, which may need its "
                "slot: take the result in the script, or in a task that depends on both"
            )
        return decode_result(self._record(ref).result, Path(self._folder(ref)), job=ref)

    def progress(self, value: float, desc: str | None, level: int) -> None:
        """Passes progress on, some twenty times a second at most."""
        now = time.monotonic()
        if now >= self._next_report or desc != self._last_desc or value >= 1:
            self._next_report, self._last_desc = now + _PAUSE, desc
            self._worker.progress(value, desc, level)

    # Callbacks and outputs

    def on_completed(self, task: Task, callback: Callable[..., object]) -> Callable[[], None]:
        """Has a function called by a job when a task that this job has submitted is done."""
        return _callbacks().on_completed(task, callback, _refuse)

    def watch_output(
        self, task: Task, method: Callable[..., Any], callback: Callable[..., object]
    ) -> Callable[[], None]:
        """Has a function called by jobs with the outputs of a task that this job has submitted."""
        return _callbacks().watch_output(task, method, callback, _refuse)

    def register(self, method: Callable[..., Any], arguments: Mapping[str, Any]) -> None:
        """Notes an output of this job, and tells those who watch it."""
        if not isinstance(self.task, Resumable):
            raise JobError(
                f"{self._request.task}: only a ResumableTask registers outputs; derive it from that"
            )
        output = output_of(self.task, method, arguments)
        with self._registering:
            journal = self._journal = self._journal or Journal(self._path)
            journal.add(output)
            known = read_outputs(self._path)
            if fresh := known[journal.told :]:
                asking.tell_outputs(self._worker.line(), fresh)
                journal.told = len(known)

    def outputs(self, task: Task) -> list[Output]:
        """What a dependency has registered."""
        return read_outputs(self._folder(reference(task)))

    def describe(self, live: Any) -> Any:
        """The description of a config of this job's task, or of a dependency's; None for any other."""
        if self.task is None:
            return None
        return self._descriptions().behind(live, self.task, JobRef(self._job, self._request.task))

    def description(self, ref: JobRef) -> Any:
        """The description of the task of a job, which may still run."""
        return self._descriptions().of(ref)

    def _descriptions(self) -> Descriptions:
        if self._described is None:
            self._described = Descriptions(self._loader, self._payload, self.dependency, self)
        return self._described

    def _payload(self, ref: JobRef) -> Payload:
        if ref.id == self._job:
            return self._request.payload, self._request.types
        if complete(self._folder(ref)) is not None:
            record = self._record(ref)
            return record.payload, record.types
        return asking.payload(self._worker.line(), ref)

    def remaining(self) -> float | None:
        """Seconds until the job's time limit; the time for which it was frozen is not known here, and counts."""
        return None if self._until is None else max(0.0, self._until - self._began.age)

    def own(self, ref: JobRef, payload: bytes, types: dict[str, TypeInfo]) -> Any:
        """This job's live task."""
        return self._live(ref, payload, types)

    def ahead(self, ref: JobRef, payload: bytes, types: Mapping[str, bytes]) -> Any:
        """This job's live task, for a process that only prepares it; None where making it needs the user's code.

        What `own` would load, or run, or raise, is for the job's own process.
        """
        infos = self._loader.loaded(types)
        if infos is None:
            return None
        try:
            if not all(self._loader.task(each.task) for each in references(payload)):
                return None
            if any(_has_hooks(self._loader.find(info)) for info in infos.values()):
                return None
            return self.own(ref, payload, infos)
        except Exception:  # whatever it is: the job's own process comes upon it again, and tells it
            return None

    def dependency(self, ref: JobRef) -> Any:
        """The live object of another job, filled from that job's record when an attribute is asked for.

        So a job at the end of a long chain reads only what it looks at.
        """
        cls = self._loader.task(ref.task)
        live = self._by_record(ref) if cls is None else deferred(cls, lambda bare: self._fill(bare, ref))
        bind(live, self, ref)
        return live

    def _by_record(self, ref: JobRef) -> Any:
        """For a class that this job's own code never imported: the record names its module."""
        record = self._record(ref)
        return later(
            record.payload, _types(record), self._loader.find, self.dependency, partial(self._place, ref)
        )

    def _fill(self, bare: Any, ref: JobRef) -> None:
        record = self._record(ref)
        live = self._live(ref, record.payload, _types(record))
        # One set of attributes for both, so that what `__init__` gave `self` to sees the same object.
        object.__setattr__(bare, "__dict__", live.__dict__)

    def _live(self, ref: JobRef, payload: bytes, types: dict[str, TypeInfo]) -> Any:
        make = later if _has_hooks(self._loader.task(ref.task)) else build
        live = make(payload, types, self._loader.find, self.dependency, partial(self._place, ref))
        bind(live, self, ref)
        if make is later:
            getattr(live, _NOTHING, None)  # fills it: its hooks run now, and find the session in place
        return live

    def _record(self, ref: JobRef) -> Record:
        record = self._records.get(ref.id)
        if record is None:
            record = read_record(job_dir(self._workspace, ref.task, ref.id))
            if record is None:
                raise JobError(f"{ref.task} {ref.id[:8]}: its result was removed")
            self._records[ref.id] = record
        return record

    def _place(self, own: JobRef, ref: JobRef | None) -> str:
        return self._folder(own if ref is None else ref)

    def _folder(self, ref: JobRef) -> str:
        return self._path if ref.id == self._job else job_dir(self._workspace, ref.task, ref.id)


def _callbacks() -> Any:
    return importlib.import_module("xpm.core.callbacks")  # few jobs submit any


def _refuse(local: Local) -> NoReturn:
    raise JobError(
        f"{local}: no worker can call it ({local.reason}), and this job's process ends with the job: "
        "give a function of a module"
    )


def _has_hooks(cls: type[Any] | None) -> bool:
    if cls is None:
        return True
    if issubclass(cls, Enum):
        return False
    cls = live_class(cls)
    made_plainly = cls.__init__ is object.__init__ and cls.__setattr__ is object.__setattr__
    return not made_plainly or hasattr(cls, "__post_init__")


def _types(record: Record) -> dict[str, TypeInfo]:
    return {key: TypeInfo.unpack(packed) for key, packed in record.types.items()}
