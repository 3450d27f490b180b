"""Copies of descriptions."""

from __future__ import annotations

from typing import Any

from xpm.core.frozen import thaw
from xpm.core.info import HIDDEN, Description, Submittable, allocate, info_of, own_info


def copied(value: Any) -> Any:
    """A copy of `value` that shares no list, dict, set or description with it; submitted tasks are shared."""
    return _Copies()(value)


class _Copies:
    """One copying: a description that is found twice is copied once."""

    def __init__(self) -> None:
        self.made: dict[int, Any] = {}

    def __call__(self, value: Any) -> Any:
        return thaw(value, self.leaf)

    def leaf(self, value: Any) -> Any:
        if not isinstance(value, Description) or isinstance(value, Submittable):
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
        if info is not None and info.tags:
            own_info(copy).tags = dict(info.tags)
        return copy


def copy_of(config: Any) -> Any:
    """An unsealed copy of the description `config`, a task's too."""
    return _Copies().description(config)
