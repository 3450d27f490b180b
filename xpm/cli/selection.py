"""The jobs that a command is about: those that were named, or that `-e`, `--state`, `--task` and `--where` leave."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from xpm.cli.listing import Filter, members, newest_run, unknown, window
from xpm.cli.options import some_name
from xpm.cli.reach import Reach
from xpm.cli.select import Found, find, found_in
from xpm.core.spelling import nearest
from xpm.core.state import State
from xpm.errors import BrokerError, UsageError, XpmError

if TYPE_CHECKING:
    from xpm.broker.jobview import JobView
    from xpm.broker.views import RunView, Views
    from xpm.core.filter import Filter as Wanted

BOTH = "give JOBs, or -e, --state, --task, --where; not both"
NEITHER = "which jobs? give the first digits of their identifiers, or -e, --state, --task, --where"


@dataclass(frozen=True, slots=True)
class Selection:
    """What the command line says of the jobs that are meant."""

    names: tuple[str, ...] = ()
    experiment: str | None = None
    states: tuple[State, ...] = ()
    task: str = ""
    where: Wanted | None = None

    def __post_init__(self) -> None:
        if self.names and (self.experiment or self.states or self.task or self.where):
            raise UsageError(BOTH)

    @property
    def single(self) -> bool:
        """Whether one job was named: what is printed then must not depend on how many jobs there are."""
        return len(self.names) == 1

    @property
    def empty(self) -> bool:
        """Whether nothing was said."""
        return not (self.names or self.experiment or self.states or self.task or self.where)

    def filter(self, views: Views, states: tuple[State, ...], run: RunView | None = None) -> Filter:
        """Which jobs of those states are meant, and of the run if there is one."""
        sieve = None
        if self.where is not None:
            from xpm.broker.sieve import Sieve

            sieve = Sieve(views, self.where)
        return Filter(states, self.task, members(views, run) if run else None, sieve)

    def need(self) -> None:
        """Refuses to mean all jobs.

        Raises:
            UsageError: nothing was said.
        """
        if self.empty:
            raise UsageError(NEITHER)

    def __str__(self) -> str:
        """What follows `no job`: `of Train in the experiment grid is ERROR or LOST`."""
        parts = [f"of {self.task}"] if self.task else []
        parts += [f"in the experiment {self.experiment}"] if self.experiment else []
        parts += [f"is {' or '.join(self.states)}"] if self.states else []
        parts += [f"fits: {self.where}"] if self.where else []
        return " ".join(parts)


def selection(function: Callable[..., Any]) -> Callable[..., Any]:
    """Gives a command `JOB...`, `-e`, `--state`, `--task` and `--where`; it gets them as its argument `selected`."""

    @functools.wraps(function)
    def call(
        *,
        job: tuple[str, ...],
        experiment: str | None,
        states: tuple[State, ...],
        task: str | None,
        where: Wanted | None,
        **more: Any,
    ) -> Any:
        return function(selected=Selection(job, experiment, states, task or "", where), **more)

    given: Callable[..., Any] = call
    for one in reversed(_parameters()):
        given = one(given)
    return given


def _parameters() -> Sequence[Callable[[Callable[..., Any]], Callable[..., Any]]]:
    return (
        click.argument("job", nargs=-1, metavar="[JOB]..."),
        click.option(
            "-e",
            "--experiment",
            callback=some_name,
            metavar="EXPERIMENT",
            help="Only the jobs of an experiment's newest run.",
        ),
        click.option(
            "--state",
            "states",
            multiple=True,
            callback=_state,
            metavar="STATE",
            help="Only these; may be repeated.",
        ),
        click.option(
            "--task",
            callback=some_name,
            metavar="TASK",
            help="Only the jobs of a task, as Train or module.Train.",
        ),
        click.option(
            "--where",
            callback=_where,
            metavar="FILTER",
            help="Only those that fit, as 'lr > 0.1 and host in (a, b)'.",
        ),
    )


def _state(
    _context: click.Context, _parameter: click.Parameter, values: tuple[str, ...]
) -> tuple[State, ...]:
    names = [state.value for state in State]
    for value in values:
        if value.upper() not in names:
            raise UsageError(
                f"no state {value!r}{nearest(value.upper(), names) or '; there are ' + ', '.join(names)}"
            )
    return tuple(State(value.upper()) for value in values)


def _where(_context: click.Context, _parameter: click.Parameter, text: str | None) -> Wanted | None:
    if text is None:
        return None
    from xpm.core.filter import parse

    return parse(text)


def listed(views: Views, selected: Selection, limit: int) -> tuple[list[JobView], Mapping[State, int], str]:
    """The jobs that were not named but selected, at most `limit` of them (0: all).

    Returns:
        The jobs; the number per state of those from which they were selected; and what is to be said of a
        task that there is not.
    """
    run: RunView | None = newest_run(views, selected.experiment) if selected.experiment else None
    counts = run.counts if run else views.counts()
    if selected.task and (why := unknown(views, selected.task)):
        return [], counts, why
    wanted = selected.filter(views, selected.states, run)
    jobs = window(views, wanted, limit)
    if wanted.sieve is not None:
        wanted.sieve.refuse_unknown([run.token] if run else views.all_runs())
    return jobs, counts, ""


def found(reach: Reach, selected: Selection, views: Views | None) -> list[Found]:
    """The jobs that are meant, each once; there is at least one.

    Args:
        reach: the workspace and the broker.
        selected: what the command line says.
        views: the broker's views; without them only named jobs can be found.

    Raises:
        UsageError: nothing was said, or a name means no job or several.
        XpmError: no job is left.
    """
    if selected.names:
        named = [find(name, reach.workspace, views) for name in selected.names]
        return list({one.id: one for one in named}.values())
    jobs, _, why = listed(reach.views if views is None else views, selected, 0)
    if not jobs:
        raise XpmError(why or f"no job {selected}")
    return [found_in(reach.workspace, job) for job in jobs]


def views_for(reach: Reach, selected: Selection) -> Views | None:
    """The broker's views; None, with a remark, when it is not there: of a named job the workspace knows much itself.

    Raises:
        UsageError: nothing was said of the jobs that are meant.
        BrokerError: the broker is not there, and it alone can tell which jobs are meant.
    """
    selected.need()
    return views_or_none(reach) if selected.names else reach.views


def views_or_none(reach: Reach) -> Views | None:
    """The same for jobs that are named in other ways."""
    try:
        return reach.views
    except BrokerError as error:
        reach.say(f"{error}; this is what the workspace knows")
        return None
