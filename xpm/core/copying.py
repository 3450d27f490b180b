"""Copies of descriptions."""

from __future__ import annotations

from typing import Any

from xpm.core.frozen import thaw
from xpm.core.info import HIDDEN, Description, Info, Submittable, allocate, info_of, own_info


def copied(value: Any) -> Any:
    """A copy of `value` that shares no list, dict, set or description with it, but tasks and what jobs have given out."""
    return Copies()(value)


class Copies:
    """One copying: a description that is found twice is copied once."""

    def __init__(self) -> None:
        self.made: dict[int, Any] = {}

    def __call__(self, value: Any) -> Any:
        """The copy of `value`."""
        return thaw(value, self.leaf)

    def leaf(self, value: Any) -> Any:
        """The copy of what is no container."""
        if not isinstance(value, Description) or isinstance(value, Submittable) or _given_out(value):
            return value
        return self.description(value)

    def description(self, config: Any) -> Any:
        """The copy of a description, a task's too."""
        copy = self.made.get(id(config))
        if copy is not None:
            return copy
        copy = self.made[id(config)] = allocate(config.__class__)
        for name, value in config.__dict__.items():
            if name != HIDDEN:
                copy.__dict__[name] = self(value)
        carry(info_of(config), copy)
        return copy


def carry(info: Info | None, copy: Any) -> None:
    """Gives a copy what goes with it of the hidden part of its original."""
    if info is None:
        return
    hidden = own_info(copy)
    hidden.at, hidden.given, hidden.places = info.at, info.given, info.places
    hidden.apart, hidden.kept, hidden.meta = info.apart, info.kept, info.meta
    if info.tags:
        hidden.tags, hidden.studied = dict(info.tags), info.studied


def copy_of(config: Any) -> Any:
    """An unsealed copy of the description `config`, a task's too.

    That of what a job has given out is so, too: whoever uses it depends on the job, in whose directory its parts lie.
    What a job will have returned is itself: nothing of it can be changed.
    """
    given = _given_out(config)
    if given is not None and given.promise:
        return config
    return Copies().description(config) if given is None else _copy_of_output(config, given)


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
    info.former = given.former
    info.tags = dict(given.total or given.tags or {})
    return copy
