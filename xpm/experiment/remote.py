"""An experiment's dealings with the broker; loaded when there are any, which a plan that is done has not.

Everything here is called on one thread at a time.
"""

from __future__ import annotations

import importlib
import os
import secrets
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

from xpm.broker.broker import Entry, Outcome
from xpm.broker.ledger import Ledger
from xpm.broker.touch import touch
from xpm.broker.views import RunView
from xpm.core.config import Task, reference
from xpm.core.message import type_keys
from xpm.core.naming import last_name
from xpm.core.plan import Plan
from xpm.core.state import State
from xpm.core.steering import Touch, Verb
from xpm.core.words import plural
from xpm.errors import BrokerError, NotSubmitted, WorkspaceError
from xpm.experiment.circumstances import Circumstances
from xpm.experiment.commands import Commands
from xpm.experiment.dryrun import plan_of, refuse_plan, tell_plan
from xpm.experiment.ending import left
from xpm.experiment.entries import Entries
from xpm.experiment.gathering import Done, Gathering, Item, Submitted
from xpm.experiment.inheritance import passed_over
from xpm.experiment.leavings import leavings
from xpm.experiment.link import Link
from xpm.experiment.others import Today
from xpm.experiment.outlook import Outlook, outlook
from xpm.experiment.results import result_of
from xpm.experiment.steered import steer
from xpm.experiment.summary import Ending, Unfinished, note_end, tell, unfinished
from xpm.experiment.tracking import Tracked
from xpm.experiment.unserved import Unserved
from xpm.experiment.waiting import Care
from xpm.experiment.watching import detached, interrupted, watch
from xpm.here import person, this_host, this_user
from xpm.statuses import CANCELLED
from xpm.types import JobId
from xpm.workspace.code import Code
from xpm.workspace.results import Proof
from xpm.workspace.rundir import Child, Origin, RunDirectory
from xpm.workspace.snapshot import snapshot

if TYPE_CHECKING:
    from xpm.experiment.calls import CallBack

T = TypeVar("T")

INHERITED = "inherited"
"""Who notes the jobs that jobs have submitted in an earlier run."""

ANEW = ("new", "retried")
"""What became of jobs that begin anew with this run."""


