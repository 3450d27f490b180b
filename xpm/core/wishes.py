"""How a task is to be run, as the broker is told: see `lua/lib/entries.lua`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from types import MappingProxyType

from xpm.core.requirement import Need, collected
from xpm.core.retries import Retries
from xpm.core.session import DEFAULTS, SubmitOptions

RESUMED = Retries(3, on="timeout", delay=0)
"""For a task that can be resumed, has a time limit, and says nothing of retries: the limit is no failure, but a pause."""

NONE: Mapping[str, str | int] = MappingProxyType({})


def settled(options: SubmitOptions, now: float) -> SubmitOptions:
    """The same options with a moment in place of "so long from now", in seconds by this host's clock."""
    given = options.not_before
    if given is None:
        return options
    return options._replace(not_before=given.timestamp() if isinstance(given, datetime) else now + given)


def wishes_of(
    options: SubmitOptions, server: Callable[[float], float], *, resumable: bool
) -> Mapping[str, str | int]:
    """The wishes of one submission.

    Args:
        options: what it says, `settled`.
        server: what the server's clock shows at a moment of this host's.
        resumable: whether the job's directory is kept between attempts.
    """
    if options is DEFAULTS and not resumable:
        return NONE
    wishes: dict[str, str | int] = {}
    if options.not_before is not None:
        assert not isinstance(options.not_before, datetime), "settled"
        wishes["nb"] = round(1000 * server(options.not_before))
    policy = options.retries
    if policy is None and resumable and options.timeout is not None:
        policy = RESUMED
    if policy is not None and policy.times:
        wishes["ry"] = policy.pack()
    if options.timeout is not None:
        wishes["to"] = round(1000 * options.timeout)
    if resumable:
        wishes["ru"] = 1
    if options.environ:
        wishes["ev"] = options.environ
    return wishes or NONE


def with_locks(options: SubmitOptions, locks: Sequence[Need]) -> SubmitOptions:
    """The same options, with what a job needs besides."""
    return options._replace(requires=collected((*options.requires, *locks))) if locks else options
