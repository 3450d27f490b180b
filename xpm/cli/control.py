"""`xpm kill`, `hold`, `release`, `retry`, `rerun` and `priority`: each shows what it touches, asks, and does it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import click

from xpm.cli.options import Count, command, options_of
from xpm.cli.reach import Reach
from xpm.cli.render import Screen, print_json
from xpm.cli.select import of_task
from xpm.cli.selection import Selection, selection
from xpm.cli.touch import PAGE, Change, Touched, await_stopped, change, confirm, gather, preview
from xpm.cli.words import brief
from xpm.core.session import PRIORITIES
from xpm.core.state import PENDING, State
from xpm.core.words import plural
from xpm.errors import XpmError
from xpm.here import person
from xpm.statuses import FAILED

if TYPE_CHECKING:
    from xpm.broker.views import Views

UNDONE = frozenset({State.ERROR, State.CANCELLED, State.LOST})
"""States that a retry leaves."""


@dataclass(frozen=True, slots=True)
class Verb:
    """What one command does."""

    name: str
    acts_on: frozenset[State]
    phrases: Mapping[str, str]
    """What follows a number of jobs, by the broker's word for what became of them."""
    then: str = ""
    """What becomes of jobs that need these."""
    refused: str = ""
    """Why a job in another state is left alone."""
    none: str = ""
    """What is said when nothing was changed, if not `no job to <name>`."""
    said: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """What the answer for programs says besides."""


dry_run = click.option("--dry-run", is_flag=True, help="Only show what would be touched.")


def perform(
    reach: Reach,
    selected: Selection,
    verb: Verb,
    act: Change,
    *,
    dry: bool,
    widen: Callable[[Views, Touched], None] = lambda _views, _touched: None,
) -> int:
    """Runs a verb from the words of the command line to its report; returns the exit status.

    Args:
        reach: the workspace and the broker.
        selected: what the command line says of the jobs.
        verb: what is done.
        act: does it.
        dry: only show it.
        widen: puts the jobs in order, and adds others to them.

    Raises:
        XpmError: jobs were named, and none of them can be changed.
    """
    selected.need()
    reach.say_where()
    touched = gather(reach, selected, verb.acts_on)
    _tell_left(reach, verb, touched)
    views = reach.views
    screen = Screen(no_color=reach.settings.no_color)
    if not touched.ids:
        _report(reach, screen, verb, touched, {}, dry=dry)
        return 0
    widen(views, touched)
    if not reach.options.json:
        preview(screen, verb.name, touched, views, verb.then, ends=verb is KILL)
    if dry:
        _report(reach, screen, verb, touched, {}, dry=True)
        return 0
    confirm(reach, f"{verb.name.capitalize()} {plural(len(touched.ids), 'job')}?")
    became = change(reach, touched.ids, act)
    if became["stopping"]:
        await_stopped(reach, views, touched.ids)
        became = _stopped(views, touched.ids, became)
    if became.get("blocked") or became.get("free"):
        became = _let_go(views, touched.ids, became)
    _report(reach, screen, verb, touched, became, dry=False)
    return FAILED if became.get("short") or (selected.names and touched.left) else 0


def _stopped(views: Views, ids: Sequence[str], became: Mapping[str, int]) -> Mapping[str, int]:
    """How those ended that were asked to: a result that came first stands, and so does one that was to be replaced."""
    jobs = [job for job in views.jobs(ids) if job is not None and job.state is State.DONE]
    done = min(became["stopping"], sum(not job.reason.startswith("kept") for job in jobs))
    return {**became, "stopping": became["stopping"] - done, "done": done}


def _let_go(views: Views, ids: Sequence[str], became: Mapping[str, int]) -> Mapping[str, int]:
    """What was released, when all is settled: what was on hold behind another of the jobs has gone with it."""
    words = ("short", "blocked", "free")
    left = sum(found is not None and found[0] is State.HOLD for found in views.states(ids))
    gone = sum(became.get(word, 0) for word in words) - left
    still: dict[str, int] = {}
    for word in words:  # no release ends the first
        still[word] = min(became.get(word, 0), left)
        left -= still[word]
    return {"released": became.get("released", 0) + max(0, gone), **still}


def _tell_left(reach: Reach, verb: Verb, touched: Touched) -> None:
    lines = [f"{brief(job.id)} {job.label} is {job.state}: {verb.refused}" for job in touched.left]
    if lines and not touched.ids:
        raise XpmError("\n".join(lines))
    for line in lines:
        reach.say(line)


def _report(
    reach: Reach, screen: Screen, verb: Verb, touched: Touched, became: Mapping[str, int], *, dry: bool
) -> None:
    if reach.options.json:
        from xpm.broker.touch import experiments

        print_json(
            verb=verb.name,
            dry_run=dry,
            jobs=len(touched.ids),
            became={word: became.get(word, 0) for word in verb.phrases},
            experiments=experiments(reach.views, touched.runs),
            **verb.said,
        )
        return
    if dry and touched.ids:
        return
    parts = [
        f"{plural(count, 'job')} {verb.phrases[word]}"
        for word, count in became.items()
        if count and word in verb.phrases
    ]
    screen.line(", ".join(parts) or verb.none or f"no job to {verb.name}")


_HOLDS = "goes on hold until they are done"

