"""`xpm workspace import`: the done jobs of an experimaestro workspace."""

from __future__ import annotations

import os
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import click

from xpm.cli.control import dry_run
from xpm.cli.options import Group, command, options_of
from xpm.cli.reach import Reach
from xpm.cli.render import Screen, print_json
from xpm.core.words import plural
from xpm.errors import UsageError, WorkspaceError

if TYPE_CHECKING:
    from xpm.compat.importing import Imported

SHOWN = 10
"""Reasons that are shown; `--json` has all."""


@click.group("workspace", cls=Group)
def workspace() -> None:
    """Take over the jobs of an experimaestro workspace."""


@command("import")
@click.argument("old", type=click.Path(path_type=Path), metavar="OLD")
@click.option(
    "--script", metavar="SCRIPT", help="For jobs of a script that was moved or renamed: where it is now."
)
@click.option(
    "--copy", is_flag=True, help="Copy files; else both workspaces share them, where the disk can do that."
)
@dry_run
@click.pass_context
def import_(context: click.Context, old: Path, script: str | None, copy: bool, dry_run: bool) -> int:
    """Take over the done jobs of an experimaestro workspace.

    Run it in the project, whose classes describe the jobs. A job is taken over if they would still describe it; then
    the same task isn't run again. The old workspace stays as it is. Can be repeated.
    """
    from xpm.compat.importing import Import

    reach = Reach(options_of(context))
    if not old.is_dir():
        raise UsageError(f"there is no directory {old}")
    if script is not None and not Path(script).is_file():
        raise UsageError(f"--script: there is no {script}")
    _find_modules()
    task = Import(old, reach.make_workspace(), script=script, copy=copy, dry=dry_run)
    try:
        found = task.run()
    except OSError as error:
        raise WorkspaceError(f"the import stopped: {error}; it can be repeated") from None
    if reach.options.json:
        reasons = [
            {"task": task, "reason": reason, "jobs": count} for (task, reason), count in found.refused.items()
        ]
        print_json(imported=found.new, there=found.there, refused=reasons, dry_run=dry_run)
    else:
        _show(reach, found, dry=dry_run)
    return 1 if found.refused else 0


def _find_modules() -> None:
    """The project's modules are found as if a script beside them ran."""
    from xpm.project import project_root

    root, _ = project_root(Path.cwd())
    for folder in (os.fspath(root / "src"), os.fspath(root), os.getcwd()):
        if folder not in sys.path:
            sys.path.insert(0, folder)


def _show(reach: Reach, found: Imported, *, dry: bool) -> None:
    screen = Screen(no_color=reach.settings.no_color)
    refused = Counter(found.refused)
    for (task, reason), count in refused.most_common(SHOWN):
        screen.line(f"{plural(count, 'job')} of {task} left: {reason}")
    if len(refused) > SHOWN:
        screen.line(f"{plural(len(refused) - SHOWN, 'further reason')}: see --json")
    there = f", {found.there:,} were there" if found.there else ""
    left = f", {refused.total():,} left" if refused else ""
    screen.line(f"{plural(found.new, 'job')} {'to import' if dry else 'imported'}{there}{left}")


workspace.add_command(import_)
