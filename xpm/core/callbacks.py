"""Functions that are called when a task is done, or has something new: as jobs, where a worker can import them.

The classes here are wire format, with their names and modules: payloads of submitted callbacks name them.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Sequence
from types import FunctionType
from typing import Any, NamedTuple, Protocol, cast

from xpm.core.config import Task, reference
from xpm.core.fields import Param
from xpm.core.functions import Function, why_local
from xpm.core.info import JobRef
from xpm.core.naming import last_name
from xpm.core.outputs import Output, describe_output, method_of
from xpm.core.session import active
from xpm.errors import ConfigError
from xpm.types import JobId

WATCH = "xpm.Watch"
"""The task of the jobs whose presence among a job's successors says that its outputs are watched."""


class Local(NamedTuple):
    """A callback that only the process can call which has it."""

    task: Task
    callback: Callable[..., object]
    watched: tuple[str, str] | None
    """Place and method of the outputs that it is for; None: it is for the task's end."""
    reason: str
    """Why no worker can call it."""

    def __str__(self) -> str:
        code = getattr(self.callback, "__code__", None)
        if code is None:
            return repr(self.callback)
        return f"{code.co_qualname} ({code.co_filename}:{code.co_firstlineno})"


class _Job(Protocol):
    """What the jobs of callbacks ask their session."""

    def outputs(self, task: Task) -> Sequence[Output]:
        """What a task that is done has registered."""
        ...

    def description(self, ref: JobRef) -> Any:
        """The description of the task of a job, which may still run."""
        ...


class OnCompleted(Task):
    """Calls a function when a task is done."""

    __xpmid__ = "xpm.OnCompleted"

    function: Param[FunctionType]
    task: Param[Task]

    def __xpm_title__(self) -> str:
        return _name(self.function)

    def execute(self) -> None:
        """Calls it, with the task if it takes that."""
        self.function(self.task) if _takes(self.function, 1) else self.function()


class Watch(Task):
    """Sees, when a task is done, that a function was called for each of its outputs.

    While the task runs, its worker finds this job among the successors, and submits an `OnOutput` for each output as it
    is registered; what it could not submit, or what was registered before this was submitted, is submitted here.
    """

    __xpmid__ = WATCH

    function: Param[FunctionType]
    task: Param[Task]
    place: Param[str]
    method: Param[str]

    def __xpm_title__(self) -> str:
        return f"Watch {_name(self.function)}"

    def execute(self) -> None:
        """Submits what wasn't submitted yet; the rest are the same jobs."""
        for output in _job().outputs(self.task):
            if (output.place, output.method) == (self.place, self.method):
                on_output(self.function, reference(self.task), output).submit()


class OnOutput(Task):
    """Calls a function for one output of a task, which may still run."""

    __xpmid__ = "xpm.OnOutput"

    function: Param[FunctionType]
    of: Param[str]
    task: Param[str]
    place: Param[str]
    method: Param[str]
    arguments: Param[str]

    def __xpm_title__(self) -> str:
        arguments: dict[str, Any] = json.loads(self.arguments)
        return " ".join([_name(self.function), *(f"{name}={value}" for name, value in arguments.items())])

    def execute(self) -> None:
        """Calls it with the description of the output."""
        task = _job().description(JobRef(JobId(self.of), self.task))
        self.function(describe_output(task, Output(self.place, self.method, self.arguments)))


def on_output(function: Any, ref: JobRef, output: Output) -> OnOutput:
    """The task that calls `function` for an output of the job `ref`."""
    return OnOutput.C(
        function=function,
        of=ref.id,
        task=ref.task,
        place=output.place,
        method=output.method,
        arguments=output.arguments,
    )


Keep = Callable[[Local], Callable[[], None]]
"""Takes a callback that no worker can call, or refuses it; what it gives has it called."""


def on_completed(task: Task, callback: Callable[..., object], keep: Keep) -> Callable[[], None]:
    """Checks `callback`, and gives what has it called when `task` is done: by a job, or if that can't be, as `keep` says.

    Raises:
        ConfigError: it can't be called with the task, and not without, or a call runs nothing of it.
    """
    _check_runs(f"{_label(task)}.on_completed", callback)
    if not (_takes(callback, 1) or _takes(callback, 0)):
        raise ConfigError(
            f"{_label(task)}.on_completed: expected a function of the task, or of nothing, got {_shown(callback)}"
        )
    reason = why_local(callback)
    if reason is not None:
        return keep(Local(task, callback, None, reason))
    return lambda: _go_out(OnCompleted.C(function=cast(FunctionType, callback), task=task))


def watch_output(
    task: Task, method: Callable[..., Any], callback: Callable[..., object], keep: Keep
) -> Callable[[], None]:
    """Checks both, and gives what has `callback` called with what `method` of `task` describes.

    Raises:
        ConfigError: it can't be called with one argument, a call runs nothing of it, or the method isn't the task's.
    """
    _check_runs(f"{_label(task)}.watch_output", callback)
    if not _takes(callback, 1):
        raise ConfigError(
            f"{_label(task)}.watch_output: expected a function of one argument, got {_shown(callback)}"
        )
    place, name = method_of(task, method)
    reason = why_local(callback)
    if reason is not None:
        return keep(Local(task, callback, (place, name), reason))
    return lambda: _go_out(
        Watch.C(function=cast(FunctionType, callback), task=task, place=place, method=name)
    )


def _go_out(task: Task) -> None:
    task.submit()


def call_completed(local: Local) -> None:
    """Calls a callback for a task that is done."""
    local.callback(local.task) if _takes(local.callback, 1) else local.callback()


def call_output(local: Local, output: Output) -> None:
    """Calls a callback for one output."""
    local.callback(describe_output(local.task, output))


def _job() -> _Job:
    return cast(_Job, active())


def _name(function: Any) -> str:
    return last_name(function.name if isinstance(function, Function) else function.__qualname__)


def _label(task: Any) -> str:
    return task.__xpm_schema__.label


def _shown(callback: object) -> str:
    name = getattr(callback, "__qualname__", None)
    return f"{name}{inspect.signature(callback)}" if name and callable(callback) else repr(callback)


def _check_runs(where: str, callback: object) -> None:
    """Refuses a function of which a call runs nothing, since it would be done without having done anything."""
    kinds = (inspect.iscoroutinefunction, inspect.isgeneratorfunction, inspect.isasyncgenfunction)
    if any(kind(callback) for kind in kinds):
        raise ConfigError(
            f"{where}: expected a function that a call runs, got one with async or yield: {_shown(callback)}"
        )


def _takes(callback: Callable[..., object], count: int) -> bool:
    """Whether it can be called with so many arguments."""
    try:
        inspect.signature(callback).bind(*range(count))
    except TypeError:
        return False
    except ValueError:  # it is written in C, and doesn't say
        return count == 1
    return True
