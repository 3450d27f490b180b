"""`xpm jobs` and `xpm show`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from xpm.cli.listing import Filter, Row, experiments_of, members, newest_run, rows, unknown, window
from xpm.cli.options import Count, command, nearest, options_of
from xpm.cli.reach import Reach
from xpm.cli.render import Cell, Column, Screen, print_json, state_cell
from xpm.cli.select import find
from xpm.cli.words import ago, brief, plural, tally
from xpm.core.state import ENDED, State
from xpm.errors import BrokerError, UsageError

if TYPE_CHECKING:
    from xpm.broker.views import JobView, Views

LIMIT = 40


def _state(
    _context: click.Context, _parameter: click.Parameter, values: tuple[str, ...]
) -> tuple[State, ...]:
    names = [state.value for state in State]
    for value in values:
        if value.upper() not in names:
            raise UsageError(
                f"no state {value!r}{nearest(value.upper(), names) or '; there are ' + ', '.join(names)}"
            )
    return tuple(State(value.upper()) for value in values)


@command("jobs")
@click.argument("job", nargs=-1, metavar="[JOB]...")
@click.option("-e", "--experiment", metavar="NAME", help="Only the jobs of an experiment's newest run.")
@click.option(
    "--state", "states", multiple=True, callback=_state, metavar="STATE", help="Only these; may be repeated."
)
@click.option("--task", default="", metavar="NAME", help="Only the jobs of a task, as Train or module.Train.")
@click.option(
    "--limit",
    type=Count(min=0),
    metavar="N",
    default=LIMIT,
    show_default=True,
    help="Rows at most; 0: all.",
)
@click.pass_context
def jobs(
    context: click.Context,
    job: tuple[str, ...],
    experiment: str | None,
    states: tuple[State, ...],
    task: str,
    limit: int,
) -> None:
    """List jobs: running, failed and newest first."""
    reach = Reach(options_of(context))
    reach.say_where()
    views = reach.views
    counts: Mapping[State, int]
    if job:
        if experiment or states or task:
            raise UsageError("give JOBs, or -e, --state, --task; not both")
        chosen = [_known(reach, text) for text in job]
        counts = {state: sum(one.state is state for one in chosen) for state in State}
    else:
        run = newest_run(views, experiment) if experiment else None
        counts = run.counts if run else views.counts()
        if task and (why := unknown(views, task)):
            reach.say(why)
            chosen = []
        else:
            chosen = window(views, Filter(states, task, members(views, run) if run else None), limit)
    shown = rows(reach.broker, views, chosen)
    if reach.options.json:
        names = experiments_of(views, chosen)
        print_json(
            workspace=str(reach.workspace.path),
            counts={state.value: counts.get(state, 0) for state in State},
            jobs=[as_json(row, names) for row in shown],
        )
        return
    _print(Screen(no_color=reach.settings.no_color), counts, shown, narrowed=bool(states or task))


def _known(reach: Reach, text: str) -> JobView:
    found = find(text, reach.workspace, reach.views)
    if found.view is None:
        raise UsageError(f"{text}: only the workspace knows this job: xpm show {text}")
    return found.view


def _print(screen: Screen, counts: Mapping[State, int], shown: Sequence[Row], *, narrowed: bool) -> None:
    total = sum(counts.values())
    screen.line(*counts_line(counts))
    if shown:
        columns = (
            Column("STATE", fixed=True),
            Column("ID", fixed=True),
            Column("JOB"),
            Column("AGO", right=True, fixed=True),
            Column("NOTE"),
        )
        screen.table(columns, [_cells(row) for row in shown])
    elif total:
        screen.line("no job fits")
    rest = total - len(shown)
    if rest > 0 and shown and not narrowed:
        screen.line((f"{rest:,} more: --limit N, --state, --task, -e", "dim"))


def counts_line(counts: Mapping[State, int]) -> list[Cell]:
    """All jobs, and how many are in each state."""
    total = sum(counts.values())
    cells: list[Cell] = [plural(total, "job") if total else "no jobs"]
    for place, (state, count) in enumerate(tally(counts)):
        cells += [": " if place == 0 else ", ", (f"{count:,} {state.value}", state_cell(state)[1])]
    return cells


def _cells(row: Row) -> list[Cell]:
    job = row.job
    since = job.started if job.state is State.RUNNING else job.ended if job.state in ENDED else job.submitted
    style = "yellow" if row.blocked else "red" if job.state is State.ERROR else "dim"
    return [state_cell(job.state), (brief(job.id), "dim"), job.label, (ago(since), "dim"), (row.note, style)]


def as_json(row: Row, names: Mapping[str, str]) -> dict[str, Any]:
    """A job in the list, for programs."""
    job = row.job
    return {
        "id": job.id,
        "task": job.task,
        "label": job.label,
        "state": job.state.value,
        "note": row.note,
        "startable": not row.blocked if job.state is State.READY else None,
        "experiments": sorted({names[token] for token in job.runs if token in names}),
        "queue": job.queue,
        "priority": job.priority,
        "attempt": job.attempt,
        "inputs": job.inputs,
        "unmet": job.unmet,
        "blocked": job.blocked,
        "holds": list(job.holds),
        "progress": {"value": row.progress.value, "desc": row.progress.desc} if row.progress else None,
        "worker": job.worker or None,
        "code": job.code or None,
        "submitted": job.submitted or None,
        "started": job.started or None,
        "ended": job.ended or None,
    }


@command("show")
@click.argument("job")
@click.pass_context
def show(context: click.Context, job: str) -> None:
    """Show all there is to know about a job."""
    from xpm.cli import page, sheet

    reach = Reach(options_of(context))
    views = views_or_none(reach)
    found = find(job, reach.workspace, views)
    known = sheet.read(found, views, reach.broker if views is not None else None, reach.workspace)
    if reach.options.json:
        print_json(**sheet.as_json(known))
    else:
        page.show(Screen(no_color=reach.settings.no_color), known)


def views_or_none(reach: Reach) -> Views | None:
    """The broker's views, or None, with a remark, when it is not there: the workspace knows much itself."""
    try:
        return reach.views
    except BrokerError as error:
        reach.say(f"{error}; this is what the workspace knows")
        return None
