"""Bounded calls, servers that end, and the views of what there is."""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest
from hands import SLOTS, Hands, drain, entry, job
from servers import Server

from xpm.broker.broker import Broker, Failure, Run
from xpm.broker.connect import open_client
from xpm.broker.events import Events
from xpm.broker.keys import prefix
from xpm.broker.scripts import names, source
from xpm.broker.views import Views
from xpm.core.state import State
from xpm.errors import BrokerError, BrokerUnreachable
from xpm.types import Namespace, short

# Bounds


def edges_of(broker: Broker, call: Callable[[], object]) -> int:
    """How many edges one call touched: each is one SETRANGE or one APPEND."""

    def touched() -> int:
        stats = broker.client.info("commandstats")
        return sum(stats.get(f"cmdstat_{name}", {"calls": 0})["calls"] for name in ("setrange", "append"))

    before = touched()
    call()
    return touched() - before


def test_5000_successors_are_told_in_bounded_calls(
    broker: Broker, run: Run, hands: Hands, views: Views
) -> None:
    plan = [entry("root"), *(entry(n, "root") for n in range(5000))]
    counts: list[int] = []
    for at in range(0, len(plan), 200):
        counts.append(edges_of(broker, lambda at=at: broker.submit(run, plan[at : at + 200])))
    reply = hands.claim()
    counts.append(edges_of(broker, lambda: hands.finish(reply)))
    while broker.client.llen(f"{broker.prefix}todo"):
        counts.append(edges_of(broker, broker.drain))
    assert max(counts) <= 250
    assert views.counts()[State.READY] == 5000


def test_20000_inputs_are_registered_in_bounded_calls(
    broker: Broker, run: Run, hands: Hands, views: Views
) -> None:
    parents = [entry(n, known="recorded", fence="1" * 26) for n in range(19_999)]
    broker.submit(run, [*parents, entry("last")])
    counts = [edges_of(broker, lambda: broker.submit(run, [entry("all", *range(19_999), "last")]))]
    while broker.client.llen(f"{broker.prefix}todo"):
        counts.append(edges_of(broker, broker.drain))
    assert max(counts) <= 2 * 250, "an edge is registered by one APPEND and one SETRANGE"
    hands.run("last")
    reply = hands.claim()
    assert reply.claim
    assert (reply.claim.id, reply.claim.inputs, len(reply.claim.fences)) == (job("all"), 20_000, 250)
    assert broker.fences([job(n) for n in range(250, 300)]) == ["1" * 26] * 50
    assert len(views.inputs(job("all"))) == 20_000


@pytest.mark.soak
def test_calls_take_less_than_ten_milliseconds(broker: Broker, run: Run, hands: Hands) -> None:
    """But for those in which the server itself had to wait for a processor."""
    client = broker.client
    client.config_set("slowlog-log-slower-than", 10_000)
    client.slowlog_reset()
    calls = client.info("commandstats").get("cmdstat_evalsha", {"calls": 0})["calls"]
    broker.submit(run, [entry("root"), *(entry(n, "root") for n in range(20_000))])
    reply = hands.claim()
    hands.finish(reply)
    drain(broker)
    broker.submit(run, [entry("all", *range(20_000))])
    drain(broker)
    for slot in broker.slots():
        broker.refill(slot)
        broker.repair(State.WAITING, 0, 250)
    calls = client.info("commandstats")["cmdstat_evalsha"]["calls"] - calls
    slow = [one["duration"] for one in client.slowlog_get(100) if one["command"].startswith(b"EVAL")]
    assert len(slow) <= calls // 50, (calls, slow)


# The server


def test_a_forgotten_script_is_sent_again(broker: Broker, run: Run) -> None:
    broker.client.script_flush()
    assert broker.submit(run, [entry("a")])[0].action == "new"


def test_every_script_compiles(broker: Broker) -> None:
    for name in names():
        broker.client.script_load(source(name))


def test_nothing_is_lost_and_fences_grow_when_the_server_is_killed(
    start_server: Callable[..., Server],
) -> None:
    server = start_server()
    client = open_client(server.url)
    broker = Broker(client, Namespace("0123456789ab"))
    hands, views = Hands(broker), Views(broker)
    run = broker.open("digits", "1")
    broker.submit(run, [entry(n) for n in range(3)])
    before = hands.claim()
    server.kill()
    server.start()
    assert before.claim
    assert broker.renew("w", before.claim.id, before.claim.execution) == "ok"
    assert broker.overdue()[1] == []
    after = hands.finish(before, "w", SLOTS)
    assert after.outcome == "done"
    assert after.claim
    assert after.claim.fence > before.claim.fence
    assert int(after.claim.fence[:10]) > int(before.claim.fence[:10]), (
        "a new life of the server has a new epoch"
    )
    assert views.counts()[State.DONE] == 1
    client.close()


