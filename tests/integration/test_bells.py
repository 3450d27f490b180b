"""Who is woken when a job is ready, and how long a worker is known."""

from __future__ import annotations

import threading
import time

from hands import SLOTS, Hands, drain, entry, job
from servers import Server

from xpm.broker.broker import Broker, Run
from xpm.broker.connect import open_client
from xpm.broker.events import Events
from xpm.broker.views import Views
from xpm.types import JobId, Namespace

# Bells


def test_a_ready_job_wakes_one_idle_worker(broker: Broker, run: Run, hands: Hands) -> None:
    for worker in ("a", "b", "c"):
        assert hands.claim(worker).claim is None
    broker.submit(run, [entry(1)])
    assert hands.woken() == ["a"]
    assert broker.wait("a", 5)
    broker.submit(run, [entry(2), entry(3)])
    assert sorted(hands.woken()) == ["b", "c"]


def test_a_worker_that_takes_what_it_made_ready_wakes_nobody(broker: Broker, run: Run, hands: Hands) -> None:
    broker.submit(run, [entry(1), entry(2, 1), entry(3, 2), entry(4, 2)])
    reply = hands.claim("busy")
    assert hands.claim("idle").claim is None
    reply = hands.finish(reply, "busy", SLOTS)
    assert hands.woken() == []
    hands.finish(reply, "busy", SLOTS)
    assert hands.woken() == ["idle"], "two became ready, one was taken"


def test_only_a_fitting_worker_is_woken(broker: Broker, run: Run, hands: Hands) -> None:
    hands.claim("small", "small:1")
    hands.claim("big", "big:1 small:1")
    broker.submit(run, [entry(1, queue="big")])
    assert hands.woken() == ["big"]
    broker.submit(run, [entry(2, queue="big"), entry(3, queue="small", version=2)])
    assert hands.woken() == ["big"]


def test_who_serves_some_queues_is_woken_before_who_serves_all(
    broker: Broker, run: Run, hands: Hands
) -> None:
    hands.claim("all", "*:1")
    hands.claim("some", "big:1")
    broker.submit(run, [entry(1, queue="big")])
    assert hands.woken() == ["some"]
    broker.submit(run, [entry(2, queue="new")])
    assert sorted(hands.woken()) == ["all", "some"]
    assert hands.runs("all", "*:1") == job(1)


def test_who_serves_all_queues_is_not_woken_for_payloads_that_it_cannot_read(
    broker: Broker, run: Run, hands: Hands
) -> None:
    hands.claim("old", "*:1")
    broker.submit(run, [entry(1, version=2)])
    assert hands.woken() == []
    assert hands.claim("old", "*:1").claim is None
    assert hands.woken() == []
    assert hands.runs("new", "*:2") == job(1)


def test_a_woken_worker_that_takes_another_job_passes_the_bell_on(
    broker: Broker, run: Run, hands: Hands
) -> None:
    hands.claim("both", "first:1 second:1")
    hands.claim("one", "second:1")
    broker.submit(run, [entry(1, queue="second")])
    assert hands.woken() == ["both"]
    broker.submit(run, [entry(2, queue="first")])
    assert hands.runs("both", "first:1 second:1") == job(2)
    assert hands.woken() == ["one"]


def test_a_woken_worker_that_dies_passes_the_bell_on(broker: Broker, run: Run, hands: Hands) -> None:
    hands.claim("a")
    hands.claim("b")
    broker.submit(run, [entry(1)])
    broker.depart("a")
    assert hands.woken() == ["b"]


def test_a_worker_that_is_silent_is_not_woken(broker: Broker, run: Run, hands: Hands) -> None:
    hands.claim("dead")
    hands.claim("alive")
    broker.client.hincrby(f"{broker.prefix}w:dead", "seen", -60_000)
    broker.submit(run, [entry(1)])
    assert hands.woken() == ["alive"]


