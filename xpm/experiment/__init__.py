"""What a script calls: it collects tasks, submits them, waits, and gives their results as a table."""

from __future__ import annotations

import importlib
import sys
from os import PathLike
from types import ModuleType
from typing import TYPE_CHECKING, Any, overload

from xpm.errors import UsageError
from xpm.experiment.block import Experiment

if TYPE_CHECKING:
    from xpm.settings import Settings

__all__ = ["Experiment", "attach", "experiment"]

Where = str | PathLike[str]


@overload
def experiment(
    name: str,
    /,
    *,
    workspace: Where | None = None,
    check: bool = True,
    broker: str | None = None,
    workers: int | None = None,
    queue: str | None = None,
    priority: int = 0,
    snapshot: bool | None = None,
) -> Experiment: ...
@overload
def experiment(
    workspace: Where,
    name: str,
    /,
    *,
    check: bool = True,
    broker: str | None = None,
    workers: int | None = None,
    queue: str | None = None,
    priority: int = 0,
    snapshot: bool | None = None,
) -> Experiment: ...
def experiment(
    first: Where,
    second: str | None = None,
    /,
    *,
    workspace: Where | None = None,
    check: bool = True,
    broker: str | None = None,
    workers: int | None = None,
    queue: str | None = None,
    priority: int = 0,
    snapshot: bool | None = None,
) -> Experiment:
    """A named set of jobs, open in a `with` block; two positional arguments are the workspace and the name.

    Tasks that are submitted in the block belong to it. The block ends when every job has ended; Ctrl-C
    detaches from it, and the jobs go on.

    Args:
        first: the name, or the workspace when a second one follows, which then is the name.
        second: see `first`.
        workspace: the directory of jobs and results, relative to the script; without one the settings say.
        check: raise `ExperimentFailed` at the end of the block when some job isn't done.
        broker: URL of a shared broker; without one the workspace has a server of its own.
        workers: local workers; by default as many as CPUs, and none with a shared broker.
        queue: the queue of tasks that are submitted without one.
        priority: the priority of tasks that are submitted without one; higher goes first.
        snapshot: False to let jobs import the code as it stands when they start.

    Example:
        ```python
        with experiment("digits") as xp:
            trained = [Train.C(lr=tag(lr)).submit() for lr in (0.1, 0.01)]
        print(xp.frame())
        ```
    """
    if second is not None and workspace is not None:
        raise UsageError("experiment(): the workspace was given twice")
    name, place = (first, workspace) if second is None else (second, first)
    given = {
        "workspace": place,
        "broker": broker,
        "workers": workers,
        "queue": queue,
        "snapshot": snapshot,
    }
    return Experiment(name, check=check, priority=priority, given=given)


def attach(name: str, settings: Settings) -> int:
    """Shows the newest run of the experiment `name` until its end, and says how it ended; returns the exit status."""
    module: Any = importlib.import_module("xpm.experiment.attaching")
    return module.attach(name, settings)


class _Module(ModuleType):
    """This package, which `from xpm import experiment` gives when somebody imported it before: called, it does the same."""

    def __call__(self, *arguments: Any, **given: Any) -> Experiment:
        return experiment(*arguments, **given)


sys.modules[__name__].__class__ = _Module
