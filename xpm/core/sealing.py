"""Sealing: the last check of a description, after which it can't change.

All or nothing: when something below it is wrong, nothing has been sealed.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from enum import Enum
from pathlib import PurePath
from typing import Any

from xpm.core.canonical import PLAIN, canonical
from xpm.core.cycles import way_back
from xpm.core.fields import Role
from xpm.core.frozen import FrozenDict, FrozenList, FrozenSet, freeze, united
from xpm.core.identifier import digest, identifier
from xpm.core.info import (
    HIDDEN,
    Description,
    Home,
    Info,
    Instanced,
    JobRef,
    Submittable,
    info_of,
    left_out,
    own_info,
)
from xpm.core.jobpath import JobPath
from xpm.core.naming import last_name
from xpm.core.pack import pack_bin
from xpm.core.partials import shared_names
from xpm.core.places import Place, elements, folder_of, path_of, place_text, steps
from xpm.core.provenance import made_at
from xpm.core.schema import Declared, Schema
from xpm.errors import ConfigError, SubmissionError

_FROZEN = (FrozenList, FrozenDict, FrozenSet)
_FINAL = (Description, *_FROZEN)


def seal(config: Any) -> Sealing | None:
    """Seals the description `config` and all that is below it.

    Returns:
        What can undo it; None when only `config` itself was sealed.

    Raises:
        ConfigError: something is missing or wrong; then nothing has been sealed.
        SubmissionError: a task below it wasn't submitted.
    """
    info = own_info(config)
    if not info.sealed and not info.init and _flat(config):
        info.sealed = True
        _judge(config, info)
        return None
    return Sealing(config)


def _judge(config: Any, info: Info) -> None:
    """Has the class look at the flat `config`; opens it again when that finds something."""
    schema: Schema = config.__xpm_schema__
    done = False
    try:
        schema.judge(config, lambda: schema.label, made_at)
        done = True
    finally:
        if not done:
            _open(info)


def unseal(config: Any, sealing: Sealing | None) -> None:
    """Takes back what `seal(config)` did."""
    if sealing is not None:
        sealing.undo()
    else:
        _open(own_info(config))


def _open(info: Info) -> None:
    info.sealed = info.generates = False
    info.digest = info.total = info.ref = info.instances = info.meant = None


def _flat(config: Any) -> bool:
    """Whether `config` is complete and has only scalars and submitted tasks in it, as most tasks do."""
    schema: Schema = config.__xpm_schema__
    values = config.__dict__
    if schema.generated:
        return False
    for name in schema.stored:
        if name not in values:
            return False
    for name in schema.open:
        value = values[name]
        if isinstance(value, Submittable):
            info = value.__dict__.get(HIDDEN)
            if info is None or info.session is None:
                return False
        elif type(value) not in PLAIN:
            return False
    return all(type(values[name]) in PLAIN for name in schema.closed)


class Sealing:
    """The sealing of one description and of all that is below it."""

    __slots__ = ("alike", "changed", "folder", "homed", "label", "open", "paths", "producers", "task")

    def __init__(self, config: Any, owner: Any = None, folder: str = "") -> None:
        """Seals `config`; its paths lie in `folder` of the job of `owner`, by default of its own job."""
        schema: Schema = config.__xpm_schema__
        self.label = schema.label
        self.task: Any = owner or (config if isinstance(config, Submittable) else None)
        self.folder = folder
        self.open: dict[int, Schema] = {}
        """The descriptions on the way to the one that is looked at, from the top, and their schemas."""
        self.producers: list[JobRef] = []
        """The jobs that have given out those of them that are changed copies of an output."""
        self.paths: list[tuple[str, JobPath, bool]] = []
        """Paths in jobs' directories: where, which, and whether the parameter is a `Meta`."""
        self.changed: list[tuple[Any, Info, dict[str, Any]]] = []
        self.homed: list[Info] = []
        self.alike: set[int] = set()
        """Those in `open` whose parameter that is looked at has a set in it that may have equal elements."""
        done = False
        try:
            self._config(config, None)
            for at, each in enumerate(own_info(config).init):
                self._config(each, ((None, "init_tasks", True), at, False))
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

    def _config(self, config: Any, place: Place | None) -> bool:
        """Seals `config`; True if it or something below it has generated paths."""
        info = own_info(config)
        if info.sealed and (not info.generates or info.producer is not None or self.producers):
            return False
        key = id(config)
        if key in self.open:
            raise ConfigError(f"{place_text(self.label, place)}: contains itself")
        schema: Schema = config.__xpm_schema__
        values = config.__dict__
        missing = schema.missing(values)
        if missing:
            raise ConfigError(f"{place_text(self.label, place)}.{missing[0]}: is missing{made_at(config)}")
        before: dict[str, Any] = {}
        if not info.sealed:
            self.changed.append((config, info, before))
        self.open[key] = schema
        if info.producer is not None:
            self.producers.append(info.producer)
        # Else it was loaded, with its paths.
        generates = bool(schema.generated) and any(name not in values for name in schema.generated)
        homeless = generates and info.producer is None
        for name in schema.closed:
            value = values[name]
            if type(value) not in PLAIN and not isinstance(value, _FROZEN):
                before[name] = value
                values[name] = self._frozen(schema, name, value, place)
        for name in schema.open:
            value = values[name]
            if type(value) in PLAIN:
                continue
            if not isinstance(value, _FINAL):
                if isinstance(value, (Enum, PurePath)) and type(value) is not JobPath:
                    continue
                before[name] = value
                value = values[name] = self._frozen(schema, name, value, place)
            generates |= self._value(value, (place, name, True))
            if key in self.alike:
                values[name] = united(value, self._one_of_each((place, name, True)))
                self.alike.discard(key)
        del self.open[key]
        if info.producer is not None:
            self.producers.pop()
        elif homeless:
            self._home(config, info, place)
        info.generates = generates
        if not info.sealed:
            info.sealed = True
            if schema.validate is not None:
                schema.judge(config, lambda: place_text(self.label, place), made_at)
        return generates

    def _frozen(self, schema: Schema, name: str, value: Any, place: Place | None) -> Any:
        """The container `value`, checked again since anybody may have changed it."""
        try:
            return freeze(schema.check(schema.fields[name], value))
        except ConfigError as wrong:
            raise ConfigError(
                f"{place_text(self.label, place)}{str(wrong).removeprefix(schema.label)}"
            ) from None

    def _value(self, value: Any, place: Place) -> bool:
        if isinstance(value, Submittable):
            info = value.__dict__.get(HIDDEN)
            if info is None or info.session is None:
                raise SubmissionError(self._not_submitted(value, place))
            return False
        if isinstance(value, Description):
            return self._config(value, place)
        if isinstance(value, JobPath):
            self._note(value, place)
            return False
        generates = False
        for key, each in elements(value):
            if type(each) not in PLAIN:
                generates |= self._value(each, (place, key, False))
                if isinstance(value, (FrozenSet, frozenset)):
                    self.alike.add(next(reversed(self.open)))
        return generates

    def _one_of_each(self, place: Place) -> Callable[[Any], object]:
        """What is the same for elements of which a set keeps one."""
        seen: dict[tuple[bytes, bool], Any] = {}

        def same(each: Any) -> tuple[bytes, bool]:
            # One that was set not to count can't stand for an equal one that counts.
            form = (pack_bin(canonical(each, digest)), left_out(each))
            if isinstance(each, Instanced) and seen.setdefault(form, each) is not each:
                raise ConfigError(
                    f"{place_text(self.label, place)}: a set can't tell two equal descriptions of "
                    f"{last_name(type(each).__qualname__)} apart; put them in a list"
                )
            return form

        return same

    def _not_submitted(self, task: Any, place: Place) -> str:
        name = type(task).__name__
        back = () if id(task) in self.open else way_back(task, {id(task), *self.open})
        if back is None:
            info = info_of(task)
            if info is not None and info.past is not None:
                return (
                    f"{place_text(self.label, place)}: the task {name} was loaded from the directory of its job; "
                    "give a .copy() of it, and submit that first"
                )
            return f"{place_text(self.label, place)}: the task {name} must be submitted first{made_at(task)}"
        return f"{place_text(self.label, place)}{steps(back)}: a cycle: a task cannot depend on itself"

    def _note(self, path: JobPath, place: Place) -> None:
        """A path in some job's directory: what a task gives out may have one, and what doesn't identify."""
        meta = any(declared.role is Role.META for declared in self._parameters(place))
        if not self.folder and path.job not in self.producers:
            self.paths.append((place_text(self.label, place), path, meta))

    def refuse_paths(self, dependencies: Collection[JobRef]) -> None:
        """Refuses paths in directories of jobs that would not be waited for, or that would identify the task.

        Raises:
            SubmissionError: there is one.
        """
        for place, path, meta in self.paths:
            if not meta or (path.job is not None and path.job not in dependencies):
                where = f"{last_name(path.job.task)} {path.job.id[:8]}" if path.job else "a job"
                raise SubmissionError(
                    f"{place}: a path in the directory of {where}: "
                    "give the task itself, and take the path from it in execute"
                )

    def _home(self, config: Any, info: Info, place: Place | None) -> None:
        schema: Schema = config.__xpm_schema__
        if self.task is None:
            return
        if info.home is None:
            folder = folder_of(self.folder, place)
            names = schema.path_names(config, folder)
            if schema.partials:
                names = {**names, **shared_names(config, names)}
            info.home = Home(self.task, folder, names)
            self.homed.append(info)
        elif info.home.task is not self.task and identifier(info.home.task) != identifier(self.task):
            if any(declared.foreign for declared in self._parameters(place)):
                return
            name = next(iter(schema.generated))
            raise SubmissionError(
                f"{place_text(self.label, place)}.{name}: its path lies in the directory of another job; "
                f"give each task its own {schema.label}, or declare the parameter with field(ignore_generated=True)"
            )

    def _parameters(self, place: Place | None) -> Iterator[Declared]:
        """The parameters on the way to `place`."""
        names = [str(key) for key, parameter in path_of(place) if parameter]
        for schema, name in zip(self.open.values(), names[len(names) - len(self.open) :], strict=True):
            yield schema.fields[name]
