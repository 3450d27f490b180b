"""What a run would do: the jobs of a script beside what is known of them already."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

from xpm.core.state import State
from xpm.types import JobId


class Standing(StrEnum):
    """How a job that a script submits stands before the submission."""

    NEW = "new"
    DONE = "done already"
    OTHER_CODE = "done by other code"
    RUNNING = "running"
    WAITING = "waiting"
    HELD = "on hold"
    FAILED = "failed before"
    CANCELLED = "cancelled before"
    GONE = "result gone"


RUNS = frozenset({Standing.NEW, Standing.FAILED, Standing.CANCELLED, Standing.GONE})
"""The standings of jobs that a submission makes ready to run."""

_BY_STATE = {
    State.RUNNING: Standing.RUNNING,
    State.WAITING: Standing.WAITING,
    State.READY: Standing.WAITING,
    State.SCHEDULED: Standing.WAITING,
    State.HOLD: Standing.HELD,
    State.ERROR: Standing.FAILED,
    State.CANCELLED: Standing.CANCELLED,
    State.DONE: Standing.GONE,
    State.LOST: Standing.GONE,
}


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of a job before it is submitted."""

    state: State | None = None
    """Its state in the broker; None if the broker doesn't know it."""
    finished: bool = False
    """Whether its directory holds a complete result."""
    code: str | None = None
    """The code that made this result; None if that isn't known."""


def standing(known: Known | None, code: str | None) -> Standing:
    """How a job stands; the result in the workspace counts before what the broker says.

    Args:
        known: what is known of it; None is nothing.
        code: the code that would run now; None compares no code.
    """
    if known is None:
        return Standing.NEW
    if known.finished:
        other = code is not None and known.code is not None and code != known.code
        return Standing.OTHER_CODE if other else Standing.DONE
    return Standing.NEW if known.state is None else _BY_STATE[known.state]


@dataclass(frozen=True, slots=True)
class Planned:
    """One job of a plan."""

    id: JobId
    task: str
    label: str
    standing: Standing


@dataclass(frozen=True, slots=True)
class Plan:
    """The jobs of a script in the order of their submission, each once."""

    jobs: tuple[Planned, ...]

    @property
    def counts(self) -> Counter[Standing]:
        """How many jobs stand how."""
        return Counter(job.standing for job in self.jobs)

    @property
    def to_run(self) -> tuple[Planned, ...]:
        """The jobs that a submission would make run."""
        return tuple(job for job in self.jobs if job.standing in RUNS)

    def lines(self) -> Iterator[str]:
        """The plan in words: one line per standing, with the tasks in it."""
        counts = self.counts
        for each in Standing:
            if counts[each]:
                tasks = Counter(job.task for job in self.jobs if job.standing is each)
                yield f"{counts[each]} {each}: {', '.join(f'{task} {count}' for task, count in tasks.items())}"
        if not self.jobs:
            yield "no jobs"


def compare(
    jobs: Iterable[tuple[JobId, str, str]], known: Mapping[JobId, Known], code: str | None = None
) -> Plan:
    """The plan of the jobs that a script submits.

    Args:
        jobs: identifier, task and label of each, in the order of submission; repeated ones count once.
        known: what is known of them.
        code: the code that would run now.
    """
    planned = {job: Planned(job, task, label, standing(known.get(job), code)) for job, task, label in jobs}
    return Plan(tuple(planned.values()))
