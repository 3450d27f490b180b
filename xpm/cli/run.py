"""`xpm run` and `xpm attach`."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NoReturn

import click

from xpm import started
from xpm.cli import params
from xpm.cli.options import Count, Options, command, options_of
from xpm.cli.reach import Reach
from xpm.cli.render import print_json
from xpm.errors import UsageError
from xpm.settings import PREFIX, load


@command("run", context_settings={"allow_interspersed_args": False})
@click.option("--detach", is_flag=True, help="End once all is submitted; the experiment goes on.")
@click.option("--dry-run", is_flag=True, help="Say what the script would do and change nothing.")
@click.option(
    "--workers", type=Count(), metavar="N", help="So many local workers; by default as many as usable CPUs."
)
@click.option(
    "-s",
    "--set",
    "sets",
    multiple=True,
    metavar="NAME=VALUE",
    help="Set a parameter of a YAML file: model.layers=3.",
)
@click.option("--pdb", metavar="JOB", help="Run this job again, here, under the debugger; no script.")
@click.option("--compat", is_flag=True, help="Code that imports experimaestro runs on xpm.")
@click.argument("script", required=False, metavar="SCRIPT")
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED, metavar="[ARGS]...")
@click.pass_context
def run(
    context: click.Context,
    detach: bool,
    dry_run: bool,
    workers: int | None,
    sets: tuple[str, ...],
    pdb: str | None,
    compat: bool,
    script: str | None,
    arguments: tuple[str, ...],
) -> int:
    """Run a script, or a YAML file, with its experiment.

    Options stand before the script, its own arguments after it. Behind a YAML file may stand -s NAME=VALUE, further
    YAML files, and arguments for its run(helper, cfg). Ctrl-C once leaves the experiment
    running and says how to come back; twice asks whether to cancel it.
    """
    options = options_of(context)
    if options.json:
        raise UsageError("xpm run shows what the script prints: ask xpm experiments --json")
    if pdb is not None:
        if script is not None or detach or dry_run or sets or compat:
            raise UsageError("--pdb JOB stands alone: the job is known already")
        from xpm.cli.debug import debug

        return debug(Reach(options), pdb)
    if script is None:
        raise UsageError("which script? xpm run [OPTIONS] SCRIPT [ARGS]")
    path = Path(script)
    if not path.is_file():
        raise UsageError(
            f"no script {script or repr(script)}"
            + (": it is a directory" if script and path.is_dir() else "")
        )
    program = [script, *arguments]
    if path.suffix.lower() in params.ENDINGS:
        path, program = params.program(path, sets, arguments)
    elif path.suffix.lower() in _DATA:
        raise UsageError(f"{script} is no Python script")
    elif sets:
        raise UsageError(f"-s sets parameters of a YAML file; what is for {script} stands behind it")
    if compat:
        program = ["-m", "xpm.compat", *program]
    said = _said(options, detach, dry_run, workers)
    load(command=said, script=path)  # a wrong setting is told before the script begins
    _become(program, said)


_DATA = frozenset({".json", ".toml", ".ini", ".cfg", ".md", ".txt", ".ipynb", ".csv", ".sh"})
"""Endings of files that are certainly no scripts, whatever Python would make of their first line."""


def _said(options: Options, detach: bool, dry_run: bool, workers: int | None) -> dict[str, object]:
    """What the options say, as settings."""
    return {
        **options.settings(),
        "workers": workers,
        "detach": detach or None,
        "dry_run": dry_run or None,
    }


def _become(program: Sequence[str], said: Mapping[str, object]) -> NoReturn:
    """This process becomes the script's, as `python script.py` starts it; only what was typed is left in it."""
    values = {
        PREFIX + name.upper(): "1" if value is True else str(value)
        for name, value in said.items()
        if value is not None
    }
    sys.stdout.flush()
    sys.stderr.flush()
    command = [sys.executable, *started.options(["xpm", *map(_safe, sys.argv[1:])]), *program]
    os.execve(sys.executable, command, {**os.environ, **values})


def _safe(word: str) -> str:
    """A word of the command line without a password in it."""
    if "@" not in word and "password" not in word:
        return word
    from xpm.broker.connect import safe  # slow to load, and seldom needed

    return safe(word)


@command("attach")
@click.argument("experiment")
@click.pass_context
def attach(context: click.Context, experiment: str) -> int:
    """Watch an experiment until it ends.

    The status says how it ended. Ctrl-C leaves it running.
    """
    from xpm.cli import experiments
    from xpm.cli.listing import newest_run
    from xpm.experiment import attach as watch

    reach = Reach(options_of(context))
    _ = reach.workspace  # that there is none is said as other commands say it
    status = watch(experiment, reach.settings)
    if reach.options.json:
        print_json(
            workspace=str(reach.workspace.path), **experiments.as_json(newest_run(reach.views, experiment))
        )
    return status
