"""Typed, content-addressed experiments on Redis and RQ: described once, run anywhere, never done twice."""

from __future__ import annotations

import sys
import types

# What type checkers take for true; importing typing would double the time of this import.
TYPE_CHECKING = False

if sys.platform == "win32":
    raise ImportError(
        "xpm runs on Linux and macOS; on Windows use WSL: https://learn.microsoft.com/windows/wsl/install"
    )

if TYPE_CHECKING:
    from xpm.cells.kernel import notebook
    from xpm.core.config import Config, LightweightTask, Task
    from xpm.core.counting import setmeta
    from xpm.core.deprecation import deprecate
    from xpm.core.fields import (
        Constant,
        DataPath,
        Help,
        Meta,
        OptionalDataPath,
        Param,
        PathGenerator,
        field,
        param_group,
        partial,
    )
    from xpm.core.grid import Grid, grid, zipped
    from xpm.core.hooks import Submission, submit_hook
    from xpm.core.identifier import identifier
    from xpm.core.instances import InstanceConfig
    from xpm.core.limits import Choices, Range
    from xpm.core.live import DirectoryContext, ObjectStore
    from xpm.core.once import initializer
    from xpm.core.outputs import Dependent
    from xpm.core.provenance import provenance
    from xpm.core.resumable import ResumableTask
    from xpm.core.retries import Retries
    from xpm.core.session import progress
    from xpm.core.state import State
    from xpm.core.tags import stop_tags, tag, tagspath
    from xpm.describe.commands import Command, CommandTask, Shell
    from xpm.describe.configuration import GridSearch, configuration
    from xpm.describe.definitions import definitions
    from xpm.describe.functions import task
    from xpm.describe.helping import describe_parameters
    from xpm.describe.words import each, flag, option, verbatim
    from xpm.errors import (
        BrokerError,
        BrokerStalled,
        BrokerUnreachable,
        BrokerUnsuitable,
        CommandFailed,
        ConfigError,
        ExperimentCancelled,
        ExperimentFailed,
        GracefulTimeout,
        JobCancelled,
        JobError,
        JobFailed,
        JobHeld,
        MessageError,
        NoExperiment,
        NotSubmitted,
        ResultError,
        RunForgotten,
        SealedError,
        SettingsError,
        SubmissionError,
        TaskCancelled,
        UsageError,
        WorkspaceError,
        WouldDeadlock,
        XpmError,
    )
    from xpm.experiment import experiment
    from xpm.experiment.helper import ExperimentHelper
    from xpm.experiment.tokens import acquire, lock, token
    from xpm.workspace.caching import cache
    from xpm.workspace.hub import from_hub, push_to_hub
    from xpm.workspace.saving import deserialize, load, save, serialize

__all__ = [
    "BrokerError",
    "BrokerStalled",
    "BrokerUnreachable",
    "BrokerUnsuitable",
    "Choices",
    "Command",
    "CommandFailed",
    "CommandTask",
    "Config",
    "ConfigError",
    "Constant",
    "DataPath",
    "Dependent",
    "DirectoryContext",
    "ExperimentCancelled",
    "ExperimentFailed",
    "ExperimentHelper",
    "GracefulTimeout",
    "Grid",
    "GridSearch",
    "Help",
    "InstanceConfig",
    "JobCancelled",
    "JobError",
    "JobFailed",
    "JobHeld",
    "LightweightTask",
    "MessageError",
    "Meta",
    "NoExperiment",
    "NotSubmitted",
    "ObjectStore",
    "OptionalDataPath",
    "Param",
    "PathGenerator",
    "Range",
    "ResultError",
    "ResumableTask",
    "Retries",
    "RunForgotten",
    "SealedError",
    "SettingsError",
    "Shell",
    "State",
    "Submission",
    "SubmissionError",
    "Task",
    "TaskCancelled",
    "UsageError",
    "WorkspaceError",
    "WouldDeadlock",
    "XpmError",
    "acquire",
    "cache",
    "configuration",
    "definitions",
    "deprecate",
    "describe_parameters",
    "deserialize",
    "each",
    "experiment",
    "field",
    "flag",
    "from_hub",
    "grid",
    "identifier",
    "initializer",
    "load",
    "lock",
    "notebook",
    "option",
    "param_group",
    "partial",
    "progress",
    "provenance",
    "push_to_hub",
    "save",
    "serialize",
    "setmeta",
    "stop_tags",
    "submit_hook",
    "tag",
    "tagspath",
    "task",
    "token",
    "verbatim",
    "zipped",
]

