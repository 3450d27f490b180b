"""Functions as values of parameters: known by where they are defined, never by their code."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from types import FunctionType
from typing import Any

from xpm.core.naming import class_name, found_in, is_below, main_script, module_of, script_of


@dataclass(frozen=True, slots=True)
class Function:
    """A function that a worker can import, as a description holds it."""

    name: str
    """Its name in identifiers."""
    module: str
    qualname: str
    script: str | None
    """The script that defines it, relative to its project."""
    itself: FunctionType | None = field(default=None, compare=False)
    """The function, where it is loaded: what a live object gets."""

    def __repr__(self) -> str:
        return self.name


def function_of(function: FunctionType) -> Function:
    """The function `function` as a value.

    Raises:
        ConfigError: it was typed at a prompt.
    """
    found: Any = function  # it has all that naming asks of a class
    return Function(class_name(found), module_of(found), function.__qualname__, script_of(found), function)


def why_local(function: object) -> str | None:
    """Why no other process could import `function`; None when one can."""
    if not isinstance(function, FunctionType):
        return "it is no function of a module"
    if function.__name__ == "<lambda>":
        return "it is a lambda"
    if "<locals>" in function.__qualname__:
        return "it is defined inside a function"
    main = sys.modules.get("__main__")
    typed = function.__module__ == "__main__" and getattr(main, "__file__", None) is None
    if typed and main_script() is None:
        return "it was typed at a prompt"
    if found_in(sys.modules.get(function.__module__), function.__qualname__) is not function:
        return f"its module has no {function.__qualname__}, or another one"
    return "it is defined after the script opened an experiment" if is_below(function) else None
