"""Runs an experiment that YAML files describe: `xpm run` becomes this with what was typed, and this its script.

The file that defines `run(helper, cfg)` takes the place of the main module, so that its classes have the names that they
have when it is run itself, and processes that multiprocessing spawns load it.
"""

from __future__ import annotations

import runpy
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, cast, get_type_hints

from xpm.core.naming import SCRIPT_MODULE
from xpm.describe.configuration import is_configuration, parameters_of
from xpm.describe.params import typed
from xpm.describe.sheet import KEYS, SHARED, Given, Sheet
from xpm.errors import ConfigError, UsageError, XpmError
from xpm.experiment.ending import plainly
from xpm.experiment.helper import ExperimentHelper
from xpm.experiment.script import name_script
from xpm.experiment.voice import Voice
from xpm.project import project_root
from xpm.settings import load
from xpm.workspace.rundir import git
from xpm.workspace.toplevel import run_top_level


def main() -> None:
    """Runs what the one argument says."""
    given = Given.unpack(sys.argv[1])
    sheet = given.sheet()
    verbose = load(script=sheet.file or sheet.path).verbose
    plainly(whole=verbose)
    try:
        run(given, sheet)
    except Exception as error:  # the user's code has raised it: Python shows it, but for our lines
        if not isinstance(error, XpmError):
            plainly(whole=verbose, called=error)
        raise


def run(given: Given, sheet: Sheet) -> None:
    """Runs the experiment in this process, whose main module it takes over."""
    _look_at_git(sheet)
    _extend_path(sheet)
    if sheet.pre_experiment is not None:
        if not sheet.pre_experiment.is_file():
            raise UsageError(f"{sheet.path}: pre_experiment: no file {sheet.pre_experiment}")
        runpy.run_path(str(sheet.pre_experiment), run_name="pre_experiment")
    sys.argv = [str(sheet.file or sheet.path), *given.words()]
    function = _function(sheet)
    helper, configuration = _classes(function, sheet)
    cfg = typed(configuration, sheet.layers, beside=KEYS)
    with helper.open(sheet) as xp:
        helper(function, xp, sheet).run(given.arguments, cfg)


def _look_at_git(sheet: Sheet) -> None:
    """Says or refuses what git doesn't know of the project."""
    if sheet.dirty_git == "ignore":
        return
    root, _ = project_root(sheet.file or sheet.path)
    changed = git(root, "status", "--porcelain")
    if not changed:
        return
    said = f"{sheet.path}: dirty_git: {root} has changes that are not committed"
    if sheet.dirty_git == "error":
        raise UsageError(f"{said}: commit them, or set dirty_git to warn")
    Voice().say(said)


def _extend_path(sheet: Sheet) -> None:
    """Modules are found beside the file, as a script's are, or beside the YAML file; and where that says."""
    folders = list(sheet.pythonpath)
    if sheet.file is not None:
        folders.insert(0, sheet.file.parent)
    elif not folders:
        folders.append(sheet.path.parent)
    own = 0 if sys.flags.safe_path else 1  # the current directory, for `python -m`
    sys.path[:own] = [str(each.resolve()) for each in folders]


def _function(sheet: Sheet) -> Callable[..., object]:
    module = _script(sheet.file, sheet) if sheet.file is not None else _module(str(sheet.module), sheet)
    found = getattr(module, "run", None)
    if not callable(found):
        raise ConfigError(f"{sheet.source}: defines no run(helper, cfg), which {sheet.path} is for")
    return found


def _script(file: Path, sheet: Sheet) -> ModuleType:
    if not file.is_file():
        raise UsageError(f"{sheet.path}: file: no script {file}")
    module = ModuleType(SCRIPT_MODULE)
    module.__file__ = str(file.resolve())
    sys.modules["__main__"] = module
    name_script()
    run_top_level(module, SCRIPT_MODULE, module.__file__)
    return module


def _module(name: str, sheet: Sheet) -> ModuleType:
    try:
        __import__(name)  # unlike `import_module`, no frame of a traceback
    except ModuleNotFoundError as error:
        if error.name is None or not f"{name}.".startswith(f"{error.name}."):
            raise
        raise ConfigError(
            f"{sheet.path}: module: there is no module {error.name!r}: name its folder in pythonpath"
        ) from None
    sys.modules["__main__"] = sys.modules[name]
    return sys.modules[name]


def _classes(function: Callable[..., object], sheet: Sheet) -> tuple[type[ExperimentHelper], type[Any]]:
    """The classes of the function's two parameters."""
    names = _parameters(function, sheet)
    try:
        hints = get_type_hints(function)
    except (NameError, AttributeError, TypeError) as wrong:
        raise ConfigError(f"{sheet.source}: the types of run can't be resolved: {wrong}") from None
    helper = hints.get(names[0], ExperimentHelper)
    if not (isinstance(helper, type) and issubclass(helper, ExperimentHelper)):
        raise ConfigError(f"{sheet.source}: run: {names[0]} is an ExperimentHelper, not {helper!r}")
    configuration = hints.get(names[1])
    if not is_configuration(configuration):
        raise ConfigError(
            f"{sheet.source}: run: {names[1]} needs its class, one with @configuration, as in run(helper, cfg: Params)"
        )
    cls = cast("type[Any]", configuration)
    for name in parameters_of(cls):
        if name in KEYS and name not in SHARED:
            raise ConfigError(
                f"{cls.__name__}.{name}: a YAML file says something else by it; choose another name"
            )
    return helper, cls


def _parameters(function: Callable[..., object], sheet: Sheet) -> Sequence[str]:
    code: Any = getattr(function, "__code__", None)
    if code is None or code.co_argcount < 2:
        raise ConfigError(f"{sheet.source}: run needs two parameters: run(helper, cfg)")
    return cast("tuple[str, ...]", code.co_varnames[: code.co_argcount])


if __name__ == "__main__":
    main()
