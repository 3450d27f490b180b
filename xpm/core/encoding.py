"""Writing the payload of a job: its task as bytes that a worker turns into the live object.

    [version, type keys, names of dependencies' tasks, a name's index per dependency, their digests, rows,
     indices of the init tasks' rows]

`rows` is MessagePack inside MessagePack: one row per config, `[type, value, ...]`, those that others refer
to first and the task last; the list of init tasks is left out when there are none. A value is a plain scalar, or a list that begins with a mark. There are no
field names and no MessagePack `bin` (Redis' cmsgpack reads none).

The row of a config that a job gave out ends with a mark more: `[PRODUCED, place]` for a dependency, or
`[PRODUCED, task, id]` for a job that isn't waited for; that of one whose place in identifiers was set with `[META, flag]`.
A dependency is `[JOB, place]`, or `[JOB, place, flag]` where that was set.
"""

from __future__ import annotations

from collections.abc import Collection
from enum import Enum
from pathlib import PurePath
from typing import Any, cast

from xpm.core.canonical import PLAIN, canonical
from xpm.core.frozen import FrozenDict, FrozenList, FrozenSet
from xpm.core.functions import Function
from xpm.core.identifier import digest
from xpm.core.info import HIDDEN, Description, Info, JobRef, Submittable, info_of, left_out
from xpm.core.naming import refuse_replaced
from xpm.core.pack import pack_bin, pack_raw
from xpm.core.schema import Schema
from xpm.core.typeinfo import TypeInfo, function_info, type_info
from xpm.errors import SubmissionError
from xpm.types import JobId

PAYLOAD_VERSION = 1
"""The version of payloads written here; a newer one is refused."""

MAX_PAYLOAD = 1 << 20
"""The largest payload, in bytes."""

LIST, TUPLE, SET, FROZENSET, DICT, ENUM, PATH, CONFIG = 1, 2, 3, 4, 5, 6, 7, 8
JOB, GENERATED, JOB_PATH, FUNCTION, PRODUCED, LOOSE_PATH, META, RESULT = 10, 11, 12, 13, 14, 15, 16, 17


def encode(task: Any) -> tuple[bytes, dict[str, TypeInfo], tuple[JobRef, ...]]:
    """The payload of the prepared task `task`, the types that it names and its direct dependencies.

    Raises:
        SubmissionError: it is larger than `MAX_PAYLOAD`.
    """
    encoder = _Encoder(task)
    payload = encoder.payload()
    if len(payload) > MAX_PAYLOAD:
        raise SubmissionError(_too_large(task, encoder.rows[-1], len(payload)))
    return payload, encoder.types, tuple(encoder.refs)


def _too_large(task: Any, row: list[Any], size: int) -> str:
    schema: Schema = task.__xpm_schema__
    sizes = {name: len(pack_raw(value)) for name, value in zip(schema.stored, row[1:], strict=False)}
    biggest = max(sizes, key=lambda name: sizes[name])
    return (
        f"{schema.label}: its parameters take {size:,} bytes, the most is {MAX_PAYLOAD:,}; "
        f"{schema.label}.{biggest} alone takes {sizes[biggest]:,}: pass large data as a file"
    )


