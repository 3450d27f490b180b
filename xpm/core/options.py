"""What `submit` is told beside the task: checked here, once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, TypedDict

from xpm.core.lengths import seconds
from xpm.core.requirement import Need, collected
from xpm.core.retries import Retries
from xpm.core.session import SubmitOptions, priority_of
from xpm.core.spelling import nearest
from xpm.errors import SubmissionError

if TYPE_CHECKING:
    from xpm.core.config import LightweightTask

NAMES = tuple(name for name in SubmitOptions._fields if name != "environ")  # which is the experiment's


class Options(TypedDict, total=False):
    """The options of `Task.submit`."""

    queue: str | None
    priority: int | None
    requires: Need | Sequence[Need]
    retries: int | Retries | None
    timeout: float | str | timedelta | None
    not_before: datetime | timedelta | float | str | None
    init_tasks: Sequence[LightweightTask]


Given = tuple[object, object, Need | Sequence[Need], object, object, object]
"""What was given for each of `NAMES`."""


def options_of(given: Given, unknown: Mapping[str, Any]) -> SubmitOptions:
    """The options of one submission.

    Raises:
        SubmissionError: there is no such option, or a value is impossible; the message doesn't name the task.
    """
    for name in unknown:
        raise SubmissionError(
            f"no option {name!r}{nearest(name, (*NAMES, 'init_tasks')) or '; there are ' + ', '.join((*NAMES, 'init_tasks'))}"
        )
    queue, priority, requires, retries, timeout, not_before = given
    policy = None if retries is None else Retries.of(retries)
    limit = None if timeout is None else seconds(timeout, "timeout")
    if queue is not None and not isinstance(queue, str):
        raise SubmissionError(f"queue: expected a name, got {queue!r}")
    number = None if priority is None else priority_of(priority)
    return SubmitOptions(queue, number, collected(requires), policy, limit, _moment(not_before))


def _moment(given: object) -> datetime | float | None:
    if given is None or isinstance(given, datetime):
        return given
    try:
        return seconds(given, "not_before", least=0)
    except SubmissionError:
        raise SubmissionError(
            f"not_before: expected a datetime, or from now: seconds, a text like '2h' or a timedelta; got {given!r}"
        ) from None
