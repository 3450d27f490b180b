"""`xpm run --pdb JOB`: one job again, in this terminal."""

from __future__ import annotations

import sys

from xpm.cli.reach import Reach
from xpm.cli.select import Found, find
from xpm.cli.selection import views_or_none
from xpm.cli.sheet import payload_of
from xpm.cli.words import brief
from xpm.core.environ import unpack_environ
from xpm.core.info import JobRef
from xpm.core.message import references
from xpm.errors import UsageError
from xpm.types import Fence
from xpm.workspace.code import read_code
from xpm.workspace.layout import Workspace
from xpm.workspace.results import complete, read_record


def debug(reach: Reach, job: str) -> int:
    """Runs the job here, under the debugger, and returns 0 when it returned a value.

    Nothing of the job changes. This process becomes the job's, so it does nothing else afterwards.

    Raises:
        UsageError: There is no such job, its code is not known, or an input of it is not done.
    """
    from xpm_workers.debug import debug as run_here
    from xpm_workers.frames import Request

    views = views_or_none(reach)
    found = find(job, reach.workspace, views)
    record = read_record(found.path)
    broker = reach.reader if views is not None else None
    payload, types = payload_of(found, views, broker, record)
    code = (found.view.code if found.view else "") or (record.code if record else "")
    if not payload or not code:
        raise UsageError(f"{found.label}: nobody knows any more how it was described: submit it again")
    request = Request(
        job=found.id,
        task=found.task,
        fence=Fence(found.view.fence if found.view else record.fence if record else ""),
        attempt=max(1, found.view.attempt if found.view else record.attempt if record else 1),
        payload=payload,
        types=types,
        workspace=str(reach.workspace.path),
        code=code,
        environ=unpack_environ(found.view.environ) if found.view else {},
    )
    for ref in references(payload):
        _require(ref, found, reach.workspace)
    if broker is not None:
        broker.client.close()
    copied = read_code(reach.workspace.path, code).copied
    which = f"that of its run ({code})" if copied else "the project's as it is now: its run made no copy"
    reach.say(f"{found.label} again, in a copy of its directory; the code is {which}")
    sys.stdout.flush()
    return run_here(request)


def _require(ref: JobRef, found: Found, workspace: Workspace) -> None:
    """An input must be done."""
    if complete(workspace.jobpath(ref.task, ref.id)) is None:
        raise UsageError(f"{found.label}: its input {brief(ref.id)} ({ref.task}) is not done")
