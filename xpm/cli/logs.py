"""`xpm logs`: what a job wrote, also while it writes."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from xpm.cli.options import command, options_of
from xpm.cli.reach import Reach
from xpm.cli.render import print_json
from xpm.cli.select import Found
from xpm.cli.selection import Selection, found, selection, views_for
from xpm.cli.words import brief
from xpm.core.aligned import clean
from xpm.core.state import ENDED, State
from xpm.errors import BrokerError, UsageError
from xpm.types import short
from xpm.workspace.attempts import failed_for_good, read_attempts
from xpm.workspace.results import complete

if TYPE_CHECKING:
    from xpm.broker.events import Events
    from xpm.broker.jobview import JobView
    from xpm.broker.views import Views

STREAMS = ("stdout", "stderr")
LOOK = 0.2
"""Seconds between two looks at the files."""
ASK = 5.0
"""Seconds after which the broker is asked although no event came."""
CHUNK = 1 << 16


@command("logs")
@selection
@click.option("-f", "--follow", is_flag=True, help="Go on until the one job has ended; the status says how.")
@click.option("--stdout", "only", flag_value="stdout", help="Only what it wrote to standard output.")
@click.option("--stderr", "only", flag_value="stderr", help="Only what it wrote to standard error.")
@click.pass_context
def logs(context: click.Context, selected: Selection, follow: bool, only: str | None) -> int:
    """Print what jobs wrote.

    Name JOBs, or choose them by -e, --state, --task and --where.
    """
    reach = Reach(options_of(context))
    if follow and reach.options.json:
        raise UsageError("--json and -f: not both")
    views = views_for(reach, selected)
    meant = found(reach, selected, views)
    if follow and len(meant) > 1:
        raise UsageError(
            f"-f follows one job, and {len(meant):,} are meant: name one, as xpm jobs lists them"
        )
    streams = (only,) if only else STREAMS
    if reach.options.json:
        answers = [_as_json(one, streams) for one in meant]
        print_json(**(answers[0] if selected.single else {"jobs": answers}))
        return 0
    for job in meant:
        if not selected.single:
            print(f"==> {clean(job.label)} {brief(job.id)} <==", flush=True)
        output = Output([Log(job.path / f"{name}.log") for name in streams])
        if follow:
            return Follower(reach, job, views, output).run()
        if not output.copy():
            reach.say(_nothing(job, only))
        output.end()
    return 0


def _as_json(job: Found, streams: Sequence[str]) -> dict[str, Any]:
    return {"id": job.id, "logs": {name: _whole(job.path / f"{name}.log") for name in streams}}


def _whole(path: Path) -> dict[str, str]:
    try:
        text = path.read_text("utf-8", "replace")
    except (FileNotFoundError, NotADirectoryError):
        text = ""
    return {"path": str(path), "text": text}


def _nothing(found: Found, only: str | None) -> str:
    what = only or "output"
    if found.path.is_dir():
        return f"{found.label} wrote no {what}"
    if found.view is not None and found.view.started:
        again = ": the job runs again when it is submitted again" if found.view.state is State.DONE else ""
        return f"{found.label} is {found.view.state.value}, and its directory was removed{again}"
    state = f" ({found.view.state.value})" if found.view is not None else ""
    return f"{found.label} has not started{state}"


@dataclass(slots=True)
class Log:
    """One file, read as far as it goes; when another takes its place, or it was cut, it is read from its start."""

    path: Path
    _file: int = -1
    _at: int = 0

    def read(self) -> bytes:
        """What was added since the last call, at most a chunk."""
        if self._file < 0 and not self._open():
            return b""
        data = self._more()
        if data or not self._replaced():
            return data
        os.close(self._file)
        self._file = -1
        return self._more() if self._open() else b""

    def _open(self) -> bool:
        try:
            self._file = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
        except (FileNotFoundError, NotADirectoryError):
            return False
        self._at = 0
        return True

    def _more(self) -> bytes:
        if os.fstat(self._file).st_size < self._at:
            self._at = 0
        data = os.pread(self._file, CHUNK, self._at)
        self._at += len(data)
        return data

    def _replaced(self) -> bool:
        try:
            now, mine = os.stat(self.path), os.fstat(self._file)
        except (FileNotFoundError, NotADirectoryError):
            return False
        return (now.st_dev, now.st_ino) != (mine.st_dev, mine.st_ino)


class Output:
    """Copies logs to standard output; with two of them, a head says whose lines follow."""

    def __init__(self, files: Sequence[Log]) -> None:
        self._files = files
        self._last: Log | None = None
        self._line = True
        self._several = len(files) > 1

    def copy(self) -> int:
        """Copies what is new; returns how many bytes that were."""
        count = 0
        for file in self._files:
            while data := file.read():
                self._head(file)
                sys.stdout.buffer.write(data)
                self._line = data.endswith(b"\n")
                count += len(data)
        if count:
            sys.stdout.flush()
        return count

    def _head(self, file: Log) -> None:
        # A job that writes to standard output only, as most do, is shown as it wrote.
        if (
            self._several
            and file is not self._last
            and (self._last is not None or file is not self._files[0])
        ):
            self.end()
            sys.stdout.write(f"==> {file.path.name} <==\n")
        sys.stdout.flush()
        self._last = file

    def end(self) -> None:
        """Ends a last line that the job left open, so that what comes next begins its own."""
        if not self._line:
            sys.stdout.write("\n")
            self._line = True


class Follower:
    """Shows a job's logs until it has ended."""

    def __init__(self, reach: Reach, found: Found, views: Views | None, output: Output) -> None:
        self._reach = reach
        self._found = found
        self._views = views
        self._output = output
        self._events: Events | None = None
        self._attempt = 0
        self._state: State | None = None

    def run(self) -> int:
        """Follows; returns the exit status."""
        self._listen()
        view = self._ask()
        asked = time.monotonic()
        while True:
            ended = self._ended(view)
            self._output.copy()
            if ended:
                self._output.end()
                return self._farewell(view)
            news = self._wait()
            if news or time.monotonic() - asked > ASK:
                view, asked = self._ask(), time.monotonic()

    def _listen(self) -> None:
        if self._views is None:
            return
        from xpm.broker.events import Events

        try:
            self._events = Events(self._reach.reader)
        except BrokerError:
            self._events = None

    def _ask(self) -> JobView | None:
        if self._views is None:
            return None
        try:
            view = self._views.job(self._found.id)
        except BrokerError:  # it may come back; until then the workspace tells the end
            return None
        if view is not None:
            self._remark(view)
        return view

    def _remark(self, view: JobView) -> None:
        from xpm.broker.standing import note

        if view.state is State.RUNNING and view.attempt > self._attempt > 0:
            self._output.end()
            self._reach.say(f"attempt {view.attempt} begins")
        if view.state is State.RUNNING:
            self._attempt = view.attempt
        elif view.state not in ENDED and view.state is not self._state:
            why = note(view, None, time.time())
            self._output.end()
            self._reach.say(f"{view.label} is {view.state.value}{': ' + why if why else ''}")
        self._state = view.state

    def _ended(self, view: JobView | None) -> bool:
        if view is not None:
            return view.state in ENDED or view.state is State.HOLD
        return complete(self._found.path) is not None or (
            self._views is None and failed_for_good(read_attempts(self._found.path))
        )

    def _wait(self) -> bool:
        """Waits a moment; True when the job's state may have changed."""
        if self._events is not None:
            try:
                return any(event.job == short(self._found.id) for event in self._events.read(LOOK))
            except BrokerError:
                self._events = None
        time.sleep(LOOK)
        if self._views is not None and self._events is None:
            self._listen()
            return self._events is not None
        return False

    def _farewell(self, view: JobView | None) -> int:
        from xpm.broker.standing import note

        if view is None:
            return 0 if complete(self._found.path) is not None else 1
        if view.state is State.DONE:
            if not self._found.path.is_dir():
                self._reach.say(_nothing(replace(self._found, view=view), None))
            return 0
        reason = note(view, None, time.time())
        self._reach.say(f"{view.label} is {view.state.value}{': ' + reason if reason else ''}")
        return 1
