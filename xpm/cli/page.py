"""How `xpm show` prints all that is known of a job."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from typing import Any, cast

from xpm.cli.render import Cell, Column, Screen, state_cell
from xpm.cli.sheet import Relative, Sheet, Try, first_line
from xpm.cli.words import brief, moment, size, tags_line
from xpm.core.lengths import duration
from xpm.core.naming import last_name
from xpm.core.state import State
from xpm.workspace.directory import STALE

DEPENDENTS = 20
LONGEST_VALUE = 400

_MOVING = frozenset({State.WAITING, State.READY, State.RUNNING, State.SCHEDULED, State.HOLD})
"""A job in one of these has ended, if at all, in an earlier attempt."""


def show(screen: Screen, sheet: Sheet) -> None:
    """Prints the sheet."""
    screen.line((sheet.label, "bold"), "  ", (brief(sheet.id), "dim"))
    screen.pairs([*_facts(sheet), ("directory", _absence(sheet))], indent="  ")
    screen.whole(f"  {sheet.directory}")
    if sheet.earlier:
        count = len(sheet.earlier)
        what = "an earlier attempt" if count == 1 else f"{count} earlier attempts"
        screen.line((f"  the files of {what} are in {STALE}", "dim"))
    if sheet.parameters:
        screen.title("Parameters")
        pairs = [(name.replace("$init", "init tasks"), _value(of)) for name, of in sheet.parameters.items()]
        screen.pairs(pairs, indent="  ")
    if sheet.inputs:
        _show_relatives(screen, "Depends on", sheet.inputs)
    if sheet.dependents:
        _show_relatives(screen, "Needed by", sheet.dependents)
    if sheet.attempts:
        screen.title("Attempts")
        _show_attempts(screen, sheet.attempts)
    if sheet.failure is not None:
        screen.title("Failure")
        screen.block((sheet.failure.traceback or first_line(sheet.failure)).rstrip(), "red")


def _absence(sheet: Sheet) -> str:
    """What there is to say of a directory that isn't there."""
    if sheet.exists:
        return ""
    if sheet.state == State.DONE:
        return "removed: the job runs again when it is submitted again"
    return "removed" if sheet.started else "not there yet"


def _facts(sheet: Sheet) -> list[tuple[str, Cell]]:
    state: Cell = state_cell(State(sheet.state)) if sheet.state in State.__members__ else sheet.state
    style = state[1] if isinstance(state, tuple) else ""
    said = f"{sheet.state}: {sheet.note}" if sheet.note else sheet.state
    facts: list[tuple[str, Cell]] = [
        ("state", (said, style)),
        ("task", sheet.task),
        ("identifier", sheet.id),
    ]
    for name, tags in sheet.experiments.items():
        facts.append(("experiment", f"{name}  {tags_line(tags)}".rstrip()))
    if sheet.queue:
        facts.append(
            ("queue", f"{sheet.queue}, priority {sheet.priority}" if sheet.priority else sheet.queue)
        )
    if sheet.environ:
        facts.append(("environment", " ".join(f"{name}={value}" for name, value in sheet.environ.items())))
    facts += [
        (name, moment(at)) for name, at in (("submitted", sheet.submitted), ("started", sheet.started)) if at
    ]
    if sheet.ended and sheet.state not in _MOVING:
        facts.append(("ended", moment(sheet.ended)))
    if sheet.result is not None:
        facts.append(("result", _value(sheet.result)))
    if sheet.logs:
        wrote = ", ".join(f"{name} {size(count)}" for name, count in sheet.logs.items())
        facts.append(("logs", f"{wrote} (xpm logs {brief(sheet.id)})"))
    if sheet.code:
        facts.append(("code", f"{sheet.code} of {sheet.project}" if sheet.project else sheet.code))
    facts += [("remark", text) for text in sheet.remarks]
    return facts


def _value(value: Any) -> str:
    """A parameter or a result in one line, as its reader would write it."""
    text = value if isinstance(value, str) else _written(value)
    return text if len(text) <= LONGEST_VALUE else f"{text[:LONGEST_VALUE]}..."


def _written(value: Any) -> str:
    if isinstance(value, dict):
        return _written_dict(cast("dict[str, Any]", value))
    if isinstance(value, list):
        return f"[{', '.join(_written(one) for one in cast('list[Any]', value))}]"
    return json.dumps(value, ensure_ascii=False, default=str)


def _written_dict(value: dict[str, Any]) -> str:
    """A dependency is its name and first digits, a config a call, all else what JSON writes."""
    if "$job" in value:
        name = f"{last_name(str(value['$task']))} " if "$task" in value else ""
        return f"{name}{brief(str(value['$job']))}" + (f"/{value['$path']}" if "$path" in value else "")
    if "$type" in value:
        given = ", ".join(f"{name}={_written(one)}" for name, one in value.items() if name != "$type")
        return f"{last_name(str(value['$type']))}({given})"
    return f"{{{', '.join(f'{json.dumps(name)}: {_written(one)}' for name, one in value.items())}}}"


def _show_relatives(screen: Screen, title: str, jobs: Sequence[Relative]) -> None:
    screen.title(f"{title} ({len(jobs)})")
    columns = (Column("STATE", fixed=True), Column("ID", fixed=True), Column("JOB"))
    # What holds this job up is what its reader came for.
    worst = sorted(jobs, key=lambda job: job.state == State.DONE)
    table: list[list[Cell]] = [
        [_state_of(job), (brief(job.id), "dim"), job.label] for job in worst[:DEPENDENTS]
    ]
    screen.table(columns, table)
    if len(jobs) > DEPENDENTS:
        screen.line((f"{len(jobs) - DEPENDENTS} more", "dim"))


def _state_of(job: Relative) -> Cell:
    return state_cell(State(job.state)) if job.state in State.__members__ else job.state


def _show_attempts(screen: Screen, attempts: Sequence[Try]) -> None:
    columns = (
        Column("#", right=True, fixed=True),
        Column("END", fixed=True),
        Column("STARTED", fixed=True),
        Column("TOOK", right=True, fixed=True),
        Column("HOST"),
        Column("MESSAGE"),
    )
    table: list[list[Cell]] = []
    for one in attempts:
        took = duration((one.ended or time.time()) - one.started) if one.started else ""
        left = f" (status {one.exit_code})" if one.exit_code else ""
        table.append([str(one.number), f"{one.end}{left}", moment(one.started), took, one.host, one.message])
    screen.table(columns, table)
