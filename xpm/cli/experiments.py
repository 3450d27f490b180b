"""`xpm experiments` and `xpm cancel`."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from xpm.cli.listing import newest_run
from xpm.cli.options import command, options_of, some_name
from xpm.cli.reach import Reach
from xpm.cli.render import Cell, Column, Screen, print_json
from xpm.cli.words import ago, moment, plural
from xpm.core.state import PENDING, State
from xpm.errors import UsageError

if TYPE_CHECKING:
    from xpm.broker.views import JobView, RunView, Views

SHOWN = 10
"""Jobs that a preview names."""


@command("experiments")
@click.pass_context
def experiments(context: click.Context) -> None:
    """List the experiments, the newest first."""
    reach = Reach(options_of(context))
    reach.say_where()
    runs = reach.views.experiments()
    if reach.options.json:
        print_json(workspace=str(reach.workspace.path), experiments=[as_json(run) for run in runs])
        return
    screen = Screen(no_color=reach.settings.no_color)
    if not runs:
        screen.line("no experiments")
        _tell_kept(reach)
        return
    columns = (
        Column("EXPERIMENT"),
        Column("STATE", fixed=True),
        Column("DONE", right=True, fixed=True),
        Column("RUNNING", right=True, fixed=True),
        Column("FAILED", right=True, fixed=True),
        Column("STARTED"),
        Column("AGO", right=True, fixed=True),
    )
    screen.table(columns, [_cells(run) for run in runs])


def _tell_kept(reach: Reach) -> None:
    """A broker that is new to a workspace knows nothing of what was done there before."""
    folder = reach.workspace.path / "experiments"
    names = sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []
    if names:
        reach.say(
            f"the broker knows none; the workspace has runs of {', '.join(names)}: xpm attach submits them again"
        )


def state_of(run: RunView) -> str:
    """What an experiment does: `running`, `done`, `cancelled` or `failed`."""
    if not run.ended:
        return "running"
    if not run.failed:
        return "done"
    rest = {state for state, count in run.counts.items() if count and state is not State.DONE}
    return "cancelled" if State.CANCELLED in rest and State.ERROR not in rest else "failed"


_STYLES = {"running": "cyan", "done": "green", "failed": "bold red", "cancelled": "magenta"}


def _cells(run: RunView) -> list[Cell]:
    state = state_of(run)
    failed = run.counts.get(State.ERROR, 0) + run.counts.get(State.LOST, 0)
    return [
        run.experiment,
        (state, _STYLES[state]),
        f"{run.counts.get(State.DONE, 0):,}/{run.total:,}",
        _count(run.counts.get(State.RUNNING, 0), "cyan"),
        _count(failed, "red"),
        moment(run.start),
        (ago(run.start), "dim"),
    ]


def _count(count: int, style: str) -> Cell:
    return (f"{count:,}", style) if count else ("-", "dim")


def as_json(run: RunView) -> dict[str, Any]:
    """An experiment in the list, for programs."""
    return {
        "name": run.experiment,
        "run": run.name,
        "state": state_of(run),
        "started": run.start,
        "code": run.code or None,
        "total": run.total,
        "counts": {state.value: run.counts.get(state, 0) for state in State},
    }


@command("cancel")
@click.argument("experiment", required=False, metavar="EXPERIMENT")
@click.option(
    "-e",
    "--experiment",
    "named",
    callback=some_name,
    metavar="EXPERIMENT",
    help="The experiment, as other commands take it.",
)
@click.pass_context
def cancel(context: click.Context, experiment: str | None, named: str | None) -> None:
    """Give up what an experiment still has to do.

    Running jobs are stopped. Jobs that another experiment wants go on for that one. What is done stays done.
    """
    experiment = _one(experiment, named)
    reach = Reach(options_of(context))
    reach.say_where()
    views = reach.views
    run = newest_run(views, experiment)
    open_jobs = _open_jobs(views, experiment)
    screen = Screen(no_color=reach.settings.no_color)
    if not open_jobs:
        _report(reach, screen, run, (0, 0, 0))
        return
    if not reach.options.json:
        _preview(screen, run, open_jobs)
    confirm(reach, f"Cancel {experiment}?")
    stopping = [job.id for job in open_jobs if job.state is State.RUNNING]
    counts = reach.broker.cancel(_serial(run.token), [job.id for job in open_jobs])
    while reach.broker.drain():
        pass
    _await(reach, views, stopping if counts[1] else [])
    _report(reach, screen, run, counts)


def _one(experiment: str | None, named: str | None) -> str:
    """The one experiment that is meant, however it was given."""
    if experiment and named and experiment != named:
        raise UsageError(f"two experiments, {experiment} and {named}: xpm cancel takes one")
    meant = experiment or named
    if not meant:
        raise UsageError("which experiment? xpm cancel EXPERIMENT; xpm experiments lists them")
    return meant


def confirm(reach: Reach, question: str) -> None:
    """Asks, unless --yes was given; a no ends the command.

    Raises:
        UsageError: There is nobody to ask.
    """
    if reach.options.yes:
        return
    import sys

    if reach.options.json or not sys.stdin.isatty():
        raise UsageError(f"{question.removesuffix('?').lower()}: nobody to ask; say --yes")
    if not click.confirm(question, err=True):
        reach.say("nothing was changed")
        raise click.exceptions.Exit(1)


def _open_jobs(views: Views, experiment: str) -> list[JobView]:
    """The jobs that the experiment's runs still wait for; older runs have those that newer ones left out."""
    ids: dict[str, None] = {}
    for token in views.runs(experiment):
        run = views.run(token)
        if run is not None and any(run.counts.get(state, 0) for state in (*PENDING, State.RUNNING)):
            ids.update(dict.fromkeys(job for job, _ in views.members(token)))
    found = views.jobs([*ids])
    return [job for job in found if job is not None and (job.state in PENDING or job.state is State.RUNNING)]


