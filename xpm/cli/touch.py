"""What a command that changes jobs touches: gathered, shown, asked about, and changed page by page."""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import click

from xpm.cli.listing import Filter, newest_run, pages, unknown
from xpm.cli.reach import Reach
from xpm.cli.render import Screen
from xpm.cli.select import find
from xpm.cli.selection import Selection
from xpm.cli.words import brief, tally
from xpm.core.state import State
from xpm.core.words import plural
from xpm.errors import UsageError

if TYPE_CHECKING:
    from xpm.broker.jobview import JobView
    from xpm.broker.views import Views

SHOWN = 10
"""Jobs that a preview names."""

PAGE = 1000
"""Jobs that are changed between two looks at the keyboard and the clock."""

Change = Callable[[Sequence[str]], Mapping[str, int]]
"""Changes some jobs, and says how many became what."""


@dataclass(slots=True)
class Touched:
    """The jobs that a command is about."""

    ids: list[str] = field(default_factory=list[str])
    """Those that it changes."""
    first: list[JobView] = field(default_factory=list["JobView"])
    """Some of them, to be named."""
    left: list[JobView] = field(default_factory=list["JobView"])
    """Those that were named and that it does not change."""
    states: Counter[State] = field(default_factory=Counter[State])
    runs: Counter[str] = field(default_factory=Counter[str])
    rerun: set[str] = field(default_factory=set[str])
    """Those that have a result, which stays if they are ended."""
    remark: str = ""
    """What else there is to know before it is done."""

    def add(self, jobs: Iterable[JobView]) -> None:
        """Takes in jobs that are changed."""
        for job in jobs:
            self.ids.append(job.id)
            self.states[job.state] += 1
            self.runs.update(job.runs)
            if job.rerun:
                self.rerun.add(job.id)
            if len(self.first) < SHOWN:
                self.first.append(job)


def gather(reach: Reach, selected: Selection, acts_on: frozenset[State]) -> Touched:
    """The jobs that are meant, of those that are in a state in which something can be done.

    Raises:
        UsageError: a name means no job or several, or no state of `--state` can be acted on.
        UsageError: there is no such task.
    """
    touched = Touched()
    if selected.names:
        views = [_known(reach, name) for name in dict.fromkeys(selected.names)]
        named = list({view.id: view for view in views}.values())
        touched.add(view for view in named if view.state in acts_on)
        touched.left = [view for view in named if view.state not in acts_on]
        return touched
    states = [state for state in State if state in acts_on and state in (selected.states or State)]
    if not states:
        raise UsageError(f"--state {selected.states[0]}: {_only(acts_on)}")
    views = reach.views
    run = newest_run(views, selected.experiment) if selected.experiment else None
    if selected.task and (why := unknown(views, selected.task)):
        raise UsageError(why)
    wanted = selected.filter(views, tuple(states), run)
    for page in _selected(views, wanted):
        touched.add(page)
    if wanted.sieve is not None:
        wanted.sieve.refuse_unknown([run.token] if run else views.all_runs())
    return touched


def _only(acts_on: frozenset[State]) -> str:
    return f"this changes jobs that are {', '.join(state for state in State if state in acts_on)} only"


def _selected(views: Views, wanted: Filter) -> Iterator[list[JobView]]:
    for state in wanted.states:
        for ids in pages(views, wanted, state, 1 << 30):
            yield wanted.of(views, ids)


def _known(reach: Reach, text: str) -> JobView:
    found = find(text, reach.workspace, reach.views)
    if found.view is None:
        raise UsageError(
            f"{text}: the broker does not know this job, only the workspace does: submit it again"
        )
    return found.view


def preview(
    screen: Screen, what: str, touched: Touched, views: Views, then: str, *, ends: bool = False
) -> None:
    """Says what is about to be changed, and what that touches.

    Args:
        screen: where to.
        what: as `kill`.
        touched: the jobs.
        views: asked for what depends on them, and who lists them.
        then: what becomes of dependents, as `goes on hold`; empty when nothing does.
        ends: whether the jobs end by it: what needs a result that stays goes on.
    """
    from xpm.broker.touch import REACH, dependents, experiments

    states = ", ".join(f"{count:,} {state}" for state, count in tally(touched.states))
    screen.line(f"{what} {plural(len(touched.ids), 'job')}{': ' if states else ''}{states}")
    for job in touched.first:
        screen.line("  ", (brief(job.id), "dim"), f"  {job.label}")
    if len(touched.ids) > len(touched.first):
        screen.line((f"  and {len(touched.ids) - len(touched.first):,} more", "dim"))
    kept = touched.rerun if ends else set[str]()
    count = dependents(views, [job for job in touched.ids if job not in kept]) if then else 0
    if count:
        more = " or more" if count >= REACH else ""
        screen.line(f"what needs them {then}: {plural(count, 'job')}{more}")
    if kept:
        screen.line(f"done before, with results that stay: {plural(len(kept), 'job')}")
    if touched.remark:
        screen.line(touched.remark)
    names = experiments(views, touched.runs)
    if names:
        listed = ", ".join(f"{name} ({count:,})" for name, count in names.items())
        screen.line(f"experiment{'' if len(names) == 1 else 's'}: {listed}")


def confirm(reach: Reach, question: str) -> None:
    """Asks, unless --yes was given; a no ends the command.

    Raises:
        UsageError: There is nobody to ask.
    """
    if reach.options.yes:
        return
    if reach.options.json or not sys.stdin.isatty():
        raise UsageError(f"{question.removesuffix('?').lower()}: nobody to ask; say --yes")
    if not click.confirm(question, err=True):
        reach.say("nothing was changed")
        raise click.exceptions.Exit(1)


def change(reach: Reach, ids: Sequence[str], act: Change) -> Counter[str]:
    """Changes jobs page by page; each page is whole, so that it can be stopped in between."""
    became: Counter[str] = Counter()
    said = time.monotonic()
    at = 0
    try:
        for at in range(0, len(ids), PAGE):
            became.update(act(ids[at : at + PAGE]))
            if time.monotonic() - said > 1:
                said = time.monotonic()
                reach.say(f"{min(at + PAGE, len(ids)):,} of {plural(len(ids), 'job')}")
    except KeyboardInterrupt:
        reach.say(f"stopped after {at:,} of {plural(len(ids), 'job')}: the rest is as it was")
        raise
    reach.broker.settle()
    return +became


def await_stopped(reach: Reach, views: Views, jobs: Sequence[str]) -> None:
    """Returns when no execution of the jobs that somebody has asked to stop runs any more.

    One that begins meanwhile, since a job was submitted again, is none of those: it may run for days. Leases of the
    dead are taken meanwhile: no worker may be left to do so.
    """
    if not jobs:
        return
    from xpm.broker.events import Events
    from xpm.broker.expiry import Expiry

    events, expiry = Events(reach.reader), Expiry(reach.broker)
    said = False
    began = time.monotonic()
    asked = {job.id: job.execution for job in _running(views, jobs) if job.stop}
    while asked:
        if not said and time.monotonic() - began > 1:
            reach.say(f"waiting until {plural(len(asked), 'job')} stopped (Ctrl-C: stop waiting)")
            said = True
        events.read(1.0)
        expiry.look_at_times()
        asked = {job.id: job.execution for job in _running(views, [*asked]) if asked[job.id] == job.execution}


def _running(views: Views, jobs: Sequence[str]) -> list[JobView]:
    return [job for job in views.jobs(jobs) if job is not None and job.state is State.RUNNING]
