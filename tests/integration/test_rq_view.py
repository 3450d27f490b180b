"""What RQ's own tools show of our jobs. All of it must hold with both major versions of RQ."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import invariants
import pytest
from hands import SLOTS, Hands, drain, entry, job, later
from servers import Server

from xpm.broker import rq as rqnames
from xpm.broker.broker import Broker, Run
from xpm.broker.views import Views
from xpm.core.state import State
from xpm_workers.sweeper import SHOWN_AT_ONCE, Sweeper, Turn

pytest.importorskip("rq_dashboard")

pytestmark = pytest.mark.rq

Get = Callable[[str], Any]


@pytest.fixture
def queue(broker: Broker) -> str:
    return rqnames.queue(broker.namespace, "default")


@pytest.fixture
def get(server: Server) -> Get:
    from xpm.web.rqdashboard import application

    client = application(server.url).test_client()

    def ask(path: str) -> Any:
        answer = client.get(path)
        assert answer.status_code == 200, f"{path}: {answer.status}"
        return answer.get_json()

    return ask


@pytest.fixture
def worker(broker: Broker, queue: str) -> str:
    """The name of a worker that RQ knows."""
    from rq import Queue, Worker

    found = Worker(
        [Queue(queue, connection=broker.client)], name=f"{broker.namespace}.host.1", connection=broker.client
    )
    found.register_birth()
    return found.name


def listed(get: Get, queue: str, registry: str) -> list[Any]:
    return get(f"/0/data/jobs/{queue}/{registry}/100/asc/1.json")["jobs"]


def rq_info(server: Server, *options: str) -> str:
    command = [str(Path(sys.executable).with_name("rq")), "info", "-u", server.url, *options]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return re.sub(r"\x1b\[[0-9;]*m", "", done.stdout)


def one_of_each(broker: Broker, run: Run, hands: Hands, worker: str) -> None:
    """a: DONE, b: ERROR, c: HOLD behind it, d: RUNNING, e: WAITING for it, f: READY, g: CANCELLED."""
    plan = [entry("a"), entry("b"), entry("c", "b"), entry("d"), entry("e", "d"), entry("f"), entry("g")]
    broker.submit(run, plan)
    hands.finish(hands.claim(worker), worker)
    hands.fail(hands.claim(worker), worker)
    drain(broker)
    broker.cancel(run.serial, [job("g")])
    hands.claim(worker)


def test_rq_info_shows_queues_and_workers(
    server: Server, broker: Broker, run: Run, hands: Hands, worker: str, queue: str
) -> None:
    one_of_each(broker, run, hands, worker)
    text = rq_info(server)
    assert re.search(rf"{queue}\s+\|?\S*\s*1, 1 executing, 1 finished, 1 failed", text), text
    assert "1 workers, 1 queues" in text
    assert re.search(rf"{re.escape(worker)} .*busy", text) or "busy" in text
    broker.renew(worker, job("d"), 1)
    invariants.check(invariants.read(broker.client, broker.namespace))


def test_rq_info_changes_nothing(server: Server, broker: Broker, run: Run, hands: Hands, worker: str) -> None:
    """It cleans registries while it counts: no entry of ours may look expired to it."""
    one_of_each(broker, run, hands, worker)
    broker.client.zadd(f"{broker.prefix}leases", {job("d")[:32]: 1})
    rq_info(server)
    rq_info(server, "--by-queue")
    graph = invariants.read(broker.client, broker.namespace)
    invariants.check_projection(broker.client, graph)


def test_the_dashboard_shows_one_of_each(
    broker: Broker, run: Run, hands: Hands, worker: str, queue: str, get: Get
) -> None:
    one_of_each(broker, run, hands, worker)
    found = {one["name"]: one for one in get("/0/data/queues.json")["queues"]}[queue]
    kinds = ("started", "finished", "failed", "deferred", "canceled")
    assert (found["count"], [found[f"{kind}_job_registry_count"] for kind in kinds]) == (1, [1, 1, 1, 2, 1])
    shown = {kind: [one["description"] for one in listed(get, queue, kind)] for kind in ("queued", *kinds)}
    assert shown == {
        "queued": ["Task f"], "started": ["Task d"], "finished": ["Task a"], "failed": ["Task b"],
        "deferred": ["Task c", "Task e"], "canceled": ["Task g"],
    } or sorted(shown["deferred"]) == ["Task c", "Task e"]  # fmt: skip
    for registry in ("queued", *kinds):
        for one in listed(get, queue, registry):
            whole = get(f"/0/data/job/{one['id']}.json")
            assert (whole["origin"], whole["description"]) == (queue, one["description"])
            assert whole["created_at"]


def test_the_dashboard_shows_times_and_the_traceback(
    broker: Broker, run: Run, hands: Hands, worker: str, get: Get
) -> None:
    one_of_each(broker, run, hands, worker)
    failed = get(f"/0/data/job/{rqnames.job(broker.namespace, job('b'))}.json")
    assert failed["exc_info"] == "Traceback: no such layer"
    assert failed["status"] == "failed"
    assert failed["created_at"] <= failed["started_at"] <= failed["ended_at"]
    running = get(f"/0/data/job/{rqnames.job(broker.namespace, job('d'))}.json")
    assert (running["status"], running["ended_at"]) == ("started", None)


def test_the_dashboard_shows_workers_and_their_job(
    broker: Broker, run: Run, hands: Hands, worker: str, queue: str, get: Get
) -> None:
    one_of_each(broker, run, hands, worker)
    (found,) = get("/0/data/workers.json")["workers"]
    assert (found["name"], found["state"], found["queues"]) == (worker, "busy", [queue])
    assert found["current_job"]["description"] == "Task d"
    assert job("d")[:32] in found["current_job"]["call_string"]
    assert (found["successful_job_count"], found["failed_job_count"]) == (1, 1)
    reply = broker.finish(worker, hands.number(worker), SLOTS, job("d"), 1, "0" * 26)
    assert reply.claim
    drain(broker)
    hands.finish(reply, worker)
    (found,) = get("/0/data/workers.json")["workers"]
    assert (found["state"], found["current_job"], found["successful_job_count"]) == ("idle", "idle", 3)


def test_a_job_that_ran_before_shows_its_new_life(
    broker: Broker, run: Run, hands: Hands, worker: str, queue: str, get: Get
) -> None:
    one_of_each(broker, run, hands, worker)
    broker.submit(later(broker), [entry("b"), entry("c", "b")])
    drain(broker)
    assert [one["description"] for one in listed(get, queue, "queued")] == ["Task f", "Task b"]
    assert listed(get, queue, "failed") == []
    hands.run("b")
    assert [one["description"] for one in listed(get, queue, "finished")] == ["Task a", "Task b"]


@pytest.mark.parametrize("how", ["released", "crashed", "departed", "expired"])
def test_a_job_that_runs_again_waits_again(
    broker: Broker, run: Run, hands: Hands, worker: str, queue: str, get: Get, views: Views, how: str
) -> None:
    broker.submit(run, [entry("a")])
    claim = hands.claim(worker).claim
    assert claim is not None and listed(get, queue, "queued") == []
    number, execution = hands.number(worker), claim.execution
    if how == "released":
        broker.hand_back(worker, number, "", claim.id, execution, "stopped")
    elif how == "crashed":
        broker.crash(worker, number, "", claim.id, execution, "SIGKILL")
    elif how == "departed":
        broker.depart(worker)
    else:
        broker.client.zadd(f"{broker.prefix}leases", {claim.id[:32]: 1})
        broker.client.hdel(f"{broker.prefix}meta", "grace")
        assert broker.expire(claim.id[:32], execution, "0", 0)
    found = views.job(claim.id)
    assert found is not None and found.state is State.READY
    assert [one["description"] for one in listed(get, queue, "queued")] == ["Task a"]
    assert [one.job for one in views.workers() if one.job] == []


def test_what_is_deleted_comes_back(
    broker: Broker, run: Run, hands: Hands, worker: str, queue: str, get: Get
) -> None:
    one_of_each(broker, run, hands, worker)
    broker.client.delete(*[key for key in broker.client.keys("rq:*") if b"rq:worker" not in key])
    for state in State:
        broker.repair(state, 0)
    for slot in broker.slots():
        broker.refill(slot)
    invariants.check_projection(broker.client, invariants.read(broker.client, broker.namespace))
    for registry in ("queued", "started", "finished", "failed", "deferred", "canceled"):
        assert listed(get, queue, registry)


def test_the_queue_is_a_window(broker: Broker, run: Run, hands: Hands, queue: str, get: Get) -> None:
    broker.submit(run, [entry(n) for n in range(1100)])
    client, name = broker.client, f"rq:queue:{queue}"
    assert client.llen(name) == 1000
    assert len(client.keys(f"rq:job:{broker.namespace}-*")) == 1000
    for _ in range(30):
        hands.claim(f"w{_}")
    assert not broker.client.exists(f"rq:job:{rqnames.job(broker.namespace, job(1099))}")
    assert broker.refill(SLOTS, 1000)
    assert not broker.refill(SLOTS, 1000)
    graph = invariants.read(client, broker.namespace)
    shown = client.lrange(name, 0, -1)
    assert len(shown) == 1000
    assert shown[0].decode() == rqnames.job(broker.namespace, job(30))
    assert shown[-1].decode() == rqnames.job(broker.namespace, job(1029))
    assert len(graph.zset(f"ready:{SLOTS}:0.1")) == 1070


def test_the_window_moves_when_it_is_empty(broker: Broker, run: Run, hands: Hands, queue: str) -> None:
    broker.submit(run, [entry(n) for n in range(3)])
    broker.client.delete(f"rq:queue:{queue}")
    hands.claim()
    assert broker.client.llen(f"rq:queue:{queue}") == 2


def test_the_first_that_wait_are_shown(broker: Broker, run: Run, hands: Hands, queue: str) -> None:
    client, name = broker.client, f"rq:deferred:{queue}"
    broker.submit(run, [entry("root"), *(entry(n, "root") for n in range(10_050)), entry("late", "root")])
    assert client.zcard(name) == SHOWN_AT_ONCE == 1_000, "submission doesn't wait for more"
    sweeper = Sweeper(broker, Turn())
    sweeper.project()
    assert client.zcard(name) >= 9_900, "all but what one call of the submission left out of order"
    for _ in range(10):
        sweeper.project()
    assert client.zcard(name) == 10_000
    assert len(client.keys(f"rq:job:{broker.namespace}-*")) == 10_001
    assert broker.repair(State.WAITING, 9_900, 250) == 0 == broker.repair(State.WAITING, 10_000, 50)
    hands.run("root")
    drain(broker)
    assert client.zcard(name) == 0
    assert len(client.keys(f"rq:job:{broker.namespace}-*")) == 1_001, "1,000 of the queue, and root"


def test_the_last_that_ended_are_shown(broker: Broker, run: Run, queue: str) -> None:
    broker.submit(run, [entry(n, known="recorded", fence="1" * 26) for n in range(10_100)])
    shown = broker.client.zcard(f"rq:finished:{queue}")
    assert 10_000 <= shown <= 10_008
    assert len(broker.client.keys(f"rq:job:{broker.namespace}-*")) == shown
    assert broker.repair(State.DONE, 9_750, 250) == 0


def test_a_list_that_somebody_emptied_is_shown_again_by_the_next_look(
    broker: Broker, run: Run, queue: str
) -> None:
    broker.submit(run, [entry(n, known="recorded", fence="1" * 26) for n in range(150)])
    sweeper = Sweeper(broker, Turn())
    for _ in range(3):  # it has come to later pages meanwhile
        sweeper.project()
    broker.client.delete(f"rq:finished:{queue}", *broker.client.keys(f"rq:job:{broker.namespace}-*"))
    sweeper.project()
    assert broker.client.zcard(f"rq:finished:{queue}") == 150


def test_classes_share_the_queue_of_rq(broker: Broker, run: Run, queue: str, get: Get) -> None:
    broker.submit(run, [entry(1), entry(2, version=2), entry(3, version=2, priority=3), entry(4)])
    for slot in broker.slots():
        broker.refill(slot)
    assert [one["description"] for one in listed(get, queue, "queued")] == [
        "Task 3",
        "Task 1",
        "Task 2",
        "Task 4",
    ]
    assert not any(broker.refill(slot) for slot in broker.slots())


def test_a_job_that_changes_its_queue_changes_it_for_rq(
    broker: Broker, run: Run, hands: Hands, get: Get
) -> None:
    broker.submit(run, [entry("a"), entry("b", "a"), entry("c")])
    hands.fail(hands.claim())
    drain(broker)
    newer = later(broker)
    broker.submit(newer, [entry(*names)._replace(queue="big") for names in (("a",), ("b", "a"), ("c",))])
    drain(broker)
    big, old = (rqnames.queue(broker.namespace, name) for name in ("big", "default"))
    assert sorted(one["description"] for one in listed(get, big, "queued")) == ["Task a", "Task c"]
    assert [one["description"] for one in listed(get, big, "deferred")] == ["Task b"]
    assert [listed(get, old, kind) for kind in ("queued", "deferred", "failed")] == [[], [], []]
    for slot in broker.slots():
        broker.refill(slot)
    invariants.check_projection(broker.client, invariants.read(broker.client, broker.namespace))


def test_our_names_are_read_back() -> None:
    from xpm.types import Namespace

    namespace = Namespace("0123456789ab")
    assert rqnames.parse_queue(rqnames.queue(namespace, "a-b")) == (namespace, "a-b")
    assert rqnames.parse_job(rqnames.job(namespace, job("a"))) == (namespace, job("a")[:32])
    assert (
        rqnames.parse_queue("default")
        is rqnames.parse_queue("xpm-short-x")
        is rqnames.parse_job("abc")
        is None
    )