def _serial(token: str) -> str:
    """The experiment's serial in a run's token."""
    return token.partition(".")[0]


def _preview(screen: Screen, run: RunView, jobs: Sequence[JobView]) -> None:
    running = [job for job in jobs if job.state is State.RUNNING]
    serial = _serial(run.token)
    shared = sum(any(_serial(token) != serial for token in job.runs) for job in jobs)
    screen.line(
        f"{run.experiment}: {plural(len(running), 'running job')} to stop, "
        f"{len(jobs) - len(running):,} not started, {run.counts.get(State.DONE, 0):,} done (they stay)"
    )
    for job in running[:SHOWN]:
        screen.line("  ", (job.id[:8], "dim"), f"  {job.label}")
    if len(running) > SHOWN:
        screen.line((f"  and {len(running) - SHOWN:,} more", "dim"))
    if shared:
        screen.line(f"{plural(shared, 'job')} also in other experiments: they go on if those still want them")


def _await(reach: Reach, views: Views, jobs: Sequence[str]) -> None:
    """Returns when none of the jobs runs any more."""
    if not jobs:
        return
    from xpm.broker.events import Events

    events = Events(reach.reader)
    said = False
    began = time.monotonic()
    while running := [job for job in views.jobs(jobs) if job is not None and job.state is State.RUNNING]:
        jobs = [job.id for job in running]
        if not said and time.monotonic() - began > 1:
            reach.say(f"waiting until {plural(len(running), 'job')} stopped (Ctrl-C: stop waiting)")
            said = True
        events.read(1.0)


def _report(reach: Reach, screen: Screen, run: RunView, counts: tuple[int, int, int]) -> None:
    cancelled, stopped, kept = counts
    if reach.options.json:
        print_json(experiment=run.experiment, cancelled=cancelled, stopped=stopped, kept=kept)
        return
    if not any(counts):
        screen.line(f"{run.experiment}: nothing to cancel")
        return
    rest = f", {plural(kept, 'job')} kept for other experiments" if kept else ""
    screen.line(f"{run.experiment}: {plural(cancelled, 'job')} cancelled, {stopped:,} stopped{rest}")
