"""Building objects from the payload of a job: its live task, or the description that was submitted."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from xpm.core.decoding import Origin, Reader, root_of
from xpm.core.description import described_class
from xpm.core.encoding import FROZENSET, LIST, SET, TUPLE
from xpm.core.frozen import freeze
from xpm.core.functions import Function
from xpm.core.info import HIDDEN, Description, Home, Info, JobRef, allocate, own_info
from xpm.core.jobpath import within
from xpm.core.live import animate, deferred, instance_of
from xpm.core.outputs import outputs_of
from xpm.core.schema import schema_of
from xpm.core.typeinfo import TypeInfo
from xpm.core.valued import live_class

FindClass = Callable[[TypeInfo], Any]
Dependency = Callable[[JobRef], Any]
Folder = Callable[[JobRef | None], str]


_SEQUENCES: dict[int, Callable[[list[Any]], Any]] = {LIST: list, TUPLE: tuple, SET: set, FROZENSET: frozenset}


class _Values:
    """Makes what is the same in a live object and in a description."""

    def __init__(self, find_class: FindClass) -> None:
        self.find_class = find_class

    def path(self, text: str) -> Path:
        return Path(text)

    def enum(self, info: TypeInfo, member: str) -> Any:
        return self.find_class(info)[member]

    def mapping(self, pairs: list[tuple[Any, Any]]) -> dict[Any, Any]:
        return dict(pairs)

    def sequence(self, mark: int, values: list[Any]) -> Any:
        return _SEQUENCES[mark](values)


class _Live(_Values):
    """Makes live objects."""

    def __init__(
        self, find_class: FindClass, dependency: Dependency, folder: Folder, into: Any = None
    ) -> None:
        super().__init__(find_class)
        self.dependency = dependency
        self.folder = folder
        self.into = into
        self.jobs: dict[JobRef, Any] = {}
        self.results: dict[JobRef, Any] = {}

    def config(self, info: TypeInfo, values: dict[str, Any], origin: Origin) -> Any:
        into = self.into if origin.last else None
        live = allocate(live_class(self.find_class(info))) if into is None else into
        animate(live, values)
        return live

    def job(self, ref: JobRef, meta: bool | None) -> Any:
        if ref not in self.jobs:
            self.jobs[ref] = self.dependency(ref)
        return self.jobs[ref]

    def result(self, ref: JobRef) -> Any:
        """What a job returned, as a live object: one for all who have it."""
        if ref not in self.results:
            found: Any = self.job(ref, None).result()
            self.results[ref] = instance_of(found) if isinstance(found, Description) else found
        return self.results[ref]

    def job_path(self, ref: JobRef | None, text: str) -> Path:
        return Path(within(self.folder(ref), text))

    def function(self, info: TypeInfo) -> Any:
        return self.find_class(info)


class _Path(NamedTuple):
    """A generated path, on its way into the description that has it."""

    job: JobRef | None
    text: str


class _Descriptions(_Values):
    """Makes sealed descriptions: what the submitting script had."""

    def __init__(self, find_class: FindClass, stand_in: Dependency, job: Any) -> None:
        super().__init__(find_class)
        self.stand_in = stand_in
        self.task = job
        self.generates = False

    def config(self, info: TypeInfo, values: dict[str, Any], origin: Origin) -> Any:
        schema = schema_of(self.find_class(info))
        config = self.task if origin.last else allocate(described_class(schema.cls))
        hidden = own_info(config)
        names: dict[str, str] = {}
        for name in schema.generated:
            path: _Path | Path = values[name]
            if isinstance(path, Path):  # it was loaded, with the path that it had
                continue
            del values[name]
            names[name] = path.text
            hidden.home = Home(self.task if path.job is None else self.stand_in(path.job), "", names)
        # Of a class that is gone nothing tells which paths were generated.
        found = {name: Path(each.text) if type(each) is _Path else each for name, each in values.items()}
        config.__dict__.update({name: freeze(value) for name, value in found.items()})
        self.generates = self.generates or bool(schema.generated)  # of it, or of one that may be below it
        hidden.sealed, hidden.generates = True, self.generates
        hidden.producer, hidden.loose, hidden.meta = origin.producer, origin.loose, origin.meta
        return config

    def job(self, ref: JobRef, meta: bool | None) -> Any:
        found = self.stand_in(ref)
        return found if own_info(found).meta is meta else _marked(found, meta)

    def result(self, ref: JobRef) -> Any:
        return outputs_of(self.stand_in(ref))

    def job_path(self, ref: JobRef | None, text: str) -> _Path:
        return _Path(ref, text)

    def function(self, info: TypeInfo) -> Function:
        return Function(info.name, info.module, info.qualname, info.script, self.find_class(info))


def _marked(config: Any, meta: bool | None) -> Any:
    """A description that stands for the same job as `config`, and was set to count, or not to, or neither."""
    marked = allocate(config.__class__)
    marked.__dict__.update(config.__dict__)
    info = marked.__dict__[HIDDEN] = Info()
    vars(info).update({**vars(own_info(config)), "meta": meta})
    return marked


def build(
    payload: bytes,
    types: Mapping[str, TypeInfo],
    find_class: FindClass,
    dependency: Dependency,
    folder: Folder,
) -> Any:
    """The live task of a payload.

    Args:
        payload: as `encode` wrote it.
        types: the types that it names, by key.
        find_class: imports a class.
        dependency: gives the live object for a job that the task depends on; asked once for each.
        folder: gives the directory of a job, or with None of this one, for generated paths.

    Raises:
        MessageError: the payload is damaged, or newer than this xpm.
    """
    return _with_initial(Reader(payload, types, _Live(find_class, dependency, folder)))


def _with_initial(reader: Reader) -> Any:
    task = reader.read()
    initial = reader.initial()
    if initial:
        own_info(task).init = tuple(initial)
    return task


def later(
    payload: bytes,
    types: Mapping[str, TypeInfo],
    find_class: FindClass,
    dependency: Dependency,
    folder: Folder,
) -> Any:
    """The same as `build`, but the object is filled when an attribute of it is first asked for.

    What a worker gives to a task as its dependencies: of their own dependencies, most are never looked at.
    """
    root = root_of(payload, types)

    def fill(live: Any) -> None:
        Reader(payload, types, _Live(find_class, dependency, folder, live)).read()

    return deferred(find_class(root), fill)


def describe(
    payload: bytes, types: Mapping[str, TypeInfo], find_class: FindClass, stand_in: Dependency, ref: JobRef
) -> Any:
    """The description that the job `ref` was submitted from.

    Args:
        payload: as `encode` wrote it.
        types: the types that it names, by key.
        find_class: imports a class.
        stand_in: gives the description that stands for another job.
        ref: the job.

    Raises:
        MessageError: the payload is damaged, or newer than this xpm.
    """
    root = root_of(payload, types)
    task = allocate(described_class(find_class(root)))
    info = own_info(task)
    info.ref, info.digest = ref, bytes.fromhex(ref.id)
    return _with_initial(Reader(payload, types, _Descriptions(find_class, stand_in, task)))
