"""`xpm broker`: the workspace's own server, or the shared one that the settings name."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import click

from xpm.broker.names import WORKER
from xpm.cli.options import Group, command, options_of
from xpm.cli.reach import PATIENCE, Reach
from xpm.cli.render import Cell, Screen, print_json
from xpm.cli.words import ago, moment, size
from xpm.errors import BrokerError, UsageError
from xpm.here import this_host

if TYPE_CHECKING:
    import psutil


@click.group("broker", cls=Group, invoke_without_command=True)
@click.pass_context
def broker(context: click.Context) -> int | None:
    """Start, stop and look at the broker.

    Without a verb: its status.
    """
    return _status(Reach(options_of(context))) if context.invoked_subcommand is None else None


@command("status")
@click.pass_context
def status(context: click.Context) -> int:
    """Say what runs where; starts nothing.

    The exit status is 3 when no broker is there.
    """
    return _status(Reach(options_of(context)))


def _status(reach: Reach) -> int:
    return _shared_status(reach) if reach.shared else _own_status(reach)


def _own_status(reach: Reach) -> int:
    reach.say_where()
    found = reach.embedded.status()
    if reach.options.json:
        print_json(
            kind="embedded",
            running=found.running,
            here=found.here,
            url=found.url or None,
            host=found.host or None,
            pid=found.pid,
            since=found.since,
            server=found.server or None,
            data=found.data or None,
            log=found.log or None,
            clients=found.clients,
            memory=found.memory,
            busy=found.busy or {},
            answers=found.running and not found.silence,
        )
        return 0 if found.running and not found.silence else 3
    screen = Screen(no_color=reach.settings.no_color)
    if found.lost:
        screen.line(
            f"the workspace's server (process {found.pid}) has lost its data, {found.data}; "
            "the next script or command that needs one ends it and starts another"
        )
        return 3
    if not found.running and found.here:
        screen.line("the workspace's server does not run; the next script or command that needs it starts it")
        return 3
    if not found.here:
        where = f"host {found.host} (user {found.user})"
        screen.line(f"the workspace's server runs on {where} since {moment(found.since or 0)}")
        return 3
    if found.silence:
        screen.line(f"the workspace's server (process {found.pid}) {found.silence}")
        return 3
    facts: list[tuple[str, Cell]] = [
        ("running", f"since {moment(found.since or 0)} ({ago(found.since or 0)}), process {found.pid}"),
        ("url", found.url),
        ("server", found.server),
        ("data", found.data),
        ("log", found.log),
        ("clients", str(found.clients)),
        ("memory", size(found.memory)),
    ]
    busy = ", ".join(f"{count:,} {state}" for state, count in (found.busy or {}).items() if count)
    facts.append(("jobs", busy or "none waits or runs"))
    screen.pairs(facts)
    return 0


def _shared_status(reach: Reach) -> int:
    from xpm.broker.connect import open_client, safe

    url = reach.url
    with open_client(url, patience=PATIENCE) as client:
        info: dict[str, Any] = _info(client, url)
    version = info.get("valkey_version") or info.get("redis_version")
    family = "valkey" if "valkey_version" in info else "redis"
    warnings, unfit = _fitness(url)
    values: dict[str, Any] = {
        "server": f"{family} {version}",
        "memory": int(info.get("used_memory", 0)),
        "clients": int(info.get("connected_clients", 0)),
        "append_only_file": bool(int(info.get("aof_enabled", 0))),
    }
    if reach.options.json:
        print_json(kind="shared", running=True, url=safe(url), **values, warnings=warnings, unfit=unfit)
        return 0 if unfit is None else 2
    facts: list[tuple[str, Cell]] = [
        ("url", f"{safe(url)} ({reach.settings.source('broker')})"),
        ("server", values["server"]),
        ("clients", str(values["clients"])),
        ("memory", size(values["memory"])),
        ("append-only file", "on" if values["append_only_file"] else ("off", "yellow")),
    ]
    facts += [("warning", (text, "yellow")) for text in warnings]
    if unfit is not None:
        facts.append(("unfit", (unfit, "bold red")))
    Screen(no_color=reach.settings.no_color).pairs(facts)
    return 0 if unfit is None else 2


def _info(client: Any, url: str) -> dict[str, Any]:
    from xpm.broker.connect import translated

    with translated(url):
        return client.execute_command("INFO")


def _fitness(url: str) -> tuple[list[str], str | None]:
    """The warnings about a broker, and why it must not be used, if so."""
    from xpm.broker.connect import check, open_client
    from xpm.errors import BrokerUnsuitable

    with open_client(url) as client:
        try:
            return check(client, url), None
        except BrokerUnsuitable as error:
            return [], str(error)


@command("start")
@click.pass_context
def start(context: click.Context) -> None:
    """Start the workspace's server if it does not run."""
    reach = Reach(options_of(context))
    _own(reach)
    reach.make_workspace()
    ran = reach.embedded.status().running
    _print_url(reach, reach.embedded.ensure(), "runs already" if ran else "started")


