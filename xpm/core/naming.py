"""The names of classes: part of every identifier, so they must not depend on how a script is started."""

from __future__ import annotations

import hashlib
import re
import sys
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from xpm.errors import ConfigError

SCRIPT = "__xpm_script__"
"""The attribute of a script's module that holds the script's path, relative to its project."""

SCRIPT_MODULE = "__mp_main__"
"""What a script's module is called where it is loaded without being run: Python's own name for such a main module, so
that `multiprocessing` in a task finds the script's functions again."""

ABOVE = "__xpm_above__"
"""The attribute of the main module that holds what it had defined, by name, when it first opened an experiment."""

FILES = "__xpm_files__"
"""The attribute of a module that lists the paths of files that are code of its, and no Python."""

DEFINED = (".yaml", ".yml")
"""What the names of scripts end in that are no Python, but files of definitions."""

code_folder: str | None = None
"""In a job, the folder of the code that it runs, which scripts are named by; None elsewhere: they are by their project."""

NOTEBOOK = ".ipynb"
"""How the names of notebooks end; no script is called so."""

_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")
_LONGEST = 120

name_main: Callable[[], object] | None = None
"""Gives the running script its name, which takes a look at the disk; the package sets it."""


def script_of(cls: type[Any]) -> str | None:
    """The script that defines `cls`, relative to its project; None for a class of an importable module."""
    if cls.__module__ == "__main__":
        return main_script()
    return getattr(sys.modules.get(cls.__module__), SCRIPT, None)


def is_notebook(script: str | None) -> bool:
    """Whether the script of that name is a notebook: its classes come from cells, and are in no file of the project."""
    return script is not None and script.endswith(NOTEBOOK)


def cells_file(notebook: str) -> str:
    """Where the definitions of a notebook's cells are written for workers, below a folder for that."""
    return f"{notebook}.py"


def main_script() -> str | None:
    """The running script or notebook, relative to its project; None for a module started by `python -m`, or a prompt."""
    main = sys.modules.get("__main__")
    if not hasattr(main, SCRIPT) and name_main is not None:
        name_main()
    return getattr(main, SCRIPT, None)


def is_defined(module: object) -> bool:
    """Whether `module` is a file of definitions, and no Python."""
    return str(getattr(module, SCRIPT, "")).endswith(DEFINED)


def module_of(cls: type[Any]) -> str:
    """The module to import to get at `cls`; the real one for a module started by `python -m`."""
    if cls.__module__ == "__main__":
        spec = getattr(sys.modules.get("__main__"), "__spec__", None)
        if spec is not None:
            return spec.name
    return cls.__module__


def is_below(found: Any) -> bool:
    """Whether the class or function `found` was defined after its script opened an experiment: a worker loads it no further."""
    module = sys.modules.get(found.__module__)
    above: dict[str, Any] | None = getattr(module, ABOVE, None)
    name = found.__qualname__.partition(".")[0]
    return above is not None and (name not in above or above[name] is not getattr(module, name, None))


def refuse_replaced(cls: type[Any]) -> None:
    """Refuses a class of a cell that was run again since: workers get the newest one.

    Raises:
        ConfigError: the notebook has another class of that name now, or one that it is derived from.
    """
    if cls.__module__ != "__main__" or not is_notebook(main_script()):
        return
    for each in cls.__mro__:
        if each.__module__ != cls.__module__ or _is_current(each):
            continue
        if each is cls:
            raise ConfigError(
                f"{cls.__qualname__}: was defined again, or deleted, since this was described: describe it anew"
            )
        raise ConfigError(
            f"{cls.__qualname__}: its base {each.__qualname__} was defined again since: run the cell of {cls.__qualname__} again"
        )


def found_in(module: object, qualname: str) -> Any:
    """What a module has under a qualified name; None if it has nothing there, or is None itself."""
    found: Any = module
    for part in qualname.split("."):
        found = getattr(found, part, None)
    return found


def _is_current(cls: type[Any]) -> bool:
    return found_in(sys.modules.get(cls.__module__), cls.__qualname__) is cls


def importable(cls: type[Any]) -> None:
    """Refuses a class that no other process could find.

    Raises:
        ConfigError: `cls` is defined inside a function, or in a script below where that opens its experiment.
    """
    if "<locals>" in cls.__qualname__:
        raise ConfigError(
            f"{cls.__qualname__}: defined inside a function, where no worker can find it; move it to the module"
        )
    if is_below(cls):
        raise ConfigError(
            f"{cls.__qualname__}: defined after the script opened an experiment, where no worker can find it; "
            "move it above 'with experiment(...)'"
        )


def _own_name(cls: Any) -> Any:
    """What `cls` says of its name; None if it says nothing."""
    classes: tuple[type[Any], ...] = getattr(cls, "__mro__", (cls,))  # a function has a name, too
    for each in classes:
        found = each.__dict__.get("__xpmid__")
        if isinstance(found, classmethod):
            return cls.__xpmid__()
        if found is not None:
            return found if each is cls else None
    return None


def class_name(cls: type[Any]) -> str:
    """The name of `cls` in identifiers.

    `__xpmid__` of the class itself (a subclass doesn't inherit it, but inherits a classmethod of that name, which
    is then called with it); `examples/digits.py:Train` in a script; else module and qualified name.

    Raises:
        ConfigError: the class is defined in a function, or was typed at a prompt.
    """
    given = _own_name(cls)
    if given is not None:
        if not isinstance(given, str) or not given:
            raise ConfigError(f"{cls.__qualname__}.__xpmid__: expected a name, got {given!r}")
        return given
    importable(cls)
    script = script_of(cls)
    if script is not None:
        return f"{script}:{cls.__qualname__}"
    module = module_of(cls)
    if module == "__main__":
        raise ConfigError(f"{cls.__qualname__}: {nowhere()}")
    return f"{module}.{cls.__qualname__}"


def nowhere() -> str:
    """Why no worker finds what was typed in this process, and what to do."""
    if hasattr(sys.modules.get("__main__"), "get_ipython"):
        return (
            'this notebook has no name; call xpm.notebook("study"), with a name of yours, in its first cell'
        )
    return "was typed at a prompt, where no worker can find it; put the classes in a file and import them"


def last_name(task: str) -> str:
    """A task's class without its module or script."""
    return task.rpartition(":")[2].rpartition(".")[2]


@lru_cache(maxsize=1024)
def task_dir(task: str) -> str:
    """The folder of a task's jobs: its class name, safe as a file name everywhere.

    A name in which nothing had to be replaced stays as it is; any other gets six digits of its hash, so that
    two names that look alike do not share a folder.

    >>> task_dir("digits.models.Train")
    'digits.models.Train'
    >>> task_dir("examples/digits.py:Train")
    'examples-digits.Train-d84569'
    """
    script, colon, name = task.partition(".py:")
    plain = _UNSAFE.sub("-", f"{script}.{name}" if colon else task).lstrip(".-")
    if task and plain == task and len(task) <= _LONGEST:
        return task
    digest = hashlib.sha256(task.encode("utf-8", "surrogateescape")).hexdigest()
    return f"{plain[:_LONGEST]}-{digest[:6]}"
