"""A run in the broker, kept there while somebody waits for it."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from xpm.broker.broker import Broker, Entry, Run, Told
from xpm.broker.jobview import JobView
from xpm.broker.views import RunView
from xpm.core.state import ENDED, State
from xpm.errors import RunForgotten, WorkspaceError
from xpm.experiment.link import Link
from xpm.experiment.obstacles import AWAITED
from xpm.here import person
from xpm.types import JobId
from xpm.workspace.rundir import RunDirectory

LOOK = 1.0
"""Seconds between two looks whether a later run of the experiment has taken the jobs over."""


class Tracked:
    """One run: its jobs are submitted here, and counted here.

    Args:
        link: the way to the broker.
        directory: what was submitted.
        experiment: the experiment's name.
        name: the run's name.
        code: what its jobs run.
        facts: what the broker is told about the run.
    """

    def __init__(
        self,
        link: Link,
        directory: RunDirectory,
        experiment: str,
        name: str,
        code: str,
        facts: Mapping[str, Any],
    ) -> None:
        self._link = link
        self.directory = directory
        self.experiment = experiment
        self.name = name
        self._code = code
        self._facts = facts
        self._run: Run | None = None
        self.ahead = 0.0
        """Seconds by which the server's clock is before this host's, as far as it matters to a start time."""
        self._broker: Broker | None = None
        self.count = 0
        """Jobs that the broker must know of."""
        self._elsewhere = 0
        """Those among them that a later run of the experiment had listed before this one came to submit them."""
        self._own: list[JobId] | None = None
        self._looked = 0.0
        self._weighed = float("-inf")

    @property
    def run(self) -> Run:
        """The run as the broker knows it."""
        broker = self._link.broker
        if self._run is None or self._broker is not broker:
            # A broker that was away may have come back without its memory: the same names give the same run.
            known = self._run
            self._run = broker.open(self.experiment, self.name, self._code, self._facts)
            self._broker = broker
            if known is None or known.start != self._run.start:  # it began just now
                self.ahead = self._run.start / 1000 - time.time()
        return self._run

    @property
    def token(self) -> str:
        """The broker's name of the run."""
        return self.run.token

    def submit(self, entries: Iterable[Entry], types: Mapping[str, bytes], told: Told | None = None) -> None:
        """Submits jobs that `directory` has noted; what a broker has lost meanwhile is submitted again before.

        Args:
            entries: the jobs.
            types: the descriptions of classes that their payloads name.
            told: hears what became of each part, again if the broker was away in between.
        """
        coming, taken = iter(entries), list[Entry]()

        def again() -> Iterator[Entry]:
            yield from taken[:]  # by a call that the broker did not answer to its end
            for entry in coming:
                taken.append(entry)
                yield entry

        def send() -> None:
            known = self._run
            if known is not None and self.run.start != known.start:
                self._restore()  # it is back without its memory, and has just opened the run anew
            self._link.broker.submit(self.run, again(), types, told)

        def send_all() -> None:
            try:
                send()
            except RunForgotten:
                self._restore()
                send()

        self._link.ask(send_all)

    def view(self) -> RunView:
        """The run and its counts; jobs that the broker has lost are submitted again.

        Raises:
            BrokerUnreachable: nobody answers.
        """
        view = self._link.views.run(self.token)
        if view is None or view.total + self._elsewhere < self.count:
            self._restore()
            view = self._link.views.run(self.token)
            # What is not there even now is listed by a later run of the experiment, and counted there.
            self._elsewhere = max(0, self.count - view.total) if view else 0
        if view is None:
            raise WorkspaceError(f"the run {self.experiment}/{self.name} was removed from the broker")
        if self._taken_over(view):
            return self._counted(view)
        return view

    def _restore(self) -> None:
        self._link.reopen()
        entries = list(self.directory.entries())
        if resources := self.directory.resources():
            self._link.broker.declare(resources)
        self._link.broker.submit(self.run, entries, self.directory.types())
        self._link.broker.settle()

    def cancel(self) -> tuple[int, int, int]:
        """Gives up the run's jobs: how many were cancelled, asked to stop, and kept for other experiments."""
        broker = self._link.broker
        found = broker.cancel(self.run.serial, list(self.directory.jobs()), person())
        broker.settle()
        return found

    def given_up(self, view: RunView) -> bool:
        """Whether the experiment was cancelled and all that still moves, or somebody will let go, does so for others."""
        moving = view.open + view.held
        # What a later run lists is counted there, also what was kept of it: here it may be all.
        kept = view.kept if self._own is None else moving
        if not 0 < moving <= kept or view.settling or time.monotonic() - self._weighed < LOOK:
            return False
        self._weighed = time.monotonic()
        ids = list(self.directory.jobs())
        states = zip(ids, self._link.views.states(ids), strict=True)
        going = [job for job, one in states if one is not None and one[0] not in ENDED]
        found = [job for job in self._link.views.jobs(going) if job is not None]
        if any(job.state in ENDED for job in found):
            return False  # it has ended since the view was made, which would tell of it as moving
        waited = [job for job in found if job.state is not State.HOLD or not AWAITED.isdisjoint(job.holds)]
        # One that is being stopped, and that nobody wants, does not go on: how it ends belongs to this run's end.
        return not any(self.run.serial in job.wanted or (job.stop and not job.wanted) for job in waited)

    def _taken_over(self, view: RunView) -> bool:
        """Whether a later run of the experiment lists jobs of this one, which then counts them no longer.

        An end is never believed without this look: the jobs that are left to the run may be the done ones.
        """
        if self._own is None and (view.ended or time.monotonic() - self._looked >= LOOK):
            self._looked = time.monotonic()
            tokens = self._link.views.runs(self.experiment)
            if tokens and tokens[-1] != view.token:
                self._own = list(self.directory.jobs())
        return self._own is not None

    @property
    def _ids(self) -> list[JobId]:
        """All jobs of the run, with what they have submitted up to now."""
        children = [child.entry.id for child in self.directory.children()]
        return list(dict.fromkeys([*(self._own or ()), *children]))

    def _counted(self, view: RunView) -> RunView:
        counts = dict.fromkeys(State, 0)
        ids = self._ids
        found = self._link.views.states(ids)
        counts.update(Counter(one[0] for one in found if one is not None))
        held = sum(not AWAITED.isdisjoint(job.holds) for job in self._on_hold(ids, found))
        return replace(view, total=len(found), counts=counts, held=held)

    def _on_hold(
        self, wanted: Sequence[JobId], found: Sequence[tuple[State, str, str] | None]
    ) -> list[JobView]:
        states = zip(wanted, found, strict=True)
        ids = [job for job, one in states if one is not None and one[0] is State.HOLD]
        return [job for job in self._link.views.jobs(ids) if job is not None]
