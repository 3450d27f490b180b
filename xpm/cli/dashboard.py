"""`xpm rq-dashboard`: RQ's own web page on the broker."""

from __future__ import annotations

import click

from xpm.cli.broker import resolved
from xpm.cli.options import Count, command, options_of
from xpm.cli.reach import Reach
from xpm.errors import UsageError
from xpm.extras import install_line

PORT = 9181


@command("rq-dashboard")
@click.option(
    "--port",
    type=Count(0, 65535),
    metavar="N",
    default=PORT,
    show_default=True,
    help="0: any free one.",
)
@click.pass_context
def rq_dashboard(context: click.Context, port: int) -> None:
    """Show queues and jobs in RQ's web page.

    The page is on this computer alone, and ends with Ctrl-C.
    """
    reach = Reach(options_of(context))
    if reach.options.json:
        raise UsageError("xpm rq-dashboard has no JSON: ask xpm jobs --json")
    try:
        from xpm.web.rqdashboard import serve
    except ImportError as error:
        raise UsageError(f"{error.name} is missing: {install_line('web')}") from error
    reach.say_where()
    url = resolved(reach.url)
    reach.reader.client.close()
    try:
        serve(url, port=port, announce=lambda address: print(f"{address}  (Ctrl-C ends it)", flush=True))
    except KeyboardInterrupt:
        return
