"""What a stock `rq worker` calls for a job of ours. `run` is wire format: it stands in every RQ job, never rename it.

A stock worker pops a job's id from RQ's list and calls `run` in its work horse. Here the job is claimed like by any
worker: if the engine says no, the call fails and RQ's view is put right. It is slower than a worker of ours (a
zygote for each job), and as safe.
"""

from __future__ import annotations

import logging
import os
import secrets
import time
from functools import partial
from pathlib import Path
from typing import Any

from redis import Redis
from rq import get_current_job

from xpm.broker import rq as rqnames
from xpm.broker.broker import Broker
from xpm.broker.connect import beside
from xpm.broker.views import Views
from xpm.core.message import PAYLOAD_VERSION
from xpm.core.state import State
from xpm.errors import JobFailed, WorkspaceError
from xpm.here import this_host
from xpm.settings import load
from xpm.types import Namespace
from xpm.workspace.layout import Workspace
from xpm_workers.commands import obey
from xpm_workers.nursery import Nursery
from xpm_workers.orders import Orders
from xpm_workers.serving import Duty, Means, Serving

log = logging.getLogger("xpm.execute")


def run(job: str) -> None:
    """Claim the job of this short id, run it, report it.

    Raises:
        JobFailed: the engine did not grant it, or it failed.
    """
    current: Any = get_current_job()
    if current is None:
        raise JobFailed("xpm_workers.execute.run is called by RQ's workers only")
    place = rqnames.parse_queue(str(current.origin))
    if place is None:
        raise JobFailed(f"{current.origin} is no queue of xpm")
    namespace, queue = place
    settings = load()

    def apart() -> Broker:
        client = beside(current.connection)
        return Broker(client, namespace, lease=settings.lease, brake=settings.brake)

    broker = apart()
    duty = Duty(
        _home(broker, settings.workspace, namespace), namespace, "", (queue,), settings.lease, settings.grace,
        burst=True, pool="rq", freeze_limit=settings.freeze_limit,
    )  # fmt: skip
    nursery = Nursery(duty.workspace)
    host = this_host()
    name = f"{namespace}.{host}.{os.getpid()}-{secrets.token_hex(3)}"
    # What its host has for itself is counted there.
    broker.enrol(name, {"host": host, "pid": os.getpid(), "rq": str(current.worker_name or "")})
    serving = Serving(duty, broker, name, Orders(), Means(nursery.path, apart))
    listener = _listen(broker.client, serving)
    try:
        outcome = serving.only(job)
    finally:
        listener.stop()
        serving.close()
        nursery.close()
        broker.depart(serving.name)
        # A token may be free now, and no worker of ours there to offer it to who waits.
        broker.refill(f"{queue}:{PAYLOAD_VERSION}")
    if outcome == "refused":
        raise JobFailed(_refusal(Views(broker), job))
    if outcome != "done":
        raise JobFailed(f"job {job[:8]}: {outcome}; what it printed: xpm logs {job[:8]}")


def _refusal(views: Views, job: str) -> str:
    """What the log of the stock worker says, which calls it a failure: it is none of the job's."""
    (known,) = views.jobs([job])
    if known is None:
        return f"job {job[:8]} was not started: the broker does not know it"
    turn = ", and its turn has not come" if known.state is State.READY else ""
    return f"job {job[:8]} was not started, and nothing is lost: it is {known.state}{turn}: xpm why {job[:8]}"


def _listen(client: Redis, serving: Serving) -> Any:
    """RQ's commands about the job come to the name of its worker, which here is not the stock worker's own."""
    untyped: Any = client
    commands = untyped.pubsub(ignore_subscribe_messages=True)
    commands.subscribe(**{rqnames.channel(serving.name): partial(obey, serving=serving)})
    return commands.run_in_thread(sleep_time=1.0, daemon=True, exception_handler=_wait)


def _wait(error: Exception, *_: Any) -> None:
    """A broker that is away comes back, and the subscription with it."""
    log.debug("RQ's commands are not heard: %s", error)
    time.sleep(1.0)


def _home(broker: Broker, configured: Path, namespace: Namespace) -> Path:
    """The workspace of the namespace: the configured one, or the one that the newest run names."""
    places = [
        configured,
        *(
            Path(str(run.facts["workspace"]))
            for run in Views(broker).experiments()
            if "workspace" in run.facts
        ),
    ]
    for place in places:
        try:
            workspace = Workspace.open(place, create=False)
        except WorkspaceError:
            continue
        if workspace.namespace == namespace:
            return workspace.path
    raise WorkspaceError(f"no workspace of namespace {namespace} is seen from here: set XPM_WORKSPACE")
