"""Classes, enums and functions, found by where they are defined: in modules, and in scripts of the project."""

from __future__ import annotations

import hashlib
import importlib
import os
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

from xpm.core.form import At
from xpm.core.naming import DEFINED, SCRIPT, found_in, is_notebook, main_script
from xpm.errors import ConfigError
from xpm.project import project_root
from xpm.workspace.toplevel import run_top_level


def find(at: At) -> Any:
    """The class, enum or function that is there, in this process's modules and project.

    Raises:
        ConfigError: it isn't; what the user's modules raise comes through.
    """
    found = found_in(_module(at), at.qualname)
    if found is None:
        raise ConfigError(f"{at.script or at.module} has no {at.qualname} (any more)")
    return found


def _module(at: At) -> ModuleType:
    if at.script is not None:
        return _script(at.script)
    try:
        return importlib.import_module(at.module)
    except ModuleNotFoundError as error:
        if error.name != at.module and not at.module.startswith(f"{error.name}."):
            raise
        raise ConfigError(
            f"{at.module}.{at.qualname}: there is no module {error.name!r} here: is its folder on the path?"
        ) from None


def _script(script: str) -> ModuleType:
    """The module of a script: what runs, or was loaded, or the file of that name in the project."""
    if main_script() == script:
        return sys.modules["__main__"]
    loaded = next(
        (each for each in list(sys.modules.values()) if getattr(each, SCRIPT, None) == script), None
    )
    if loaded is not None:
        return loaded
    if is_notebook(script):
        raise ConfigError(
            f"{script} is a notebook: its classes are there only, and in its jobs; load it there"
        )
    main = getattr(sys.modules["__main__"], "__file__", None)
    for start in (Path.cwd(), *([Path(main)] if main else [])):
        path = project_root(start)[0] / script
        if path.is_file() and script.endswith(DEFINED):
            definitions: Any = importlib.import_module("xpm.describe.definitions")  # few projects have any
            return definitions.defined_in(path)
        if path.is_file():
            name = f"xpm_script_{hashlib.sha256(script.encode()).hexdigest()[:12]}"
            module = ModuleType(name)
            module.__file__ = os.fspath(path)
            setattr(module, SCRIPT, script)
            run_top_level(module, name, os.fspath(path))
            return module
    raise ConfigError(f"the script {script} isn't in this project: run from the folder of its project")
