"""From prepared tasks to jobs: what is done already is found, the rest goes to the broker."""

from __future__ import annotations

import os
import platform
import secrets
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from xpm.broker.broker import Entry, Known, Outcome
from xpm.core.message import PAYLOAD_VERSION
from xpm.core.session import SubmitOptions
from xpm.core.state import State
from xpm.core.submission import Prepared
from xpm.errors import WorkspaceError
from xpm.experiment.link import Link
from xpm.experiment.presence import Presence
from xpm.experiment.rundir import Origin, RunDirectory
from xpm.experiment.tracking import Tracked
from xpm.settings import Settings
from xpm.types import Fence, JobId, Scalar, short
from xpm.workspace.code import Code, read_code
from xpm.workspace.layout import Workspace
from xpm.workspace.snapshot import Entry as Start
from xpm.workspace.snapshot import snapshot

Item = tuple[Prepared, SubmitOptions]


class Submitted(NamedTuple):
    """What a script remembers of a job that it submitted."""

    id: JobId
    task: str
    label: str
    tags: dict[str, Scalar]


class Circumstances(NamedTuple):
    """What an experiment submits under."""

    experiment: str
    workspace: Workspace
    settings: Settings
    priority: int
    script: Path | None
    start: Start


class Submitter:
    """Submits batches. All of its methods are called on one thread at a time.

    Jobs that are DONE are held back until `settle`: a run in which all was done before, exactly as the
    last time, leaves no trace.
    """

    def __init__(self, circumstances: Circumstances, link: Link) -> None:
        self._under = circumstances
        self._link = link
        self._presence = Presence(circumstances.workspace)
        self._held: list[Item] = []
        self._types: dict[str, bytes] = {}
        self._code: Code | None = None
        self._codes: Counter[str] = Counter()
        self.jobs: dict[JobId, Submitted] = {}
        """All jobs of the script, in the order of their submission."""
        self.before = 0
        """How many of them were done before."""
        self.run: Tracked | None = None
        """The run; None while nothing had to be told to the broker."""

    def send(self, batch: Sequence[Item]) -> None:
        """Submits a batch; jobs that are done are held back."""
        items = list(self._fresh(batch))
        if not items:
            return
        self._begin()
        present = [
            (prepared.task, prepared.id)
            for prepared, _ in items
            if self._presence.has(prepared.task, prepared.id)
        ]
        done, fences = self._known(present)
        if done:
            self._held += [item for item in items if item[0].id in done]
            items = [item for item in items if item[0].id not in done]
        self._submit([self._entry(item, fences.get(item[0].id)) for item in items])

    def settle(self) -> None:
        """All was sent: what was held back joins the run, unless the last run was the same and there is no other."""
        held, self._held = self._held, []
        if not held:
            return
        if self.run is None and self._same_as_last():
            self._held = held  # should more be submitted, they belong to that run
            return
        self._submit([self._entry(item, None) for item in held], counted=True)

    def note(self, batch: Sequence[Item]) -> None:
        """Only remembers a batch: what a dry run does."""
        for _ in self._fresh(batch):
            pass

    def close(self) -> None:
        """Closes the run's files."""
        if self.run is not None:
            self.run.directory.close()

    @property
    def others(self) -> int:
        """How many of the jobs that were done before were made by other code than today's."""
        today = self._code
        if today is None:
            return 0
        return sum(n for code, n in self._codes.items() if code != today.id and self._differs(code, today))

    # The steps

    def _fresh(self, batch: Sequence[Item]) -> Iterator[Item]:
        """What is not known yet, or known with other tags, which are added."""
        jobs = self.jobs
        for prepared, options in batch:
            known = jobs.get(prepared.id)
            tags = dict(prepared.tags)
            if known is not None:
                tags = {**known.tags, **tags}
                if tags == known.tags:
                    continue
                prepared = prepared._replace(tags=tags)
            jobs[prepared.id] = Submitted(prepared.id, prepared.task, prepared.label, tags)
            if not prepared.types.keys() <= self._types.keys():
                self._types.update({key: info.pack() for key, info in prepared.types.items()})
            yield prepared, options

    def _begin(self) -> None:
        if self._code is not None:
            return
        under = self._under
        self._code = snapshot(
            under.settings.project, under.workspace, under.start, copy=under.settings.snapshot
        )
        self._link.connect()

    def _known(self, present: list[tuple[str, JobId]]) -> tuple[set[JobId], dict[JobId, Fence]]:
        """Of jobs that have a directory: those that are DONE, and those that only the workspace knows to be."""
        if not present:
            return set(), {}
        ids = [job for _, job in present]
        states = self._link.ask(lambda: self._link.views.states(ids))
        done = {job for job, found in zip(ids, states, strict=True) if found and found[0] is State.DONE}
        self._codes.update(found[1] for found in states if found and found[0] is State.DONE)
        self.before += len(done)
        unknown = [one for one, found in zip(present, states, strict=True) if found is None]
        return done, self._presence.fences(unknown)

    def _entry(self, item: Item, fence: Fence | None) -> Entry:
        prepared, options = item
        known: Known = "no" if fence is None else "recorded"
        priority = self._under.priority if options.priority is None else options.priority
        return Entry(
            prepared.id,
            prepared.task,
            prepared.label,
            prepared.payload,
            tuple([ref.id for ref in prepared.dependencies]),
            prepared.tags,
            options.queue or self._under.settings.queue,
            PAYLOAD_VERSION,
            priority,
            known,
            fence or "",
        )

    def _submit(self, entries: list[Entry], *, counted: bool = False) -> None:
        if not entries:
            return
        first = self.run is None
        run = self.run = self.run or self._open()
        run.directory.add(entries, self._types)
        self._link.serve({entry.queue for entry in entries})
        outcomes = run.submit(entries, self._types)
        run.count = len(self.jobs) - len(self._held)
        if not counted:
            self._note(entries, outcomes)
        if first:
            run.directory.add_commit(self._origin(run.name))

    def _note(self, entries: list[Entry], outcomes: list[Outcome]) -> None:
        """Counts what was done before; a result that the broker believed in and that is gone is made again."""
        run = self.run
        assert run is not None, "after a submission"
        gone: list[Entry] = []
        for entry, outcome in zip(entries, outcomes, strict=True):
            if outcome.state is not State.DONE:
                continue
            if entry.known == "no" and self._presence.gone(entry.task, entry.id):
                gone.append(_again(entry))
            else:
                self.before += 1
                self._codes[outcome.code] += 1
        if gone:
            run.submit(gone, self._types)

    # The run

    def _open(self) -> Tracked:
        name = f"{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(2)}"
        origin = self._origin(name)
        directory = RunDirectory.create(
            self._under.workspace.experiment_dir(origin.experiment) / name, origin
        )
        facts = {
            "host": platform.node(),
            "pid": os.getpid(),
            "script": str(origin.script or ""),
            "folder": str(directory.path),
        }
        return Tracked(self._link, directory, origin.experiment, name, origin.code, facts)

    def _origin(self, name: str) -> Origin:
        under = self._under
        code = self._code.id if self._code else ""
        return Origin(under.experiment, name, time.time(), code, under.settings.project, under.script)

    def _same_as_last(self) -> bool:
        """Whether the last run of the experiment had just these jobs, with these tags, and all are done."""
        views = self._link.views

        def compare() -> bool:
            tokens = views.runs(self._under.experiment)
            view = views.run(tokens[-1]) if tokens else None
            if view is None or not view.total == view.counts[State.DONE] == len(self.jobs):
                return False
            tags = {short(job.id): job.tags for job in self.jobs.values()}
            return all(tags.get(job) == found for job, found in views.members(view.token))

        return self._link.ask(compare)

    def _differs(self, code: str, today: Code) -> bool:
        try:
            return read_code(self._under.workspace.path, code).fingerprint != today.fingerprint
        except WorkspaceError:  # nobody knows any more
            return False


def _again(entry: Entry) -> Entry:
    return Entry(
        entry.id, entry.task, entry.label, entry.payload, entry.inputs, entry.tags, entry.queue, entry.version,
        entry.priority, "removed",
    )  # fmt: skip
