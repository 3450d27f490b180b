"""`experiment` as experimaestro's scripts use it."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import replace
from enum import Enum
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Any, ClassVar, NamedTuple, Self, TypedDict, Unpack

from xpm.compat.actions import Action, Actions
from xpm.compat.launchers import Launcher
from xpm.compat.services import Service, WebService
from xpm.core.config import Task
from xpm.core.requirement import Need
from xpm.core.spelling import nearest
from xpm.errors import UsageError
from xpm.experiment.block import Experiment
from xpm.experiment.tokens import Token, token


class GracefulExperimentExit(Exception):
    """Raised in the block of an experiment to leave it without waiting; the jobs go on."""


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


class Unneeded(TypedDict, total=False):
    """What experimaestro takes, and xpm has no use for."""

    host: str | None
    port: int | None
    token: str | None
    register_signals: bool
    project_paths: object
    wait_for_quit: bool
    dirty_git: DirtyGitAction
    no_db: bool
    no_environmental_impact: bool


class experiment(Experiment):
    """A named set of jobs, open in a `with` block.

    Args:
        env: the workspace: a path, or an object with one; None is that of the settings.
        name: the experiment's name.
        run_mode: `RunMode.DRY_RUN` to say only what would be done; the block then ends the script.
        launcher: its queue is that of tasks that are submitted without one.
        origin: what stands for the script where there is none.
        unneeded: not looked at.

    Raises:
        UsageError: an argument is wrong.
    """

    CURRENT: ClassVar[experiment | None] = None
    """The one that is open."""

    def __init__(
        self,
        env: Any,
        name: str,
        *,
        run_mode: RunMode | None = None,
        launcher: Launcher | None = None,
        origin: Path | None = None,
        **unneeded: Unpack[Unneeded],
    ) -> None:
        for word in unneeded:
            if word not in Unneeded.__annotations__:
                raise UsageError(
                    f"experiment(): no argument {word!r}{nearest(word, Unneeded.__annotations__)}"
                )
        where: object = getattr(env, "path", env)
        if not isinstance(where, str | os.PathLike | None):
            raise UsageError(f"experiment(): expected the path of a workspace, got {env!r}")
        given: dict[str, object] = {
            "workspace": where,
            "dry_run": True if run_mode is RunMode.DRY_RUN else None,
            "queue": launcher.queue if launcher is not None else None,
        }
        super().__init__(name, given=given, origin=origin)
        self._before: experiment | None = None
        self._services: list[WebService] = []

    @cached_property
    def _actions(self) -> Actions:
        return Actions(self.path)

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

    def __exit__(  # type: ignore[override] - it can swallow one exception
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool | None:
        _set_current(self._before)
        try:
            if not isinstance(error, GracefulExperimentExit):
                super().__exit__(kind, error, traceback)
                return None
            self._settings = replace(self._settings, detach=True)
            with suppress(SystemExit):  # the script goes on behind the block
                super().__exit__(None, None, None)
            return True
        finally:
            for service in self._services:
                service.stop()

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

    def add_action(self, action: Action) -> str:
        """Keeps what people may do when the experiment is over; the first one forgets those of earlier runs.

        Returns:
            The name by which `python -m xpm.compat.actions` does it.
        """
        return self._actions.add(action) if self.run_mode is RunMode.NORMAL else ""

    def add_service(self, service: Service) -> None:
        """Takes a service, and starts one for the browser, which ends with the block; its address is said."""
        service.set_experiment(self)
        if self.run_mode is not RunMode.NORMAL or not isinstance(service, WebService):
            return
        self._services.append(service)
        try:
            self._voice.say(f"{service.description()}: {service.get_url()}")
        except UsageError as error:
            self._voice.say(f"{error}; going on without it")

    def submit(self, task: Task, **options: Any) -> Any:
        """The same as `task.submit(...)`."""
        return task.submit(**options)


def _set_current(opened: experiment | None) -> None:
    experiment.CURRENT = opened  # type: ignore[misc] - a constant by its name only
