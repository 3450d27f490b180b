"""What people do to jobs of an open experiment, done at the broker."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from xpm.broker.control import CHANGED, Tally
from xpm.core.state import State
from xpm.core.steering import Verb
from xpm.experiment.link import Link
from xpm.here import person
from xpm.types import JobId


def steer(
    link: Link, serial: str, verb: Verb, jobs: Sequence[JobId], tasks: Collection[str], value: int
) -> int:
    """Does what a person wants with jobs.

    Args:
        link: an open link.
        serial: of the experiment, for whom jobs are cancelled.
        verb: what is wanted.
        jobs: of which.
        tasks: the names of their tasks: a release of a task also takes off the brake that has not come upon a job yet.
        value: the priority; whether dependents run again, too; or whether a task is released.

    Returns:
        How many it changed.
    """
    broker, views, who = link.broker, link.views, person()
    if verb == "release" and value:
        broker.lift(sorted(set(tasks) & {brake.task for brake in views.brakes()}))
    if verb == "rerun":
        below = views.downstream(jobs, 1 << 30) if value else {}
        done = [job for job, state in below.items() if state is State.DONE]
        jobs = [JobId(job) for job in views.ordered([*jobs, *done])]
    if verb == "cancel":
        tally: Tally = broker.cancel(serial, jobs, who)._asdict()
    elif verb == "priority":
        tally = broker.priority(jobs, value, who)
    else:
        tally = {
            "hold": broker.hold,
            "kill": broker.kill,
            "release": broker.release,
            "rerun": broker.rerun,
            "retry": broker.retry,
        }[verb](jobs, who)
    broker.settle()
    return sum(count for word, count in tally.items() if word in CHANGED)
