"""Copies of descriptions."""

from __future__ import annotations

from typing import Any

from xpm.core.frozen import thaw
from xpm.core.info import HIDDEN, Description, Info, Submittable, allocate, info_of, own_info


def copied(value: Any) -> Any:
    """A copy of `value` that shares no list, dict, set or description with it, but tasks and what jobs have given out."""
    return _Copies()(value)


class _Copies:
    """One copying: a description that is found twice is copied once."""

    def __init__(self) -> None:
        self.made: dict[int, Any] = {}

    def __call__(self, value: Any) -> Any:
        return thaw(value, self.leaf)

    def leaf(self, value: Any) -> Any:
        if not isinstance(value, Description) or isinstance(value, Submittable) or _given_out(value):
            return value
        return self.description(value)

    def description(self, config: Any) -> Any:
        copy = self.made.get(id(config))
        if copy is not None:
            return copy
        copy = self.made[id(config)] = allocate(config.__class__)
        for name, value in config.__dict__.items():
            if name != HIDDEN:
                copy.__dict__[name] = self(value)
        info = info_of(config)
        if info is not None:
            hidden = own_info(copy)
            hidden.at, hidden.given, hidden.places = info.at, info.given, info.places
            if info.tags:
                hidden.tags, hidden.studied = dict(info.tags), info.studied
            hidden.kept, hidden.meta = info.kept, info.meta
        return copy


def copy_of(config: Any) -> Any:
    """An unsealed copy of the description `config`, a task's too.

    That of what a job has given out is so, too: whoever uses it depends on the job, in whose directory its parts lie.
    What a job will have returned is itself: nothing of it can be changed.
    """
    given = _given_out(config)
    if given is not None and given.promise:
        return config
    return _Copies().description(config) if given is None else _copy_of_output(config, given)


def _given_out(config: Any) -> Info | None:
    info = info_of(config)
    return None if info is None or info.producer is None else info


def _copy_of_output(config: Any, given: Info) -> Any:
    copy = allocate(config.__class__)
    for name, value in config.__dict__.items():
        if name != HIDDEN:
            copy.__dict__[name] = thaw(value, lambda part: part)
    info = own_info(copy)
    info.producer, info.loose, info.home, info.meta = given.producer, given.loose, given.home, given.meta
    info.tags = dict(given.total or given.tags or {})
    return copy
