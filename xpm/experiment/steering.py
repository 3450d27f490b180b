"""The verbs of people on the jobs of an open experiment."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Protocol

from xpm.core.config import Task
from xpm.core.steering import Touch, Verb

if TYPE_CHECKING:
    from xpm.types import JobId

OF = type[Task] | str | None
IN = str | Collection[str] | None


class Steering(Protocol):
    """An experiment that can be steered. Each verb takes all its jobs, or those of a task, in a state or that a filter keeps, and
    returns how many it changed; the others are in no state for it.

    Args of each:
        task: only the jobs of this task: the class or its name.
        state: only the jobs in this state, or in one of these: `State.ERROR`, or `"error"`.
        where: only those that this filter keeps, as `"lr <= 0.01 and host in (a, b)"`.
    """

    def _chosen(self, task: OF, state: IN, where: str | None) -> Sequence[JobId]: ...

    def _steer(self, verb: Verb, jobs: Sequence[JobId], value: int = 0) -> int: ...

    def _touched(self, jobs: Sequence[JobId]) -> Touch: ...

    def touches(self, task: OF = None, state: IN = None, where: str | None = None) -> Touch:
        """What a change of these jobs touches besides them: a preview of the verbs below."""
        return self._touched(self._chosen(task, state, where))

    def kill(self, task: OF = None, state: IN = None, where: str | None = None) -> int:
        """Ends the executions of those that run: they are in ERROR soon, unless their results come first."""
        return self._steer("kill", self._chosen(task, state, where))

    def cancel(self, task: OF = None, state: IN = None, where: str | None = None) -> int:
        """Gives jobs up: those that no other experiment wants are cancelled, or stopped."""
        return self._steer("cancel", self._chosen(task, state, where))

    def hold(self, task: OF = None, state: IN = None, where: str | None = None) -> int:
        """Keeps those that were not started from starting until they are released."""
        return self._steer("hold", self._chosen(task, state, where))

    def release(self, task: OF = None, state: IN = None, where: str | None = None) -> int:
        """Lets those go that a person or the brake holds."""
        return self._steer("release", self._chosen(task, state, where), int(task is not None))

    def retry(self, task: OF = None, state: IN = None, where: str | None = None) -> int:
        """Runs those again, with fresh budgets, that failed, were cancelled or lost."""
        return self._steer("retry", self._chosen(task, state, where))

    def rerun(
        self,
        task: OF = None,
        state: IN = None,
        where: str | None = None,
        *,
        with_dependents: bool = False,
    ) -> int:
        """Runs those again that are done; each result stays until there is a new one, or for good if there is none.

        Args:
            task: see above.
            state: see above.
            where: see above.
            with_dependents: also what depends on them, directly or not, and is done.
        """
        return self._steer("rerun", self._chosen(task, state, where), int(with_dependents))

    def priority(self, value: int, task: OF = None, state: IN = None, where: str | None = None) -> int:
        """Sets the priority of those that have not ended, from -4095 to 4095: higher starts first."""
        return self._steer("priority", self._chosen(task, state, where), value)
