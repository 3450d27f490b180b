"""All that is known of one job, from the broker and from its directory, whichever is there."""

from __future__ import annotations

import base64
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from xpm.cli.listing import experiments_of, rows
from xpm.cli.select import Found
from xpm.core.environ import unpack_environ
from xpm.core.lengths import duration
from xpm.core.message import TypeInfo, parameters, references, type_keys
from xpm.core.state import State
from xpm.errors import MessageError, WorkspaceError
from xpm.types import Scalar
from xpm.workspace.attempts import Attempt, Failure, failed_for_good, read_attempts
from xpm.workspace.code import read_code
from xpm.workspace.directory import STALE
from xpm.workspace.paths import LOGS
from xpm.workspace.results import RECORD, Record, read_record, unpack_record
from xpm.workspace.values import unfolded

if TYPE_CHECKING:
    from xpm.broker.jobview import JobView
    from xpm.broker.reader import Reader
    from xpm.broker.views import Views
    from xpm.workspace.layout import Workspace


@dataclass(frozen=True, slots=True)
class Relative:
    """A job that this one depends on, or that depends on it."""

    id: str
    label: str
    state: str
    """`unknown` when the broker does not say."""


@dataclass(frozen=True, slots=True)
class Try:
    """One attempt."""

    number: int
    end: str
    """How it ended: `running`, `done`, `set aside` (done, and its result was replaced), or the kind of its failure."""
    host: str
    worker: str
    started: float
    ended: float
    exit_code: int | None = None
    message: str = ""


@dataclass(frozen=True, slots=True)
class Sheet:
    """What `xpm show` shows."""

    id: str
    task: str
    label: str
    state: str
    note: str
    experiments: Mapping[str, Mapping[str, Scalar]]
    """Its tags, by experiment."""
    parameters: Mapping[str, Any] | None
    inputs: Sequence[Relative]
    dependents: Sequence[Relative]
    attempts: Sequence[Try]
    failure: Failure | None
    result: Any
    directory: Path
    exists: bool
    earlier: Sequence[Path]
    """Where the files of earlier attempts lie, the first one first."""
    logs: Mapping[str, int]
    """The logs that are there, and their sizes."""
    code: str
    project: str
    queue: str = ""
    environ: Mapping[str, str] = field(default_factory=dict[str, str])
    """Variables that it has beside those of its worker."""
    priority: int = 0
    worker: str = ""
    submitted: float = 0.0
    started: float = 0.0
    ended: float = 0.0
    remarks: Sequence[str] = field(default_factory=list[str])


def read(found: Found, views: Views | None, broker: Reader | None, workspace: Workspace) -> Sheet:
    """Gathers what broker and workspace know of a job."""
    record = read_record(found.path)
    failed = read_attempts(found.path)
    view = found.view
    remarks: list[str] = []
    payload, types = payload_of(found, views, broker, record)
    if changed := _changed(record, failed):
        remarks.append(f"the last attempt ran the project's code, changed since it was submitted: {changed}")
    code = view.code if view is not None and view.code else record.code if record else ""
    state, why = _state(view, views, broker, record, failed)
    attempts = _attempts(view, record, failed, found.path)
    if found.path.is_dir() and (untold := _untold(view, attempts)):
        remarks.append(
            f"no note of attempt {untold}: its worker was lost with it, or what it left was removed"
        )
    relatives = _relatives(found, views, workspace, payload)
    return Sheet(
        id=found.id,
        task=found.task,
        label=found.label,
        state=state,
        note=why,
        experiments=_tags(view, views),
        parameters=_parameters(payload, types, record, remarks),
        inputs=relatives[0],
        dependents=relatives[1],
        attempts=attempts,
        failure=_failure(found, views, state, failed),
        result=_readable(record.result) if record is not None else None,
        directory=found.path,
        exists=found.path.is_dir(),
        earlier=_earlier(found.path),
        logs=_logs(found.path),
        code=code,
        project=_project(workspace, code),
        queue=view.queue if view else "",
        environ=unpack_environ(view.environ) if view else {},
        priority=view.priority if view else 0,
        worker=view.worker if view else record.worker if record else "",
        submitted=view.submitted if view else 0.0,
        started=(view.started if view else 0.0) or (record.started if record else 0.0),
        ended=(view.ended if view else 0.0) or (record.ended if record else 0.0),
        remarks=remarks,
    )


def _state(
    view: JobView | None,
    views: Views | None,
    broker: Reader | None,
    record: Record | None,
    failed: Sequence[Attempt],
) -> tuple[str, str]:
    if view is not None and views is not None and broker is not None:
        row = rows(broker, views, [view])[0]
        return view.state.value, row.note
    unsure = "" if views is not None else "; the broker was not asked"
    if record is not None:
        return (
            State.DONE.value,
            f"its record is in the workspace, took {duration(record.ended - record.started)}",
        )
    if failed_for_good(failed):
        return State.ERROR.value, f"its last attempt failed{unsure}"
    if failed:
        how = "failed, and another was to follow" if failed[-1].again else "was lost, and it may run again"
        return "unknown", f"its last attempt {how}{unsure}"
    return "unknown", f"it has a directory and no result{unsure}"


def payload_of(
    found: Found, views: Views | None, broker: Reader | None, record: Record | None
) -> tuple[bytes, dict[str, bytes]]:
    """The payload and the packed types that it names, from the broker or from the record."""
    if views is not None and broker is not None and found.view is not None:
        payload = views.payload(found.id)
        if payload:
            try:
                return payload, broker.types(type_keys(payload))
            except MessageError:
                return payload, {}
    if record is not None:
        return record.payload, dict(record.types)
    return b"", {}


