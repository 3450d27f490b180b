"""The names that `import experimaestro` gives where xpm stands in for it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import xpm
from xpm.compat.actions import Action, CLIInteraction, Interaction
from xpm.compat.configs import (
    Config,
    InstanceConfig,
    LightweightTask,
    PathSerializationLWTask,
    SerializationLWTask,
    copyconfig,
    sealed_set,
)
from xpm.compat.experiments import DirtyGitAction, GracefulExperimentExit, RunMode, experiment
from xpm.compat.hooks import SubmitHook
from xpm.compat.launchers import Launcher
from xpm.compat.notifying import tqdm
from xpm.compat.preparing import Prepare, documentation
from xpm.compat.rules import field, pathgenerator
from xpm.compat.runs import ExperimentInfo, load_xp_info
from xpm.compat.saving import deserialize, from_task_dir, load, save, serialize
from xpm.compat.tags import TagDict, tags
from xpm.compat.tasks import ResumableTask, Task
from xpm.core.counting import setmeta
from xpm.core.deprecation import deprecate
from xpm.core.fields import (
    Constant,
    DataPath,
    Meta,
    OptionalDataPath,
    Param,
    ParameterGroup,
    Partial,
    PathGenerator,
    param_group,
    partial,
)
from xpm.core.fields import Help as help
from xpm.core.limits import Choices
from xpm.core.live import DirectoryContext
from xpm.core.once import initializer
from xpm.core.outputs import Dependent as DependentMarker
from xpm.core.session import progress
from xpm.core.tags import stop_tags, tag, tagspath
from xpm.describe.configuration import GridSearch
from xpm.errors import GracefulTimeout, TaskCancelled
from xpm.workspace.caching import cache

_ = xpm.Config  # from then on classes of a script have names, and errors that nobody catches are a line

Option = Meta

__all__ = [
    "Action",
    "Annotated",
    "Any",
    "CLIInteraction",
    "Choices",
    "Config",
    "Constant",
    "DataPath",
    "DependentMarker",
    "DirectoryContext",
    "DirtyGitAction",
    "ExperimentInfo",
    "GracefulExperimentExit",
    "GracefulTimeout",
    "GridSearch",
    "InstanceConfig",
    "Interaction",
    "Launcher",
    "LightweightTask",
    "Meta",
    "Option",
    "OptionalDataPath",
    "Param",
    "ParameterGroup",
    "Partial",
    "Path",
    "PathGenerator",
    "PathSerializationLWTask",
    "Prepare",
    "ResumableTask",
    "RunMode",
    "SerializationLWTask",
    "SubmitHook",
    "TagDict",
    "Task",
    "TaskCancelled",
    "cache",
    "copyconfig",
    "deprecate",
    "deserialize",
    "documentation",
    "experiment",
    "field",
    "from_task_dir",
    "help",
    "initializer",
    "load",
    "load_xp_info",
    "param_group",
    "partial",
    "pathgenerator",
    "progress",
    "save",
    "sealed_set",
    "serialize",
    "setmeta",
    "stop_tags",
    "tag",
    "tags",
    "tagspath",
    "tqdm",
]
