"""`xpm experiments`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from xpm.cli.options import command, options_of
from xpm.cli.reach import Reach
from xpm.cli.render import Cell, Column, Screen, print_json
from xpm.cli.words import ago, moment
from xpm.core.state import State

if TYPE_CHECKING:
    from xpm.broker.views import RunView


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
