"""Reading the payload of a job: as the live task, or as plain values for people."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol, cast

from xpm.core.encoding import (
    CONFIG,
    DICT,
    ENUM,
    FROZENSET,
    GENERATED,
    JOB,
    JOB_PATH,
    LIST,
    PATH,
    PAYLOAD_VERSION,
    SET,
    TUPLE,
)
from xpm.core.info import JobRef, allocate
from xpm.core.live import animate, deferred
from xpm.core.pack import INTEGER, unpack, unpack_raw
from xpm.core.typeinfo import TypeInfo
from xpm.errors import MessageError
from xpm.types import JobId

JSON = None | bool | int | float | str | list["JSON"] | dict[str, "JSON"]
"""What `parameters` gives; NaN and infinities are floats in it."""

FindClass = Callable[[TypeInfo], type[Any]]
Dependency = Callable[[JobRef], Any]


class _Payload:
    """A payload, read as far as needs no types."""

    __slots__ = ("body", "keys", "refs")

    body: bytes
    keys: tuple[str, ...]
    refs: tuple[JobRef, ...]

    def __init__(self, payload: bytes) -> None:
        try:
            version, *rest = cast("list[Any]", unpack_raw(payload))
            if version != PAYLOAD_VERSION:
                raise MessageError(
                    f"the payload has version {version}, this xpm reads {PAYLOAD_VERSION}: upgrade it"
                )
            keys, names, places, digests, self.body = rest
            self.keys = tuple(key.decode() for key in keys)
            tasks = [name.decode("utf-8", "surrogatepass") for name in names]
            self.refs = tuple(
                JobRef(JobId(digests[32 * at : 32 * at + 32].hex()), tasks[place])
                for at, place in enumerate(places)
            )
        except MessageError:
            raise
        except (ValueError, TypeError, LookupError, AttributeError) as wrong:
            raise MessageError(f"the payload can't be read: {wrong}") from None

    def rows(self) -> list[list[Any]]:
        try:
            return cast("list[list[Any]]", unpack(self.body))
        except ValueError as wrong:
            raise MessageError(f"the payload can't be read: {wrong}") from None


def type_keys(payload: bytes) -> tuple[str, ...]:
    """The keys of the types that `payload` names."""
    return _Payload(payload).keys


def references(payload: bytes) -> tuple[JobRef, ...]:
    """The direct dependencies, in the order of their first appearance."""
    return _Payload(payload).refs


class _Maker(Protocol):
    """What the parts of a payload become."""

    def config(self, info: TypeInfo, values: dict[str, Any], last: bool) -> Any: ...
    def job(self, ref: JobRef) -> Any: ...
    def job_path(self, ref: JobRef | None, text: str) -> Any: ...
    def path(self, text: str) -> Any: ...
    def enum(self, info: TypeInfo, member: str) -> Any: ...
    def mapping(self, pairs: list[tuple[Any, Any]]) -> Any: ...
    def sequence(self, mark: int, values: list[Any]) -> Any: ...


class _Reader:
    """Goes through the rows of a payload and has a maker make something of each."""

    def __init__(self, payload: bytes, types: Mapping[str, TypeInfo], maker: _Maker) -> None:
        self.payload = _Payload(payload)
        self.maker = maker
        self.made: list[Any] = []
        try:
            self.types: list[TypeInfo] = [types[key] for key in self.payload.keys]
        except KeyError as wrong:
            raise MessageError(f"the payload names the type {wrong}, which isn't known") from None

    def type(self, place: int) -> TypeInfo:
        return self.types[place]

    def ref(self, place: int) -> JobRef:
        return self.payload.refs[place]

    def root(self) -> TypeInfo:
        """The type of the task."""
        return self.type(self.payload.rows()[-1][0])

    def read(self) -> Any:
        """What the last row, the task, becomes."""
        rows = self.payload.rows()
        for at, (place, *forms) in enumerate(rows):
            info = self.type(place)
            values = self.values(info, forms)
            self.made.append(self.maker.config(info, values, at == len(rows) - 1))
        return self.made[-1]

    def values(self, info: TypeInfo, forms: list[Any]) -> dict[str, Any]:
        try:
            return dict(zip(info.fields, map(self.value, forms), strict=True))
        except (IndexError, ValueError, TypeError) as wrong:
            raise MessageError(f"the payload of {info.name} can't be read: {wrong}") from wrong

    def value(self, form: Any) -> Any:
        if type(form) is not list:
            return form
        mark, *parts = cast("list[Any]", form)
        if mark in (LIST, TUPLE, SET, FROZENSET):
            return self.maker.sequence(mark, [self.value(part) for part in parts])
        if mark == DICT:
            values = [self.value(part) for part in parts]
            return self.maker.mapping(list(zip(values[::2], values[1::2], strict=True)))
        return self.leaf(mark, *parts)

    def leaf(self, mark: int, first: Any, second: Any = None) -> Any:
        maker = self.maker
        if mark == CONFIG:
            return self.made[first]
        if mark == JOB:
            return maker.job(self.ref(first))
        if mark == INTEGER:
            return int(first, 16)
        if mark == ENUM:
            return maker.enum(self.type(first), second)
        if mark == PATH:
            return maker.path(first)
        if mark == GENERATED:
            return maker.job_path(None, first)
        if mark == JOB_PATH:
            return maker.job_path(self.ref(first), second)
        raise ValueError(f"unknown mark {mark}")


class _Readable:
    """Makes plain values for people and for JSON."""

    def config(self, info: TypeInfo, values: dict[str, Any], last: bool) -> dict[str, JSON]:
        return values if last else {"$type": info.name, **values}

    def job(self, ref: JobRef) -> JSON:
        return {"$job": ref.id, "$task": ref.task}

    def job_path(self, ref: JobRef | None, text: str) -> JSON:
        return text if ref is None else {"$job": ref.id, "$path": text}

    def path(self, text: str) -> JSON:
        return text

    def enum(self, info: TypeInfo, member: str) -> JSON:
        return member

    def mapping(self, pairs: list[tuple[Any, Any]]) -> JSON:
        return {str(key): value for key, value in pairs}

    def sequence(self, mark: int, values: list[Any]) -> JSON:
        return values


class _Live:
    """Makes live objects."""

    def __init__(self, find_class: FindClass, dependency: Dependency, jobpath: str, into: Any = None) -> None:
        self.find_class = find_class
        self.dependency = dependency
        self.jobpath = jobpath
        self.into = into
        self.jobs: dict[JobRef, Any] = {}

    def config(self, info: TypeInfo, values: dict[str, Any], last: bool) -> Any:
        live = self.into if last and self.into is not None else allocate(self.find_class(info))
        animate(live, values)
        return live

    def job(self, ref: JobRef) -> Any:
        if ref not in self.jobs:
            self.jobs[ref] = self.dependency(ref)
        return self.jobs[ref]

    def job_path(self, ref: JobRef | None, text: str) -> Path:
        return Path(self.jobpath if ref is None else self.job(ref).jobpath) / text

    def path(self, text: str) -> Path:
        return Path(text)

    def enum(self, info: TypeInfo, member: str) -> Any:
        return self.find_class(info)[member]  # type: ignore[index]

    def mapping(self, pairs: list[tuple[Any, Any]]) -> dict[Any, Any]:
        return dict(pairs)

    def sequence(self, mark: int, values: list[Any]) -> Any:
        return _SEQUENCES[mark](values)


_SEQUENCES: dict[int, Callable[[list[Any]], Any]] = {LIST: list, TUPLE: tuple, SET: set, FROZENSET: frozenset}


def parameters(payload: bytes, types: Mapping[str, TypeInfo]) -> dict[str, JSON]:
    """The parameters of a job as plain values, without the user's code.

    A dependency is `{"$job": id, "$task": name}`, a config `{"$type": name, ...}`, an enum its member's name.

    Raises:
        MessageError: the payload is damaged, or newer than this xpm.
    """
    return _Reader(payload, types, _Readable()).read()


def build(
    payload: bytes,
    types: Mapping[str, TypeInfo],
    find_class: FindClass,
    dependency: Dependency,
    jobpath: str,
) -> Any:
    """The live task of a payload.

    Args:
        payload: as `encode` wrote it.
        types: the types that it names, by key.
        find_class: imports a class.
        dependency: gives the live object for a job that the task depends on; asked once for each.
        jobpath: the job's directory, for generated paths.

    Raises:
        MessageError: the payload is damaged, or newer than this xpm.
    """
    return _Reader(payload, types, _Live(find_class, dependency, jobpath)).read()


def later(
    payload: bytes,
    types: Mapping[str, TypeInfo],
    find_class: FindClass,
    dependency: Dependency,
    jobpath: str,
) -> Any:
    """The same as `build`, but the object is filled when an attribute of it is first asked for.

    What a worker gives to a task as its dependencies: of their own dependencies, most are never looked at.
    """
    root = _Reader(payload, types, _Readable()).root()

    def fill(live: Any) -> None:
        _Reader(payload, types, _Live(find_class, dependency, jobpath, live)).read()

    return deferred(find_class(root), fill)
