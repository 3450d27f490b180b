"""What is said of a run at its end."""

from __future__ import annotations

import shutil
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from xpm.broker.broker import Failure
from xpm.broker.jobview import JobView
from xpm.broker.views import RunView, Views
from xpm.core.lengths import duration
from xpm.core.state import State
from xpm.errors import WorkspaceError
from xpm.experiment.commands import Commands
from xpm.experiment.link import Link
from xpm.experiment.obstacles import DEPENDENCY, NO_INPUT
from xpm.experiment.pace import ORDER
from xpm.experiment.voice import Voice, agree, all_jobs, jobs, nothing_to_do
from xpm.types import JobId
from xpm.workspace.layout import Workspace
from xpm.workspace.paths import LOGS
from xpm.workspace.rundir import RunDirectory

LISTED = 5
"""Failed jobs that are named, at most."""

WIDEST = 40
"""Characters up to which names are brought into line."""

LINES = 12
"""Lines of a traceback that are shown."""


@dataclass(frozen=True, slots=True)
class Unfinished:
    """A job without a result at the end of a run."""

    id: JobId
    task: str
    label: str
    state: State
    reason: str
    """What went wrong, in a line."""
    path: Path


@dataclass(frozen=True, slots=True)
class Ending:
    """A run at its end, as `tell` needs it."""

    experiment: str
    commands: Commands
    view: RunView
    seconds: float
    before: int = 0
    """Jobs that were done before."""
    others: str = ""
    """What to say of those of them that were made by other code than today's."""
    again: str = ""
    """The command that goes on."""


def unfinished(views: Views, workspace: Workspace, ids: Sequence[str]) -> list[Unfinished]:
    """Those of the jobs `ids` that are not DONE; what failed first comes first."""
    states = views.states(ids)
    missing = [job for job, found in zip(ids, states, strict=True) if found and found[0] is not State.DONE]
    found = [job for job in views.jobs(missing) if job and job.state is not State.DONE]
    found.sort(key=lambda job: (_SEVERITY.get(job.state, 9), job.ended))
    return [_unfinished(job, workspace) for job in found]


_SEVERITY = {State.ERROR: 0, State.LOST: 1, State.CANCELLED: 2, State.HOLD: 3}


def _unfinished(job: JobView, workspace: Workspace) -> Unfinished:
    reason = job.reason
    if job.state is State.HOLD:
        others = [hold for hold in job.holds if hold != DEPENDENCY]
        reason = f"on hold: {', '.join(others) or NO_INPUT}"
    return Unfinished(job.id, job.task, job.label, job.state, reason, workspace.jobpath(job.task, job.id))


def note_end(directory: RunDirectory, plan: str, codes: Mapping[str, int], voice: Voice) -> None:
    """Notes that all jobs of a run are done. Where that can't be written, the next run has more to ask, and no more."""
    try:
        directory.add_end(plan, codes)
    except WorkspaceError as error:
        voice.say(f"warning: {error}: the next run asks the broker again")


def tell(ending: Ending, link: Link, left: Sequence[Unfinished], voice: Voice) -> None:
    """Says how the run ended: what was done, what failed first and where, and how to go on.

    Args:
        ending: the run.
        link: asked why a job failed, when some is left.
        left: the jobs that are not done, what failed first in the first place.
        voice: says it.
    """
    if not left:
        voice.say(_done(ending), style="green")
    else:
        voice.say(f"{ending.experiment}: {_counts(ending)} ({duration(ending.seconds)})", style="bold red")
    if ending.others:
        voice.say(ending.others)
    moving = sum(job.state not in _SEVERITY for job in left)
    if moving:
        voice.say(f"{jobs(moving)} {agree(moving, 'go')} on, for other experiments")
    if len(left) > moving:
        voice.say("\n".join(link.ask(lambda: list(_trouble(ending, link.views, left, voice)))))


def _done(ending: Ending) -> str:
    total, before, name = ending.view.total, ending.before, ending.experiment
    if not total:
        return f"{name}: no jobs"
    if before >= total:
        return f"{name}: {nothing_to_do(total)}"
    return f"{name}: {all_jobs(total)} done{_reused(ending)} ({duration(ending.seconds)})"


def _reused(ending: Ending) -> str:
    return f", {ending.before:,} of them before" if ending.before else ""


def _counts(ending: Ending) -> str:
    shown = [(ending.view.counts.get(state, 0), word) for state, word, _ in ORDER]
    order = sorted(shown, key=lambda pair: pair[1] == "done")
    return ", ".join(f"{n:,} {word}" for n, word in order if n) + _reused(ending)


def _trouble(ending: Ending, views: Views, left: Sequence[Unfinished], voice: Voice) -> Iterator[str]:
    first = left[0]
    failure = views.failure(first.id) if first.state is State.ERROR else None
    yield ""
    yield _wrapped(voice, f"{first.label}  {first.id[:8]}  {_what(first, failure)}")
    yield from (f"    {line}" for line in traceback_lines(failure))
    same = [job for job in left[1:] if job.state is first.state]
    if same:
        yield ""
        listed = same[: LISTED - 1]
        width = min(WIDEST, max(len(job.label) for job in listed))
        for job in listed:
            failure = views.failure(job.id) if job.state is State.ERROR else None
            yield _wrapped(voice, f"{job.label:{width}}  {job.id[:8]}  {_what(job, failure)}")
        if len(same) >= LISTED:
            yield f"and {len(same) - LISTED + 1:,} more"
    yield ""
    name, xpm = first.id[:8], ending.commands.xpm
    logs = first.state is State.ERROR or any((first.path / log).exists() for log in LOGS)
    commands = [
        (xpm("logs", name) if logs else "", "what it printed"),
        (xpm("show", name), "everything about it"),
        (xpm("jobs", "-e", ending.experiment), "all jobs"),
        (ending.again, "goes on: runs what is not done, and nothing else"),
    ]
    width = max(len(command) for command, _ in commands)
    yield from (f"  {command:{width}}  {text}" for command, text in commands if command)


def _wrapped(voice: Voice, text: str) -> str:
    """A long line broken between words, where a person looks on; elsewhere as it is."""
    if not voice.terminal:
        return text
    width = shutil.get_terminal_size().columns
    return textwrap.fill(
        text, width, subsequent_indent="    ", break_long_words=False, break_on_hyphens=False
    )


def _what(job: Unfinished, failure: Failure | None) -> str:
    if failure is None:
        return job.reason or job.state
    return f"{failure.type}: {failure.message}".splitlines()[0] if failure.message else failure.type


def traceback_lines(failure: Failure | None) -> list[str]:
    """The first lines of a failure's traceback, where the user's own are; none if it only says the error again."""
    lines = failure.traceback.rstrip().splitlines() if failure is not None else []
    if len(lines) < 2:
        return []
    return lines if len(lines) <= LINES else [*lines[:LINES], "..."]
