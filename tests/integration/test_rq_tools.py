"""What RQ's own tools do to our jobs: the engine's jobs stay as they are, and what RQ shows is repaired.

Each tool meets a graph with jobs in every state. It may change RQ's keys, fail, or do nothing; when it is done, not a
field of the engine has changed, and one pass of the sweeper makes RQ's view right again.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import invariants
import pytest
from hands import Hands, drain, entry, job
from servers import Server, free_port
from waiting import until

from xpm.broker import rq as rqnames
from xpm.broker.broker import Broker, Run
from xpm.broker.views import Views
from xpm.core.state import State

pytest.importorskip("rq_dashboard")

pytestmark = pytest.mark.rq

KINDS = {
    "done": State.DONE,
    "failed": State.ERROR,
    "held": State.HOLD,
    "running": State.RUNNING,
    "waiting": State.WAITING,
    "later": State.SCHEDULED,
    "given up": State.CANCELLED,
    "ready": State.READY,
    "offered": State.READY,
    "parked": State.READY,
}
"""A job of each kind; `offered` may have its token, `parked` needs what `running` has."""

REGISTRIES = ("started", "finished", "failed", "deferred", "scheduled", "canceled")


@pytest.fixture
def queue(broker: Broker) -> str:
    return rqnames.queue(broker.namespace, "default")


@pytest.fixture
def world(broker: Broker, run: Run, hands: Hands, queue: str) -> str:
    """Returns the worker's name."""
    from rq import Queue, Worker

    worker = Worker(
        [Queue(queue, connection=broker.client)], name=f"{broker.namespace}.host.1", connection=broker.client
    )
    worker.register_birth()
    broker.declare({"t.gpu": 1, "t.licence": 1})
    broker.submit(run, [entry("done"), entry("failed"), entry("held", "failed")])
    hands.finish(hands.claim(worker.name), worker.name)
    hands.fail(hands.claim(worker.name), worker.name)
    gpu, licence = {"rs": "t.gpu=1"}, {"rs": "t.licence=1"}
    plan = [
        entry("running", wishes=gpu), entry("waiting", "running"), entry("given up"),
        entry("later", wishes={"nb": int(time.time() * 1000) + 3_600_000}),
    ]  # fmt: skip
    broker.submit(run, plan)
    broker.cancel(run.serial, [job("given up")])
    assert hands.runs(worker.name) == job("running")
    broker.submit(run, [entry("ready"), entry("offered", wishes=licence), entry("parked", wishes=gpu)])
    drain(broker)
    return worker.name


def ids(broker: Broker) -> dict[str, str]:
    return {name: rqnames.job(broker.namespace, job(name)) for name in KINDS}


def repair(broker: Broker) -> None:
    """One pass of the sweeper."""
    for state in State:
        broker.repair(state, 0)
    for slot in broker.slots():
        broker.refill(slot)


def engine(broker: Broker) -> dict[str, Any]:
    """All that the engine knows, but for what tells the time, and the stream of events, whose length counts."""
    keys = invariants.read(broker.client, broker.namespace).keys
    return {name: value for name, value in keys.items() if name != "queues"}


def projection(broker: Broker) -> dict[bytes, bytes]:
    """What RQ has of our jobs and queues."""
    keys = sorted(key for key in broker.client.scan_iter("rq:*") if broker.namespace.encode() in key)
    return {key: broker.client.dump(key) for key in keys if b"rq:worker" not in key}


def listed(broker: Broker, queue: str) -> list[str]:
    return [member.decode() for member in broker.client.lrange(f"rq:queue:{queue}", 0, -1)]


Tool = Callable[[Broker, Server, str], None]


def registry(broker: Broker, queue: str, name: str) -> Any:
    from rq import Queue

    return getattr(Queue(queue, connection=broker.client), f"{name}_job_registry")


def stock_job(broker: Broker, name: str) -> Any:
    from rq.job import Job

    return Job.fetch(ids(broker)[name], connection=broker.client)


def on_each(act: Callable[[Any], None]) -> Tool:
    """Something done to a job of each kind by RQ's `Job`, where that doesn't refuse it."""

    def tool(broker: Broker, server: Server, queue: str) -> None:
        for name in KINDS:
            with suppress(Exception):  # RQ's own complaint about the state, or about data that is no pickle
                act(stock_job(broker, name))

    return tool


def command(*words: str) -> Tool:
    """RQ's command line, as a process."""

    def tool(broker: Broker, server: Server, queue: str) -> None:
        filled = [word.format(queue=queue, **ids(broker)) for word in words]
        rq = [str(Path(sys.executable).with_name("rq")), *filled, "-u", server.url]
        subprocess.run(rq, capture_output=True, timeout=60, check=False)

    return tool


