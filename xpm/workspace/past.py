"""Jobs that are done, as their directories tell of them: their tasks described again, or live, in any process."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any, NoReturn, cast

from xpm.core.absent import absent_class
from xpm.core.config import reference
from xpm.core.description import stand_in
from xpm.core.form import At
from xpm.core.info import Info, JobRef, own_info
from xpm.core.message import TypeInfo, build, describe, later
from xpm.core.state import State
from xpm.core.steering import Logged, Touch, Verb
from xpm.core.valued import load_value_class
from xpm.errors import ConfigError, JobError, WorkspaceError
from xpm.types import JobId, Scalar
from xpm.workspace.paths import job_dir
from xpm.workspace.results import RECORD, Record, read_record
from xpm.workspace.rundir import RunDirectory
from xpm.workspace.scripts import find
from xpm.workspace.values import decode_result


@dataclass(frozen=True, slots=True)
class Ended(Logged):
    """A job that is done."""

    id: JobId
    path: Path
    state: State = State.DONE

    def touches(self) -> Touch:
        """Refuses: only its directory is looked at."""
        self._refuse("ask what a change of it touches")

    def why(self) -> list[str]:
        """Nothing: it is done."""
        return []

    def _steer(self, verb: Verb, value: int = 0) -> bool:
        self._refuse(verb)

    def _refuse(self, verb: str) -> NoReturn:
        raise JobError(
            f"job {self.id[:8]} was loaded from its directory: {verb}: by the command xpm, or in the script"
        )


def load_job(
    folder: Path, *, as_instance: bool, lacking: bool, tags: Mapping[str, Scalar] | None = None
) -> Any:
    """The task of the job in a directory: its description, or the live object that it was.

    Args:
        folder: the job's directory.
        as_instance: make the live object, and execute its init tasks.
        lacking: what stands for them does where classes are gone.
        tags: those of the job; None to look for them in the runs that list it.

    Raises:
        WorkspaceError: there is no whole record of the job.
        ConfigError: a class is gone.
    """
    path = folder.resolve()
    record = read_record(path)
    if record is None:
        raise WorkspaceError(f"{path / RECORD} is damaged, or another job's: take the job's own directory")
    past = _Past(path, record, lacking=lacking, tags=tags)
    return past.live() if as_instance else past.description()


class _Past:
    """Answers for the job in a directory, and for those beside it in its workspace."""

    def __init__(
        self, folder: Path, record: Record, *, lacking: bool, tags: Mapping[str, Scalar] | None
    ) -> None:
        self._tags = tags
        self._folder = folder
        self._ref = JobRef(record.job, record.task)
        self._records: dict[JobId, Record | None] = {record.job: record}
        self._lacking = lacking
        above = folder.parents[min(3, len(folder.parents) - 1)]
        at_home = job_dir(str(above), record.task, record.job) == str(folder)
        self._workspace = above if at_home else None

    def description(self) -> Any:
        """The description of the job's task."""
        task = self._described(self._record(self._ref), self._ref, self._near)
        info = own_info(task)
        tags = dict(self.tags(task))
        fields = task.__xpm_schema__.fields
        info.total, info.tags = tags, {
            name: tag for name, tag in tags.items() if name in fields and task.__dict__.get(name) == tag
        }  # fmt: skip
        info.studied = frozenset(info.tags)  # a copy's tags follow what is changed in it
        return task

    def live(self) -> Any:
        """The live task, after its init tasks were executed."""
        record = self._record(self._ref)
        live = build(record.payload, _types(record), self._find, self._dependency, self._place(self._ref))
        info = self._take(live, self._ref)
        for each in info.init:
            each.execute()
        return live

    # What a session is asked by a task that was submitted

    def jobpath(self, task: Any) -> Path:
        """The directory of its job."""
        return Path(self._place(reference(task))(None))

    def handle(self, task: Any) -> Ended:
        """Its job."""
        return Ended(reference(task).id, self.jobpath(task))

    def result(self, task: Any, timeout: float | None) -> Any:
        """What its job returned."""
        ref = reference(task)
        return decode_result(self._record(ref).result, self.jobpath(task), job=ref)

    def tags(self, task: Any) -> Mapping[str, Scalar]:
        """The tags of its job, in all experiments of the workspace that list it; the newest run's count."""
        job = reference(task).id
        if self._tags is not None and job == self._ref.id:
            return MappingProxyType(dict(self._tags))
        found: dict[str, Scalar] = {}
        for run in sorted(self._runs(), key=lambda run: run.name):
            found.update(_tags(run, job))
        return MappingProxyType(found)

    def on_completed(self, task: Any, callback: Callable[..., object]) -> Callable[[], None]:
        """Refuses: nothing happens any more."""
        self._refuse(task, "on_completed")

    def watch_output(
        self, task: Any, method: Callable[..., Any], callback: Callable[..., object]
    ) -> Callable[[], None]:
        """Refuses: nothing happens any more."""
        self._refuse(task, "watch_output")

    def _refuse(self, task: Any, what: str) -> NoReturn:
        raise JobError(
            f"{type(task).__name__}.{what}: the task was loaded from the directory of its job, which is done"
        )

    # Found

    def _take(self, task: Any, ref: JobRef) -> Info:
        info = own_info(task)
        info.past = cast("Any", self)  # it has what is asked of a task that was submitted, and no more
        info.ref = ref
        return info

    def _find(self, info: TypeInfo) -> Any:
        try:
            found = find(At(info.module, info.qualname, info.script))
        except (ConfigError, ImportError):
            if not self._lacking:
                raise
            return absent_class(info.name, info.fields, task=info.task)
        if info.value:
            load_value_class(found, info.value)
        return found

    def _described(self, record: Record, ref: JobRef, stand_in: Callable[[JobRef], Any]) -> Any:
        task = describe(record.payload, _types(record), self._find, stand_in, ref)
        self._take(task, ref)
        return task

    def _near(self, ref: JobRef) -> Any:
        """The description of a direct dependency, whose own ones stand for their jobs: chains may be long."""
        record = self._found(ref)
        return self._far(ref) if record is None else self._described(record, ref, self._far)

    def _far(self, ref: JobRef) -> Any:
        record = self._found(ref)
        if record is None:
            cls = absent_class(ref.task, (), task=True)
        else:
            cls = self._find(next(each for each in _types(record).values() if each.name == ref.task))
        task = stand_in(cls, ref)
        self._take(task, ref)
        return task

    def _dependency(self, ref: JobRef) -> Any:
        record = self._record(ref)
        live = later(record.payload, _types(record), self._find, self._dependency, self._place(ref))
        self._take(live, ref)
        return live

    def _found(self, ref: JobRef) -> Record | None:
        if ref.id not in self._records:
            where = self._workspace
            self._records[ref.id] = (
                None if where is None else read_record(job_dir(str(where), ref.task, ref.id))
            )
        return self._records[ref.id]

    def _record(self, ref: JobRef) -> Record:
        found = self._found(ref)
        if found is None:
            raise JobError(f"{ref.task} {ref.id[:8]}: its result was removed")
        return found

    def _place(self, own: JobRef) -> Callable[[JobRef | None], str]:
        return partial(self._path, own)

    def _path(self, own: JobRef, ref: JobRef | None) -> str:
        job = own if ref is None else ref
        if job.id == self._ref.id:
            return str(self._folder)
        if self._workspace is None:
            raise JobError(f"{job.task} {job.id[:8]}: {self._folder} is in no workspace that could have it")
        return job_dir(str(self._workspace), job.task, job.id)

    def _runs(self) -> Iterator[Path]:
        if self._workspace is not None:
            yield from (run for run in self._workspace.glob("experiments/*/*") if run.is_dir())


def _types(record: Record) -> dict[str, TypeInfo]:
    return {key: TypeInfo.unpack(packed) for key, packed in record.types.items()}


def _tags(run: Path, job: JobId) -> Mapping[str, Scalar]:
    listed = any(job in lines.read_text("utf-8", "replace") for lines in run.glob("jobs*.jsonl"))
    return RunDirectory(run).jobs().get(job, {}) if listed else {}
