"""Configs that are prepared before a task with them is submitted, such as data sets that are downloaded."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

from xpm.compat.configs import Config
from xpm.core.outputs import parts

F = TypeVar("F", bound=Callable[..., Any])


class Prepare(Config):
    """A config with something to do before tasks can use it."""

    def prepare(self, *args: Any, **kwargs: Any) -> Any:
        """Does it, in the process of the script; what is done already should cost little."""

    def is_prepared(self) -> bool:
        """Whether it is done already."""
        return False


def prepare_for(task: Any) -> None:
    """Prepares what the description `task` has among its parameters, each once in this process."""
    for _, config in parts(task):
        if isinstance(config, Prepare) and not config.__dict__.get(_PREPARED) and not config.is_prepared():
            config.prepare()
            config.__dict__[_PREPARED] = True


_PREPARED = "__xpm_prepared__"


def documentation(method: F) -> F:
    """Marks a method that belongs into the documentation."""
    cast("Any", method).__experimaestro_documentation__ = True
    return method