_HOMES = {
    "describe_parameters": "xpm.describe.helping",
    "Help": "xpm.core.fields",
    "cache": "xpm.workspace.caching",
    "initializer": "xpm.core.once",
    "ObjectStore": "xpm.core.live",
    "DirectoryContext": "xpm.core.live",
    "Choices": "xpm.core.limits",
    "Command": "xpm.describe.commands",
    "CommandTask": "xpm.describe.commands",
    "Config": "xpm.core.config",
    "Constant": "xpm.core.fields",
    "DataPath": "xpm.core.fields",
    "Dependent": "xpm.core.outputs",
    "ExperimentHelper": "xpm.experiment.helper",
    "LightweightTask": "xpm.core.config",
    "Meta": "xpm.core.fields",
    "OptionalDataPath": "xpm.core.fields",
    "Param": "xpm.core.fields",
    "PathGenerator": "xpm.core.fields",
    "Task": "xpm.core.config",
    "Range": "xpm.core.limits",
    "ResumableTask": "xpm.core.resumable",
    "Retries": "xpm.core.retries",
    "configuration": "xpm.describe.configuration",
    "definitions": "xpm.describe.definitions",
    "deprecate": "xpm.core.deprecation",
    "deserialize": "xpm.workspace.saving",
    "load": "xpm.workspace.saving",
    "save": "xpm.workspace.saving",
    "serialize": "xpm.workspace.saving",
    "acquire": "xpm.experiment.tokens",
    "experiment": "xpm.experiment",
    "each": "xpm.describe.words",
    "field": "xpm.core.fields",
    "flag": "xpm.describe.words",
    "from_hub": "xpm.workspace.hub",
    "push_to_hub": "xpm.workspace.hub",
    "Grid": "xpm.core.grid",
    "GridSearch": "xpm.describe.configuration",
    "grid": "xpm.core.grid",
    "identifier": "xpm.core.identifier",
    "InstanceConfig": "xpm.core.instances",
    "lock": "xpm.experiment.tokens",
    "notebook": "xpm.cells.kernel",
    "State": "xpm.core.state",
    "option": "xpm.describe.words",
    "param_group": "xpm.core.fields",
    "partial": "xpm.core.fields",
    "progress": "xpm.core.session",
    "provenance": "xpm.core.provenance",
    "Shell": "xpm.describe.commands",
    "setmeta": "xpm.core.counting",
    "Submission": "xpm.core.hooks",
    "submit_hook": "xpm.core.hooks",
    "stop_tags": "xpm.core.tags",
    "tag": "xpm.core.tags",
    "tagspath": "xpm.core.tags",
    "task": "xpm.describe.functions",
    "token": "xpm.experiment.tokens",
    "verbatim": "xpm.describe.words",
    "zipped": "xpm.core.grid",
}


def __getattr__(name: str) -> object:
    # Lazy, so that a command that needs none of it starts at once.
    if name not in __all__:
        raise AttributeError(f"module 'xpm' has no attribute {name!r}")
    from importlib import import_module

    found = getattr(import_module(_HOMES.get(name, "xpm.errors")), name)
    globals()[name] = found
    if "xpm.core.naming" in sys.modules:
        from xpm.core import naming

        if naming.name_main is None:
            naming.name_main = _name_main
            _show_errors_plainly()
    return found


def _name_main() -> None:
    from xpm.experiment.script import name_script

    name_script()


def _show_errors_plainly() -> None:
    """From now on an error of xpm that nobody catches is one line, below the script's own, also outside of experiments."""
    before = sys.excepthook

    def show(kind: type[BaseException], error: BaseException, trace: types.TracebackType | None) -> None:
        from xpm.errors import XpmError

        sys.excepthook = before
        if isinstance(error, XpmError):
            from xpm.experiment.ending import plainly

            plainly()
        sys.excepthook(kind, error, trace)

    sys.excepthook = show


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