def clean(broker: Broker, server: Server, queue: str) -> None:
    """What each stock worker does for the queues that it serves."""
    from rq import Queue
    from rq.registry import clean_registries

    clean_registries(Queue(queue, connection=broker.client))


def clean_much_later(broker: Broker, server: Server, queue: str) -> None:
    for name in REGISTRIES:
        registry(broker, queue, name).cleanup(time.time() + 86400 * 365 * 9)


def empty_registries(broker: Broker, server: Server, queue: str) -> None:
    for name in REGISTRIES:
        found = registry(broker, queue, name)
        for id in found.get_job_ids():
            with suppress(Exception):
                found.remove(id, delete_job=True)


def requeue_registry(broker: Broker, server: Server, queue: str) -> None:
    for name in REGISTRIES:
        for id in registry(broker, queue, name).get_job_ids():
            with suppress(Exception):
                registry(broker, queue, name).requeue(id)


def drop_queue(broker: Broker, server: Server, queue: str) -> None:
    from rq import Queue

    Queue(queue, connection=broker.client).delete(delete_jobs=True)


def schedule(broker: Broker, server: Server, queue: str) -> None:
    """What `rq worker --with-scheduler` does at each look."""
    from rq.scheduler import RQScheduler

    scheduler = RQScheduler([queue], connection=broker.client)
    scheduler.acquire_locks()
    scheduler.enqueue_scheduled_jobs()
    scheduler.release_locks()


def enqueue_ours(broker: Broker, server: Server, queue: str) -> None:
    """A job of each kind is put into RQ's list, at its front, twice."""
    for name in KINDS:
        broker.client.lpush(f"rq:queue:{queue}", ids(broker)[name], ids(broker)[name])


def enqueue_theirs(broker: Broker, server: Server, queue: str) -> None:
    from rq import Queue

    Queue(queue, connection=broker.client).enqueue("builtins.print", job_id="theirs", at_front=True)


def fail_ours(broker: Broker, server: Server, queue: str) -> None:
    """What is left of a stock worker's refused job, which RQ has put among the failed, once it goes on elsewhere."""
    for name in KINDS:
        broker.client.zadd(f"rq:failed:{queue}", {ids(broker)[name]: time.time() + 86400})


TOOLS: dict[str, Tool] = {
    "rq info": command("info"),
    "rq info of the queue": command("info", "{queue}", "--by-queue"),
    "rq empty": command("empty", "{queue}"),
    "rq empty --all": command("empty", "--all"),
    "rq requeue of each": command(
        "requeue", "--queue", "{queue}", "{failed}", "{ready}", "{running}", "{done}"
    ),
    "rq requeue --all": command("requeue", "--queue", "{queue}", "--all"),
    "rq requeue --all with our serializer": command(
        "requeue", "--queue", "{queue}", "--all", "-S", "xpm.broker.rq.Serializer"
    ),
    "Job.cancel": on_each(lambda found: found.cancel()),
    "Job.delete": on_each(lambda found: found.delete()),
    "Job.requeue": on_each(lambda found: found.requeue()),
    "Job.save_meta": on_each(lambda found: found.save_meta()),
    "Job.set_status": on_each(lambda found: found.set_status("finished")),
    "Queue.delete": drop_queue,
    "clean_registries": clean,
    "clean-up years later": clean_much_later,
    "registry.remove": empty_registries,
    "registry.requeue": requeue_registry,
    "the scheduler": schedule,
    "our ids pushed": enqueue_ours,
    "our ids among the failed": fail_ours,
    "a job of others": enqueue_theirs,
}


IDLE = {"rq info", "rq info of the queue", "clean_registries", "clean-up years later", "the scheduler"}
"""What leaves RQ's keys about our jobs as they are, since there is nothing for it to do."""


@pytest.mark.parametrize("name", TOOLS)
def test_a_tool_of_rq_changes_no_job_and_what_it_shows_is_repaired(
    broker: Broker, server: Server, world: str, queue: str, views: Views, name: str
) -> None:
    before, shown = engine(broker), projection(broker)
    TOOLS[name](broker, server, queue)
    assert (projection(broker) == shown) == (name in IDLE), "the tool was to do something"
    assert engine(broker) == before
    repair(broker)
    changed = engine(broker)
    assert changed == before
    invariants.check_projection(broker.client, invariants.read(broker.client, broker.namespace))
    assert listed(broker, queue) == [ids(broker)["ready"], ids(broker)["offered"]]
    assert [one and one.state for one in views.jobs([job(each) for each in KINDS])] == [*KINDS.values()]
    for key in broker.client.scan_iter("rq:*theirs*"):
        broker.client.delete(key)  # the jobs of others are theirs
    for key in broker.client.scan_iter("rq:clean_registries:*"):
        broker.client.delete(key)


