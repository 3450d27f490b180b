"""`xpm jobs` and `xpm show`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from xpm.cli.listing import Row, experiments_of, rows
from xpm.cli.options import Count, command, options_of
from xpm.cli.reach import Reach
from xpm.cli.render import Cell, Column, Screen, print_json, state_cell
from xpm.cli.select import find
from xpm.cli.selection import Selection, found, listed, selection, views_for
from xpm.cli.words import ago, brief, tally
from xpm.core.naming import last_name
from xpm.core.state import ENDED, State
from xpm.core.words import plural
from xpm.errors import UsageError
from xpm.types import Scalar

if TYPE_CHECKING:
    from xpm.broker.jobview import JobView

LIMIT = 40


@command("jobs")
@selection
@click.option(
    "--limit",
    type=Count(),
    metavar="N",
    default=LIMIT,
    show_default=True,
    help="Rows at most; 0: all.",
)
@click.pass_context
def jobs(context: click.Context, selected: Selection, limit: int) -> None:
    """List jobs: running, failed and newest first.

    All of them, or those that are named, or chosen by -e, --state, --task and --where.
    """
    reach = Reach(options_of(context))
    reach.say_where()
    views = reach.views
    counts: Mapping[State, int]
    if selected.names:
        chosen = [_known(reach, text) for text in selected.names]
        counts = {state: sum(one.state is state for one in chosen) for state in State}
    else:
        chosen, counts, why = listed(views, selected, limit)
        if why:
            reach.say(why)
    for brake in views.brakes():
        reach.say(f"{brake}; when that is mended: xpm release --task {last_name(brake.task)}")
    shown = rows(reach.reader, views, chosen)
    if reach.options.json:
        names = experiments_of(views, chosen)
        tags = views.tags(chosen)
        print_json(
            workspace=str(reach.workspace.path),
            counts={state.value: counts.get(state, 0) for state in State},
            jobs=[as_json(row, names, its) for row, its in zip(shown, tags, strict=True)],
        )
        return
    _print(
        Screen(no_color=reach.settings.no_color),
        counts,
        shown,
        narrowed=bool(selected.states or selected.task or selected.where),
    )


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
        screen.line((f"{rest:,} more: --limit N, -e, --state, --task, --where", "dim"))


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


def as_json(row: Row, names: Mapping[str, str], tags: Mapping[str, Mapping[str, Scalar]]) -> dict[str, Any]:
    """A job in the list, for programs; `names` and `tags` are by the tokens of runs."""
    job = row.job
    return {
        "id": job.id,
        "task": job.task,
        "label": job.label,
        "state": job.state.value,
        "note": row.note,
        "startable": not row.blocked if job.state is State.READY else None,
        "experiments": sorted({names[token] for token in job.runs if token in names}),
        "tags": {names[token]: its for token, its in tags.items() if token in names},
        "queue": job.queue,
        "priority": job.priority,
        "attempt": job.attempt,
        "attempts": job.attempts or None,
        "due": job.due if job.state is State.SCHEDULED else None,
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
@selection
@click.pass_context
def show(context: click.Context, selected: Selection) -> None:
    """Show all there is to know about jobs.

    Name JOBs, or choose them by -e, --state, --task and --where.
    """
    from xpm.cli import page, sheet

    reach = Reach(options_of(context))
    views = views_for(reach, selected)
    broker = reach.reader if views is not None else None
    meant = found(reach, selected, views)
    sheets = (sheet.read(one, views, broker, reach.workspace) for one in meant)
    if not reach.options.json:
        screen = Screen(no_color=reach.settings.no_color)
        for place, known in enumerate(sheets):
            if place:
                screen.line()
            page.show(screen, known)
    elif selected.single:
        print_json(**sheet.as_json(next(sheets)))
    else:
        print_json(jobs=[sheet.as_json(known) for known in sheets])
