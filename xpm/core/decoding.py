"""Reading the payload of a job: `building` makes objects of it, here it becomes plain values for people."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol, cast

from xpm.core.encoding import (
    CONFIG,
    DICT,
    ENUM,
    FROZENSET,
    FUNCTION,
    GENERATED,
    JOB,
    JOB_PATH,
    LIST,
    LOOSE_PATH,
    META,
    PATH,
    PAYLOAD_VERSION,
    PRODUCED,
    RESULT,
    SET,
    TUPLE,
)
from xpm.core.info import JobRef
from xpm.core.pack import INTEGER, unpack, unpack_raw
from xpm.core.typeinfo import TypeInfo
from xpm.errors import MessageError
from xpm.types import JobId

JSON = None | bool | int | float | str | list["JSON"] | dict[str, "JSON"]
"""What `parameters` gives; NaN and infinities are floats in it."""


class _Payload:
    """A payload, read as far as needs no types."""

    __slots__ = ("body", "initial", "keys", "refs")

    body: bytes
    keys: tuple[str, ...]
    refs: tuple[JobRef, ...]
    initial: list[int]
    """The rows of the init tasks."""

    def __init__(self, payload: bytes) -> None:
        try:
            version, *rest = cast("list[Any]", unpack_raw(payload))
            if version != PAYLOAD_VERSION:
                raise MessageError(
                    f"the payload has version {version}, this xpm reads {PAYLOAD_VERSION}: upgrade it"
                )
            keys, names, places, digests, self.body, *initial = rest
            self.initial = initial[0] if initial else []
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


class Origin(NamedTuple):
    """Where a config of a payload comes from."""

    last: bool
    """It is the task itself."""
    producer: JobRef | None = None
    """The job that gave it out."""
    loose: bool = False
    """That job isn't waited for."""
    meta: bool | None = None
    """Whether it was set to count in identifiers, or not to."""


class Maker(Protocol):
    """What the parts of a payload become."""

    def config(self, info: TypeInfo, values: dict[str, Any], origin: Origin) -> Any:
        """A config, or the task itself."""
        ...

    def job(self, ref: JobRef, meta: bool | None) -> Any:
        """A job that is depended on, and whether it was set to count in identifiers, or not to."""
        ...

    def result(self, ref: JobRef) -> Any:
        """What a job returned."""
        ...

    def job_path(self, ref: JobRef | None, text: str) -> Any:
        """A generated path in the directory of a job, or with None of this one."""
        ...

    def path(self, text: str) -> Any:
        """A path."""
        ...

    def enum(self, info: TypeInfo, member: str) -> Any:
        """A member of an enum."""
        ...

    def function(self, info: TypeInfo) -> Any:
        """A function."""
        ...

    def mapping(self, pairs: list[tuple[Any, Any]]) -> Any:
        """A dict."""
        ...

    def sequence(self, mark: int, values: list[Any]) -> Any:
        """A list, tuple or set, as `mark` says."""
        ...


