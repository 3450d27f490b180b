"""`xpm queue`: the queues, and those whose jobs are not to start for a while."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from xpm.cli.options import Group, command, options_of
from xpm.cli.reach import Reach
from xpm.cli.render import Cell, Column, Screen, print_json
from xpm.cli.touch import confirm
from xpm.core.explain import RESUME
from xpm.core.spelling import nearest
from xpm.core.state import State
from xpm.core.words import plural
from xpm.errors import UsageError
from xpm.here import person
from xpm.settings import QUEUE_NAME, is_queue

if TYPE_CHECKING:
    from xpm.broker.views import Views


@dataclass(frozen=True, slots=True)
class Queue:
    """A queue as it stands."""

    name: str
    ready: int
    running: int
    workers: int
    paused: tuple[float, str] | None
    """Since when, and by whom."""


@click.group("queue", cls=Group, invoke_without_command=True)
@click.pass_context
def queue(context: click.Context) -> None:
    """List queues, pause and resume them.

    Without a verb: the queues, with what is ready and runs there, and who serves them.
    """
    if context.invoked_subcommand is None:
        _list(Reach(options_of(context)))


def queues_of(reach: Reach) -> list[Queue]:
    """The queues that have, or had, jobs or a pause."""
    from xpm.broker.reader import clock
    from xpm.broker.silence import silent

    views = reach.views
    slots = reach.reader.slots()
    ready = Counter[str]()
    for slot, count in views.ready_counts(slots).items():
        ready[slot.rpartition(":")[0]] += count
    running = Counter(
        job.queue for job in views.jobs(views.listing(State.RUNNING, 1 << 30)) if job is not None
    )
    now = clock(reach.reader)
    alive = [one for one in views.workers() if not silent(one, now, reach.settings.lease)]
    paused = views.paused()
    names = sorted({slot.rpartition(":")[0] for slot in slots} | set(paused))
    return [
        Queue(
            name,
            ready[name],
            running[name],
            sum(any(slot.rpartition(":")[0] in (name, "*") for slot in one.slots) for one in alive),
            paused.get(name),
        )
        for name in names
    ]


def _list(reach: Reach) -> None:
    reach.say_where()
    found = queues_of(reach)
    suspended = reach.views.suspended()
    if reach.options.json:
        print_json(
            workspace=str(reach.workspace.path),
            suspended=suspended,
            queues=[_as_json(one) for one in found],
        )
        return
    if suspended:
        reach.say(f"all workers are suspended by rq: {RESUME} lets them go on")
    screen = Screen(no_color=reach.settings.no_color)
    if not found:
        screen.line("no queues")
        return
    columns = (
        Column("QUEUE"),
        Column("READY", right=True, fixed=True),
        Column("RUNNING", right=True, fixed=True),
        Column("WORKERS", right=True, fixed=True),
        Column("NOTE"),
    )
    screen.table(columns, [_cells(one) for one in found])


def _cells(one: Queue) -> list[Cell]:
    from xpm.broker.standing import clock_time

    note: Cell = ""
    if one.paused is not None:
        since, who = one.paused
        note = (f"paused by {who}, {clock_time(since)}", "yellow")
    elif one.ready and not one.workers:
        note = (f"nobody serves it: xpm worker start --queue {one.name}", "yellow")
    return [one.name, f"{one.ready:,}", f"{one.running:,}", f"{one.workers:,}", note]


def _as_json(one: Queue) -> dict[str, Any]:
    paused = {"since": one.paused[0], "by": one.paused[1]} if one.paused else None
    return {
        "name": one.name,
        "ready": one.ready,
        "running": one.running,
        "workers": one.workers,
        "paused": paused,
    }


@command("pause")
@click.argument("names", nargs=-1, required=True, metavar="QUEUE...")
@click.pass_context
def pause(context: click.Context, names: tuple[str, ...]) -> None:
    """Start no job of these queues until they are resumed.

    What runs goes on. A queue may be paused before it has jobs.
    """
    reach = Reach(options_of(context))
    reach.say_where()
    for name in names:
        if not is_queue(name):
            raise UsageError(f"queue {name!r}: {QUEUE_NAME}")
    known = {one.name: one for one in queues_of(reach)}
    for name in names:
        if name not in known:
            reach.say(f"no job was ever in a queue {name}{nearest(name, known)}")
    if not reach.options.json:
        ready = sum(known[name].ready for name in set(names) & set(known))
        running = sum(known[name].running for name in set(names) & set(known))
        Screen(no_color=reach.settings.no_color).line(
            f"pause {', '.join(names)}: {plural(ready, 'ready job')} will not start, {running:,} running go on"
        )
    confirm(reach, f"Pause {', '.join(names)}?")
    _report(reach, names, reach.broker.pause(names, person()), "paused", "was paused already")


@command("resume")
@click.argument("names", nargs=-1, required=True, metavar="QUEUE...")
@click.pass_context
def resume(context: click.Context, names: tuple[str, ...]) -> None:
    """Start jobs of these queues again."""
    reach = Reach(options_of(context))
    reach.say_where()
    known = reach.views.paused()
    for name in names:
        if name not in known:
            raise UsageError(f"queue {name} is not paused{_which(reach.views, name)}")
    confirm(reach, f"Resume {', '.join(names)}?")
    _report(reach, names, reach.broker.resume(names), "resumed", "was not paused any more")


def _which(views: Views, name: str) -> str:
    paused = views.paused()
    return nearest(name, paused) or (f"; paused are {', '.join(paused)}" if paused else "; none is")


def _report(reach: Reach, names: tuple[str, ...], changed: list[str], did: str, otherwise: str) -> None:
    if reach.options.json:
        print_json(queues={name: name in changed for name in names})
        return
    screen = Screen(no_color=reach.settings.no_color)
    for name in dict.fromkeys(names):
        screen.line(f"{name}: {did if name in changed else otherwise}")


queue.add_command(pause)
queue.add_command(resume)
