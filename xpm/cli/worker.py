"""`xpm worker`: the workers that there are, and new ones."""

from __future__ import annotations

import os
import signal
import sys
from typing import TYPE_CHECKING, Any

import click

from xpm.cli.control import dry_run
from xpm.cli.options import Count, Group, command, options_of
from xpm.cli.reach import Reach
from xpm.cli.render import Cell, Column, Screen, print_json
from xpm.cli.touch import SHOWN, confirm
from xpm.cli.words import ago, brief
from xpm.core.words import plural
from xpm.errors import UsageError
from xpm.settings import QUEUE_NAME, is_queue

if TYPE_CHECKING:
    from xpm.broker.jobview import JobView
    from xpm.broker.views import WorkerView

ALL = "*"
"""Stands for every queue."""


@click.group("worker", cls=Group, invoke_without_command=True)
@click.pass_context
def worker(context: click.Context) -> None:
    """List workers, start some, have some end.

    Without a verb: the workers, and what each of them does.
    """
    if context.invoked_subcommand is None:
        _list(Reach(options_of(context)))


def _list(reach: Reach) -> None:
    reach.say_where()
    from xpm.broker.reader import clock
    from xpm.broker.silence import silent

    workers = reach.views.workers()
    now = clock(reach.reader)
    gone = {one.name for one in workers if silent(one, now, reach.settings.lease)}
    ending = reach.views.dismissed()
    held = [one.job for one in workers if one.job]
    jobs = {job.id[:32]: job for job in reach.views.jobs(held) if job is not None}
    if reach.options.json:
        print_json(
            workspace=str(reach.workspace.path),
            workers=[
                {**_as_json(one, jobs.get(one.job or ""), one.name in gone), "ending": one.name in ending}
                for one in workers
            ],
        )
        return
    screen = Screen(no_color=reach.settings.no_color)
    if not workers:
        screen.line(
            "no workers: xpm worker start starts some; a script with the workspace's own server brings its own"
        )
        return
    columns = (
        Column("HOST"),
        Column("PID", right=True, fixed=True),
        Column("QUEUES"),
        Column("UP", right=True, fixed=True),
        Column("SEEN", right=True, fixed=True),
        Column("ID", fixed=True),
        Column("JOB"),
    )
    screen.table(
        columns,
        [_cells(one, jobs.get(one.job or ""), one.name in gone, one.name in ending) for one in workers],
    )


def queues(one: WorkerView) -> list[str]:
    """The queues of a worker, in its order."""
    return list(dict.fromkeys(slot.rpartition(":")[0] for slot in one.slots))


def _cells(one: WorkerView, job: JobView | None, silent: bool, ending: bool) -> list[Cell]:
    seen: Cell = (ago(one.seen), "bold red" if silent else "dim")
    idle: Cell = ("silent", "bold red") if silent else ("idle", "dim")
    if one.stock:
        idle = ("idle, one of RQ's own", "dim")
    if one.suspects and not silent:
        idle = (f"gets no jobs: {', '.join(map(brief, one.suspects))} died there at once", "bold red")
    what: list[Cell] = (
        [(brief(job.id), "dim"), f"{job.label} (its last)" if ending else job.label] if job else ["", idle]
    )
    return [*one.place, ", ".join(queues(one)), (ago(one.born), "dim"), seen, *what]


def _as_json(one: WorkerView, job: JobView | None, silent: bool) -> dict[str, Any]:
    return {
        "name": one.name,
        "host": one.host,
        "pid": one.pid,
        "pool": one.pool or None,
        "queues": queues(one),
        "slots": list(one.slots),
        "born": one.born or None,
        "seen": one.seen or None,
        "silent": silent,
        "stock": one.stock,
        "suspects": list(one.suspects),
        "job": {"id": job.id, "label": job.label} if job else None,
    }


def _queues(_context: click.Context, _parameter: click.Parameter, names: tuple[str, ...]) -> tuple[str, ...]:
    for name in names:
        if name != ALL and not is_queue(name):
            raise UsageError(f"queue {name!r}: {QUEUE_NAME}")
    return names