@pytest.mark.parametrize("name", KINDS)
def test_what_a_stock_worker_takes_from_the_list_is_granted_only_if_it_is_ready_and_may_have_its_tokens(
    broker: Broker, hands: Hands, world: str, queue: str, name: str
) -> None:
    """Whatever tool has put it there."""
    broker.client.lpush(f"rq:queue:{queue}", ids(broker)[name])
    broker.client.lpop(f"rq:queue:{queue}")
    before = engine(broker)
    reply = broker.take("stock", hands.number("stock"), job(name))
    granted = name in ("ready", "offered")
    assert (reply.outcome, bool(reply.claim)) == (("ok", True) if granted else ("refused", False))
    if not granted:
        assert engine(broker).keys() - before.keys() == {"w:stock"}
    repair(broker)
    invariants.check_projection(broker.client, invariants.read(broker.client, broker.namespace))


def test_suspension_holds_for_all_and_takes_nothing_from_the_lists(
    broker: Broker, server: Server, hands: Hands, world: str, queue: str
) -> None:
    command("suspend")(broker, server, queue)
    assert hands.claim("other").claim is None
    assert broker.take("stock", hands.number("stock"), job("ready")).outcome == "refused"
    repair(broker)
    assert listed(broker, queue) == [ids(broker)["ready"], ids(broker)["offered"]]
    command("resume")(broker, server, queue)
    assert broker.take("stock", hands.number("stock"), job("ready")).outcome == "ok"


def test_a_job_that_waits_for_a_token_is_offered_by_its_submission_and_by_a_resumed_queue(
    broker: Broker, run: Run, queue: str
) -> None:
    broker.declare({"t.gpu": 1})
    broker.submit(run, [entry("a", wishes={"rs": "t.gpu=1"}), entry("b", wishes={"rs": "t.gpu=1"})])
    first = [rqnames.job(broker.namespace, job("a"))]
    assert listed(broker, queue) == first
    broker.pause(["default"])
    assert listed(broker, queue) == []
    broker.resume(["default"])
    assert listed(broker, queue) == first


@pytest.fixture(scope="module")
def stock(server: Server) -> Iterator[Any]:
    """The stock dashboard, which knows nothing of us: presses a button and returns the status."""
    import urllib.error
    import urllib.request

    port = free_port()
    rq = [str(Path(sys.executable).with_name("rq-dashboard")), "-u", server.url, "-b", "127.0.0.1"]
    process = subprocess.Popen([*rq, "-p", str(port)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def press(path: str, method: str = "POST") -> int:
        asked = urllib.request.Request(f"http://127.0.0.1:{port}{path}", method=method)
        try:
            with urllib.request.urlopen(asked, timeout=30) as answer:
                return answer.status
        except urllib.error.HTTPError as error:
            return error.code
        except OSError:
            return 0

    until(lambda: press("/0/data/queues.json", "GET") == 200, 30)
    yield press
    process.kill()
    process.wait()


BUTTONS = (
    *(f"/job/{{{name}}}/{what}" for name in KINDS for what in ("delete", "requeue")),
    "/requeue/{queue}",
    "/queue/{queue}/compact",
    *(f"/queue/{{queue}}/{name}/empty" for name in ("queued", *REGISTRIES)),
)


def test_no_button_of_a_stock_dashboard_changes_a_job(
    broker: Broker, world: str, queue: str, stock: Callable[[str], int]
) -> None:
    effective = 0
    for button in BUTTONS:
        before, shown = engine(broker), projection(broker)
        stock(button.format(queue=queue, **ids(broker)))
        effective += projection(broker) != shown
        assert engine(broker) == before, button
        repair(broker)
        assert engine(broker) == before, button
        invariants.check_projection(broker.client, invariants.read(broker.client, broker.namespace))
    assert effective > len(BUTTONS) / 2, "buttons of what RQ shows do something there"


def test_a_job_that_a_requeue_has_listed_while_it_waits_for_a_token_is_shown_once(
    broker: Broker, run: Run, hands: Hands
) -> None:
    broker.declare({"t.gpu": 1})
    broker.submit(run, [entry("a", wishes={"rs": "t.gpu=1"})])
    hands.fail(hands.claim())
    name, id = rqnames.queue(broker.namespace, "default"), rqnames.job(broker.namespace, job("a"))
    broker.client.zrem(f"rq:failed:{name}", id)  # as a stock dashboard's Requeue does
    broker.client.hset(f"rq:job:{id}", "status", "queued")
    broker.client.rpush(f"rq:queue:{name}", id)
    broker.retry([job("a")])
    hands.finish(hands.claim())
    invariants.check_projection(broker.client, invariants.read(broker.client, broker.namespace))