class Remote:
    """One experiment, as it deals with the broker."""

    def __init__(self, under: Circumstances, gathering: Gathering) -> None:
        self._under = under
        self._gathering = gathering
        self._link = Link(under.workspace, under.settings, under.voice)
        self._began = time.monotonic()
        self._types: dict[str, bytes] = {}
        """The packed descriptions of all classes that the broker has to know, by their key."""
        self._code: Code | None = None
        self._run: Tracked | None = None
        self._entries: Entries | None = None
        self._unserved: Unserved | None = None
        self._codes: dict[JobId, str] = {}
        self._before: set[JobId] = set()
        self._stood: list[Entry] = []
        """What had failed before, or was held, of what is submitted now."""
        self._today = Today(under.settings.project, under.workspace, under.cells)

    # Submitting

    def submit(self, items: Iterable[Item]) -> None:
        """Submits tasks that have no record; there is at least one."""
        self._submit((item, None) for item in items)

    def settle(self) -> None:
        """Submits the tasks that have one."""
        done: list[Done]
        done, self._gathering.done = self._gathering.done, []
        self._submit(done)

    def rank(self) -> None:
        """Tells which jobs are parts of longer chains than was known when they went out."""
        left = [job for job in self._gathering.own if job not in self._before]
        changes = self._gathering.chains.changes(left)
        if changes and self._run is not None:
            self._link.ask(lambda: self._link.broker.rank(changes))

    def replace(self) -> None:
        """Earlier runs of the same command want no more what has not started and this one leaves out."""
        if self._run is None:
            return
        self.look_for_children()
        name, run = self._under.experiment, self._run.run
        ids = self._link.ask(
            lambda: leavings(self._link.views, name, self._started(), self._gathering.jobs, run.start / 1000)
        )
        if not ids:
            return
        gone = self._link.ask(lambda: self._link.broker.cancel(run.serial, ids, "a newer run", running=False))
        if gone.cancelled or gone.kept:
            kept = f", {plural(gone.kept, 'job')} kept for other experiments" if gone.kept else ""
            self._under.voice.say(
                f"{name}: {plural(gone.cancelled, 'job')} of an earlier run cancelled, "
                f"which this one leaves out{kept}"
            )

    def secure(self) -> None:
        """What was submitted outlives the broker's machine as far as that can be: nobody is left to submit it again."""
        if self._run is not None:
            self._link.ask(lambda: self._link.broker.secure())

    def inherit(self, children: Sequence[Child], earlier: RunDirectory) -> None:
        """Submits what jobs of this run have submitted in an earlier one: this one waits for it, too."""
        try:
            types, resources = earlier.types(), earlier.resources()
        except WorkspaceError as error:
            self._under.voice.say(passed_over(error))
            return
        self._types |= types
        if resources:
            self._link.ask(lambda: self._link.broker.declare(resources))
        assert self._run is not None, "the jobs that have submitted them were settled before"
        note = RunDirectory(self._run.directory.path, INHERITED)
        for child in children:
            note.add_child(child, {key: self._types[key] for key in type_keys(child.entry.payload)})
        for resource, capacity in resources.items():
            note.add_resource(resource, capacity)
        self._send(self._run, (child.entry for child in children if child.entry.id not in self._codes))

    def note_whole(self) -> None:
        """Notes that all that was submitted so far is out, with what its jobs had submitted before."""
        if self._run is not None:
            with suppress(
                WorkspaceError
            ):  # where that can't be written, the next run looks at older ones, too
                self._run.directory.add_whole()

    @property
    def folder(self) -> Path | None:
        """The folder of the run, if there is one."""
        return None if self._run is None else self._run.directory.path

    def look_for_children(self) -> None:
        """Sees which jobs running jobs have submitted."""
        if self._run is not None:
            self._gathering.grow(self._run.directory.children())

    def _submit(self, items: Iterable[tuple[Item, Proof | None]]) -> None:
        first = self._run is None
        run = self._run = self._run or self._open()
        self._entries = self._entries or Entries(self._under, self._gathering, self._link, run, self._types)
        if first:
            self._link.fit()
        self._link.serve()
        self._send(run, self._entries.noted(items))
        self._link.confirm()
        if first:
            run.directory.add_commit(self._origin(run.name))

    def _send(self, run: Tracked, entries: Iterator[Entry]) -> None:
        gone: dict[JobId, Entry] = {}
        self._stood.clear()
        try:
            run.submit(entries, self._types, partial(self._hear, gone))
        finally:
            run.count = len(self._codes)
        if gone:
            run.submit(gone.values(), self._types)
        if self._stood:
            self._link.ask(self._lift_brakes)

    def _lift_brakes(self) -> None:
        """Whoever runs a script again whose jobs have failed wants them to be tried again, those too that a brake holds."""
        broker, views = self._link.broker, self._link.views
        tasks = sorted({entry.task for entry in self._stood} & {brake.task for brake in views.brakes()})
        if tasks:
            broker.lift(tasks)
        found = views.jobs([entry.id for entry in self._stood])
        held = [job.id for job in found if job is not None and job.holds == ("brake",)]
        if held:
            broker.release(held, person())
        for task in tasks:
            self._under.voice.say(f"the brake on {last_name(task)} is off: this run tries its jobs again")

    def _hear(self, gone: dict[JobId, Entry], entries: Sequence[Entry], outcomes: Sequence[Outcome]) -> None:
        """Counts what was done before; a result that the broker believes in and that is gone is to be made again."""
        for entry, outcome in zip(entries, outcomes, strict=True):
            self._codes[entry.id] = entry.code or outcome.code
            if outcome.state is not State.DONE:
                if outcome.action == "retried" or outcome.state is State.HOLD:
                    self._stood.append(entry)
                if outcome.action in ANEW:
                    self._gathering.anew.add(entry.id)
                continue
            if entry.known == "no" and self._gathering.gone(self._gathering.jobs[entry.id]):
                gone[entry.id] = entry._replace(known="removed")
                self._gathering.anew.add(entry.id)
            else:
                self._before.add(entry.id)

    def _open(self) -> Tracked:
        under = self._under
        self._code = snapshot(
            under.settings.project,
            under.workspace,
            under.start,
            copy=under.settings.snapshot,
            cells=under.cells.files() if under.cells is not None else {},
        )
        self._link.connect()
        now = time.time_ns()
        second = time.strftime("%Y%m%d-%H%M%S", time.gmtime(now // 10**9))
        # Names sort by time, on all hosts and within a second: the last is the newest run.
        name = f"{second}-{now // 1000 % 10**6:06}{secrets.token_hex(1)}"
        origin = self._origin(name)
        folder = under.workspace.experiment_dir(under.experiment) / name
        facts = {
            "host": this_host(),
            "user": this_user(),
            "pid": os.getpid(),
            **self._started(),
            "folder": str(folder),
            "workspace": str(under.workspace.path),
        }
        directory = RunDirectory.create(folder, origin)
        return Tracked(self._link, directory, under.experiment, name, origin.code, facts)

    def _started(self) -> dict[str, Any]:
        """What tells whether two runs are of one plan."""
        under = self._under
        script = under.script or (under.start.argv[0] if under.cells is not None else "")
        return {"script": str(script), "arguments": list(under.start.argv[1:])}

    def _origin(self, name: str) -> Origin:
        under = self._under
        code = self._code.id if self._code else ""
        return Origin(under.experiment, name, time.time(), code, under.settings.project, under.script)

    # Waiting

    def wait(self, call_back: CallBack | None = None) -> RunView:
        """Waits for all that was submitted.

        Args:
            call_back: calls what the script is to be called for.

        Raises:
            Left: Ctrl-C detached from it, or cancelled it.
        """
        assert self._run is not None, "something was submitted"
        care = self._care(self._run)
        care.call_back = call_back
        view, given_up = watch(care)
        if given_up:
            self._leave(view)
        self.look_for_children()
        done = view.counts[State.DONE] == view.total == len(self._gathering.jobs)
        if done and self._code and self._code.copied:  # without a copy, jobs may have run others
            codes = Counter([*self._codes.values(), *self._codes_of_children()])
            note_end(self._run.directory, self._gathering.plan, codes, self._under.voice)
        return view

    def _codes_of_children(self) -> list[str]:
        ids = [job for job in self._gathering.children if job not in self._codes]
        return [found[1] for found in self._link.ask(lambda: self._link.views.states(ids)) if found]

    def result(self, task: Task, timeout: float | None) -> Any:
        """Waits for the job of `task`, which was submitted, and gives its result.

        Raises:
            Left: Ctrl-C detached from the experiment, or cancelled it.
        """
        ref, run = reference(task), self._run
        if run is None or ref.id not in self._codes:
            raise NotSubmitted(
                f"{ref.task} {ref.id[:8]} was not submitted: its experiment was left before that"
            )
        care = self._care(run)
        try:
            return result_of(ref, self._under.workspace, care, timeout)
        except KeyboardInterrupt:
            self._leave(interrupted(care))

    def _care(self, run: Tracked) -> Care:
        voice = self._under.voice
        self._unserved = self._unserved or Unserved(run, self._link, voice)
        return Care(run, self._link, voice, self._unserved)

    def _leave(self, view: RunView) -> NoReturn:
        """The script ends, since its user has cancelled what it waits for."""
        with suppress(KeyboardInterrupt):
            self.tell(view, self.left(), time.monotonic() - self._began)
        raise left(CANCELLED)

    def left(self) -> list[Unfinished]:
        """The jobs that are not DONE; what failed first comes first."""
        self.look_for_children()
        link, ids = self._connected(), list(self._gathering.jobs)
        return link.ask(lambda: unfinished(link.views, self._under.workspace, ids))

    def states(self, ids: Sequence[JobId]) -> Mapping[JobId, State]:
        """The states of jobs, asked now."""
        found = self.act(lambda link: link.views.states(ids))
        return {job: one[0] if one else State.WAITING for job, one in zip(ids, found, strict=True)}

    def steer(self, verb: Verb, jobs: Sequence[JobId], value: int) -> int:
        """Does what a person wants with jobs; returns how many it changed."""
        serial = self._run.run.serial if self._run else ""
        tasks = {self._gathering.jobs[job].task for job in jobs if job in self._gathering.jobs}
        return self.act(lambda link: steer(link, serial, verb, jobs, tasks, value))

    def touched(self, jobs: Sequence[JobId]) -> Touch:
        """What a change of jobs touches besides them."""
        return self.act(lambda link: touch(link.views, jobs))

    def explain(self, job: JobId) -> list[str]:
        """Why a job is not running, in sentences."""
        module: Any = importlib.import_module("xpm.experiment.explaining")  # few scripts need it
        return self.act(lambda link: module.why(link.broker, link.views, job))

    def act(self, act: Callable[[Link], T]) -> T:
        """Does something at the broker, on an open link."""
        link = self._connected()
        return link.ask(lambda: act(link))

    def _connected(self) -> Link:
        if self._run is None and not self._link.open:
            self._link.connect()
        return self._link

    # Telling

    @property
    def begun(self) -> bool:
        """Whether there is a run to come back to."""
        return self._run is not None

    @property
    def count(self) -> int:
        """Jobs of the script that the broker was told of, and has answered."""
        return len(self._codes.keys() - self._gathering.children)

    @property
    def commands(self) -> Commands:
        """What to tell people to type."""
        return self._link.commands

    def tell(self, view: RunView, left: Sequence[Unfinished], seconds: float) -> None:
        """Says how it ended."""
        under = self._under
        codes = Counter(self._codes[job] for job in self._before)
        others = self._today.about(codes, len(self._before))
        commands = self._link.commands
        ending = Ending(
            under.experiment, commands, view, seconds, len(self._before), others, commands.again()
        )
        tell(ending, self._link, left, under.voice)

    def outlook(self) -> Outlook | None:
        """What becomes of the jobs that the broker was told of; None when it does not say so at once."""
        self.look_for_children()
        children = [job for job in self._gathering.children if job not in self._codes]
        try:
            with self._link.glance() as views:
                return outlook(views, self._under.experiment, [*self._codes], children)
        except (BrokerError, TimeoutError):
            return None

    def tell_detached(self) -> None:
        """Says how to come back."""
        detached(self._under.experiment, self._link, self._under.voice)

    def tell_plan(self, jobs: Sequence[Submitted], *, ask: bool) -> Plan:
        """Says what would be done; `ask` tells whether there can be a broker to ask.

        Raises:
            SubmissionError: a submission would be refused.
        """
        under, link = self._under, self._link
        asked = ask and link.find()
        plan = plan_of(jobs, under.workspace, link.views if asked else None, self._today)
        mine = [job.id for job in jobs]
        left = leavings(link.views, under.experiment, self._started(), mine) if asked else []
        tell_plan(under.experiment, plan, link, left=len(left), asked=asked, voice=under.voice)
        refuse_plan(jobs, plan, Ledger(link.reader) if asked else None)
        return plan

    def give_up(self) -> None:
        """What still waits for the broker, on another thread, ends without an answer."""
        self._link.give_up()

    def close(self) -> None:
        """Closes files and connections; a later question opens them again."""
        if self._run is not None:
            self._run.directory.close()
        self._link.close()