def test_a_woken_worker_takes_up_what_is_left_to_settle(broker: Broker, run: Run, hands: Hands) -> None:
    broker.submit(run, [entry("a")])
    drain(broker)
    hands.run("a")
    broker.submit(run, [entry(n, "a", queue="none") for n in range(600)])
    hands.claim("idle")
    broker.submit(run, [entry("a")._replace(known="removed")])
    assert "idle" in hands.woken()


def test_no_bell_is_missed(server: Server, broker: Broker, run: Run) -> None:
    """Workers that sleep on their bells alone run everything that others make ready."""
    done: list[JobId] = []

    def work(worker: str) -> None:
        with server.client() as client:
            mine = Broker(client, broker.namespace)
            hands = Hands(mine)
            while len(done) < 120:
                reply = hands.claim(worker)
                while reply.claim:
                    done.append(reply.claim.id)
                    reply = hands.finish(reply, worker, SLOTS)
                if not reply.backlog and len(done) < 120:
                    assert mine.wait(worker, 20) or len(done) >= 120, "nobody rang"

    threads = [threading.Thread(target=work, args=(f"w{n}",)) for n in range(3)]
    for thread in threads:
        thread.start()
    for chain in range(40):
        broker.submit(
            run, [entry(f"{chain} 0"), entry(f"{chain} 1", f"{chain} 0"), entry(f"{chain} 2", f"{chain} 1")]
        )
        time.sleep(0.001 * (chain % 3))
    deadline = time.monotonic() + 10
    while len(done) < 120 and time.monotonic() < deadline:
        time.sleep(0.01)
    for n in range(3):
        broker.client.rpush(f"{broker.prefix}bell:w{n}", "end")
    for thread in threads:
        thread.join(30)
    assert len(done) == len(set(done)) == 120
    for n in range(3):
        broker.depart(f"w{n}")


def test_waiting_outlasts_the_sockets_patience(server: Server, namespace: str) -> None:
    with open_client(
        server.url, timeout=1.5
    ) as client:  # so that a busy machine may answer half a second late
        broker = Broker(client, Namespace(namespace))
        begin = time.monotonic()
        assert not broker.wait("w", 1.8)
        assert time.monotonic() - begin >= 1.8
        assert Events(broker).read(1.8) == []
        ringer = threading.Timer(0.3, lambda: broker.client.rpush(f"{broker.prefix}bell:w", "1"))
        ringer.start()
        assert broker.wait("w", 5)
        ringer.join()


def test_rq_suspend_is_respected(broker: Broker, run: Run, hands: Hands) -> None:
    broker.submit(run, [entry(1), entry(2)])
    reply = hands.claim()
    broker.client.set("rq:suspended", 1)
    assert hands.finish(reply, "w", SLOTS).claim is None
    assert hands.runs("v") is None
    broker.client.delete("rq:suspended")
    assert hands.runs("v") == job(2)


# Workers' registrations


def test_a_worker_begins_anew_under_an_old_name(broker: Broker, run: Run, hands: Hands) -> None:
    hands.claim("w", "old:1")
    del hands.numbers["w"]
    hands.claim("w", "new:1")
    broker.submit(run, [entry(1, queue="old")])
    assert hands.woken() == []
    broker.submit(run, [entry(2, queue="new")])
    assert hands.woken() == ["w"]


def test_workers_that_nobody_heard_of_for_a_day_are_forgotten(broker: Broker, views: Views) -> None:
    hands = Hands(broker)
    hands.claim("old")
    broker.client.zadd(f"{broker.prefix}workers", {"old": 1})
    broker.client.delete(f"{broker.prefix}w:old", f"{broker.prefix}idle:{SLOTS}")
    assert views.workers() == []
    hands.claim("new")
    assert broker.client.zrange(f"{broker.prefix}workers", 0, -1) == [b"new"]
    assert [view.name for view in views.workers()] == ["new"]


def test_a_long_job_keeps_its_worker_registered(broker: Broker, run: Run, hands: Hands) -> None:
    broker.submit(run, [entry(1)])
    hands.claim()
    broker.client.pexpire(f"{broker.prefix}w:w", 1000)
    assert broker.renew("w", job(1), 1) == "ok"
    assert broker.client.pttl(f"{broker.prefix}w:w") > 80_000_000
