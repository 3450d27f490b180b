"""How `xpm show` prints all that is known of a job."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

from xpm.cli.render import Cell, Column, Screen, state_cell
from xpm.cli.sheet import Relative, Sheet, Try, first_line
from xpm.cli.words import brief, duration, moment, size, tags_line
from xpm.core.state import State

DEPENDENTS = 20
LONGEST_VALUE = 400


def show(screen: Screen, sheet: Sheet) -> None:
    """Prints the sheet."""
    screen.line((sheet.label, "bold"), "  ", (brief(sheet.id), "dim"))
    screen.pairs(_facts(sheet), indent="  ")
    if sheet.parameters:
        screen.title("Parameters")
        screen.pairs([(name, _value(value)) for name, value in sheet.parameters.items()], indent="  ")
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
    facts += [
        (name, moment(at)) for name, at in (("submitted", sheet.submitted), ("started", sheet.started)) if at
    ]
    if sheet.ended and sheet.state != State.RUNNING:
        facts.append(("ended", moment(sheet.ended)))
    if sheet.result is not None:
        facts.append(("result", _value(sheet.result)))
    facts.append(
        ("directory", str(sheet.directory) if sheet.exists else f"{sheet.directory} (not there yet)")
    )
    facts += [
        (Path(name).stem, f"{sheet.directory / name} ({size(count)})") for name, count in sheet.logs.items()
    ]
    if sheet.code:
        facts.append(("code", f"{sheet.code} of {sheet.project}" if sheet.project else sheet.code))
    facts += [("remark", text) for text in sheet.remarks]
    return facts


def _value(value: Any) -> str:
    """A parameter or result in one line: a dependency by its name, the rest as JSON."""
    if isinstance(value, str):
        return value
    text = json.dumps(_named(value), ensure_ascii=False, default=str)
    return text if len(text) <= LONGEST_VALUE else f"{text[:LONGEST_VALUE]}..."


def _named(value: Any) -> Any:
    if isinstance(value, dict):
        found = cast("dict[str, Any]", value)
        if "$job" in found:
            name = str(found.get("$task") or found.get("$path") or "job")
            return f"{name.split(':')[-1].split('.')[-1]} {brief(str(found['$job']))}"
        if "$type" in found:
            kind = str(found["$type"]).split(":")[-1].split(".")[-1]
            return {kind: {name: _named(one) for name, one in found.items() if name != "$type"}}
        return {name: _named(one) for name, one in found.items()}
    if isinstance(value, list):
        return [_named(one) for one in cast("list[Any]", value)]
    return value


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
