"""`xpm why`."""

from __future__ import annotations

import click

from xpm.cli.options import command, options_of
from xpm.cli.reach import Reach
from xpm.cli.render import Screen, print_json
from xpm.cli.select import find
from xpm.core.explain import Difference, explain
from xpm.errors import UsageError


@command("why")
@click.argument("job", metavar="JOB")
@click.pass_context
def why(context: click.Context, job: str) -> None:
    """Say why a job is not running.

    Which input, which queue or worker, whose hold; and of one that is not done though a like one is, in which
    parameters they differ.
    """
    from xpm.experiment.explaining import gather

    reach = Reach(options_of(context))
    reach.say_where()
    found = find(job, reach.workspace, reach.views)
    if found.view is None:
        raise UsageError(f"{job}: the broker does not know this job, only the workspace does: xpm show {job}")
    facts = gather(reach.reader, reach.views, found.view)
    lines = explain(facts)
    if reach.options.json:
        near = facts.near
        print_json(
            id=found.id,
            label=found.label,
            state=facts.job.state.value,
            sentences=lines,
            nearest={
                "id": near.job.id,
                "label": near.job.label,
                "differences": [_as_json(one) for one in near.differences],
            }
            if near
            else None,
        )
        return
    screen = Screen(no_color=reach.settings.no_color)
    for place, line in enumerate(lines):
        screen.line(line if place else (line, "bold"))


def _as_json(one: Difference) -> dict[str, str]:
    return {"name": one.name, "here": one.here, "there": one.there}
