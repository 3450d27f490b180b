"""Descriptions as JSON, for files, results, people and other tools. Specified in docs/saving.md.

    {"xpm": 1, "objects": [{"type": ..., "at": ..., "id": ..., "parameters": {...}}, ...], "value": ...}

Configs stand in `objects`, those that others refer to first, so that what is shared is shared again. A value is what
JSON has for it, or an object with the reserved key `$`, which names its kind.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from enum import Enum
from pathlib import Path, PurePath
from typing import Any, NamedTuple, cast

from xpm.core.canonical import canonical
from xpm.core.description import described_class, generated_path, stand_in
from xpm.core.fields import Role
from xpm.core.functions import Function
from xpm.core.identifier import digest, identifier
from xpm.core.info import Description, Info, JobRef, Submittable, allocate, info_of, own_info
from xpm.core.naming import class_name, importable, module_of, script_of
from xpm.core.pack import pack_bin
from xpm.core.promise import promise_of
from xpm.core.provenance import made_at
from xpm.core.schema import Declared, Schema, schema_of
from xpm.core.surrogates import halves
from xpm.errors import ConfigError, MessageError
from xpm.types import JobId

FORMAT = 1
"""The version of what is written here; a newer one is refused."""

SAFE = 2**53
"""Integers beyond this are texts: many readers of JSON have floats only."""


class At(NamedTuple):
    """Where a class, an enum or a function is found again."""

    module: str
    qualname: str
    script: str | None


Find = Callable[[At], Any]
"""Loads what is there."""

Carry = Callable[[Path], str]
"""Takes a file along, and gives its name there."""


def form_of(value: Any, *, init_tasks: Sequence[Any] = (), carry: Carry | None = None) -> dict[str, Any]:
    """`value` as JSON data: a description, or a list, tuple, set or dict with descriptions in it.

    Args:
        value: complete descriptions and what parameters can be.
        init_tasks: descriptions of what is to be executed when live objects are made of it.
        carry: takes the files of `DataPath` parameters along; without it their paths are written.

    Raises:
        ConfigError: a parameter is missing, or no other process could find a class.
    """
    writer = Writer(carry)
    body = writer.value(value)
    initial = [writer.object(each) for each in init_tasks]
    form: dict[str, Any] = {"xpm": FORMAT, "objects": writer.objects, "value": body}
    return {**form, "init": initial} if initial else form


class Writer:
    """Writes values, and the configs in them into `objects`."""

    def __init__(self, carry: Carry | None = None) -> None:
        self.carry = carry
        self.objects: list[dict[str, Any]] = []
        self.places: dict[int, int] = {}
        self.below = 0
        """In how many parameters what is written lies: a task in one stands for its job."""

    def parameter(self, value: Any) -> Any:
        """`value` as what a parameter holds: a task in it stands for its job."""
        self.below += 1
        try:
            return self.value(value)
        finally:
            self.below -= 1

    def value(self, value: Any) -> Any:
        """`value` as JSON."""
        kind: type[Any] = value.__class__
        if value is None or kind is bool:
            return value
        if kind is str:
            pieces = halves(value)
            return value if len(pieces) == 1 else _special("text", pieces)
        if kind is int:
            return value if abs(value) <= SAFE else _special("int", str(value))
        if kind is float:
            return value if math.isfinite(value) else _special("float", repr(value))
        if isinstance(value, Description):
            info = info_of(value)
            if info is not None and info.promise and info.producer is not None:
                return _standing("result", info.producer, kind, info)
            ref = _job(value) if self.below else None
            if ref is not None:
                return _standing("job", ref, kind, info)
            return _special("object", self.object(value))
        if isinstance(value, Enum):
            return _special("enum", value.name, at=_where(kind))
        if isinstance(value, PurePath):
            return _special("path", self.value(value.as_posix()))
        if kind is Function:
            return _special("function", value.name, at=_at(value.module, value.qualname, value.script))
        if isinstance(value, dict):
            return self._mapping(cast("dict[Any, Any]", value))
        return self._sequence(value)

    def _mapping(self, value: dict[Any, Any]) -> Any:
        if "$" not in value and all(type(key) is str and len(halves(key)) == 1 for key in value):
            return {key: self.value(each) for key, each in value.items()}
        return _special("dict", [[self.value(key), self.value(each)] for key, each in value.items()])

    def _sequence(self, value: Any) -> Any:
        for kind in (list, tuple, set, frozenset):
            if isinstance(value, kind):
                elements = cast("Iterable[Any]", value)
                if kind in (set, frozenset):
                    elements = sorted(elements, key=lambda each: pack_bin(canonical(each, digest)))
                found = [self.value(each) for each in elements]
                return found if kind is list else _special(kind.__name__, found)
        raise ConfigError(f"{type(value).__name__} {value!r} is nothing that a parameter can be")

    def object(self, config: Any) -> int:
        """The place of `config` in `objects`, where it is put with what is below it."""
        if id(config) in self.places:
            return self.places[id(config)]
        schema: Schema = config.__xpm_schema__
        missing = schema.missing(config.__dict__)
        if missing:
            raise ConfigError(f"{schema.label}.{missing[0]}: is missing{made_at(config)}")
        found = identifier(config)
        values = {name: self._stored(schema, name, config.__dict__[name]) for name in schema.stored}
        info = info_of(config) or Info()
        made: dict[str, Any] = {
            "type": schema.name,
            "at": _where(schema.cls),
            "id": found,
            "parameters": values,
            **self._hidden(config, schema, info),
        }
        place = self.places[id(config)] = len(self.objects)
        self.objects.append(made)
        return place

    def _stored(self, schema: Schema, name: str, value: Any) -> Any:
        if self.carry is not None and schema.fields[name].carried and isinstance(value, Path):
            return _special("path", self.carry(value), base="saved")
        return self.parameter(value)

    def _hidden(self, config: Any, schema: Schema, info: Info) -> dict[str, Any]:
        found: dict[str, Any] = {}
        tags = info.total if info.producer is not None and info.total is not None else info.tags
        if tags:
            found["tags"] = {name: self.value(value) for name, value in tags.items()}
        if info.studied:
            found["studied"] = sorted(info.studied)
        if info.apart:
            found["apart"] = sorted(info.apart)
        if info.kept != frozenset():
            found["kept"] = None if info.kept is None else sorted(info.kept)
        if info.meta is not None:
            found["meta"] = info.meta
        if info.producer is not None:
            found["producer"] = {"job": info.producer.id, "task": info.producer.task}
        if info.init:
            found["init"] = [self.object(each) for each in info.init]
        generated = {
            name: self.value(path)
            for name in schema.generated
            if (path := _generated(config, info, name)) is not None
        }
        return {**found, "generated": generated} if generated else found


def _job(value: Any) -> JobRef | None:
    info = info_of(value)
    return info.ref if info is not None and isinstance(value, Submittable) else None


def _generated(config: Any, info: Info, parameter: str) -> Path | None:
    if parameter in config.__dict__:
        return config.__dict__[parameter]
    if info.home is None and info.asked is None:
        return None
    try:
        return Path(generated_path(config, parameter, ""))
    except AttributeError:  # the task that it belongs to wasn't submitted
        return None


def _special(kind: str, value: Any, **more: Any) -> dict[str, Any]:
    return {"$": kind, **more, "v": value}


def _standing(kind: str, ref: JobRef, cls: type[Any], info: Info | None) -> dict[str, Any]:
    """What stands for a job or its result, and whether that was set to count or not to."""
    meta = {} if info is None or info.meta is None else {"meta": info.meta}
    return _special(kind, ref.id, task=ref.task, at=_where(cls.__xpm_schema__.cls), **meta)


def _where(cls: type[Any]) -> dict[str, Any]:
    importable(cls)
    class_name(cls)  # refuses one that no other process could find
    return _at(module_of(cls), cls.__qualname__, script_of(cls))


def _at(module: str, qualname: str, script: str | None) -> dict[str, Any]:
    found = {"module": module, "qualname": qualname}
    return found if script is None else {**found, "script": script}


class Loaded(NamedTuple):
    """What was made of JSON data."""

    value: Any
    init_tasks: tuple[Any, ...]


def value_of(data: Any, reader: Reader) -> Loaded:
    """What `form_of` has written: descriptions that can be changed, like copies of the old ones.

    A description of which the identifier is another one now, since its class has changed, is told in a warning.

    Args:
        data: JSON data.
        reader: a fresh one.

    Raises:
        MessageError: `data` is damaged, or was written by a newer xpm.
        ConfigError: a class has no such parameter any more, or that takes no such value.
    """
    if not isinstance(cast("object", data), dict) or "xpm" not in data:
        raise MessageError("this is no description in JSON, which would say the version of its form as 'xpm'")
    version = data["xpm"]
    if version != FORMAT:
        raise MessageError(f"the form has version {version}, this xpm reads {FORMAT}: upgrade it")
    try:
        for each in data["objects"]:
            reader.object(each)
        initial = tuple(reader.made[at] for at in data.get("init", ()))
        return Loaded(reader.value(data["value"]), initial)
    except (LookupError, TypeError, ValueError, AttributeError) as wrong:
        raise MessageError(f"the form can't be read: {type(wrong).__name__}: {wrong}") from wrong


def made_of(objects: Sequence[Any], find: Find) -> list[Any]:
    """The descriptions that `objects` of a form are."""
    reader = Reader(find)
    try:
        for each in objects:
            reader.object(each)
    except (LookupError, TypeError, ValueError, AttributeError) as wrong:
        raise MessageError(f"the form can't be read: {type(wrong).__name__}: {wrong}") from wrong
    return reader.made


def job_of(data: Mapping[str, Any], find: Find) -> Any:
    """The description that stands for a job in a form."""
    return Reader(find).value(data)


def given_out(config: Any, job: JobRef | None) -> Any:
    """`config` as something that `job` gave out, if it isn't another's: what uses it depends on that job."""
    info = own_info(config)
    if job is not None and info.producer is None and not isinstance(config, Submittable):
        info.producer = job
    return config


class Reader:
    """Reads values, and the configs of `objects`.

    Args:
        find: loads classes, enums and functions.
        folder: where the files are that were taken along.
    """

    def __init__(self, find: Find, folder: Path | None = None) -> None:
        self.find = find
        self.folder = folder
        self.made: list[Any] = []

    def found(self, at: Mapping[str, Any]) -> Any:
        """What is there."""
        return self.find(At(at["module"], at["qualname"], at.get("script")))

    def value(self, data: Any) -> Any:
        """What JSON data stands for."""
        if isinstance(data, list):
            return [self.value(each) for each in cast("list[Any]", data)]
        if not isinstance(data, dict):
            return data
        values = cast("dict[str, Any]", data)
        if "$" not in values:
            return {key: self.value(each) for key, each in values.items()}
        found = self.special(values["$"], values["v"], values)
        if "meta" in values:
            own_info(found).meta = values["meta"]
        return found

    def special(self, kind: str, value: Any, data: Mapping[str, Any]) -> Any:
        """What an object with the key `$` stands for."""
        match kind:
            case "object":
                return self.made[value]
            case "int":
                return int(value)
            case "float":
                return float(value)
            case "enum":
                return self.found(data["at"])[value]
            case "text":
                return "".join(value)
            case "path":
                path = Path(self.value(value))
                return self.folder / path if data.get("base") == "saved" and self.folder else path
            case "function" | "type":
                return self.found(data["at"])
            case "dict":
                return {self.value(key): self.value(each) for key, each in value}
            case "tuple":
                return tuple(map(self.value, value))
            case "set":
                return set(map(self.value, value))
            case "frozenset":
                return frozenset(map(self.value, value))
            case "result":
                return promise_of(self.found(data["at"]), JobRef(JobId(value), data["task"]))
            case "job":
                return stand_in(self.found(data["at"]), JobRef(JobId(value), data["task"]))
            case _:
                raise MessageError(f"the form has a {kind!r} in it, which this xpm doesn't know: upgrade it")

    def object(self, data: Mapping[str, Any]) -> None:
        """Makes one of `objects`."""
        cls = self.found(data["at"])
        schema = schema_of(cls)
        config = allocate(described_class(cls))
        for name, value in data["parameters"].items():
            declared = schema.fields.get(name)
            if declared is None:
                raise ConfigError(schema.unknown(name))
            if declared.role is Role.CONSTANT:
                continue
            config.__dict__[name] = self.checked(schema, declared, self.value(value))
        schema.complete(config.__dict__)
        self.hide(config, schema, data)
        self.made.append(config)
        self.compare(config, schema, data)

    def checked(self, schema: Schema, declared: Declared, value: Any) -> Any:
        """The value of a parameter, if it is one."""
        return schema.check(declared, value)

    def compare(self, config: Any, schema: Schema, data: Mapping[str, Any]) -> None:
        """Warns where the identifier is another one now."""
        now = identifier(config) if not schema.missing(config.__dict__) else "not complete"
        if now != data["id"]:
            warnings.warn(
                f"{schema.label}: its identifier was {data['id'][:8]}, and is {now[:8]} now: "
                "the class has changed since it was saved",
                RuntimeWarning,
                stacklevel=3,
            )

    def hide(self, config: Any, schema: Schema, data: Mapping[str, Any]) -> None:
        """Gives a description what belongs to it beside its parameters."""
        info = own_info(config)
        if "tags" in data:
            info.tags = {name: self.value(value) for name, value in data["tags"].items()}
        info.studied = frozenset(data.get("studied", ()))
        info.apart = frozenset(data.get("apart", ()))
        if "kept" in data:
            info.kept = None if data["kept"] is None else frozenset(data["kept"])
        info.meta = data.get("meta")
        if "producer" in data:
            info.producer = JobRef(JobId(data["producer"]["job"]), data["producer"]["task"])
            info.loose = True  # it has ended, and no broker need know it
        info.init = tuple(self.made[at] for at in data.get("init", ()))
        for name, value in data.get("generated", {}).items():
            if name in schema.generated:
                config.__dict__[name] = self.value(value)
