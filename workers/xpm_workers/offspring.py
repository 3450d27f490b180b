"""What a running job submits, seen from its worker."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from xpm.broker.broker import Broker, Claim, Entry, Execution, Outcome, Run
from xpm.broker.jobview import JobView
from xpm.broker.ledger import declare
from xpm.broker.resources import FENCED, STOPPING
from xpm.broker.views import RunView, Views
from xpm.core.environ import pack_environ, unpack_environ
from xpm.core.requirement import Need, capacities_of, needs_text, refuse_excess
from xpm.core.state import State
from xpm.core.submission import Prepared
from xpm.core.tags import label_below
from xpm.errors import JobError, SubmissionError
from xpm.settings import QUEUE_NAME, is_queue
from xpm.types import JobId, Scalar
from xpm.workspace.layout import Workspace
from xpm.workspace.results import Proof, proof
from xpm.workspace.rundir import Child, RunDirectory


@dataclass(frozen=True, slots=True)
class Asked:
    """A task that a running job submits, as it comes over the line."""

    id: JobId
    task: str
    label: str
    payload: bytes
    types: Mapping[str, bytes]
    inputs: Sequence[JobId]
    tags: Mapping[str, Scalar]
    queue: str | None
    priority: int | None
    needs: Sequence[Sequence[Any]]
    wishes: Mapping[str, str | int]
    """Its start time is by the clock of this host."""

    @classmethod
    def of(cls, prepared: Prepared, queue: str, priority: int) -> Asked:
        """A task that depends on nothing, needs nothing and has no tags of its own."""
        types = {key: info.pack() for key, info in prepared.types.items()}
        return cls(
            prepared.id, prepared.task, prepared.label, prepared.payload, types, (), {}, queue, priority, (), {}
        )  # fmt: skip


class Offspring:
    """Submits what running jobs ask for, to the runs that list them.

    Args:
        workspace: its path.
        writer: notes it in the runs' folders; a name that no other process has.
    """

    def __init__(self, workspace: Path, writer: str) -> None:
        self._path = workspace
        self._writer = writer
        self._noting = threading.Lock()

    def submit(self, broker: Broker, claim: Claim, asked: Asked) -> tuple[Outcome, list[Need]]:
        """Submits a task; returns what became of it, and the tokens that it needs, for what is to be said of them.

        It is noted before the broker hears of it: one that loses its memory is told again.

        Raises:
            SubmissionError: something of it can't be.
            JobError: this execution of the job has ended.
        """
        parent = refuse_ended(broker, claim)
        needs = [Need(*each) for each in asked.needs]
        outcome = self.submit_for(broker, claim, asked, parent)
        if outcome is None:
            raise SubmissionError(f"{asked.label}: no experiment wants the job any more that submits it")
        return outcome, needs

    def submit_for(self, broker: Broker, claim: Claim, asked: Asked, parent: JobView) -> Outcome | None:
        """Submits a task to the runs that list the job `parent`, with its tags and its code; None when there are none.

        Raises:
            SubmissionError: something of it can't be.
            JobError: this execution of the job has ended.
        """
        views, needs = Views(broker), [Need(*each) for each in asked.needs]
        entry = self._entry(broker, parent, asked, needs)
        tags, workspace = views.tags([parent])[0], Workspace.open(self._path, create=False)
        by = Execution(claim.id, claim.execution)
        outcome: Outcome | None = None
        for run in self._runs(views, parent):
            inherited = tags.get(run.token, {})
            label = label_below(asked.label, asked.tags, inherited)
            mine = entry._replace(label=label, tags={**inherited, **asked.tags})
            self._note(workspace, run, Child(parent.id, mine, time.time()), asked.types, needs)
            outcome = send(broker, Run(run.token, run.experiment, run.name, round(run.start * 1000), parent.code),
                mine, asked.types, by, lambda: self._proof(asked))  # fmt: skip
        return outcome

    def _entry(self, broker: Broker, parent: JobView, asked: Asked, needs: Sequence[Need]) -> Entry:
        queue = parent.queue if asked.queue is None else asked.queue
        if not is_queue(queue):
            raise SubmissionError(f"queue {queue!r}: {QUEUE_NAME}")
        priority = parent.priority if asked.priority is None else asked.priority
        wishes = dict(asked.wishes)
        if "nb" in wishes:
            wishes["nb"] = int(wishes["nb"]) + round(1000 * (broker.now() - time.time()))
        if parent.environ:
            # Its own are those that submit hooks have given it.
            own = unpack_environ(str(wishes.get("ev", "")))
            wishes["ev"] = pack_environ({**unpack_environ(parent.environ), **own})
        if needs:
            refuse_excess(declare(broker, needs)[0], needs, asked.label)
            wishes["rs"] = needs_text(needs)
        return Entry(
            asked.id, asked.task, asked.label, asked.payload, tuple(asked.inputs), asked.tags, queue,
            priority=priority, wishes=wishes,
        )  # fmt: skip

    def _runs(self, views: Views, parent: JobView) -> list[RunView]:
        """The runs that list the job, one of each experiment that wants it still, the newest last."""
        wanted = [token for token in parent.runs if token.partition(".")[0] in parent.wanted]
        found = [run for run in map(views.run, wanted) if run is not None]
        return sorted(found, key=lambda run: int(run.token.partition(".")[2]))

    def _note(
        self,
        workspace: Workspace,
        run: RunView,
        child: Child,
        types: Mapping[str, bytes],
        needs: Sequence[Need],
    ) -> None:
        folder = workspace.experiment_dir(run.experiment) / run.name
        if not folder.is_dir():  # somebody has removed it: from there, nothing will be told again
            return
        directory = RunDirectory(folder, self._writer)
        with self._noting:
            directory.add_child(child, types)
            for need in needs:
                directory.add_resource(need.resource, capacities_of([need])[need.resource])

    def _proof(self, asked: Asked) -> Proof | None:
        return proof(Workspace.open(self._path, create=False).jobpath(asked.task, asked.id))


def refuse_ended(broker: Broker, claim: Claim) -> JobView:
    """The job of `claim`, which may submit: before anything is noted, which a refusal by the broker would not take back.

    Raises:
        JobError: it may not.
    """
    job = Views(broker).job(claim.id)
    if job is None or job.state is not State.RUNNING or job.execution != claim.execution:
        raise JobError(FENCED)
    if job.stop:
        raise JobError(STOPPING)
    return job


def send(
    broker: Broker,
    run: Run,
    entry: Entry,
    types: Mapping[str, bytes],
    by: Execution,
    look: Callable[[], Proof | None],
) -> Outcome:
    """Submits a job of which there may be a record, as `look` tells; returns what became of it."""
    found = look()
    if found is not None:
        entry = entry._replace(known="recorded", fence=found.fence, code=found.code)
    (outcome,) = broker.submit(run, [entry], types, by=by)
    # It may have been done since the first look; else the broker believes in a result that is gone.
    if outcome.state is State.DONE and found is None and look() is None:
        (outcome,) = broker.submit(run, [entry._replace(known="removed")], types, by=by)
    return outcome