@command("start")
@click.option(
    "--slots",
    type=Count(1),
    metavar="N",
    help="Workers, one job at a time each; by default the usable CPUs.",
)
@click.option(
    "--queue",
    "names",
    multiple=True,
    metavar="NAME",
    callback=_queues,
    help="Serve this queue; may be repeated, the most urgent first.",
)
@click.option("--burst", is_flag=True, help="End when nothing is ready.")
@click.pass_context
def start(context: click.Context, slots: int | None, names: tuple[str, ...], burst: bool) -> None:
    """Start workers, and stay until they end.

    Ctrl-C (or SIGTERM) takes no new job and lets the running ones end within `grace`; a second one hands
    them back at once.
    """
    reach = Reach(options_of(context))
    if reach.options.json:
        raise UsageError("xpm worker start has no JSON: ask xpm worker --json")
    workspace = reach.make_workspace()
    reach.say_where()
    reach.reader.hello()
    arguments = ["--workspace", str(workspace.path)]
    if slots or reach.settings.workers:
        arguments += ["--slots", str(slots or reach.settings.workers)]
    for name in names or (reach.settings.queue,):
        arguments += ["--queue", name]
    if burst:
        arguments.append("--burst")
    if not reach.shared:
        arguments.append("--embedded")
    sys.stdout.flush()
    sys.stderr.flush()
    # Ctrl-C is for the pool, which hears of it as soon as it can answer.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    # The URL goes by the environment, not as an argument that ps shows: it may hold a password.
    environment = {**os.environ, "XPM_BROKER": reach.url}
    os.execve(sys.executable, [sys.executable, "-P", "-m", "xpm_workers.pool", *arguments], environment)


@command("drain")
@click.argument("names", nargs=-1, metavar="[WORKER|HOST]...")
@click.option("--all", "everyone", is_flag=True, help="All workers of the workspace.")
@dry_run
@click.pass_context
def drain(context: click.Context, names: tuple[str, ...], everyone: bool, dry_run: bool) -> None:
    """Have workers finish their jobs, take no others, and end.

    Name workers by their host, their process (or HOST.PID), or their whole name. Their pool does not start others in
    their place; a script that is open, or runs later, may start local workers again.
    """
    if bool(names) == everyone:
        raise UsageError("which workers? name them or their hosts, or say --all; xpm worker lists them")
    reach = Reach(options_of(context))
    reach.say_where()
    from xpm.broker.reader import clock
    from xpm.broker.silence import silent

    chosen = reach.views.enrolled() if everyone else reach.views.named(names)
    now = clock(reach.reader)
    mute = {one.name for one in chosen if silent(one, now, reach.reader.lease)}
    busy = sum(one.job is not None and one.name not in mute for one in chosen)
    screen = Screen(no_color=reach.settings.no_color)
    if chosen and not reach.options.json:
        silence = f", {len(mute):,} not heard of lately" if mute else ""
        idle = len(chosen) - busy - len(mute)
        screen.line(f"drain {plural(len(chosen), 'worker')}: {idle:,} idle, {busy:,} with a job{silence}")
        for one in chosen[:SHOWN]:
            screen.line(f"  {'.'.join(one.place)}")
        if len(chosen) > SHOWN:
            screen.line((f"  and {len(chosen) - SHOWN:,} more", "dim"))
    told: list[str] = []
    if chosen and not dry_run:
        confirm(reach, f"Drain {plural(len(chosen), 'worker')}?")
        told = reach.broker.dismiss([one.name for one in chosen])
    if reach.options.json:
        print_json(told=told, busy=busy, silent=[name for name in told if name in mute])
        return
    if not told:
        if not dry_run:
            screen.line("no workers")
        return
    end = f", {busy:,} of them with {'its job' if busy == 1 else 'their jobs'}" if busy else ""
    heard = [name for name in told if name not in mute]
    if heard:
        screen.line(f"{plural(len(heard), 'worker')} told to end{end}")
    if len(heard) < len(told):
        screen.line(
            f"{plural(len(told) - len(heard), 'worker')} not heard of lately: to end if they come back"
        )


worker.add_command(start)
worker.add_command(drain)
