"""`Task` and its kin as experimaestro's users write them."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, cast

import xpm.core.config as native
from xpm.compat.configs import Config
from xpm.compat.launchers import Launcher
from xpm.compat.preparing import prepare_for
from xpm.core.outputs import Dependent
from xpm.core.requirement import Need
from xpm.core.resumable import ResumableTask as NativeResumableTask
from xpm.core.state import State
from xpm.errors import ConfigError, JobError

_NEEDS = "__xpm_needs__"


class Task(Config, native.Task):
    """Something to be run."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "__submit__" in cls.__dict__:
            cls.task_outputs = _by_submit  # type: ignore[attr-defined] - natively a method that a class may have

    if not TYPE_CHECKING:  # its types are those of the native one

        def submit(  # noqa: D102 - the native one has it
            self,
            *,
            launcher: Launcher | None = None,
            init_tasks: Sequence[native.LightweightTask] = (),
            max_retries: int | None = None,
            workspace: object = None,
            run_mode: object = None,
            transient: object = None,
            **options: Any,
        ) -> Any:
            if launcher is not None:
                options.setdefault("queue", launcher.queue)
            if max_retries is not None:
                options.setdefault("retries", max_retries)
            prepare_for(self)
            needs = self.__dict__.get(_NEEDS, ())
            if needs:
                options["requires"] = [*needs, *options.get("requires", ())]
            return super().submit(init_tasks=init_tasks, **options)

    def add_dependencies(self, *needs: Need) -> Self:
        """What the task holds while it runs: `task.add_dependencies(gpus.dependency(2))`; returns the task."""
        for each in cast("tuple[object, ...]", needs):
            if not isinstance(each, Need):
                raise ConfigError(
                    f"{type(self).__name__}.add_dependencies: expected token.dependency(n), got {each!r}"
                )
        self.__dict__[_NEEDS] = [*self.__dict__.get(_NEEDS, ()), *needs]
        return self

    def copy_dependencies(self, other: Task) -> Self:
        """Takes over what `other` was given by `add_dependencies`; returns the task."""
        return self.add_dependencies(*other.__dict__.get(_NEEDS, ()))

    def stdout(self) -> Path:
        """Where the standard output of its job goes."""
        return self.job.stdout

    def stderr(self) -> Path:
        """Where the standard error of its job goes."""
        return self.job.stderr

    def wait(self) -> State:
        """Waits for its job to end, and gives the state."""
        with suppress(JobError):
            self.result()
        return self.job.state

    @property
    def __xpm_stdout__(self) -> Path:
        return self.job.stdout

    @property
    def __xpm_stderr__(self) -> Path:
        return self.job.stderr

    @property
    def __taskdir__(self) -> Path:
        return self.jobpath


class ResumableTask(Task, NativeResumableTask):
    """A task that goes on where an earlier attempt stopped."""


def _by_submit(task: Any, dep: Dependent) -> Any:
    """What `submit` gives, as a task with a method `__submit__` says it."""
    return task.__submit__(dep, _no_action)


def _no_action(*_: object) -> None:
    raise ConfigError("__submit__: add_action isn't there: give the task an on_completed callback")


__all__ = ["ResumableTask", "Task"]