def _parameters(
    payload: bytes, types: Mapping[str, bytes], record: Record | None, remarks: list[str]
) -> Mapping[str, Any] | None:
    if record is not None:
        return record.parameters
    if not payload:
        return None
    try:
        return parameters(payload, {key: TypeInfo.unpack(packed) for key, packed in types.items()})
    except MessageError as error:
        remarks.append(f"its parameters can't be read: {error}")
        return None


def _tags(view: JobView | None, views: Views | None) -> dict[str, Mapping[str, Scalar]]:
    if view is None or views is None:
        return {}
    names = experiments_of(views, [view])
    tags = views.tags([view])[0]
    return {name: tags.get(token, {}) for token, name in names.items()}


def _relatives(
    found: Found, views: Views | None, workspace: Workspace, payload: bytes
) -> tuple[list[Relative], list[Relative]]:
    if views is not None and found.view is not None:
        inputs, dependents = views.inputs(found.id), views.successors(found.id)
        known = views.jobs([*inputs, *dependents])
        pairs = zip([*inputs, *dependents], known, strict=True)
        all_of_them = [
            Relative(job.id, job.label, job.state.value) if job else Relative(key, "", "unknown")
            for key, job in pairs
        ]
        return all_of_them[: len(inputs)], all_of_them[len(inputs) :]
    try:
        references_ = references(payload) if payload else ()
    except MessageError:
        references_ = ()
    return [_relative_on_disk(workspace, ref.id, ref.task) for ref in references_], []


def _relative_on_disk(workspace: Workspace, job: str, task: str) -> Relative:
    record = read_record(workspace.jobpath(task, job))
    return Relative(job, record.label if record else task, State.DONE.value if record else "unknown")


def _attempts(
    view: JobView | None, record: Record | None, failed: Sequence[Attempt], path: Path
) -> list[Try]:
    tries = [
        Try(
            one.n,
            one.failure.kind,
            one.host,
            one.worker,
            one.started,
            one.ended,
            one.failure.exit_code,
            first_line(one.failure),
        )
        for one in failed
    ]
    if record is not None:
        tries.append(Try(record.attempt, "done", record.host, record.worker, record.started, record.ended, 0))
    for old in _set_aside(path):
        tries.append(Try(old.attempt, "set aside", old.host, old.worker, old.started, old.ended, 0))
    if view is not None and view.state is State.RUNNING:
        tries.append(Try(view.attempt, "running", view.place[0], view.worker, view.started, 0.0))
    return sorted(tries, key=lambda one: one.number)


def _untold(view: JobView | None, tries: Sequence[Try]) -> str:
    """The numbers of attempts that were begun, and of whose end there is no note."""
    begun = max([one.number for one in tries], default=0)
    # How the last one of a job in ERROR ended is its failure.
    if view is not None:
        begun = max(begun, view.attempt - (view.state is State.ERROR))
    told = {one.number for one in tries}
    return ", ".join(str(number) for number in range(1, begun + 1) if number not in told)


def _changed(record: Record | None, failed: Sequence[Attempt]) -> str:
    last = record if record is not None else failed[-1] if failed else None
    return ", ".join(last.changed) if last is not None else ""


def first_line(failure: Failure) -> str:
    """What went wrong, in one line."""
    text = ": ".join(filter(None, (failure.type, failure.message)))
    return text.splitlines()[0] if text else ""


def _failure(found: Found, views: Views | None, state: str, failed: Sequence[Attempt]) -> Failure | None:
    if state != State.ERROR:
        return None
    if views is not None and found.view is not None:
        said = views.failure(found.id)
        if said is not None:
            same = (
                failed and failed[-1].failure.message == said.message and failed[-1].failure.type == said.type
            )
            # The file has the whole text and the exit code; the broker may have shortened it.
            return failed[-1].failure if same else Failure(said.kind, said.type, said.message, said.traceback)
    return failed[-1].failure if failed else None


def _logs(directory: Path) -> dict[str, int]:
    found: dict[str, int] = {}
    for name in LOGS:
        try:
            found[name] = os.stat(directory / name).st_size
        except (FileNotFoundError, NotADirectoryError):
            continue
    return found


def _earlier(directory: Path) -> list[Path]:
    stale = directory / STALE
    numbered = [path for path in stale.iterdir() if path.name.isdecimal()] if stale.is_dir() else []
    return sorted(numbered, key=lambda path: int(path.name))


def _set_aside(directory: Path) -> Iterator[Record]:
    """The records that once were the job's, or came too late to be."""
    for folder in _earlier(directory):
        try:
            record = unpack_record((folder / RECORD).read_bytes())
        except OSError:
            continue
        if record is not None and record.job == directory.name:
            yield record


def _project(workspace: Workspace, code: str) -> str:
    if not code:
        return ""
    try:
        return read_code(workspace.path, code).root
    except WorkspaceError:
        return ""


def _readable(result: Any) -> Any:
    """A stored result as people and JSON read it."""
    if isinstance(result, bytes):
        return base64.b64encode(result).decode("ascii")
    return unfolded(result)


def as_json(sheet: Sheet) -> dict[str, Any]:
    """The sheet for programs."""
    values = asdict(sheet)
    for name in ("submitted", "started", "ended"):
        values[name] = values[name] or None
    for one in values["attempts"]:
        one["started"], one["ended"] = one["started"] or None, one["ended"] or None
    values["directory"] = str(sheet.directory)
    values["earlier"] = [str(path) for path in sheet.earlier]
    values["logs"] = {
        name: {"path": str(sheet.directory / name), "size": size} for name, size in sheet.logs.items()
    }
    for name in ("code", "project", "queue", "worker"):
        values[name] = values[name] or None
    return values
