"""Stand-ins for classes that are gone: they have the parameters' values, and nothing else."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any

from xpm.core.config import Config, Task
from xpm.core.description import described_class, stand_in
from xpm.core.fields import Param
from xpm.core.form import Reader
from xpm.core.info import JobRef, allocate, own_info
from xpm.core.naming import last_name
from xpm.core.promise import promise_of
from xpm.core.schema import Declared, Schema, schema_of
from xpm.errors import ConfigError
from xpm.types import JobId


def absent_class(name: str, parameters: Iterable[str], *, task: bool = False) -> type[Any]:
    """What stands for the class that identifiers call `name`: a config, or a task, whose parameters take anything.

    Its members, if it was an enum, are their names.
    """
    return _made(name, tuple(parameters), task)


@cache
def _made(name: str, parameters: tuple[str, ...], task: bool) -> type[Any]:
    short = last_name(name)
    body: dict[str, Any] = {
        "__module__": __name__,
        "__qualname__": short,
        "__doc__": f"Stands for {name}, which is not there.",
        "__xpmid__": name,
        "__annotations__": dict.fromkeys(parameters, Param[Any]),
        "__class_getitem__": _member,
    }
    return type(short, (Task if task else Config,), body)


def _member(cls: object, name: str) -> str:
    return name


class Lenient(Reader):
    """A reader for which something stands for each class that isn't there: with its values, and no methods."""

    def special(self, kind: str, value: Any, data: Mapping[str, Any]) -> Any:
        """What stands there, or for it."""
        try:
            return super().special(kind, value, data)
        except (ConfigError, ImportError):
            pass
        if kind == "job":
            return stand_in(absent_class(data["task"], (), task=True), JobRef(JobId(value), data["task"]))
        if kind == "result":
            return promise_of(absent_class(data["at"]["qualname"], ()), JobRef(JobId(value), data["task"]))
        return value  # the name of an enum's member, or of a function

    def object(self, data: Mapping[str, Any]) -> None:
        """Makes one of `objects`, or what stands for it."""
        try:
            self.found(data["at"])
        except (ConfigError, ImportError):
            values = {**data["parameters"], **data.get("generated", {})}
            schema = schema_of(absent_class(data["type"], values))
            config = allocate(described_class(schema.cls))
            config.__dict__.update({name: self.value(each) for name, each in values.items()})
            self.hide(config, schema, data)
            self.made.append(config)
            # What its class has made of its parameters is not known, so it keeps the identifier that it had.
            info = own_info(config)
            info.sealed, info.digest = True, bytes.fromhex(data["id"])
        else:
            super().object(data)

    def checked(self, schema: Schema, declared: Declared, value: Any) -> Any:
        """The value of a parameter, whatever it is."""
        try:
            return super().checked(schema, declared, value)
        except ConfigError:  # what stands for a class is of no type that was declared
            return value
