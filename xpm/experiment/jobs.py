"""The jobs of an open experiment, asked and changed: what `xp` and `task.job` are answered from."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar, cast

from xpm.core.session import priority_of
from xpm.core.state import ENDED, State
from xpm.core.steering import Touch, Verb
from xpm.errors import UsageError
from xpm.experiment import rows
from xpm.experiment.circumstances import Circumstances
from xpm.experiment.ending import end
from xpm.experiment.outgoing import Outgoing
from xpm.experiment.steering import IN, OF
from xpm.statuses import DONE
from xpm.types import JobId, Namespace
from xpm.workspace.results import complete

if TYPE_CHECKING:
    from xpm.experiment.link import Link
    from xpm.experiment.summary import Unfinished

T = TypeVar("T")

NOWHERE = Namespace("")
"""The namespace of a workspace that a dry run didn't make."""


class Jobs:
    """What an experiment has submitted, and how to get at it.

    Args:
        under: what it submits under.
        outgoing: the way of its tasks to the broker.
    """

    def __init__(self, under: Circumstances, outgoing: Outgoing) -> None:
        self._under = under
        self._outgoing = outgoing

    # Asked

    def chosen(self, task: OF, state: IN, where: str | None) -> Sequence[JobId]:
        """The jobs of a task, in some states, that a filter keeps."""
        self._outgoing.flush()
        ids = [job.id for job in rows.selected(self._outgoing.jobs.values(), task)]
        if where is not None:
            self._reach()
            module: Any = importlib.import_module("xpm.experiment.where")
            name, all_of_task = self._under.experiment, ids
            ids = self._outgoing.remote.act(lambda link: module.at_broker(link, name, all_of_task, where))
        if state is None:
            return ids
        given: Any = state
        one = isinstance(given, str) or not isinstance(given, Iterable)
        states = {State.of(each) for each in cast("Iterable[str]", [given] if one else given)}
        found = self._outgoing.states(ids)
        return [job for job in ids if found[job] in states]

    def state(self, job: JobId, path: Path) -> State:
        """The state of one, which lies at `path`."""
        if complete(path) is not None:
            return State.DONE
        self._outgoing.flush()
        return self._outgoing.states([job])[job]

    def recorded(self, ids: Sequence[JobId]) -> Mapping[JobId, State]:
        """The states of jobs as far as records tell."""
        known, workspace = self._outgoing.jobs, self._under.workspace
        found = {job: complete(workspace.jobpath(known[job].task, job)) for job in ids}
        return {job: State.WAITING if fence is None else State.DONE for job, fence in found.items()}

    def failed(self) -> list[Unfinished]:
        """Those that ended, or are held, without a result; what failed first comes first."""
        self._outgoing.flush()
        remote = self._outgoing.begun
        left = remote.left() if remote is not None else []
        return [job for job in left if job.state in ENDED or job.state is State.HOLD]

    def rows(self, task: OF, *, params: bool, where: str | None) -> list[dict[str, Any]]:
        """The results, see `Experiment.rows`."""
        self._outgoing.flush()
        workspace = self._under.workspace
        chosen = rows.selected(self._outgoing.jobs.values(), task)
        records = {job.id: rows.record_of(job, workspace) for job in chosen}
        states = self._outgoing.states([job.id for job in chosen if records[job.id] is None])
        if where is not None:
            module: Any = importlib.import_module("xpm.experiment.where")
            known = [(job, states.get(job.id, State.DONE), records[job.id]) for job in chosen]
            chosen = module.on_rows(where, self._under.experiment, known)
        return [
            rows.row(job, records[job.id], states.get(job.id, State.DONE), workspace, params=params)
            for job in chosen
        ]

    # Changed

    def steer(self, verb: Verb, jobs: Sequence[JobId], value: int = 0) -> int:
        """Does what a person wants with some; returns how many it changed."""
        if verb == "priority":
            value = priority_of(value)
        self._reach()
        return self._outgoing.remote.steer(verb, jobs, value) if jobs else 0

    def touched(self, jobs: Sequence[JobId]) -> Touch:
        """What a change of some touches besides them."""
        self._reach()
        return self._outgoing.remote.touched(jobs) if jobs else Touch(0, {})

    def explained(self, job: JobId) -> list[str]:
        """Why one isn't running."""
        self._reach()
        return self._outgoing.remote.explain(job)

    def with_broker(self, act: Callable[[Link], T]) -> T:
        """Does something at the broker."""
        if self._under.settings.dry_run:
            raise UsageError("a dry run changes nothing, and has nothing to look at")
        self._outgoing.flush()  # the broker is dealt with on one thread at a time
        return self._outgoing.remote.act(act)

    def _reach(self) -> None:
        """The broker knows all jobs, also those that were done before."""
        if self._under.settings.dry_run:
            raise UsageError("a dry run submits nothing: there is nothing to change or to ask")
        self._outgoing.settle()

    # Of a dry run

    def tell_plan(self) -> None:
        """Says what would be done."""
        self._outgoing.flush()
        planned = list(self._outgoing.jobs.values())
        self._outgoing.remote.tell_plan(planned, ask=self._under.workspace.namespace != NOWHERE)

    def stop_planning(self, what: str) -> NoReturn:
        """Ends a dry run that was asked for what it can't give."""
        self._under.voice.say(
            f"{self._under.experiment}: the script asks for {what}, which a dry run can't give: the plan up to here:"
        )
        self.tell_plan()
        raise end(DONE)