def _print_url(reach: Reach, url: str, what: str) -> None:
    if reach.options.json:
        print_json(url=url, started=what == "started")
    else:
        print(f"{what}: {url}")


@command("stop")
@click.option(
    "--force", is_flag=True, help="Also while jobs wait or run (they go on later), or a script is connected."
)
@click.pass_context
def stop(context: click.Context, force: bool) -> None:
    """Stop the workspace's server and its workers on this host.

    Its data stay: the next script or command that needs the server starts it, and goes on.
    """
    reach = Reach(options_of(context))
    _own(reach)
    found = reach.embedded.status()
    if found.running or found.lost:
        if found.running and not force:
            _refuse_busy(reach)
        _stop_pools(reach, at_once=force)
    stopped = reach.embedded.stop(force=force, ignore=(WORKER,))
    if reach.options.json:
        print_json(stopped=stopped)
    else:
        print("stopped" if stopped else "it did not run")


def _refuse_busy(reach: Reach) -> None:
    from xpm.broker.idle import BUSY, idle

    counts = reach.views.counts()
    busy = ", ".join(f"{counts[state]:,} {state}" for state in BUSY if counts[state])
    if busy:
        raise BrokerError(
            f"the server is in use: {busy}; xpm cancel ends them, --force stops it all the same"
        )
    if not idle(reach.reader, WORKER):
        raise BrokerError("the server is in use: a script is connected; --force stops it all the same")


def _stop_pools(reach: Reach, *, at_once: bool) -> None:
    """Ends the pools of this host: a worker would start its server again."""
    import psutil

    if reach.answered:
        reach.reader.client.close()  # so that this process is none of those who are connected
    ours = {one.pid: one for one in psutil.process_iter(["cmdline", "ppid"]) if _serves(one, reach)}
    # A worker is a copy of its pool, which it ends with.
    pools = [one for one in ours.values() if one.info["ppid"] not in ours]
    _terminate(pools)
    if at_once:  # the first signal lets jobs end, a second, if it is told from the first, hands them back
        _, left = psutil.wait_procs(pools, timeout=0.5)
        _terminate(left)
    psutil.wait_procs(pools, timeout=reach.settings.grace + 10)


def _serves(process: psutil.Process, reach: Reach) -> bool:
    """Whether a process is a pool of this workspace, or a worker of one."""
    words: list[str] = process.info["cmdline"] or []
    return "xpm_workers.pool" in words and str(reach.workspace.path) in words


def _terminate(pools: Sequence[psutil.Process]) -> None:
    import psutil

    for pool in pools:
        with suppress(psutil.Error):
            pool.terminate()


@command("takeover")
@click.pass_context
def takeover(context: click.Context) -> None:
    """Make this host the home of the workspace's server.

    For when the host that had it is gone for good; its data stay there.
    """
    from xpm.cli.touch import confirm

    reach = Reach(options_of(context))
    _own(reach)
    found = reach.embedded.status()
    if found.here:
        raise UsageError("the workspace's server is this host's already")
    confirm(
        reach,
        f"Take the server over from host {found.host} (user {found.user})? "
        "Its data stay there: jobs that wait are submitted anew.",
    )
    reach.embedded.takeover()
    if reach.options.json:
        print_json(host=this_host())
    else:
        print(f"the workspace's server is now this host's: {this_host()}")


@command("url")
@click.pass_context
def url(context: click.Context) -> None:
    """Print the broker's URL.

    As other programs take it: rq info -u "$(xpm broker url)". The server is started if need be.
    """
    reach = Reach(options_of(context))
    found = resolved(reach.url)
    if reach.options.json:
        print_json(url=found)
    else:
        print(found)


def resolved(url: str) -> str:
    """The URL of the master itself: rq knows no sentinels."""
    from xpm.broker.connect import SENTINEL, open_client, translated

    if not url.startswith(SENTINEL):
        return url
    from urllib.parse import quote

    with open_client(url) as client, translated(url):
        pool: Any = client.connection_pool
        host, port = pool.get_master_address()
        known: dict[str, Any] = pool.connection_kwargs
    name, password = (quote(str(known.get(key) or ""), safe="") for key in ("username", "password"))
    secret = f"{name}:{password}@" if password else ""
    return f"redis://{secret}{host}:{port}/{known.get('db') or 0}"


def _own(reach: Reach) -> None:
    if reach.shared:
        raise UsageError(
            f"the broker is a shared one ({reach.settings.source('broker')}): it is not xpm's to start or stop"
        )


for one in (start, stop, status, url, takeover):
    broker.add_command(one)