KILL = Verb(
    "kill",
    frozenset({State.RUNNING}),
    {"stopping": "killed", "done": "done before", "idle": "not running any more"},
    _HOLDS,
    "only what runs can be killed",
)
HOLD = Verb(
    "hold",
    frozenset(PENDING),
    {
        "held": "held",
        "before": "held already",
        "running": "running meanwhile, and not held",
        "ended": "ended meanwhile",
    },
    "goes on hold, too",
    "only what was not started can be held",
)
RELEASE = Verb(
    "release",
    frozenset({State.HOLD}),
    {
        "released": "released",
        "blocked": "on hold still, for another reason",
        "short": "on hold for more of a token than there is (xpm why says which)",
        "free": "held by nobody",
    },
    "",
    "only what is on hold can be released",
)
RETRY = Verb(
    "retry",
    UNDONE,
    {"retried": "to run again", "done": "done meanwhile", "pending": "to run anyway"},
    "may go on when they are done",
    "only what ended without a result can be retried",
)
RERUN = Verb(
    "rerun",
    frozenset({State.DONE}),
    {"rerun": "to run again", "pending": "to run anyway", "ended": "without a result meanwhile"},
    "waits until they are done again",
    "only what is done can be run again; xpm retry is for what failed",
)


@command("kill")
@selection
@dry_run
@click.pass_context
def kill(context: click.Context, selected: Selection, dry_run: bool) -> int:
    """End the executions of running jobs.

    All their processes end within two seconds. The jobs are in ERROR then, and do not run again by themselves.
    """
    reach = Reach(options_of(context))
    return perform(reach, selected, KILL, lambda ids: reach.broker.kill(ids, person()), dry=dry_run)


@command("hold")
@selection
@dry_run
@click.pass_context
def hold(context: click.Context, selected: Selection, dry_run: bool) -> int:
    """Keep jobs from starting.

    They wait until they are released. What needs them is on hold, too. A job that runs is not held.
    """
    reach = Reach(options_of(context))
    return perform(reach, selected, HOLD, lambda ids: reach.broker.hold(ids, person()), dry=dry_run)


@command("release")
@selection
@dry_run
@click.pass_context
def release(context: click.Context, selected: Selection, dry_run: bool) -> int:
    """Let jobs go that a person or the brake holds.

    The brake is off the tasks of these jobs then: it counts their failures anew.
    """
    reach = Reach(options_of(context))
    status = perform(reach, selected, RELEASE, lambda ids: reach.broker.release(ids, person()), dry=dry_run)
    # What the brake has not come upon yet is not on hold: named by its task, it is let go, too.
    meant = [one.task for one in reach.views.brakes() if selected.task and of_task(one.task, selected.task)]
    for task in reach.broker.lift(meant) if meant and not dry_run else ():
        reach.say(f"the brake is off {task}, of which no job was on hold")
    return status


@command("retry")
@selection
@dry_run
@click.pass_context
def retry(context: click.Context, selected: Selection, dry_run: bool) -> int:
    """Run jobs again that failed or were cancelled.

    They have fresh budgets, and run the code and the parameters that they were submitted with; run the script again to run newer code.
    """
    reach = Reach(options_of(context))
    return perform(reach, selected, RETRY, lambda ids: reach.broker.retry(ids, person()), dry=dry_run)


@command("rerun")
@selection
@click.option(
    "--with-dependents", is_flag=True, help="Also what depends on them, directly or not, and is done."
)
@dry_run
@click.pass_context
def rerun(context: click.Context, selected: Selection, with_dependents: bool, dry_run: bool) -> int:
    """Run jobs again that are done.

    The result of each stays until the new one is there, and for good if there is none: if it fails, or is killed or
    cancelled. They run the code and the parameters that they were submitted with.
    """
    reach = Reach(options_of(context))
    return perform(
        reach,
        selected,
        RERUN,
        lambda ids: reach.broker.rerun(ids, person()),
        dry=dry_run,
        widen=downwards if with_dependents else _in_order,
    )


def _in_order(views: Views, touched: Touched) -> None:
    """What needs another of these jobs waits for it."""
    touched.ids[:] = views.ordered(touched.ids)


def downwards(views: Views, touched: Touched) -> None:
    """What depends on these jobs and is done is rerun, too; what runs is only counted."""
    own = {job[:32] for job in touched.ids}
    below = views.downstream(touched.ids, 1 << 30)
    done = [job for job, state in below.items() if state is State.DONE and job not in own]
    for at in range(0, len(done), PAGE):
        touched.add(job for job in views.jobs(done[at : at + PAGE]) if job is not None)
    running = sum(state is State.RUNNING for job, state in below.items() if job not in own)
    if running == 1:
        touched.remark = (
            "1 job that needs them runs: it goes on with the old results; rerun it when it is done"
        )
    elif running:
        touched.remark = f"{running:,} jobs that need them run: they go on with the old results; rerun them when they are done"
    _in_order(views, touched)


@command("priority", context_settings={"ignore_unknown_options": True})
@click.argument("value", metavar="N", type=Count(PRIORITIES[0], PRIORITIES[-1]))
@selection
@dry_run
@click.pass_context
def priority(context: click.Context, value: int, selected: Selection, dry_run: bool) -> int:
    """Set the priority of jobs.

    Jobs with a higher N start first; 0 is what they have without one. Those that have ended keep theirs.
    """
    verb = Verb(
        "priority",
        frozenset(PENDING | {State.RUNNING}),
        {"set": f"with priority {value} now", "same": "had it already", "ended": "ended meanwhile"},
        "",
        "it has ended",
        "no job to give another priority",
        {"priority": value},
    )
    reach = Reach(options_of(context))
    return perform(
        reach, selected, verb, lambda ids: reach.broker.priority(ids, value, person()), dry=dry_run
    )
