"""Sealing: the last check of a description, after which it can't change.

All or nothing: when something below it is wrong, nothing has been sealed.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum
from pathlib import PurePath
from typing import Any, cast

from xpm.core.canonical import PLAIN
from xpm.core.frozen import FrozenDict, FrozenList, FrozenSet, freeze
from xpm.core.identifier import identifier
from xpm.core.info import HIDDEN, Description, Info, Submittable, own_info
from xpm.core.schema import Schema
from xpm.errors import ConfigError, SubmissionError

_FROZEN = (FrozenList, FrozenDict, FrozenSet)


def seal(config: Any) -> Sealing | None:
    """Seals the description `config` and all that is below it.

    Returns:
        What can undo it; None when only `config` itself was sealed.

    Raises:
        ConfigError: something is missing or wrong; then nothing has been sealed.
        SubmissionError: a task below it wasn't submitted.
    """
    info = own_info(config)
    if not info.sealed and _flat(config):
        info.sealed = True
        return None
    return Sealing(config)


def unseal(config: Any, sealing: Sealing | None) -> None:
    """Takes back what `seal(config)` did."""
    if sealing is not None:
        sealing.undo()
    else:
        _open(own_info(config))


def _open(info: Info) -> None:
    info.sealed = info.generates = False
    info.digest = info.total = info.ref = None


def _flat(config: Any) -> bool:
    """Whether `config` is complete and has only scalars and submitted tasks in it, as most tasks do."""
    schema: Schema = config.__xpm_schema__
    values = config.__dict__
    if schema.generated:
        return False
    for name in schema.stored:
        if name not in values:
            return False
    for _, name in schema.rich:
        value = values[name]
        if isinstance(value, Submittable):
            info = value.__dict__.get(HIDDEN)
            if info is None or info.session is None:
                return False
        elif type(value) not in PLAIN:
            return False
    return True


class Sealing:
    """The sealing of one description and of all that is below it."""

    __slots__ = ("changed", "homed", "open", "task")

    def __init__(self, config: Any, owner: Any = None, folder: str = "") -> None:
        """Seals `config`; the paths below it lie in `folder` of the job of `owner`, by default itself."""
        schema: Schema = config.__xpm_schema__
        self.task: Any = owner or (config if isinstance(config, Submittable) else None)
        self.open: set[int] = set()
        self.changed: list[tuple[Any, Info, dict[str, Any]]] = []
        self.homed: list[Info] = []
        done = False
        try:
            self._config(config, schema.label, folder)
            done = True
        finally:
            if not done:
                self.undo()

    def undo(self) -> None:
        """Opens again what this sealing has sealed."""
        for config, info, before in self.changed:
            config.__dict__.update(before)
            _open(info)
        for info in self.homed:
            info.home = None

    def _config(self, config: Any, place: str, folder: str) -> bool:
        """Seals `config`; True if it or something below it has generated paths."""
        info = own_info(config)
        if info.sealed and (not info.generates or info.producer is not None):
            return False
        schema: Schema = config.__xpm_schema__
        if id(config) in self.open:
            raise ConfigError(f"{place}: contains itself")
        values = config.__dict__
        if schema.missing(values):
            raise ConfigError(f"{place}.{schema.missing(values)[0]}: is missing")
        before: dict[str, Any] = {}
        if not info.sealed:
            self.changed.append((config, info, before))
        self.open.add(id(config))
        generates = bool(schema.generated)
        for _, name in schema.rich:
            value = values[name]
            if type(value) in PLAIN or isinstance(value, (Enum, PurePath)):
                continue
            if not isinstance(value, (Description, *_FROZEN)):
                before[name] = value
                value = values[name] = self._frozen(schema, name, value, place)
            generates |= self._value(value, f"{place}.{name}", f"{folder or 'out'}/{_segment(name)}")
        self.open.discard(id(config))
        if schema.generated:
            self._home(info, schema, place, folder)
        info.generates = generates
        info.sealed = True
        return generates

    def _frozen(self, schema: Schema, name: str, value: Any, place: str) -> Any:
        """The container `value`, checked again since anybody may have changed it."""
        try:
            return freeze(schema.check(schema.fields[name], value))
        except ConfigError as wrong:
            raise ConfigError(f"{place}{str(wrong).removeprefix(schema.label)}") from None

    def _value(self, value: Any, place: str, folder: str) -> bool:
        if isinstance(value, Description):
            if isinstance(value, Submittable):
                _submitted(value, place)
                return False
            return self._config(value, place, folder)
        generates = False
        for key, each in _elements(value):
            if type(each) not in PLAIN:
                generates |= self._value(each, f"{place}[{key}]", f"{folder}/{_segment(key)}")
        return generates

    def _home(self, info: Info, schema: Schema, place: str, folder: str) -> None:
        if self.task is None:
            return
        if info.home is None:
            info.home = (self.task, folder)
            self.homed.append(info)
        elif info.home[0] is not self.task:
            owner = info.home[0]
            if identifier(owner) != identifier(self.task):
                name = next(iter(schema.generated))
                raise SubmissionError(
                    f"{place}.{name}: its path lies in the directory of another job; give each task its own {schema.label}"
                )


def _submitted(task: Any, place: str) -> None:
    info = task.__dict__.get(HIDDEN)
    if info is None or info.session is None:
        raise SubmissionError(f"{place}: the task {task.__xpm_schema__.label} must be submitted first")


def _elements(value: Any) -> Iterator[tuple[object, Any]]:
    """The elements of a container that may be descriptions, with their index or key."""
    kind: type[Any] = value.__class__
    if kind is FrozenDict:
        for key, each in cast("dict[Any, Any]", value).items():
            yield (key.name if isinstance(key, Enum) else key), each
    elif kind is FrozenList or kind is tuple:
        yield from enumerate(cast("list[Any]", value))
    elif kind is FrozenSet or kind is frozenset:
        for each in cast("set[Any]", value):
            # A set has no order of its own, its elements' identifiers have.
            yield (identifier(each)[:16] if isinstance(each, Description) else ""), each


def _segment(key: object) -> str:
    """`key` as the name of a folder."""
    text = str(key)
    safe = "".join(c if c.isascii() and (c.isalnum() or c in "_-.") else f"%{ord(c):02X}" for c in text)
    return f"%{ord(safe[0]):02X}{safe[1:]}" if safe[:1] == "." else safe or "%"
