"""`xpm token` and `xpm lock`: what there is, who holds it, who waits, and other capacities."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from xpm.cli.options import Count, Group, command, options_of
from xpm.cli.reach import Reach
from xpm.cli.render import Cell, Column, Screen, print_json
from xpm.cli.words import ago, brief
from xpm.core.requirement import ALL, MOST, checked_name
from xpm.core.spelling import nearest
from xpm.core.words import plural
from xpm.errors import UsageError

if TYPE_CHECKING:
    from xpm.broker.ledger import Holding, Ledger, ResourceView


@click.group("token", cls=Group, invoke_without_command=True)
@click.pass_context
def token(context: click.Context) -> None:
    """List tokens, show who holds one, or set how much there is.

    Without a verb: the tokens, how much of each is in use, and how many wait.
    """
    if context.invoked_subcommand is None:
        _list(Reach(options_of(context)), "th")


@click.group("lock", cls=Group, invoke_without_command=True)
@click.pass_context
def lock(context: click.Context) -> None:
    """List locks, or show who holds one."""
    if context.invoked_subcommand is None:
        _list(Reach(options_of(context)), "l")


@command("show")
@click.argument("name", metavar="TOKEN")
@click.pass_context
def show_token(context: click.Context, name: str) -> None:
    """Show who holds a token, who waits for it, and since when."""
    _show(Reach(options_of(context)), "th", name)


@command("show")
@click.argument("name", metavar="LOCK")
@click.pass_context
def show_lock(context: click.Context, name: str) -> None:
    """Show who holds a lock, who waits for it, and since when."""
    _show(Reach(options_of(context)), "l", name)


@command("set")
@click.argument("name", metavar="TOKEN")
@click.argument("capacity", type=Count(0, MOST), metavar="CAPACITY")
@click.option("--host", metavar="HOST", help="Only on this host; the token is one that is counted per host.")
@click.option("--per-host", is_flag=True, help="Make a new token one that is counted per host.")
@click.pass_context
def set_token(context: click.Context, name: str, capacity: int, host: str | None, per_host: bool) -> None:
    """Change how much there is of a token, or make one.

    Nothing is taken back: when less is left than is in use, nothing is granted until use is within it. Jobs that need
    more than there is are held, and come back when it is raised again.
    """
    from xpm.broker.ledger import set_capacity

    reach = Reach(options_of(context))
    reach.say_where()
    checked_name(name, "token")
    ledger = _ledger(reach)
    per_host = per_host or host is not None or ledger.resource(f"h.{name}") is not None
    resource = f"{'h' if per_host else 't'}.{name}"
    before = set_capacity(reach.broker, resource, capacity, host)
    if host and host not in {one.host for one in reach.views.workers()}:
        reach.say(f"no worker is on host {host} now: {name} has this capacity there once one is")
    held = ledger.held(resource)
    if reach.options.json:
        print_json(token=name, capacity=capacity, before=before, held=held, host=host, per_host=per_host)
        return
    where = f" on {host}" if host else " on each host" if per_host else ""
    was = "new" if before is None else f"was {before}"
    on_hold = (
        f"; {plural(held, 'job')} on hold, which {'needs' if held == 1 else 'need'} more" if held else ""
    )
    Screen(no_color=reach.settings.no_color).line(f"token {name}: {capacity}{where} ({was}){on_hold}")


def _ledger(reach: Reach) -> Ledger:
    from xpm.broker.ledger import Ledger

    return Ledger(reach.reader)


def _list(reach: Reach, kinds: str) -> None:
    reach.say_where()
    found = [one for one in _ledger(reach).resources() if one.need.kind in kinds]
    noun = "lock" if kinds == "l" else "token"
    if reach.options.json:
        print_json(**{"workspace": str(reach.workspace.path), f"{noun}s": [_as_json(one) for one in found]})
        return
    screen = Screen(no_color=reach.settings.no_color)
    if not found:
        example = 'requires=[lock("index").read()]' if kinds == "l" else 'requires=[token("gpu", 4)(1)]'
        screen.line(f"no {noun}s: a task that is submitted with {example} brings one")
        return
    if kinds == "l":
        columns = (Column("LOCK"), Column("HELD BY"), Column("WAITING", right=True, fixed=True))
        screen.table(columns, [[one.need.name, _use_of_lock(one), _count(one.waiting)] for one in found])
        return
    columns = (
        Column("TOKEN"),
        Column("HOST"),
        Column("CAPACITY", right=True, fixed=True),
        Column("IN USE", right=True, fixed=True),
        Column("WAITING", right=True, fixed=True),
    )
    screen.table(columns, [row for one in found for row in _rows(one)])


def _rows(one: ResourceView) -> list[list[Cell]]:
    name, waiting = one.need.name, _count(one.waiting)
    if one.need.kind != "h":
        return [[name, ("all", "dim"), str(one.capacity), _use(one.used, one.capacity), waiting]]
    each: list[Cell] = [name, ("each", "dim"), str(one.capacity), "", waiting]
    return [each, *(["", host, str(c), _use(u, c), ""] for host, (c, u) in one.hosts.items())]


def _use(used: int, capacity: int) -> Cell:
    return str(used), "bold red" if used > capacity else "yellow" if used == capacity else ""


def _count(number: int) -> Cell:
    return (f"{number:,}", "") if number else ("", "")


def _use_of_lock(one: ResourceView) -> Cell:
    if one.used >= ALL:
        return "a writer", "yellow"
    return (plural(one.used, "reader"), "") if one.used else ("nobody", "dim")


def _as_json(one: ResourceView) -> dict[str, Any]:
    if one.need.kind == "l":
        writer = one.used >= ALL
        return {
            "lock": one.need.name,
            "writer": writer,
            "readers": 0 if writer else one.used,
            "waiting": one.waiting,
        }
    per_host = one.need.kind == "h"
    hosts = {host: {"capacity": c, "used": u} for host, (c, u) in one.hosts.items()} if per_host else None
    return {
        "token": one.need.name,
        "per_host": per_host,
        "capacity": one.capacity,
        "used": one.used,
        "waiting": one.waiting,
        "hosts": hosts,
    }


def _show(reach: Reach, kinds: str, name: str) -> None:
    reach.say_where()
    ledger = _ledger(reach)
    known = [one for one in ledger.resources() if one.need.kind in kinds]
    noun = "lock" if kinds == "l" else "token"
    found = next((one for one in known if one.need.name == name), None)
    if found is None:
        names = [one.need.name for one in known]
        there = f"; there are {', '.join(names[:10])}" if names else ": there are none"
        raise UsageError(f"no {noun} {name!r}{nearest(name, names) or there}")
    resource = found.need.resource
    holders, waiters = ledger.holders(resource), ledger.waiters(resource)
    if reach.options.json:
        print_json(
            **_as_json(found),
            holders=[_one_as_json(one, resource) for one in holders],
            waiters=[_one_as_json(one, resource) for one in waiters],
        )
        return
    screen = Screen(no_color=reach.settings.no_color)
    if kinds == "l":
        screen.line(f"lock {name}: held by ", _use_of_lock(found))
    else:
        screen.table(
            (
                Column("HOST"),
                Column("CAPACITY", right=True, fixed=True),
                Column("IN USE", right=True, fixed=True),
            ),
            [row[1:4] for row in _rows(found)],
        )
    _people(screen, "held by", holders, resource)
    rest = found.waiting - len(waiters)
    _people(screen, "waiting, in the order in which they are served", waiters, resource)
    if rest > 0:
        screen.line((f"and {rest:,} more", "dim"))


def _people(screen: Screen, title: str, people: list[Holding], resource: str) -> None:
    if not people:
        return
    screen.title(title)
    what = "FOR" if resource.startswith("l.") else "AMOUNT"
    columns = (
        Column("ID", fixed=True),
        Column(what, right=what == "AMOUNT", fixed=True),
        Column("SINCE", right=True, fixed=True),
        Column("HOST"),
        Column("WHO"),
    )
    others = any(one.workspace for one in people)
    screen.table(
        (*columns, Column("WORKSPACE")) if others else columns,
        [
            [
                (brief(one.job), "dim"),
                _amount(one, resource),
                ago(one.since),
                one.host,
                one.label,
                *([one.workspace] if others else []),
            ]
            for one in people
        ],
    )


def _amount(one: Holding, resource: str) -> str:
    if resource.startswith("l."):
        return "writing" if one.amount >= ALL else "reading"
    return str(one.amount)


def _one_as_json(one: Holding, resource: str) -> dict[str, Any]:
    shown: dict[str, Any] = {"job": one.job or None, "label": one.label}
    what = {"write": one.amount >= ALL} if resource.startswith("l.") else {"amount": one.amount}
    return {
        **shown,
        **what,
        "since": one.since or None,
        "host": one.host or None,
        "workspace": one.workspace or None,
    }


token.add_command(show_token)
token.add_command(set_token)
lock.add_command(show_lock)
