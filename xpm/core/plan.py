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


RUNS = frozenset({Standing.NEW, Standing.HELD, Standing.FAILED, Standing.CANCELLED, Standing.GONE})
"""The standings of jobs that a submission makes run; one on hold does so after its inputs."""

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
    other: bool = False
    """Whether this result was made by other code than would run now."""


def standing(known: Known | None) -> Standing:
    """How a job stands; the result in the workspace counts before what the broker says.

    Args:
        known: what is known of it; None is nothing.
    """
    if known is None:
        return Standing.NEW
    if known.finished:
        return Standing.OTHER_CODE if known.other else Standing.DONE
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
                yield f"{counts[each]:,} {_words(each, counts[each])}: {_tally(tasks)}"
        if not self.jobs:
            yield "no jobs"


def _words(standing: Standing, count: int) -> str:
    return "results gone" if standing is Standing.GONE and count != 1 else standing


def _tally(tasks: Mapping[str, int]) -> str:
    return ", ".join(f"{task} {count:,}" for task, count in tasks.items())


def compare(jobs: Iterable[tuple[JobId, str, str]], known: Mapping[JobId, Known]) -> Plan:
    """The plan of the jobs that a script submits.

    Args:
        jobs: identifier, task and label of each, in the order of submission; repeated ones count once.
        known: what is known of them.
    """
    planned = {job: Planned(job, task, label, standing(known.get(job))) for job, task, label in jobs}
    return Plan(tuple(planned.values()))
