"""Methods that run once: `initializer`."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, Concatenate, ParamSpec, TypeVar

from xpm.core.info import Description
from xpm.core.live import filled

S = TypeVar("S")
P = ParamSpec("P")
T = TypeVar("T")

_RESULTS = "__xpm_initialized__"
"""The key of a live object's `__dict__` for what its initializers have returned."""


def initializer(method: Callable[Concatenate[S, P], T]) -> Callable[Concatenate[S, P], T]:
    """Makes a method of a config run once for each live object; later calls give what the first one returned.

    On a description it runs each time. A call that raised does not count. Arguments of later calls are not looked at.

    Example:
        ```python
        class Corpus(Config):
            path: Meta[Path]

            @initializer
            def index(self) -> Index:
                return Index.read(self.path)
        ```
    """
    # A method that overrides another runs apart from it, so that it can call it.
    key = method.__qualname__

    @wraps(method)
    def once(self: S, *args: P.args, **kwargs: P.kwargs) -> T:
        if isinstance(self, Description):
            return method(self, *args, **kwargs)  # its parameters may change
        live: Any = filled(self)
        results = live.__dict__.setdefault(_RESULTS, {})
        if key not in results:
            results[key] = method(self, *args, **kwargs)
        return results[key]

    return once