class Reader:
    """Goes through the rows of a payload and has a maker make something of each."""

    def __init__(self, payload: bytes, types: Mapping[str, TypeInfo], maker: Maker) -> None:
        self._payload = _Payload(payload)
        self._maker = maker
        self._made: list[Any] = []
        try:
            self._types: list[TypeInfo] = [types[key] for key in self._payload.keys]
        except KeyError as wrong:
            raise MessageError(f"the payload names the type {wrong}, which isn't known") from None

    def _type(self, place: int) -> TypeInfo:
        return self._types[place]

    def _ref(self, place: int) -> JobRef:
        return self._payload.refs[place]

    def root(self) -> TypeInfo:
        """The type of the task."""
        return self._type(self._payload.rows()[-1][0])

    def read(self) -> Any:
        """What the last row, the task, becomes."""
        rows = self._payload.rows()
        for at, (place, *forms) in enumerate(rows):
            info = self._type(place)
            origin = self._origin(forms, at == len(rows) - 1)
            self._made.append(self._maker.config(info, self._values(info, forms), origin))
        return self._made[-1]

    def initial(self) -> list[Any]:
        """What the rows of the init tasks have become, once all were read."""
        return [self._made[at] for at in self._payload.initial]

    def _origin(self, forms: list[Any], last: bool) -> Origin:
        """Takes what says so off the end of a row."""
        origin = Origin(last)
        while forms and type(forms[-1]) is list and forms[-1][0] in (PRODUCED, META):
            mark, *parts = forms.pop()
            if mark == META:
                origin = origin._replace(meta=parts[0])
            elif len(parts) == 1:
                origin = origin._replace(producer=self._ref(*parts))
            else:
                origin = origin._replace(producer=JobRef(JobId(parts[1]), parts[0]), loose=True)
        return origin

    def _values(self, info: TypeInfo, forms: list[Any]) -> dict[str, Any]:
        try:
            return dict(zip(info.fields, map(self._value, forms), strict=True))
        except (IndexError, ValueError, TypeError) as wrong:
            raise MessageError(f"the payload of {info.name} can't be read: {wrong}") from wrong

    def _value(self, form: Any) -> Any:
        if type(form) is not list:
            return form
        mark, *parts = cast("list[Any]", form)
        if mark in (LIST, TUPLE, SET, FROZENSET):
            return self._maker.sequence(mark, [self._value(part) for part in parts])
        if mark == DICT:
            values = [self._value(part) for part in parts]
            return self._maker.mapping(list(zip(values[::2], values[1::2], strict=True)))
        return self._leaf(mark, *parts)

    def _leaf(self, mark: int, first: Any, second: Any = None, third: Any = None) -> Any:
        maker = self._maker
        if mark == CONFIG:
            return self._made[first]
        if mark == JOB:
            return maker.job(self._ref(first), second)
        if mark == RESULT:
            return maker.result(self._ref(first))
        if mark == INTEGER:
            return int(first, 16)
        if mark == ENUM:
            return maker.enum(self._type(first), second)
        if mark == PATH:
            return maker.path(first)
        if mark == GENERATED:
            return maker.job_path(None, first)
        if mark == JOB_PATH:
            return maker.job_path(self._ref(first), second)
        if mark == LOOSE_PATH:
            return maker.job_path(JobRef(JobId(second), first), third)
        if mark == FUNCTION:
            return maker.function(self._type(first))
        raise ValueError(f"unknown mark {mark}")


class _Readable:
    """Makes plain values for people and for JSON."""

    def config(self, info: TypeInfo, values: dict[str, Any], origin: Origin) -> dict[str, JSON]:
        return values if origin.last else {"$type": info.name, **values}

    def job(self, ref: JobRef, meta: bool | None) -> JSON:
        return {"$job": ref.id, "$task": ref.task}

    def result(self, ref: JobRef) -> JSON:
        return {"$job": ref.id, "$task": ref.task, "$result": True}

    def job_path(self, ref: JobRef | None, text: str) -> JSON:
        return text if ref is None else {"$job": ref.id, "$path": text}

    def path(self, text: str) -> JSON:
        return text

    def enum(self, info: TypeInfo, member: str) -> JSON:
        return member

    def function(self, info: TypeInfo) -> JSON:
        return info.name

    def mapping(self, pairs: list[tuple[Any, Any]]) -> JSON:
        found = {str(key): value for key, value in pairs}
        if len(found) == len(pairs):
            return found
        return [[key, value] for key, value in pairs]  # two keys have one text

    def sequence(self, mark: int, values: list[Any]) -> JSON:
        return values


def root_of(payload: bytes, types: Mapping[str, TypeInfo]) -> TypeInfo:
    """The type of the task of `payload`.

    Raises:
        MessageError: the payload is damaged, or newer than this xpm.
    """
    return Reader(payload, types, _Readable()).root()


def parameters(payload: bytes, types: Mapping[str, TypeInfo]) -> dict[str, JSON]:
    """The parameters of a job as plain values, without the user's code.

    A dependency is `{"$job": id, "$task": name}`, a config `{"$type": name, ...}`, an enum its member's name. Init
    tasks, if there are any, are a list under `$init`. A dict two of whose keys have one text is a list of pairs.

    Raises:
        MessageError: the payload is damaged, or newer than this xpm.
    """
    reader = Reader(payload, types, _Readable())
    found = reader.read()
    initial = reader.initial()
    return {**found, "$init": initial} if initial else found
