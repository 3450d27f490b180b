"""What `execute` returned, as JSON and back.

Plain data is written as it is. What JSON lacks becomes an object with the one reserved key `$`, which names
the kind, and `v`, which holds the value. Arrays lie beside the record as .npy files.
"""

from __future__ import annotations

import importlib
import math
import os
import sys
from binascii import a2b_base64, b2a_base64
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from enum import Enum
from pathlib import Path, PurePath
from typing import Any, cast

from xpm.core.info import Described, Description, JobRef
from xpm.core.naming import SCRIPT_MODULE
from xpm.core.surrogates import halves
from xpm.errors import ConfigError, MessageError, ResultError

_DEEPEST = 100
_ARRAY = ".xpm/result-{}.npy"
_SEQUENCES: tuple[type[Any], ...] = (list, tuple, set, frozenset)
_SCALARS: tuple[type[Any], ...] = (int, float, str)
_SCRIPT_MODULES = (SCRIPT_MODULE, "__main__")

_PLAIN = frozenset({type(None), bool, int})

FindClass = Callable[[str], type[Any]]


def encode_result(value: Any, jobdir: str | os.PathLike[str]) -> Any:
    """`value` as plain JSON data; its arrays are written below `jobdir`.

    Raises:
        ResultError: something in it is of a type that is not kept; the message names where it stands.
        OSError: an array could not be written.
    """
    if value.__class__ in _PLAIN or (value.__class__ is float and math.isfinite(value)):
        return value
    encoder = _Encoder(os.path.abspath(jobdir))
    found = encoder.encode(value, "the result", 0)
    return (
        found if encoder.writer is None else {"$": "configs", "objects": encoder.writer.objects, "v": found}
    )


def decode_result(
    data: Any,
    jobdir: str | os.PathLike[str],
    find: FindClass | None = None,
    job: JobRef | None = None,
) -> Any:
    """The value that `encode_result` turned into `data`.

    Args:
        data: the JSON data of the record.
        jobdir: the job's directory as it is called here.
        find: gives the class of a dataclass, named tuple or enum by its name; without it one is imported.
            With `plain` such a value becomes a dict, a tuple or a plain value and nothing is imported.
        job: whose result it is: what uses a config of it depends on that job.

    Raises:
        ResultError: a class or an array that the result needs is missing.
    """
    return _Decoder(Path(jobdir), find or find_class, job).decode(data)


def unfolded(data: Any) -> Any:
    """Stored data for people: its configs where they are used, each as `{"$type": name, ...}`."""
    found: Any = data
    if not isinstance(data, dict) or found.get("$") != "configs":
        return found
    made: list[Any] = []

    def unfold(value: Any) -> Any:
        if isinstance(value, list):
            return [unfold(each) for each in cast("list[Any]", value)]
        if not isinstance(value, dict):
            return value
        values = cast("dict[str, Any]", value)
        if values.get("$") == "object":
            return made[values["v"]]
        return {key: unfold(each) for key, each in values.items()}

    for each in found["objects"]:
        made.append({"$type": each["type"], **unfold(each["parameters"])})
    return unfold(found["v"])


def plain(name: str) -> type[Any]:
    """A finder of classes that finds none: see `decode_result`."""
    del name
    return object


def class_of(cls: type[Any]) -> str:
    """The name under which a result notes a class: `module:qualname`, for a script's class its script."""
    module = sys.modules.get(cls.__module__)
    script = getattr(module, "__xpm_script__", None)
    return f"{script or cls.__module__}:{cls.__qualname__}"


def find_class(name: str) -> type[Any]:
    """The class that `class_of` called `name`, imported when its module is not loaded.

    Raises:
        ResultError: it is not there any more.
    """
    module, _, qualname = name.partition(":")
    try:
        found: Any = _module(module)
        for part in qualname.split("."):
            found = getattr(found, part)
    except (ImportError, AttributeError) as error:
        raise ResultError(f"the result holds a {name}, which cannot be loaded here: {error}") from error
    if not isinstance(found, type):
        raise ResultError(f"the result holds a {name}, which is not a class any more")
    return found


def _module(name: str) -> Any:
    if not name.endswith(".py"):
        return importlib.import_module(name)
    for candidate in _SCRIPT_MODULES:
        module = sys.modules.get(candidate)
        if getattr(module, "__xpm_script__", None) == name:
            return module
    raise ImportError(f"it is defined in the script {name}")


