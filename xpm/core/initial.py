"""Init tasks: what is done in the process of a job, on its own objects, before its task."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any, cast

from xpm.core.identifier import digest
from xpm.core.info import Description, Lightweight, Submittable, info_of, own_info
from xpm.core.outputs import places
from xpm.errors import SubmissionError


def set_initial(task: Any, given: Sequence[Any]) -> None:
    """Notes what is to be executed before `task`, a description that is not submitted yet.

    Raises:
        SubmissionError: it is no list of descriptions of init tasks.
    """
    label: str = task.__xpm_schema__.label
    if not isinstance(given, (list, tuple)):
        raise SubmissionError(f"{label}.submit: init_tasks: expected a list, got {type(given).__name__}")
    for at, each in enumerate(cast("Sequence[object]", given)):
        wrong = _wrong(each)
        if wrong:
            raise SubmissionError(f"{label}.submit: init_tasks[{at}]: {wrong}")
    info = own_info(task)
    info.init, info.digest = tuple(given), None
    for each in info.init:
        _warn_of_a_twin(task, each)


def _wrong(each: object) -> str:
    if isinstance(each, Submittable):
        name = type(each).__name__
        return f"{name} is a task with a job of its own: make it a parameter of what needs its result"
    if not isinstance(each, Lightweight):
        return f"expected a description of a LightweightTask, got {type(each).__name__}"
    if not isinstance(each, Description):
        return f"expected a description, got a live {type(each).__name__}; use {type(each).__name__}.C(...)"
    return "" if hasattr(each, "execute") else f"{type(each).__name__} has no method execute"


def _warn_of_a_twin(task: Any, initial: Any) -> None:
    """Warns where the init task would work on another object than the task has, though an equal one."""
    own = _configs(task)
    equal = {digest(config): place for place, config in own.values()}
    for place, config in _configs(initial).values():
        twin = equal.get(digest(config))
        if twin is not None and id(config) not in own:
            warnings.warn(
                f"the init task's {type(initial).__name__}{place} equals {type(task).__name__}{twin}, but is another "
                "description: what it does to its object, the task won't see; use one description for both",
                RuntimeWarning,
                stacklevel=4,
            )


def _configs(config: Any) -> dict[int, tuple[str, Any]]:
    """The configs in `config`, but not itself, with their places."""
    return {id(each): (place, each) for place, each in places(config) if place}


def same_initial(task: Any, given: Sequence[Any]) -> bool:
    """Whether `given` are the init tasks that the submitted `task` has."""
    return [digest(each) for each in given] == [digest(each) for each in own_info(task).init]


def perform(task: Any) -> Any:
    """Executes the live `task`, and before it its init tasks; returns what it returned."""
    info = info_of(task)
    for each in () if info is None else info.init:
        try:
            each.execute()
        except BaseException as error:
            error.add_note(f"in the init task {type(each).__name__}, before {type(task).__name__}.execute")
            raise
    return task.execute()
