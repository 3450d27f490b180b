"""Submit hooks as experimaestro's users write them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Hashable
from typing import Any, TypeVar

from xpm.compat.launchers import Launcher
from xpm.core.hooks import Hook, Submission

C = TypeVar("C")


class HookedJob:
    """The job that a hook is shown.

    Args:
        config: the description of its task.
    """

    def __init__(self, config: Any) -> None:
        self.config = config
        self.environ: dict[str, str] = {}
        """Takes variables for its environment."""


class SubmitHook(ABC):
    """Changes the submission of tasks that have a config of the decorated class.

    Of the launcher, `queue` and `environ` can be set; the `environ` of the job counts before that.
    """

    def __call__(self, cls: type[C]) -> type[C]:
        """Has it called for the tasks that have a config of `cls`."""
        return Hook(self._process, (type(self), self.spec()))(cls)

    @abstractmethod
    def spec(self) -> Hashable:
        """What makes two hooks of this class the same one."""

    @abstractmethod
    def process(self, job: Any, launcher: Any) -> object:
        """Looks at the job and at the launcher, and changes them."""

    def _process(self, submission: Submission) -> None:
        job, launcher = HookedJob(submission.task), Launcher(queue=submission.queue)
        self.process(job, launcher)
        submission.queue = launcher.queue
        for name, value in {**launcher.environ, **job.environ}.items():
            submission.setenv(name, value)
