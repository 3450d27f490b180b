"""The command `xpm`: finds the command, runs it, and turns what goes wrong into one line and a status."""

from __future__ import annotations

import os
import sys
from collections.abc import Generator, Sequence
from contextlib import contextmanager, suppress
from importlib import import_module
from typing import Any, NamedTuple, cast

import click

from xpm.cli.options import Group, Options
from xpm.core.aligned import clean
from xpm.core.spelling import nearest
from xpm.errors import XpmError
from xpm.standard import open_missing
from xpm.statuses import DETACHED, FAILED, USAGE, of_error


class _Entry(NamedTuple):
    """A command that is imported when it is called, with the line that the list of commands shows."""

    module: str
    help: str
    section: str


_RUN, _LOOK, _CHANGE, _PARTS, _TOOLS = (
    "Experiments",
    "Jobs",
    "Changing jobs",
    "Workers and broker",
    "Tools",
)

COMMANDS = {
    "run": _Entry("run", "Run a script, or a YAML file, with its experiment.", _RUN),
    "attach": _Entry("run", "Watch an experiment until it ends.", _RUN),
    "experiments": _Entry("experiments", "List the experiments, the newest first.", _RUN),
    "cancel": _Entry("cancel", "Give up what an experiment still has to do, or some jobs.", _RUN),
    "jobs": _Entry("jobs", "List jobs: running, failed and newest first.", _LOOK),
    "show": _Entry("jobs", "Show all there is to know about jobs.", _LOOK),
    "why": _Entry("why", "Say why a job is not running.", _LOOK),
    "logs": _Entry("logs", "Print what jobs wrote.", _LOOK),
    "kill": _Entry("control", "End the executions of running jobs.", _CHANGE),
    "hold": _Entry("control", "Keep jobs from starting.", _CHANGE),
    "release": _Entry("control", "Let jobs go that a person or the brake holds.", _CHANGE),
    "retry": _Entry("control", "Run jobs again that failed or were cancelled.", _CHANGE),
    "rerun": _Entry("control", "Run jobs again that are done.", _CHANGE),
    "priority": _Entry("control", "Set the priority of jobs.", _CHANGE),
    "queue": _Entry("queue", "List queues, pause and resume them.", _PARTS),
    "worker": _Entry("worker", "List workers, start some, have some end.", _PARTS),
    "token": _Entry("token", "List tokens, show who holds one, or set how much there is.", _PARTS),
    "lock": _Entry("lock", "List locks, or show who holds one.", _PARTS),
    "broker": _Entry("broker", "Start, stop and look at the broker.", _PARTS),
    "rq-dashboard": _Entry("dashboard", "Show queues and jobs in RQ's web page.", _PARTS),
    "workspace": _Entry("workspace", "Take over the jobs of an experimaestro workspace.", _TOOLS),
    "doctor": _Entry("doctor", "Look for what is wrong, and say how to mend it.", _TOOLS),
}


class _SeenEnough(Exception):
    """Whoever reads our output has closed it, as `head` does; to click that would be a failure."""


@contextmanager
def _reader() -> Generator[None]:
    try:
        yield
    except BrokenPipeError as error:
        raise _SeenEnough from error


class _Root(Group):
    """The commands by name; each is imported when it is called."""

    def make_context(self, *args: Any, **more: Any) -> click.Context:
        with _reader():
            return super().make_context(*args, **more)

    def invoke(self, ctx: click.Context) -> Any:
        with _reader():
            return super().invoke(ctx)

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        entry = COMMANDS.get(cmd_name)
        if entry is None:
            return None
        module = import_module(f"xpm.cli.{entry.module}")
        return cast(click.Command, getattr(module, cmd_name.replace("-", "_")))

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        width = max(map(len, COMMANDS))
        for section in (_RUN, _LOOK, _CHANGE, _PARTS, _TOOLS):
            rows = [
                (f"{name:{width}}", entry.help)
                for name, entry in COMMANDS.items()
                if entry.section == section
            ]
            with formatter.section(section):
                formatter.write_dl(rows)


def _version(context: click.Context, _parameter: click.Parameter, given: bool) -> None:
    if given and not context.resilient_parsing:
        from xpm.cli.versions import own

        click.echo(f"xpm {own()}")
        context.exit()


@click.group(
    "xpm",
    cls=_Root,
    root=True,
    epilog="A JOB is the first digits of its identifier (at least 4), task/digits, or a task that has one job. "
    "Exit status: 0 all done, 1 some job is not, 2 wrong use, 3 no broker, 4 cancelled, 130 detached.",
)
@click.option(
    "--version", is_flag=True, is_eager=True, expose_value=False, callback=_version, help="Print the version."
)
def xpm() -> None:
    """Run experiments, and look at them."""


def _complain(message: str) -> None:
    with suppress(BrokenPipeError):  # the status tells it, too
        click.echo(f"xpm: error: {clean(message, lines=True)}", err=True)


def _usage(error: click.ClickException) -> str:
    if isinstance(error, click.NoSuchOption):
        close = nearest(error.option_name, error.possibilities or ())
        number = error.option_name[1:].replace(".", "", 1).isdigit()
        message = f"no option '{error.option_name}'{', and no number below 0 is possible here' if number else close}"
    else:
        message = error.format_message().rstrip(".")
    message = message[:1].lower() + message[1:]
    context = getattr(error, "ctx", None)
    where = context.command_path if context is not None else "xpm"
    return f"{message} (see {where} --help)"


def invoke(arguments: Sequence[str], options: Options) -> int:
    """Runs one command and returns its exit status."""
    try:
        found: Any = xpm.main(list(arguments), prog_name="xpm", standalone_mode=False, obj=options)
        return found if isinstance(found, int) else 0
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message(), err=True)
        return USAGE
    except click.ClickException as error:
        _complain(_usage(error))
        return USAGE
    except (click.Abort, KeyboardInterrupt):
        return DETACHED
    except XpmError as error:
        if options.verbose:
            _trace()
        _complain(str(error))
        return of_error(error)
    except (_SeenEnough, BrokenPipeError):
        return 0
    except Exception as error:  # the last door: a person gets a line, and the way to the rest
        if options.verbose:
            _trace()
        else:
            line = " ".join(f"{type(error).__name__}: {error}".split())
            _complain(f"unexpected {line} (again with -v for the traceback)")
        return FAILED


def _be_quiet() -> None:
    """What is still to be written goes nowhere: else Python complains at its end."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except BrokenPipeError:
            os.dup2(nowhere, stream.fileno())


def _trace() -> None:
    import traceback

    traceback.print_exc()


def main() -> None:
    """The program."""
    open_missing()
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            cast(Any, stream).reconfigure(errors="backslashreplace")
    status = invoke(sys.argv[1:], Options())
    _be_quiet()
    sys.exit(status)