class _Encoder:
    """One result on its way into a record."""

    def __init__(self, jobdir: str) -> None:
        self.jobdir = jobdir
        self.arrays = 0
        self.writer: Any = None
        """Takes the configs in the result."""
        numpy = sys.modules.get("numpy")
        self.array: Any = () if numpy is None else numpy.ndarray
        self.scalar: Any = () if numpy is None else numpy.generic

    def encode(self, value: Any, where: str, depth: int) -> Any:
        if value is None or value is True or value is False:
            return value
        kind = value.__class__
        if kind is float:
            return value if math.isfinite(value) else {"$": "float", "v": repr(value)}
        if kind is int:
            return value
        if kind is str:
            return self.text(value)
        if depth > _DEEPEST:
            raise ResultError(f"{where[:80]}... is nested deeper than {_DEEPEST} levels or holds itself")
        if isinstance(value, dict):
            return self.mapping(cast("dict[Any, Any]", value), where, depth + 1)
        if isinstance(value, _SEQUENCES):
            return self.sequence(value, where, depth + 1)
        return self.special(value, where, depth + 1)

    def text(self, value: str) -> Any:
        pieces = halves(value)
        return value if len(pieces) == 1 else _tagged("text", pieces)

    def mapping(self, value: Mapping[Any, Any], where: str, depth: int) -> Any:
        if "$" not in value and all(type(key) is str and len(halves(key)) == 1 for key in value):
            return {key: self.encode(item, f"{where}[{key!r}]", depth) for key, item in value.items()}
        return _tagged("dict", [self.pair(key, item, where, depth) for key, item in value.items()])

    def pair(self, key: Any, item: Any, where: str, depth: int) -> list[Any]:
        return [self.encode(key, f"a key of {where}", depth), self.encode(item, f"{where}[{key!r}]", depth)]

    def sequence(self, value: Any, where: str, depth: int) -> Any:
        items = [self.encode(item, f"{where}[{index}]", depth) for index, item in enumerate(value)]
        if type(value) is list:
            return items
        if hasattr(value, "_fields"):
            return {"$": "namedtuple", "class": class_of(value.__class__), "v": items}
        return _tagged(next(base.__name__ for base in _SEQUENCES if isinstance(value, base)), items)

    def config(self, value: Any, where: str) -> Any:
        described = value if isinstance(value, Description) else value.__xpm_stand_in__()
        if described is None:
            name = type(value).__name__
            raise ResultError(
                f"{where} is a live {name} that no parameter of the task is: return {name}.C(...)"
            )
        if self.writer is None:
            self.writer = _form().Writer()
        return self.writer.parameter(described)

    def special(self, value: Any, where: str, depth: int) -> Any:
        if isinstance(value, Enum):
            return {"$": "enum", "class": class_of(value.__class__), "v": value.name}
        if isinstance(value, Described):
            return self.config(value, where)
        if isinstance(value, self.scalar):
            return self.item(value, where, depth)
        if isinstance(value, self.array):
            return self.store(value, where)
        if isinstance(value, (bytes, bytearray)):
            return _tagged("bytes", b2a_base64(value, newline=False).decode("ascii"))
        if isinstance(value, PurePath):
            return self.path(value)
        if isinstance(value, complex):
            return _tagged("complex", [repr(value.real), repr(value.imag)])
        if is_dataclass(value) and not isinstance(value, type):
            values = {
                field.name: self.encode(getattr(value, field.name), f"{where}.{field.name}", depth)
                for field in fields(value)
            }
            return {"$": "dataclass", "class": class_of(value.__class__), "v": values}
        return self.inherited(value, where, depth)

    def inherited(self, value: Any, where: str, depth: int) -> Any:
        """What remains: values of classes derived from a plain one, and what is not kept."""
        for base in _SCALARS:
            if isinstance(value, base):
                return self.encode(base(value), where, depth)
        raise ResultError(
            f"{where} is of type {_name(value.__class__)}, which a record cannot hold: return plain data, "
            "numpy values, dataclasses or paths, or write a file in the job's directory and return its path"
        )

    def item(self, value: Any, where: str, depth: int) -> Any:
        converted = value.item()
        if isinstance(converted, self.scalar) or not isinstance(
            converted, (bool, int, float, complex, str, bytes)
        ):
            raise ResultError(
                f"{where} is a numpy {value.dtype}, which a record cannot hold: convert it first"
            )
        return self.encode(converted, where, depth)

    def store(self, value: Any, where: str) -> Any:
        numpy = sys.modules["numpy"]
        if type(value) is not numpy.ndarray or value.dtype.hasobject:
            raise ResultError(
                f"{where} is of type {_name(value.__class__)} of {value.dtype}: only plain numpy arrays are kept"
            )
        while True:
            name = _ARRAY.format(self.arrays)
            self.arrays += 1
            try:
                with open(os.path.join(self.jobdir, name), "xb") as file:
                    numpy.save(file, value, allow_pickle=False)
            except FileExistsError:
                continue  # another's, who may have published it
            return _tagged("array", name)

    def path(self, value: PurePath) -> Any:
        text = os.path.normpath(os.path.join(self.jobdir, value))
        for root in (self.jobdir, os.path.realpath(self.jobdir)):
            if text == root or text.startswith(root + os.sep):
                return _tagged("file", self.text(os.path.relpath(text, root)))
        return _tagged("path", self.text(text))


