"""`experiment` as experimaestro's scripts use it."""

from __future__ import annotations

import os
from enum import Enum
from pathlib import Path
from types import TracebackType
from typing import Any, ClassVar, NamedTuple, Self

from xpm.core.config import Task
from xpm.core.requirement import Need
from xpm.errors import UsageError
from xpm.experiment.block import Experiment
from xpm.experiment.tokens import Token, token


class RunMode(Enum):
    """What an experiment does with tasks."""

    NORMAL = "normal"
    DRY_RUN = "dry-run"
    """Says what it would do."""


class DirtyGitAction(Enum):
    """What to do about uncommitted changes; not looked at: each job has a copy of the code that it was submitted with."""

    IGNORE = "ignore"
    WARN = "warn"
    ERROR = "error"


class Workspace(NamedTuple):
    """What `xp.workspace` gives."""

    path: Path
    run_mode: RunMode

    @property
    def jobspath(self) -> Path:
        """Where the jobs' directories are."""
        return self.path / "jobs"


class CounterToken:
    """What `xp.token` gives.

    Args:
        limit: xpm's own token.
    """

    def __init__(self, limit: Token) -> None:
        self._limit = limit

    def dependency(self, amount: int) -> Need:
        """So much of it, for `task.add_dependencies`."""
        return self._limit(amount)

    def __call__(self, amount: int, task: Any) -> Any:
        """Has `task` hold so much of it while it runs; returns the task."""
        return task.add_dependencies(self.dependency(amount))


class experiment(Experiment):
    """A named set of jobs, open in a `with` block.

    Args:
        env: the workspace: a path, or an object with one.
        name: the experiment's name.
        run_mode: `RunMode.DRY_RUN` to say only what would be done; the block then ends the script.
        host: not looked at, and neither are the others: `xpm` on the command line shows experiments.
        port: the same.
        token: the same.
        register_signals: the same.
        project_paths: the same.
        wait_for_quit: the same.
        dirty_git: the same.
    """

    CURRENT: ClassVar[experiment | None] = None
    """The one that is open."""

    def __init__(
        self,
        env: Any,
        name: str,
        *,
        run_mode: RunMode | None = None,
        host: str | None = None,
        port: int | None = None,
        token: str | None = None,
        register_signals: bool = True,
        project_paths: object = None,
        wait_for_quit: bool = False,
        dirty_git: DirtyGitAction = DirtyGitAction.WARN,
    ) -> None:
        where: Any = getattr(env, "path", env)
        if not isinstance(where, str | os.PathLike):
            raise UsageError(f"experiment(): expected the path of a workspace, got {env!r}")
        given: dict[str, object] = {"workspace": where}
        if run_mode is RunMode.DRY_RUN:
            given["dry_run"] = True
        super().__init__(name, check=True, priority=0, given=given)
        self._before: experiment | None = None

    @classmethod
    def current(cls) -> experiment:
        """The one that is open.

        Raises:
            UsageError: none is.
        """
        if cls.CURRENT is None:
            raise UsageError("no experiment is open")
        return cls.CURRENT

    def __enter__(self) -> Self:
        super().__enter__()
        self._before = experiment.CURRENT
        _set_current(self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        _set_current(self._before)
        super().__exit__(kind, error, traceback)

    @property
    def run_mode(self) -> RunMode:
        """Whether it only says what it would do."""
        return RunMode.DRY_RUN if self._settings.dry_run else RunMode.NORMAL

    @property
    def workspace(self) -> Any:
        """Its workspace."""
        return Workspace(super().workspace, self.run_mode)

    @property
    def workdir(self) -> Path:
        """The folder with what belongs to the experiment."""
        return self.path

    @property
    def resultspath(self) -> Path:
        """A folder for what the script itself writes, which is made."""
        found = self.path / "results"
        if self.run_mode is RunMode.NORMAL:
            found.mkdir(parents=True, exist_ok=True)
        return found

    @property
    def jobspath(self) -> Path:
        """Where the jobs' directories are."""
        return super().workspace / "jobs"

    def token(self, name: str, count: int) -> CounterToken:
        """A limit for all hosts: `gpus = xp.token("gpus", 4)`, then `gpus(1, task)`."""
        return CounterToken(token(name, count))

    def submit(self, task: Task, **options: Any) -> Any:
        """The same as `task.submit(...)`."""
        return task.submit(**options)


def _set_current(opened: experiment | None) -> None:
    experiment.CURRENT = opened  # type: ignore[misc] - a constant by its name only
