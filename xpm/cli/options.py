"""The options that every command has, before or after its name, and commands that carry them."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import click
from click.core import ParameterSource

from xpm.core.spelling import nearest
from xpm.errors import UsageError

CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": 100}

F = TypeVar("F", bound=Callable[..., Any])

if TYPE_CHECKING:
    _Number = click.ParamType[int]
else:
    _Number = click.ParamType  # generic from click 8.4 on


@dataclass(slots=True)
class Options:
    """What the options say that mean the same everywhere."""

    workspace: str | None = None
    broker: str | None = None
    json: bool = False
    quiet: bool = False
    verbose: bool = False
    no_color: bool = False
    yes: bool = False

    def settings(self) -> dict[str, object]:
        """Those of them that are settings; None was not given."""
        return {
            "workspace": self.workspace,
            "broker": self.broker,
            "no_color": self.no_color or None,
            "quiet": self.quiet or None,
            "verbose": self.verbose or None,
        }


def _note(context: click.Context, parameter: click.Parameter, value: Any) -> Any:
    """Keeps a value that was given; the same option at another place was not, and says nothing."""
    name = parameter.name or ""
    if context.get_parameter_source(name) is ParameterSource.COMMANDLINE:
        setattr(context.find_object(Options), name, value)
    return value


def _everywhere(hidden: bool) -> list[click.Parameter]:
    def option(*names: str, **more: Any) -> click.Option:
        return click.Option(names, expose_value=False, callback=_note, hidden=hidden, **more)

    return [
        option("-w", "--workspace", metavar="PATH", help="The directory of jobs and results."),
        option("--broker", metavar="URL", help="A shared broker, as redis://host:6379."),
        option("--json", is_flag=True, help="Print JSON with documented, stable fields."),
        option("-q", "--quiet", is_flag=True, help="Only what was asked for: no remarks, no progress."),
        option("-v", "--verbose", is_flag=True, help="Show the traceback of an error, too."),
        option("--no-color", is_flag=True, help="No colours on a terminal (NO_COLOR=1 does the same)."),
        option("--yes", is_flag=True, help="Do not ask before something is changed."),
    ]


class Count(_Number):
    """A whole number within limits, both included; click would speak of the range x>=0.

    Args:
        least: the smallest.
        most: the largest, if there is one.
    """

    name = "whole number"

    def __init__(self, least: int = 0, most: int | None = None) -> None:
        self._least = least
        self._most = most

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Reads the number, or says what was expected."""
        try:
            number = int(value)
        except ValueError:
            number = self._least - 1
        if number < self._least or (self._most is not None and number > self._most):
            limits = (
                f", {self._least} or more" if self._most is None else f" from {self._least} to {self._most}"
            )
            self.fail(f"expected a whole number{limits}, got {value!r}", param, ctx)
        return number


def some_name(_context: click.Context, parameter: click.Parameter, value: str | None) -> str | None:
    """Refuses an empty name, as an unset variable of a shell leaves it: it would mean all there are."""
    if value is not None and not value.strip():
        raise UsageError(f"{parameter.opts[0]}: expected a name, got {value!r}")
    return value


def _refer(formatter: click.HelpFormatter) -> None:
    formatter.write_paragraph()
    with formatter.indentation():
        formatter.write_text("-w, --broker, --json, -q, -v, --no-color, --yes: see xpm --help")


@contextmanager
def _told(context: click.Context) -> Generator[None]:
    """Errors in the use of a command say which one it is."""
    try:
        yield
    except click.UsageError as error:
        error.ctx = error.ctx or context
        raise


class Command(click.Command):
    """A command with the options that are everywhere."""

    def __init__(self, *args: Any, **more: Any) -> None:
        more.setdefault("context_settings", {})
        more["context_settings"] = {**CONTEXT, **more["context_settings"]}
        super().__init__(*args, **more)
        self.params.extend(_everywhere(hidden=True))

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Reads the command's words."""
        with _told(ctx):
            return super().parse_args(ctx, args)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The way to the options that are not repeated for each command."""
        super().format_epilog(ctx, formatter)
        _refer(formatter)


class Group(click.Group):
    """A noun with its verbs, with the options that are everywhere."""

    command_class = Command

    def __init__(self, *args: Any, root: bool = False, **more: Any) -> None:
        more.setdefault("context_settings", CONTEXT)
        super().__init__(*args, **more)
        self.params.extend(_everywhere(hidden=not root))
        self._root = root

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Reads the words up to the verb."""
        with _told(ctx):
            return super().parse_args(ctx, args)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The same way, but for the place where they are told."""
        super().format_epilog(ctx, formatter)
        if not self._root:
            _refer(formatter)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Finds the verb; for an unknown one, names the nearest."""
        name = args[0]
        if not name.startswith("-") and self.get_command(ctx, name) is None:
            raise click.UsageError(f"no command '{name}'{nearest(name, self.list_commands(ctx))}", ctx)
        return super().resolve_command(ctx, args)


def command(name: str, **more: Any) -> Callable[[Callable[..., Any]], Command]:
    """Makes a function a command of xpm."""
    return click.command(name, cls=Command, **more)


def options_of(context: click.Context) -> Options:
    """The options of the running command."""
    found = context.find_object(Options)
    return found if found is not None else Options()