class _Encoder:
    """One payload under way."""

    __slots__ = ("digests", "initial", "keys", "places", "refs", "rows", "task", "types", "waited")

    def __init__(self, task: Any) -> None:
        self.task = task
        self.keys: list[str] = []
        self.types: dict[str, TypeInfo] = {}
        self.digests: dict[bytes, int] = {}
        self.refs: list[JobRef] = []
        self.rows: list[list[Any]] = []
        self.places: dict[int, int] = {}
        self.waited: list[JobRef] = []
        """The jobs that gave out the configs on the way here, and are waited for."""
        self.initial = [self.config(each) for each in task.__dict__[HIDDEN].init]
        self.config(task)

    def payload(self) -> bytes:
        names: dict[str, int] = {}
        places = [names.setdefault(ref.task, len(names)) for ref in self.refs]
        digests = b"".join(self.digests)
        rows = pack_raw(self.rows)
        return pack_raw(
            [
                PAYLOAD_VERSION,
                self.keys,
                list(names),
                places,
                digests,
                rows,
                *([self.initial] * bool(self.initial)),
            ]
        )

    def type(self, cls: type[Any]) -> int:
        key, info = type_info(cls)
        if key not in self.types:
            refuse_replaced(cls)
        return self.named(key, info)

    def named(self, key: str, info: TypeInfo) -> int:
        if key not in self.types:
            self.types[key] = info
            self.keys.append(key)
        return self.keys.index(key)

    def edge(self, task: Any) -> list[int]:
        info = task.__dict__[HIDDEN]
        place = self.digests.get(info.digest)
        if place is None:
            place = self.digests[info.digest] = len(self.refs)
            self.refs.append(info.ref)
        return [JOB, place] if info.meta is None else [JOB, place, info.meta]

    def job(self, ref: JobRef) -> int:
        """The number of the dependency `ref` in this payload."""
        digest = bytes.fromhex(ref.id)
        if digest not in self.digests:
            self.digests[digest] = len(self.refs)
            self.refs.append(ref)
        return self.digests[digest]

    def config(self, config: Any) -> int:
        """Adds the row of `config`, and before it those of the configs in it; its place."""
        place = self.places.get(id(config))
        if place is not None:
            return place
        schema: Schema = config.__xpm_schema__
        info = config.__dict__[HIDDEN]
        producer: JobRef | None = info.producer
        waited = producer is not None and not info.loose
        if producer is not None and waited:
            self.waited.append(producer)
        row = [self.type(schema.cls), *schema.values(config.__dict__)]
        for at in schema.rich_columns:
            value = row[at]
            if isinstance(value, Submittable):
                row[at] = self.edge(value)
            elif type(value) not in PLAIN:
                row[at] = self.value(value)
        if schema.generated:
            row.extend(self.generated(config, each) for each in schema.generated)
        if producer is not None:
            row.append([PRODUCED, self.job(producer)] if waited else [PRODUCED, producer.task, producer.id])
            if waited:
                self.waited.pop()
        if info.meta is not None:
            row.append([META, info.meta])
        place = self.places[id(config)] = len(self.rows)
        self.rows.append(row)
        return place

    def generated(self, config: Any, parameter: str) -> list[Any]:
        if parameter in config.__dict__:  # it was loaded, with the path that it had
            return [PATH, config.__dict__[parameter].as_posix()]
        info = info_of(config)
        assert info is not None and info.home is not None, "prepared tasks only"
        owner, folder, names = info.home
        path = f"{folder}/{names[parameter]}" if folder else names[parameter]
        ref = _ref(owner)
        if ref == _ref(self.task):
            return [GENERATED, path]
        return [JOB_PATH, self.job(ref), path] if ref in self.waited else [LOOSE_PATH, ref.task, ref.id, path]

    def value(self, value: Any) -> Any:
        if isinstance(value, Submittable):
            return self.edge(value)
        kind: type[Any] = value.__class__
        if kind in PLAIN:
            return value
        if isinstance(value, Description):
            hidden: Info = value.__dict__[HIDDEN]
            if hidden.promise and hidden.producer is not None:
                return [RESULT, self.job(hidden.producer)]
            return [CONFIG, self.config(value)]
        if isinstance(value, Enum):
            return [ENUM, self.type(kind), value.name]
        if isinstance(value, PurePath):
            return [PATH, value.as_posix()]
        if kind is Function:
            info = function_info(value)
            return [FUNCTION, self.named(info.key, info)]
        if kind is FrozenDict:
            pairs = cast("dict[Any, Any]", value).items()
            return [DICT, *(self.value(part) for pair in pairs for part in pair)]
        elements = _in_order(value) if kind in _SETS else value
        return [_SEQUENCES[kind], *(each if type(each) in PLAIN else self.value(each) for each in elements)]


_SEQUENCES: dict[type, int] = {FrozenList: LIST, tuple: TUPLE, FrozenSet: SET, frozenset: FROZENSET}


_SETS = (FrozenSet, frozenset)


def _in_order(elements: Collection[Any]) -> list[Any]:
    """A set's elements in the order of their canonical forms: Python's own differs from process to process."""
    return sorted(elements, key=lambda each: (pack_bin(canonical(each, digest)), left_out(each)))


def _ref(task: Any) -> JobRef:
    info = info_of(task)
    if info is None or info.ref is None:  # sealed, not submitted
        return JobRef(JobId(digest(task).hex()), task.__xpm_schema__.name)
    return info.ref