class _Decoder:
    """One result on its way out of a record."""

    def __init__(self, jobdir: Path, find: FindClass, job: JobRef | None) -> None:
        self.jobdir = jobdir
        self.find = find
        self.job = job
        self.configs: list[Any] = []

    def decode(self, data: Any) -> Any:
        if isinstance(data, list):
            return [self.decode(item) for item in cast("list[Any]", data)]
        if not isinstance(data, dict):
            return data
        values = cast("dict[str, Any]", data)
        kind = values.get("$")
        if kind == "configs":
            return self.with_configs(values)
        if kind == "object":
            return self.configs[values["v"]]
        if kind == "job":
            return values["v"] if self.find is plain else _form().job_of(values, _scripts().find)
        if kind is None:
            return {key: self.decode(item) for key, item in values.items()}
        if "class" in values:
            return self.instance(kind, self.find(values["class"]), values["v"])
        return self.special(kind, values.get("v"))

    def with_configs(self, data: dict[str, Any]) -> Any:
        """A result with configs in it."""
        if self.find is plain:
            for each in data["objects"]:
                self.configs.append({"$type": each["type"], **self.decode(each["parameters"])})
        else:
            try:
                made = _form().made_of(data["objects"], _scripts().find)
            except (MessageError, ConfigError) as wrong:
                raise ResultError(f"the result in {self.jobdir} can't be read: {wrong}") from wrong
            self.configs = [_form().given_out(each, self.job) for each in made]
        return self.decode(data["v"])

    def special(self, kind: str, value: Any) -> Any:
        match kind:
            case "float":
                return float(value)
            case "complex":
                return complex(*map(float, value))
            case "bytes":
                return a2b_base64(value)
            case "text":
                return "".join(value)
            case "path":
                return Path(self.decode(value))
            case "file":
                return self.jobdir / self.decode(value)
            case "array":
                return self.load(self.jobdir / value)
            case "dict":
                return {self.decode(key): self.decode(item) for key, item in value}
            case _:
                for base in _SEQUENCES:
                    if base.__name__ == kind:
                        return base(map(self.decode, value))
                raise ResultError(
                    f"the result in {self.jobdir} holds a {kind!r}: it was written by a newer xpm"
                )

    def instance(self, kind: str, cls: type[Any], value: Any) -> Any:
        if cls is object:
            return self.bare(kind, value)
        if kind == "enum":
            return cast("type[Enum]", cls)[value]
        if kind == "namedtuple":
            return cls(*map(self.decode, value))
        made = object.__new__(cls)
        for name, item in value.items():
            object.__setattr__(made, name, self.decode(item))
        return made

    def bare(self, kind: str, value: Any) -> Any:
        """The value of a class that is not looked for."""
        if kind == "enum":
            return value
        return self.decode(value if kind == "dataclass" else _tagged("tuple", value))

    def load(self, path: Path) -> Any:
        try:
            numpy = importlib.import_module("numpy")
            return numpy.load(path, allow_pickle=False)
        except ImportError:
            raise ResultError(f"the result holds the array {path}: install numpy to read it") from None
        except (OSError, ValueError) as error:
            raise ResultError(f"the array {path} of the result cannot be read: {error}") from error


def _form() -> Any:
    return importlib.import_module("xpm.core.form")  # few results have configs in them


def _scripts() -> Any:
    return importlib.import_module("xpm.workspace.scripts")


def _tagged(kind: str, value: Any) -> dict[str, Any]:
    return {"$": kind, "v": value}


def _name(cls: type[Any]) -> str:
    return cls.__qualname__ if cls.__module__ == "builtins" else f"{cls.__module__}.{cls.__qualname__}"