def test_a_server_that_does_not_answer_is_a_plain_error(start_server: Callable[..., Server]) -> None:
    server = start_server()
    client = server.client(retry=None)
    broker = Broker(client, Namespace("0123456789ab"))
    broker.hello()
    server.kill()
    for call in (
        broker.hello,
        broker.drain,
        lambda: broker.wait("w", 1),
        lambda: Events(broker, "0-0").read(1),
        lambda: Views(broker).find("abcd"),
        lambda: list(Views(broker).members("1.1")),
    ):
        with pytest.raises(BrokerUnreachable):
            call()
    client.close()


def test_data_of_a_newer_schema_is_refused(server: Server, namespace: str) -> None:
    with server.client() as client:
        client.hset(f"{prefix(Namespace(namespace))}meta", "schema", 99)
        with pytest.raises(BrokerError, match="upgrade xpm"):
            Broker(client, Namespace(namespace)).hello()


def test_a_refused_call_is_a_broker_error(broker: Broker) -> None:
    broker.client.set(f"{broker.prefix}todo", "no list")
    with pytest.raises(BrokerError, match="refused 'drain'"):
        broker.drain()
    broker.client.delete(f"{broker.prefix}todo")


# Views


def test_views_of_a_running_job(broker: Broker, run: Run, hands: Hands, views: Views) -> None:
    events = Events(broker)
    broker.submit(run, [entry("a", tags={"lr": 0.1}), entry("b", "a")])
    hands.claim()
    broker.renew("w", job("a"), 1, b"\x92\xca\x3f\x00\x00\x00\xa4half")
    a = views.job(job("a"))
    assert a
    assert (a.id, a.state, a.worker, a.label, a.task, a.runs) == (
        job("a"), State.RUNNING, "w", "Task a", "Task", (run.token,),
    )  # fmt: skip
    assert a.submitted <= a.started
    assert views.tags([a]) == [{run.token: {"lr": 0.1}}]
    assert dict(views.members(run.token)) == {short(job("a")): {"lr": 0.1}, short(job("b")): {}}
    assert views.successors(job("a")) == [short(job("b"))]
    assert [one.id for one in views.successors_of(job("a"), "Task")] == [job("b")]
    assert views.inputs(job("b")) == [short(job("a"))]
    assert views.find(job("a")[:6]) == [short(job("a"))]
    assert views.payload(job("a")) == b"payload"
    said = views.progress([job("a"), job("b")])
    assert said[0]
    assert (said[0].value, said[0].desc, said[1]) == (0.5, "half", None)
    assert [(one.name, one.job) for one in views.workers()] == [("w", short(job("a")))]
    assert views.listing(State.RUNNING) == [short(job("a"))]
    assert [(one.job, one.state, one.revision) for one in events.read(1)] == [
        (short(job("a")), State.READY, 1), (short(job("b")), State.WAITING, 1), (short(job("a")), State.RUNNING, 2),
    ]  # fmt: skip
    found = views.run(run.token)
    assert found
    assert (found.open, found.ended, found.settling) == (2, False, False)


def test_a_reader_of_events_goes_on_from_its_cursor(broker: Broker, run: Run) -> None:
    events = Events(broker)
    broker.submit(run, [entry(n) for n in range(3)])
    first = events.read(1)
    broker.submit(run, [entry(n) for n in range(5)])
    again = Events(broker, events.cursor)
    assert len(first) == 3
    assert [one.job for one in again.read(1)] == [short(job(3)), short(job(4))]


def test_long_failures_lose_their_middle(broker: Broker, run: Run, hands: Hands, views: Views) -> None:
    broker.submit(run, [entry("a")])
    reply = hands.claim()
    assert reply.claim
    text = f"begin{'x' * 100_000}end \udcff"
    broker.fail("w", hands.number("w"), "", job("a"), 1, Failure("exception", "E", text, text))
    found = views.failure(job("a"))
    assert found
    assert len(found.message) < 10_000
    assert found.message.startswith("begin")
    assert "end" in found.message[-10:]


def test_pids_are_shown(broker: Broker, views: Views) -> None:
    broker.enrol("w", {"host": "here", "pid": os.getpid(), "pool": "p", "slots": SLOTS})
    view = views.workers()[0]
    assert (view.host, view.pid, view.pool, view.slots) == ("here", os.getpid(), "p", (SLOTS,))


def test_a_job_that_was_given_other_inputs_is_led_to_by_these_alone(
    broker: Broker, run: Run, views: Views
) -> None:
    broker.submit(run, [entry("a"), entry("b"), entry("c", "a")])
    broker.submit(broker.open("digits", "later"), [entry("b"), entry("c", "b")])
    led = {name: [one.id for one in views.successors_of(job(name), "Task")] for name in "ab"}
    assert led == {"a": [], "b": [job("c")]}
    assert (views.successors(job("a")), views.successors(job("b"))) == ([], [short(job("c"))])
