"""`xpm cancel`: an experiment gives up what it still has to do; or all experiments give up some jobs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import click

from xpm.cli.control import dry_run
from xpm.cli.listing import Filter, newest_run
from xpm.cli.options import command, options_of
from xpm.cli.reach import Reach
from xpm.cli.render import Screen, print_json
from xpm.cli.select import of_task, parse
from xpm.cli.selection import Selection, selection
from xpm.cli.touch import Touched, await_stopped, change, confirm, gather, preview
from xpm.cli.words import brief
from xpm.core.naming import last_name
from xpm.core.spelling import nearest
from xpm.core.state import PENDING, State
from xpm.core.words import plural
from xpm.errors import UsageError, XpmError
from xpm.here import person

if TYPE_CHECKING:
    from xpm.broker.jobview import JobView
    from xpm.broker.views import RunView, Views

OPEN = frozenset({*PENDING, State.RUNNING})


@command("cancel")
@selection
@dry_run
@click.pass_context
def cancel(context: click.Context, selected: Selection, dry_run: bool) -> None:
    """Give up what an experiment still has to do, or some jobs.

    `xpm cancel EXPERIMENT` is short for -e EXPERIMENT. Running jobs are stopped. Jobs that another experiment wants go
    on for that one. What is done stays done. JOBs, or a selection without -e, are given up by all experiments.
    """
    selected.need()
    reach = Reach(options_of(context))
    reach.say_where()
    experiment = selected.experiment or _named(reach, selected)
    if experiment:
        _of_experiment(reach, experiment, selected, dry=dry_run)
    else:
        _of_all(reach, selected, dry=dry_run)


def _named(reach: Reach, selected: Selection) -> str | None:
    """The experiment that the only word names; one that also names a job means the experiment."""
    word = selected.names[0] if selected.single else ""
    return word if word and reach.views.runs(word) else None


class _Found(NamedTuple):
    """What is given up."""

    touched: Touched
    shared: Sequence[str]
    """Jobs that go on, since other experiments want them."""


def _of_experiment(reach: Reach, experiment: str, selected: Selection, *, dry: bool) -> None:
    run = newest_run(reach.views, experiment)
    serial = run.token.partition(".")[0]
    look = partial(_wished, reach.views, experiment, serial, selected.filter(reach.views, selected.states))
    found = look()

    def settled() -> _Found:
        if selected.states or selected.task or selected.where:
            return found
        reach.broker.call_off(
            experiment, person()
        )  # else its script, if it still submits, goes on with the rest
        return look()

    remarks = [f"{run.counts.get(State.DONE, 0):,} done (they stay)"]
    if found.shared:
        remarks.append(f"{plural(len(found.shared), 'job')} kept, which other experiments want, too")
    _give_up(reach, found, serial, experiment, remarks, settled, dry=dry)


def _wished(views: Views, experiment: str, serial: str, wanted: Filter) -> _Found:
    jobs = _open_jobs(views, experiment, wanted)
    shared = [job.id for job in jobs if set(job.wanted) - {serial}]
    touched = Touched()
    # An experiment that has given a job up may list it still: it is none of its concern.
    touched.add(
        replace(job, runs=tuple(token for token in job.runs if token.partition(".")[0] == serial))
        for job in jobs
        if not set(job.wanted) - {serial}
    )
    return _Found(touched, shared)


def _of_all(reach: Reach, selected: Selection, *, dry: bool) -> None:
    touched = _gathered(reach, selected)
    lines = [
        f"{brief(job.id)} {job.label} is {job.state}: there is nothing to cancel" for job in touched.left
    ]
    if lines and not touched.ids:
        raise XpmError("\n".join(lines))
    for line in lines:
        reach.say(line)
    found = _Found(touched, [])
    _give_up(reach, found, "", None, [], lambda: found, dry=dry)


def _gathered(reach: Reach, selected: Selection) -> Touched:
    try:
        return gather(reach, selected, OPEN)
    except UsageError:
        if selected.single and _rather_experiment(reach.views, selected.names[0]):
            newest_run(reach.views, selected.names[0])  # says that there is none, and which it could be
        raise


def _rather_experiment(views: Views, word: str) -> bool:
    """Whether a word that names no experiment, and not one job, was more likely meant as an experiment."""
    tasks = views.tasks()
    if any(of_task(task, word) for task in tasks):  # of which there are several jobs
        return False
    if nearest(word, [run.experiment for run in views.experiments()]):
        return True
    return not parse(word).digits and not nearest(word, sorted({*map(last_name, tasks)}))


def _give_up(
    reach: Reach,
    found: _Found,
    serial: str,
    experiment: str | None,
    remarks: Iterable[str],
    settled: Callable[[], _Found],
    *,
    dry: bool,
) -> None:
    """Shows what was found, asks, and gives up what is `settled` after that."""
    screen = Screen(no_color=reach.settings.no_color)
    counts = {"cancelled": 0, "stopping": 0, "kept": 0}
    count = len(found.touched.ids) + len(found.shared)
    if count:
        what = f"cancel {experiment}:" if experiment else "cancel"
        if not reach.options.json:
            preview(screen, what, found.touched, reach.views, "goes on hold", ends=True)
            for remark in remarks:
                screen.line(remark)
        if not dry:
            confirm(reach, f"Cancel {experiment or plural(count, 'job')}?")
    if not dry:
        touched, shared = settled()
        ids = [*touched.ids, *shared]
        counts.update(change(reach, ids, lambda ids: reach.broker.cancel(serial, ids, person())._asdict()))
        await_stopped(reach, reach.views, touched.ids if counts["stopping"] else [])
    _report(reach, screen, experiment, counts, dry=dry and bool(count))


def _open_jobs(views: Views, experiment: str, wanted: Filter) -> list[JobView]:
    """The jobs that the experiment's runs still wait for; older runs have those that newer ones left out."""
    ids: dict[str, None] = {}
    for token in views.runs(experiment):
        run: RunView | None = views.run(token)
        if run is not None and any(run.counts.get(state, 0) for state in OPEN):
            ids.update(dict.fromkeys(job for job, _ in views.members(token)))
    found = [job for job in wanted.of(views, [*ids]) if job.state in OPEN]
    if wanted.sieve is not None:
        wanted.sieve.refuse_unknown(views.runs(experiment))
    return found


def _report(
    reach: Reach, screen: Screen, experiment: str | None, counts: dict[str, int], *, dry: bool
) -> None:
    cancelled, stopped, kept = counts["cancelled"], counts["stopping"], counts["kept"]
    if reach.options.json:
        print_json(experiment=experiment, cancelled=cancelled, stopped=stopped, kept=kept)
        return
    if dry:
        return
    of = f"{experiment}: " if experiment else ""
    if not any(counts.values()):
        screen.line(f"{of}nothing to cancel")
        return
    rest = f", {plural(kept, 'job')} kept for other experiments" if kept else ""
    screen.line(f"{of}{plural(cancelled, 'job')} cancelled, {stopped:,} stopped{rest}")
