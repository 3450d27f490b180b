"""Tokens and locks: never more than there is, all or nothing, in order, and free again exactly once."""

from __future__ import annotations

import pytest
from hands import SLOTS, Hands, drain, entry, job

from xpm.broker import rq
from xpm.broker.broker import Broker, Entry, Reply, Run
from xpm.broker.keys import SHARED
from xpm.broker.ledger import Ledger, declare
from xpm.broker.reader import clock
from xpm.broker.views import Views
from xpm.core.requirement import Need
from xpm.core.state import State
from xpm.errors import SubmissionError
from xpm.types import short


def needing(name: str | int, needs: str, *inputs: str | int, **fields: object) -> Entry:
    return entry(name, *inputs, wishes={"rs": needs}, **fields)


def state(views: Views, name: str | int) -> State:
    found = views.job(job(name))
    assert found
    return found.state


@pytest.fixture
def gpu(broker: Broker) -> Broker:
    assert broker.declare({"t.gpu": 2, "t.licence": 1, "l.index": 1_000_000}) == {
        "t.gpu": 2, "t.licence": 1, "l.index": 1_000_000,
    }  # fmt: skip
    return broker


def all_that_start(hands: Hands, most: int = 10) -> dict[str, Reply]:
    """Which jobs start at once, each with a worker of its own."""
    found: dict[str, Reply] = {}
    for n in range(most):
        reply = hands.claim(f"w{len(hands.numbers)} {n}".replace(" ", "-"))
        if reply.claim is None:
            break
        found[reply.claim.label.removeprefix("Task ")] = reply
    return found


def end(hands: Hands, reply: Reply) -> None:
    claim = reply.claim
    assert claim
    granted = (
        (name, hands.broker.client.hget(f"{hands.broker.prefix}w:{name}", "g")) for name in hands.numbers
    )
    worker = next(name for name, id in granted if id == claim.id[:32].encode())
    hands.finish(reply, worker)


def test_what_exists_keeps_its_capacity(gpu: Broker) -> None:
    assert gpu.declare({"t.gpu": 9, "t.none": 0}) == {"t.gpu": 2, "t.none": -1}
    assert gpu.resize("t.gpu", 3) == 2
    assert gpu.resize("t.new", 1) == -1
    assert gpu.declare({"t.gpu": 0, "t.new": 0}) == {"t.gpu": 3, "t.new": 1}


def test_a_token_is_counted_in_one_way(gpu: Broker) -> None:
    assert gpu.declare({"h.gpu": 1, "h.disk": 1, "t.disk": 1}) == {"h.gpu": -2, "h.disk": 1, "t.disk": -2}
    assert gpu.declare({"t.disk": 0, "l.disk": 1_000_000}) == {"t.disk": -2, "l.disk": 1_000_000}
    assert {one.need.resource for one in Ledger(gpu).resources()} >= {"t.gpu", "h.disk"}
    assert not {one.need.resource for one in Ledger(gpu).resources()} & {"h.gpu", "t.disk"}


def test_no_more_run_than_there_are_tokens(gpu: Broker, run: Run, hands: Hands) -> None:
    gpu.submit(run, [needing(n, "t.gpu=1") for n in range(5)])
    running = all_that_start(hands)
    assert sorted(running) == ["0", "1"]
    end(hands, running["1"])
    assert sorted(all_that_start(hands)) == ["2"]


def test_a_job_that_waits_holds_nothing_and_lets_others_pass(gpu: Broker, run: Run, hands: Hands) -> None:
    gpu.submit(run, [needing("big", "t.gpu=2,t.licence=1"), needing("small", "t.gpu=1")])
    gpu.submit(run, [needing("licence", "t.licence=1", priority=1), entry("plain")])
    running = all_that_start(hands)
    assert sorted(running) == ["licence", "plain", "small"], "the licence is in use: gpu is not kept"


def test_several_are_granted_all_or_nothing(gpu: Broker, run: Run, hands: Hands) -> None:
    gpu.submit(run, [needing("one", "t.gpu=1"), needing("both", "t.gpu=2,t.licence=1")])
    running = all_that_start(hands)
    assert list(running) == ["one"]
    assert gpu.client.hget(f"{SHARED}res:t.licence", "u") in (None, b"0")
    end(hands, running["one"])
    assert list(all_that_start(hands)) == ["both"]


def test_a_request_for_all_is_served_while_small_ones_keep_coming(
    gpu: Broker, run: Run, hands: Hands
) -> None:
    gpu.submit(run, [needing("a", "t.gpu=1"), needing("b", "t.gpu=1"), needing("all", "t.gpu=2")])
    gpu.submit(run, [needing(f"small {n}", "t.gpu=1") for n in range(20)])
    running = all_that_start(hands)
    assert sorted(running) == ["a", "b"]
    end(hands, running["a"])
    assert all_that_start(hands) == {}, "one is kept for the request for all"
    end(hands, running["b"])
    running = all_that_start(hands)
    assert list(running) == ["all"]
    end(hands, running["all"])
    assert sorted(all_that_start(hands)) == ["small 0", "small 1"]


@pytest.mark.parametrize("why", ["no worker", "paused", "suspended", "struck", "told to end"])
def test_nothing_is_kept_for_whom_no_worker_could_take(gpu: Broker, run: Run, hands: Hands, why: str) -> None:
    """Its queue may wait for weeks; what it is first in line for must not."""
    if why != "no worker":
        gpu.enrol("there", {"host": "other", "pid": 1, "pool": "sick", "slots": "away:1"})
    gpu.submit(run, [needing("all", "t.gpu=2", queue="away")])
    gpu.submit(run, [needing(f"small {n}", "t.gpu=1") for n in range(3)])
    if why == "paused":
        gpu.pause(["away"])
    elif why == "told to end":
        gpu.dismiss(["there"])
    elif why == "struck":
        gpu.client.set(f"{gpu.prefix}sick:sick", " ".join([32 * "0"] * 3))
    elif why == "suspended":
        gpu.client.set("rq:suspended", 1)
        assert gpu.acquire("code-1", "t.gpu=1").outcome == "granted"
        assert gpu.acquire("code-2", "t.gpu=1").outcome == "granted"
        return
    assert sorted(all_that_start(hands)) == ["small 0", "small 1"]


@pytest.mark.parametrize("by", ["one of ours", "one that serves all queues", "a stock worker of RQ"])
def test_what_is_first_in_line_is_kept_again_once_its_queue_is_served(
    gpu: Broker, run: Run, hands: Hands, by: str
) -> None:
    gpu.submit(run, [needing("all", "t.gpu=2", queue="away")])
    gpu.submit(run, [needing(f"small {n}", "t.gpu=1") for n in range(3)])
    running = all_that_start(hands)
    if by == "a stock worker of RQ":
        gpu.client.hset("rq:worker:theirs", "last_heartbeat", "2026-01-02T03:04:05.000000Z")
        gpu.client.sadd(rq.workers(rq.queue(gpu.namespace, "away")), "rq:worker:theirs")
    else:
        slots = "away:1" if by == "one of ours" else "*:1"
        gpu.enrol("there", {"host": "other", "pid": 1, "pool": "p", "slots": slots})
    end(hands, running["small 0"])
    assert all_that_start(hands) == {}, "one is kept for the request for all"
    end(hands, running["small 1"])
    assert hands.runs("there", "away:1") == job("all")
    gpu.client.delete("rq:worker:theirs")


def test_what_a_horse_leaves_of_its_dead_worker_serves_no_queue(
    gpu: Broker, run: Run, hands: Hands, views: Views
) -> None:
    """A horse that ends when RQ has forgotten its worker counts the job in a hash of its own making, which never goes."""
    gpu.submit(run, [needing("all", "t.gpu=2", queue="away")])
    gpu.submit(run, [needing(f"small {n}", "t.gpu=1") for n in range(3)])
    running = all_that_start(hands)
    gpu.client.sadd(rq.workers(rq.queue(gpu.namespace, "away")), "rq:worker:theirs")
    gpu.client.hincrby("rq:worker:theirs", "failed_job_count", 1)
    end(hands, running["small 0"])
    assert sorted(all_that_start(hands)) == ["small 2"], "none is kept"
    assert not [worker.name for worker in views.workers() if worker.stock]
    gpu.client.delete("rq:worker:theirs")


def test_who_was_overtaken_for_long_goes_first(gpu: Broker, run: Run, hands: Hands) -> None:
    """It needs two tokens that are never free at the same time, since each has a line of its own."""
    gpu.submit(
        run, [needing("gpu 0", "t.gpu=2", priority=1), needing("licence 0", "t.licence=1", priority=1)]
    )
    gpu.submit(run, [needing("both", "t.gpu=1,t.licence=1")])
    chained = {"ch": 5}
    for n in (1, 2, 3):
        gpu.submit(
            run,
            [
                entry(f"gpu {n}", wishes={"rs": "t.gpu=2", **chained}),
                entry(f"licence {n}", wishes={"rs": "t.licence=1", **chained}),
            ],
        )
    running = all_that_start(hands)
    assert sorted(running) == ["gpu 0", "licence 0"]
    end(hands, running["gpu 0"])
    running |= all_that_start(hands)
    assert "gpu 1" in running
    late = gpu.client.zscore(f"{gpu.prefix}late", job("both")[:32])
    assert late is None, "those that went first had a longer chain: that is no overtaking"
    gpu.client.zadd(f"{gpu.prefix}late", {job("both")[:32]: 1})  # as if they had come later, long ago
    end(hands, running["licence 0"])
    assert all_that_start(hands) == {}, "the licence is kept"
    end(hands, running["gpu 1"])
    assert list(all_that_start(hands)) == ["both"]


def test_of_what_is_kept_for_who_was_overtaken_others_get_the_rest(
    gpu: Broker, run: Run, hands: Hands
) -> None:
    gpu.submit(run, [needing("licence", "t.licence=1")])
    assert sorted(all_that_start(hands)) == ["licence"]
    gpu.submit(run, [needing("both", "t.gpu=1,t.licence=1")])
    late = f"{gpu.prefix}late"
    gpu.client.zadd(late, {job("both")[:32]: 1})
    gpu.submit(run, [needing(f"gpu {n}", "t.gpu=1") for n in range(2)])
    assert sorted(all_that_start(hands)) == ["gpu 0"], "one of two is kept"
    gpu.client.zadd(late, {job("both")[:32]: int(clock(gpu) * 1000)})
    gpu.revisit()
    assert sorted(all_that_start(hands)) == ["gpu 1"], "it was passed just now: nothing is kept for that"


def test_who_waits_for_other_things_in_the_same_call_jumps_no_line(
    gpu: Broker, run: Run, hands: Hands
) -> None:
    gpu.submit(run, [needing("both", "l.index=1000000,t.gpu=1")])
    both = hands.claim("w")
    assert gpu.acquire("other", "t.gpu=1").outcome == "granted"
    gpu.submit(run, [needing("all", "t.gpu=2")])
    assert hands.claim("x").claim is None
    assert gpu.acquire("reader", "l.index=1", priority=-1).outcome == "waiting"
    assert gpu.acquire("small", "t.gpu=1", priority=-1).outcome == "waiting"
    hands.finish(both, "w")
    assert gpu.acquire("reader", "l.index=1").outcome == "granted"
    assert gpu.acquire("small", "t.gpu=1").outcome == "waiting", "it is kept for the request for all"


def test_code_that_waits_has_its_priority(gpu: Broker, run: Run, hands: Hands) -> None:
    gpu.submit(run, [needing("a", "t.gpu=2"), needing("b", "t.gpu=2")])
    reply = hands.claim("w")
    assert gpu.acquire("later", "t.gpu=2", priority=-1).outcome == "waiting"
    assert gpu.acquire("sooner", "t.gpu=2", priority=1).outcome == "waiting"
    reply = hands.finish(reply, "w", SLOTS)
    assert reply.claim is None
    assert gpu.acquire("sooner", "t.gpu=2").outcome == "granted"
    gpu.free("sooner")
    assert gpu.acquire("later", "t.gpu=2").outcome == "waiting", "an idle worker is there for the job"
    assert hands.runs("w") == job("b")


def test_a_job_whose_turn_it_is_goes_before_code_that_came_later(gpu: Broker, run: Run, hands: Hands) -> None:
    """Code that asks again and again would keep it waiting for ever."""
    gpu.submit(run, [needing("a", "t.gpu=2"), needing("b", "t.gpu=2")])
    reply = hands.claim("w")
    assert gpu.acquire("first", "t.gpu=2").outcome == "waiting"
    assert gpu.acquire("second", "t.gpu=2").outcome == "waiting"
    assert hands.finish(reply, "w", SLOTS).claim is None
    assert gpu.acquire("first", "t.gpu=2").outcome == "granted", "all code has the turns of one experiment"
    gpu.free("first")
    assert gpu.acquire("second", "t.gpu=2").outcome == "waiting"
    assert gpu.acquire("third", "t.gpu=2").outcome == "waiting"
    reply = hands.claim("w")
    assert reply.claim
    assert reply.claim.id == job("b")
    hands.finish(reply, "w")
    assert gpu.acquire("second", "t.gpu=2").outcome == "granted"


def test_code_waits_for_no_job_that_no_idle_worker_may_take(gpu: Broker, run: Run, hands: Hands) -> None:
    assert gpu.acquire("holder", "t.gpu=2").outcome == "granted"
    gpu.submit(run, [needing("b", "t.gpu=2")])
    hands.claim("w")
    assert gpu.acquire("code", "t.gpu=2").outcome == "waiting"
    gpu.submit(run, [entry("plain")])
    assert hands.runs("w") == job("plain")
    gpu.free("holder")
    assert gpu.acquire("code", "t.gpu=2").outcome == "granted"


def test_later_ones_that_pass_are_noted(gpu: Broker, run: Run, hands: Hands) -> None:
    gpu.submit(run, [needing("licence", "t.licence=1"), needing("both", "t.gpu=2,t.licence=1")])
    gpu.submit(run, [needing("gpu", "t.gpu=1")])
    assert sorted(all_that_start(hands)) == ["gpu", "licence"]
    assert gpu.client.zrange(f"{gpu.prefix}late", 0, -1) == [job("both")[:32].encode()]


def test_code_that_passes_is_noted(gpu: Broker, run: Run, hands: Hands) -> None:
    assert gpu.acquire("first", "t.licence=1").outcome == "granted"
    gpu.submit(run, [needing("both", "t.gpu=2,t.licence=1")])
    assert all_that_start(hands) == {}
    assert gpu.acquire("second", "t.gpu=1").outcome == "granted"
    assert gpu.client.zrange(f"{gpu.prefix}late", 0, -1) == [job("both")[:32].encode()]


def test_jobs_without_tokens_go_on_while_others_wait(gpu: Broker, run: Run, hands: Hands) -> None:
    gpu.submit(run, [needing(f"gpu {n}", "t.gpu=1") for n in range(300)])
    gpu.submit(run, [entry(n) for n in range(5)])
    running = all_that_start(hands, 7)
    assert sorted(running) == ["0", "1", "2", "3", "4", "gpu 0", "gpu 1"]


def test_a_release_wakes_one_worker_for_each_that_may_start(gpu: Broker, run: Run, hands: Hands) -> None:
    gpu.submit(run, [needing(n, "t.gpu=1") for n in range(4)])
    running = all_that_start(hands, 2)
    for idle in ("x", "y", "z"):
        assert hands.claim(idle).claim is None
    end(hands, running["0"])
    assert hands.woken() == ["x"]
    assert hands.runs("x") == job(2)
    assert hands.woken() == [], "there is nothing left for others"
    end(hands, running["1"])
    assert hands.woken() == ["y"]


def test_a_bell_for_tokens_does_not_go_round(gpu: Broker, run: Run, hands: Hands) -> None:
    """A woken worker that finds nothing does not wake the next one."""
    gpu.submit(run, [needing(n, "t.gpu=2") for n in range(2)])
    running = all_that_start(hands, 1)
    for idle in ("x", "y"):
        hands.claim(idle)
    end(hands, running["0"])
    gpu.acquire("script", "t.gpu=1")
    assert hands.woken() == ["x"]
    assert hands.claim("x").claim is None
    assert hands.woken() == []


def test_nobody_takes_what_a_woken_worker_is_about_to_take(gpu: Broker, run: Run, hands: Hands) -> None:
    assert gpu.acquire("first", "t.gpu=2").outcome == "granted"
    gpu.submit(run, [needing(n, "t.gpu=2") for n in range(2)])
    assert hands.claim("x").claim is None
    gpu.free("first")
    assert hands.woken() == ["x"]
    assert gpu.acquire("second", "t.gpu=1").outcome == "waiting"
    assert hands.runs("x") == job(0)


def test_what_was_left_to_a_woken_worker_that_dies_goes_to_code_that_waits(
    gpu: Broker, run: Run, hands: Hands
) -> None:
    assert hands.runs("w") is None
    gpu.submit(run, [needing("a", "t.licence=1")])
    assert hands.woken() == ["w"]
    assert gpu.acquire("script", "t.licence=1").outcome == "waiting"
    gpu.depart("w")
    assert gpu.wait("@script", 0.5), "nobody else could take it"
    assert gpu.acquire("script", "t.licence=1").outcome == "granted"


@pytest.mark.parametrize("how", ["fail", "crash", "depart", "expire", "hand_back"])
def test_tokens_come_back_however_a_job_ends(gpu: Broker, run: Run, hands: Hands, how: str) -> None:
    gpu.submit(run, [needing("a", "t.gpu=2")])
    reply = hands.claim("w")
    claim = reply.claim
    assert claim
    assert gpu.client.hget(f"{SHARED}res:t.gpu", "u") == b"2"
    if how == "fail":
        hands.fail(reply, "w")
    elif how in ("crash", "hand_back"):
        for _ in range(2):  # the reply was lost
            number = hands.numbers["w"] + 1
            getattr(gpu, how)("w", number, "", claim.id, claim.execution, "gone")
    elif how == "depart":
        gpu.depart("w")
        gpu.depart("w")
    else:
        gpu.client.zadd(f"{gpu.prefix}leases", {claim.id[:32]: 1})
        gpu.client.hset(f"{gpu.prefix}meta", "grace", 0)
        now, found = gpu.overdue()
        assert gpu.expire(found[0][0], found[0][1], found[0][2], now - 60_000)
        assert not gpu.expire(found[0][0], found[0][1], found[0][2], now - 60_000)
    assert gpu.client.hget(f"{SHARED}res:t.gpu", "u") == b"0"


# Capacities that change


def test_a_raised_capacity_starts_more(gpu: Broker, run: Run, hands: Hands) -> None:
    gpu.submit(run, [needing(n, "t.gpu=1") for n in range(5)])
    all_that_start(hands, 2)
    hands.claim("idle")
    gpu.resize("t.gpu", 4)
    assert hands.woken() == ["idle"]
    assert sorted(all_that_start(hands)) == ["2", "3"]


def test_a_lowered_capacity_takes_nothing_back(gpu: Broker, run: Run, hands: Hands) -> None:
    gpu.submit(run, [needing(n, "t.gpu=1") for n in range(5)])
    running = all_that_start(hands)
    gpu.resize("t.gpu", 1)
    end(hands, running["0"])
    assert all_that_start(hands) == {}
    end(hands, running["1"])
    assert sorted(all_that_start(hands)) == ["2"]


def test_what_needs_more_than_a_lowered_capacity_is_held_until_it_is_raised(
    gpu: Broker, run: Run, hands: Hands, views: Views
) -> None:
    gpu.submit(run, [needing(n, "t.gpu=2") for n in range(600)])
    gpu.submit(run, [needing("later", "t.gpu=2", 0), needing("small", "t.gpu=1", queue="small")])
    drain(gpu)
    gpu.resize("t.gpu", 1)
    drain(gpu)
    assert views.counts()[State.HOLD] == 601
    assert views.counts()[State.READY] == 1
    found = views.job(job(0))
    assert found
    assert found.reason == "capacity"
    assert gpu.release([job(0)], "ada@h") == {"short": 1}
    assert Ledger(gpu).held("t.gpu") == 600
    gpu.submit(run, [needing("new", "t.gpu=2")])
    assert state(views, "new") is State.HOLD
    gpu.resize("t.gpu", 3)
    drain(gpu)
    assert views.counts()[State.READY] == 602
    assert Ledger(gpu).held("t.gpu") == 0
    assert state(views, "later") is State.WAITING


def test_a_run_is_told_of_the_tokens_that_its_own_jobs_are_short_of(gpu: Broker, run: Run) -> None:
    other = gpu.open("other", "1", "code")
    gpu.submit(run, [needing("both", "t.gpu=2")])
    gpu.submit(other, [entry("plain")])
    gpu.resize("t.gpu", 1)
    drain(gpu)
    assert Ledger(gpu).short(run.token) == [Need("t", "gpu", 2)]
    assert Ledger(gpu).short(other.token) == []


def test_what_waits_for_a_capacity_after_a_failed_input_says_so(
    gpu: Broker, run: Run, hands: Hands, views: Views
) -> None:
    """The news that the input was retried come later than the news that it is done."""
    slow = Broker(gpu.client, gpu.namespace, budget=1)
    gpu.submit(run, [entry("a"), entry("b"), entry("c", "b"), needing("d", "t.gpu=2", "a")])
    hands.fail(hands.claim())
    drain(gpu)
    gpu.resize("t.gpu", 1)
    gpu.client.rpush(f"{gpu.prefix}todo", *[f"S{short(job('b'))}:0"] * 3)  # much else is to be told
    slow.retry([job("a")])
    others = Hands(slow)
    others.finish(others.claim("v"), "v")
    found = views.job(job("d"))
    assert found
    assert (found.state, found.reason) == (State.HOLD, "capacity")
    drain(gpu)
    gpu.resize("t.gpu", 2)
    assert state(views, "d") is State.READY


def test_another_wish_of_a_later_submission_counts(gpu: Broker, run: Run, hands: Hands) -> None:
    gpu.submit(run, [needing("a", "t.gpu=2"), needing("b", "t.gpu=2")])
    gpu.submit(run, [needing("b", "t.gpu=1"), entry("a")])
    assert sorted(all_that_start(hands)) == ["a", "b"]
    assert gpu.client.hget(f"{SHARED}res:t.gpu", "u") == b"1"


# Per host


def test_a_job_is_held_if_no_host_has_enough_not_if_one_has_not(
    gpu: Broker, run: Run, hands: Hands, views: Views
) -> None:
    gpu.declare({"h.disk": 1})
    gpu.resize("h.disk", 4, "large")
    gpu.resize("h.disk", 2, "small")
    gpu.submit(run, [needing("a", "h.disk=4")])
    assert state(views, "a") is State.READY
    gpu.resize("h.disk", 3, "large")
    drain(gpu)
    assert state(views, "a") is State.HOLD
    gpu.resize("h.disk", 4, "small")
    drain(gpu)
    assert state(views, "a") is State.READY


def test_each_host_has_its_own(gpu: Broker, run: Run, hands: Hands) -> None:
    gpu.declare({"h.disk": 1})
    gpu.submit(run, [needing(n, "h.disk=1") for n in range(4)])
    for worker, host in (("a", "one"), ("b", "one"), ("c", "two")):
        gpu.enrol(worker, {"host": host, "pid": 1, "pool": "p", "slots": SLOTS})
        hands.numbers[worker] = 0
    first, second, third = (hands.claim(worker) for worker in ("a", "b", "c"))
    assert first.claim
    assert second.claim is None
    assert third.claim
    hands.finish(third, "c")
    assert hands.woken() == [], "the idle worker is on the other host"
    hands.finish(first, "a")
    assert hands.woken() == ["b"]
    gpu.resize("h.disk", 2, "two")
    assert [hands.claim("c").claim is None] == [False]


def test_a_worker_that_rq_handed_a_job_gets_it_when_its_host_has_enough(
    gpu: Broker, run: Run, hands: Hands
) -> None:
    gpu.declare({"h.disk": 1})
    assert gpu.acquire("holder", "h.disk=1", host="h").outcome == "granted"
    gpu.submit(run, [needing("a", "h.disk=1")])
    assert gpu.take("w", hands.number("w"), job("a")).outcome == "refused"
    gpu.free("holder")
    assert gpu.take("w", hands.number("w"), job("a")).outcome == "ok"


def a_job_waits_for_all(gpu: Broker, run: Run, hands: Hands, capacity: int) -> None:
    """Code holds one of what the host has; a job needs all, and code that comes after it waits behind it."""
    gpu.declare({"h.disk": capacity})
    assert gpu.acquire("first", "h.disk=1", host="h").outcome == "granted"
    gpu.submit(run, [needing("all", f"h.disk={capacity}", priority=1)])
    assert hands.claim().claim is None
    assert gpu.acquire("second", "h.disk=1", host="h").outcome == "waiting"


def test_code_that_keeps_coming_passes_no_job_that_waits_for_all_its_host_has(
    gpu: Broker, run: Run, hands: Hands
) -> None:
    a_job_waits_for_all(gpu, run, hands, 2)
    assert gpu.acquire("elsewhere", "h.disk=1", host="bare").outcome == "granted", "no worker is there"
    gpu.free("first")
    assert gpu.acquire("second", "h.disk=1", host="h").outcome == "waiting", "a worker is idle"
    assert hands.runs() == job("all")


@pytest.mark.parametrize("why", ["no worker", "other queues", "told to end"])
def test_code_waits_for_no_job_that_no_worker_of_its_host_could_take(
    gpu: Broker, run: Run, hands: Hands, why: str
) -> None:
    """The job lacks there what others hold, and is not to start there either."""
    a_job_waits_for_all(gpu, run, hands, 3)
    if why != "no worker":
        slots = "away:1" if why == "other queues" else SLOTS
        gpu.enrol("there", {"host": "there", "pid": 1, "pool": "p", "slots": slots})
    if why == "told to end":
        gpu.dismiss(["there"])
    for name in ("one", "two"):
        assert gpu.acquire(name, "h.disk=1", host="there").outcome == "granted"
    gpu.enrol("new", {"host": "there", "pid": 1, "pool": "p", "slots": SLOTS})
    assert gpu.acquire("three", "h.disk=1", host="there").outcome == "waiting", "it is kept for the job"


def test_code_leaves_to_a_worker_of_its_host_what_it_is_about_to_take(
    gpu: Broker, run: Run, hands: Hands
) -> None:
    a_job_waits_for_all(gpu, run, hands, 1)
    gpu.free("first")
    assert hands.woken() == ["w"]
    assert gpu.acquire("second", "h.disk=1", host="h").outcome == "waiting"
    reply = hands.claim()
    assert reply.claim
    hands.finish(reply)
    assert gpu.acquire("second", "h.disk=1", host="h").outcome == "granted"


def test_code_leaves_what_all_hosts_share_to_a_job_that_only_some_hosts_can_have(
    gpu: Broker, run: Run, hands: Hands
) -> None:
    gpu.declare({"h.disk": 1})
    gpu.resize("h.disk", 2, "h")
    assert gpu.acquire("first", "t.gpu=2").outcome == "granted"
    gpu.submit(run, [needing("a", "h.disk=2,t.gpu=1", priority=1)])
    assert hands.runs() is None
    gpu.free("first")
    assert hands.woken() == ["w"]
    assert gpu.acquire("second", "t.gpu=2").outcome == "waiting"
    assert hands.runs() == job("a")


@pytest.mark.parametrize("state", ["woken", "idle"])
def test_code_leaves_nothing_to_workers_of_other_hosts(
    gpu: Broker, run: Run, hands: Hands, state: str
) -> None:
    gpu.declare({"h.disk": 1})
    gpu.enrol("busy", {"host": "there", "pid": 1, "pool": "p", "slots": SLOTS})
    hands.numbers["busy"] = 0
    gpu.submit(run, [entry("plain")])
    assert hands.runs("busy") == job("plain")
    for idle in ("v", "w"):
        assert hands.claim(idle).claim is None
    gpu.submit(run, [needing("a", "h.disk=1", priority=1)])
    assert hands.woken() == ["v"]
    if state == "idle":
        gpu.client.delete(f"{gpu.prefix}coming:{SLOTS}:h.disk=1")  # it has not called for seconds
    assert gpu.acquire("there", "h.disk=1", host="there").outcome == "granted"
    assert gpu.acquire("here", "h.disk=1", host="h").outcome == "waiting"
    assert hands.woken() == (["v"] if state == "woken" else ["v", "w"]), "whom code waits for is awake"
    assert hands.runs("w") == job("a")


def test_code_asks_for_what_its_own_host_can_have(gpu: Broker) -> None:
    gpu.declare({"h.disk": 1})
    gpu.resize("h.disk", 3, "large")
    refused = gpu.acquire("small", "h.disk=2", host="small")
    assert refused.resource == "h.disk"
    assert (
        refused.excess == "needs disk(2), there are 1 on small; 'xpm token set disk 2 --host small' raises it"
    )
    assert gpu.acquire("large", "h.disk=3", host="large").outcome == "granted"
    assert declare(gpu, [Need("h", "disk", 3, 1)]) == ({"h.disk": 3}, [])


# Held by code


def test_code_waits_for_its_turn_and_is_woken(gpu: Broker, run: Run, hands: Hands) -> None:
    gpu.submit(run, [needing("a", "t.gpu=2")])
    reply = hands.claim("w")
    assert gpu.acquire("script", "t.gpu=1", facts={"pid": 7}).outcome == "waiting"
    assert gpu.acquire("script", "t.gpu=1").outcome == "waiting", "asked again"
    gpu.submit(run, [needing("b", "t.gpu=2")])
    hands.finish(reply, "w", SLOTS)
    assert gpu.wait("@script", 5)
    granted = gpu.acquire("script", "t.gpu=1")
    assert granted.outcome == "granted"
    assert granted == gpu.acquire("script", "t.gpu=1")
    assert hands.claim("w").claim is None
    assert gpu.free("script")
    assert not gpu.free("script")
    following = hands.claim("w").claim
    assert following
    assert following.fence > granted.fence


def test_a_lock_has_readers_or_a_writer(gpu: Broker) -> None:
    read, write = "l.index=1", "l.index=1000000"
    assert gpu.acquire("r1", read).outcome == gpu.acquire("r2", read).outcome == "granted"
    assert gpu.acquire("w1", write).outcome == "waiting"
    assert gpu.acquire("r3", read).outcome == "waiting", "readers that come later wait behind the writer"
    gpu.free("r1")
    gpu.free("r2")
    first = gpu.acquire("w1", write)
    assert first.outcome == "granted"
    assert gpu.acquire("r3", read).outcome == "waiting"
    gpu.free("w1")
    assert gpu.acquire("r3", read).fence > first.fence


def test_who_waits_for_more_than_there_is_any_more_keeps_nothing(gpu: Broker, run: Run, hands: Hands) -> None:
    assert gpu.acquire("holder", "t.gpu=1").outcome == "granted"
    assert gpu.acquire("licensed", "t.licence=1").outcome == "granted"
    assert gpu.acquire("both", "t.gpu=2,t.licence=1").outcome == "waiting"
    gpu.resize("t.gpu", 1)
    gpu.free("holder")
    gpu.free("licensed")
    gpu.submit(run, [needing("a", "t.gpu=1"), needing("b", "t.licence=1")])
    assert {hands.runs("v"), hands.runs("w")} == {job("a"), job("b")}
    assert gpu.acquire("large", "t.gpu=2").outcome == "over"


def test_code_that_wants_more_than_its_host_has_any_more_keeps_nothing(
    gpu: Broker, run: Run, hands: Hands
) -> None:
    gpu.declare({"h.disk": 2})
    assert gpu.acquire("holder", "t.gpu=1").outcome == "granted"
    assert gpu.acquire("both", "h.disk=2,t.gpu=2", host="small", priority=1).outcome == "waiting"
    gpu.resize("h.disk", 1, "small")
    gpu.submit(run, [needing("a", "t.gpu=1")])
    assert hands.runs("w") == job("a")


def test_more_than_there_is_is_refused(gpu: Broker) -> None:
    refused = gpu.acquire("x", "t.gpu=3")
    assert refused.outcome == "over"
    with pytest.raises(
        SubmissionError, match=r"^needs gpu\(3\), there are 2; 'xpm token set gpu 3' raises it$"
    ):
        _ = refused.fence_or_none
    assert gpu.acquire("x", "t.gpu=1,t.none=1").resource == "t.none"
    assert not gpu.free("x")


def test_a_silent_holder_loses_what_it_held(gpu: Broker) -> None:
    gpu.acquire("dead", "t.gpu=2")
    gpu.acquire("next", "t.gpu=2")
    gpu.client.hset(f"{gpu.prefix}meta", "grace", 0)
    gpu.client.zadd(f"{gpu.prefix}holds", {"dead": 1})
    now, found = gpu.overdue()
    assert found == [("@dead", 0, "1")]
    assert not gpu.lapse("dead", "1", now), "the second look came too early"
    assert gpu.keep("dead")
    gpu.client.zadd(f"{gpu.prefix}holds", {"dead": 1})
    assert not gpu.lapse("dead", "1", now - 60_000), "it was heard of since"
    assert gpu.lapse("dead", "2", now - 60_000)
    assert not gpu.keep("dead")
    assert gpu.acquire("next", "t.gpu=2").outcome == "granted"


def test_what_a_job_acquires_comes_back_with_its_end(gpu: Broker, run: Run, hands: Hands) -> None:
    gpu.submit(run, [needing("a", "t.gpu=1")])
    reply = hands.claim("w")
    claim = reply.claim
    assert claim
    granted = gpu.acquire("in-a", "t.licence=1", job=claim.id, execution=1, host="h")
    assert granted.outcome == "granted"
    assert gpu.acquire("waits", "t.gpu=2", job=claim.id, execution=1).outcome == "waiting"
    assert gpu.acquire("stale", "t.gpu=1", job=claim.id, execution=2).outcome == "fenced"
    hands.finish(reply, "w")
    assert gpu.acquire("in-a", "t.licence=1", job=claim.id, execution=1).outcome == "fenced"
    assert gpu.client.hget(f"{SHARED}res:t.licence", "u") == b"0"
    assert not gpu.client.exists(f"{gpu.prefix}wants:t.gpu")


def test_waiting_code_is_served_by_what_it_came_before(gpu: Broker, run: Run, hands: Hands) -> None:
    gpu.acquire("holder", "t.gpu=2")
    gpu.acquire("all", "t.gpu=2")
    gpu.submit(run, [needing(n, "t.gpu=1") for n in range(3)])
    gpu.free("holder")
    assert all_that_start(hands) == {}
    gpu.free("all")
    assert sorted(all_that_start(hands)) == ["0", "1"]


# Fairness


def test_experiments_take_turns(broker: Broker, run: Run, hands: Hands) -> None:
    other = broker.open("letters", "1", "code")
    broker.submit(run, [entry(f"a{n}") for n in range(50)])
    broker.submit(other, [entry(f"b{n}") for n in range(4)])
    order = list(all_that_start(hands, 10))
    assert sorted(order[:8]) == ["a0", "a1", "a2", "a3", "b0", "b1", "b2", "b3"]
    assert order[8:] == ["a4", "a5"]
    broker.submit(other, [entry("late", priority=0), entry("urgent", priority=1)])
    assert list(all_that_start(hands, 3)) == ["urgent", "a6", "late"]


def test_who_was_idle_has_no_more_than_one_turn_saved(broker: Broker, run: Run, hands: Hands) -> None:
    broker.submit(run, [entry(f"a{n}") for n in range(50)])
    all_that_start(hands, 20)
    other = broker.open("letters", "1", "code")
    broker.submit(other, [entry(f"b{n}") for n in range(20)])
    order = "".join(name[0] for name in all_that_start(hands, 10))
    assert order.count("b") in (5, 6), order


def test_experiments_of_one_user_share_a_turn(broker: Broker, hands: Hands) -> None:
    for name, user in (("a", "ada"), ("b", "ada"), ("c", "ada"), ("d", "bob")):
        run = broker.open(name, "1", "code", {"user": user})
        broker.submit(run, [entry(f"{name}{n}") for n in range(30)])
    order = "".join(name[0] for name in all_that_start(hands, 24))
    assert order.count("d") in (11, 12, 13), order


def test_the_longest_chain_goes_first_within_an_experiment(broker: Broker, run: Run, hands: Hands) -> None:
    broker.submit(run, [entry("short"), entry("long", wishes={"ch": 7}), entry("longer", wishes={"ch": 9})])
    assert list(all_that_start(hands)) == ["longer", "long", "short"]


def test_tokens_are_shared_between_experiments_too(gpu: Broker, run: Run, hands: Hands) -> None:
    other = gpu.open("letters", "1", "code")
    gpu.submit(run, [needing(f"a{n}", "t.gpu=1") for n in range(50)])
    gpu.submit(other, [needing(f"b{n}", "t.gpu=2") for n in range(2)])
    running = all_that_start(hands)
    order: list[str] = []
    while len(order) < 6:
        order += running
        for reply in running.values():
            end(hands, reply)
        running = all_that_start(hands)
    assert order == ["a0", "b0", "a1", "b1", "a2", "a3"]


def test_what_is_kept_on_one_host_is_not_kept_on_another(gpu: Broker, run: Run, hands: Hands) -> None:
    gpu.declare({"h.disk": 2})
    gpu.resize("h.disk", 1, "two")
    for worker, host in (("a", "one"), ("b", "one"), ("c", "two")):
        gpu.enrol(worker, {"host": host, "pid": 1, "pool": "p", "slots": SLOTS})
        hands.numbers[worker] = 0
    gpu.submit(run, [needing("first", "h.disk=1")])
    assert hands.claim("a").claim
    gpu.submit(run, [needing("all", "h.disk=2"), needing("small", "h.disk=1")])
    assert hands.claim("b").claim is None, "what is free there is kept for the one that needs all"
    claim = hands.claim("c").claim
    assert claim and claim.id == job("small")


def test_what_one_host_lacks_is_kept_on_no_other(gpu: Broker, run: Run, hands: Hands) -> None:
    """Code waits for it first in line, and is on another host than the worker."""
    gpu.declare({"h.disk": 1})
    assert gpu.acquire("holder", "h.disk=1", host="there").outcome == "granted"
    assert gpu.acquire("waits", "h.disk=1", host="there", priority=1).outcome == "waiting"
    gpu.submit(run, [needing("a", "h.disk=1")])
    assert hands.runs() == job("a")


def test_what_all_hosts_share_is_kept_for_a_job_also_where_that_cannot_start(
    gpu: Broker, run: Run, hands: Hands
) -> None:
    """Else small jobs that keep coming there would keep it from starting on the host that has enough."""
    gpu.declare({"h.disk": 1})
    gpu.resize("h.disk", 2, "large")
    gpu.enrol("there", {"host": "large", "pid": 1, "pool": "p", "slots": SLOTS})
    hands.numbers["there"] = 0
    assert gpu.acquire("holder", "t.gpu=1").outcome == "granted"
    gpu.submit(run, [needing("all", "h.disk=2,t.gpu=2", priority=1), needing("small", "t.gpu=1")])
    assert hands.runs("w") is None
    gpu.free("holder")
    assert hands.runs("there") == job("all")


def test_who_is_not_first_in_line_for_what_its_host_lacks_lets_others_pass(
    gpu: Broker, run: Run, hands: Hands
) -> None:
    gpu.declare({"h.disk": 2})
    assert gpu.acquire("gpu", "t.gpu=1").outcome == "granted"
    assert gpu.acquire("disk", "h.disk=1", host="h").outcome == "granted"
    gpu.submit(run, [needing("first", "h.disk=1,t.gpu=2", priority=3)])
    gpu.submit(run, [needing("all", "h.disk=2", priority=2), needing("small", "h.disk=1")])
    assert hands.runs() == job("small")


def test_what_a_host_has_for_itself_is_kept_for_who_was_overtaken(
    gpu: Broker, run: Run, hands: Hands
) -> None:
    gpu.declare({"h.disk": 2})
    assert gpu.acquire("code", "t.licence=1").outcome == "granted"
    gpu.submit(run, [needing("both", "h.disk=2,t.licence=1")])
    gpu.submit(run, [needing(f"small {n}", "h.disk=1") for n in range(2)])
    small = hands.claim()
    late = f"{gpu.prefix}late"
    assert gpu.client.zrange(late, 0, -1) == [job("both")[:32].encode()], "it was passed"
    gpu.client.zadd(late, {job("both")[:32]: 1})
    assert hands.finish(small, slots=SLOTS).claim is None, "both disks are kept"
    gpu.free("code")
    assert hands.runs() == job("both")


def test_a_job_that_is_submitted_again_or_moved_up_waits_since_it_began_to(gpu: Broker, run: Run) -> None:
    hands, ledger = Hands(gpu), Ledger(gpu)
    gpu.submit(run, [needing("held", "t.gpu=2"), needing("waits", "t.gpu=1")], {})
    hands.claim()
    (waiter,) = ledger.waiters("t.gpu")
    again = gpu.open("other", "r", "c2")
    gpu.submit(again, [needing("waits", "t.gpu=1", priority=3)], {})
    assert gpu.priority([job("waits")], 7)["set"] == 1
    (still,) = ledger.waiters("t.gpu")
    assert still.since == waiter.since > 0


def test_a_job_of_two_experiments_takes_the_turn_of_the_one_that_is_first(
    broker: Broker, run: Run, hands: Hands
) -> None:
    broker.submit(run, [entry(n) for n in range(20)])
    other = broker.open("other", "1", "code")
    broker.submit(other, [entry(19), *[entry(f"own {n}") for n in range(3)]])
    order: list[str] = []
    for _ in range(10):
        reply = hands.claim()
        assert reply.claim
        order.append(reply.claim.label.removeprefix("Task "))
        hands.finish(reply)
    assert {"19", "own 0", "own 1", "own 2"} <= set(order)


def test_who_serves_all_queues_prefers_none(broker: Broker, run: Run, hands: Hands) -> None:
    broker.enrol("w", {"host": "h", "pid": 1, "pool": "p", "slots": "*:1"})
    broker.submit(run, [entry(n, queue="aa") for n in range(3)])
    broker.submit(run, [entry("urgent", queue="zz", priority=100)])
    reply = hands.claim("w", "*:1")
    assert reply.claim and reply.claim.id == job("urgent")
    hands.finish(reply)
    broker.submit(run, [entry("more urgent", queue="zz", priority=101)])
    reply = hands.claim("w", "aa:1 zz:1")
    assert reply.claim and reply.claim.id == job(0), "the first of those that it names goes first"


def test_who_asks_for_a_moment_again_and_again_loses_no_turns(gpu: Broker, run: Run, hands: Hands) -> None:
    gpu.submit(run, [needing(n, "t.licence=1") for n in range(60)])
    reply = hands.claim()
    for n in range(100):
        assert gpu.acquire(f"poll {n}", "t.licence=1").outcome == "waiting"
        gpu.free(f"poll {n}")
    gpu.acquire("code", "t.licence=1")
    for _ in range(3):
        reply = hands.finish(reply, slots=SLOTS)
        if gpu.acquire("code", "t.licence=1").outcome == "granted":
            return
    raise AssertionError("code waits for jobs that came later")


@pytest.mark.parametrize("how", ["paused", "told to end"])
def test_what_was_kept_for_a_queue_goes_to_others_when_nobody_may_take_it(
    gpu: Broker, run: Run, hands: Hands, how: str
) -> None:
    gpu.enrol("there", {"host": "other", "pid": 1, "pool": "p", "slots": "away:1"})
    hands.numbers["there"] = 0
    assert gpu.acquire("holder", "t.gpu=1").outcome == "granted"
    gpu.submit(run, [needing("all", "t.gpu=2", queue="away", priority=1)])
    assert hands.claim("there", "away:1").claim is None
    assert gpu.acquire("code", "t.gpu=1").outcome == "waiting"
    if how == "paused":
        gpu.pause(["away"])
    else:
        gpu.dismiss(["there"])
    assert gpu.client.hget(f"{gpu.prefix}a:code", "f"), "it was granted at once"


def test_all_who_wait_are_looked_at_again_page_by_page(gpu: Broker, run: Run, hands: Hands) -> None:
    gpu.declare({f"l.item{n}": 1 for n in range(1500)})
    gpu.submit(run, [needing(n, f"l.item{n}=1") for n in range(1500)])
    (opened,) = gpu.client.keys(f"{gpu.prefix}opened:*")
    gpu.client.delete(opened, f"{gpu.prefix}open:{SLOTS}")
    for _ in range(3):
        gpu.revisit()
    assert gpu.client.zcard(opened) == 1500


def test_a_claim_does_not_look_at_all_who_contend_for_nothing(gpu: Broker, run: Run, hands: Hands) -> None:
    """A lock for each of many things: each job has its line for itself."""
    gpu.declare({f"l.item{n}": 1 for n in range(2000)})
    other = gpu.open("letters", "1")
    gpu.submit(run, [needing(n, f"l.item{n}=1") for n in range(1990)])
    gpu.submit(other, [needing(n, f"l.item{n}=1", priority=1) for n in range(1990, 1992)])
    gpu.submit(other, [needing(n, f"l.item{n}=1") for n in range(1992, 1994)])
    reply, order = hands.claim(), list[str]()
    for _ in range(8):
        assert reply.claim
        order.append(reply.claim.label.removeprefix("Task "))
        before = commands(gpu)
        reply = hands.finish(reply, slots=SLOTS)
        assert commands(gpu) - before < 400
    assert order[:2] == ["1990", "1991"]
    assert set(order[2:]) == {"0", "1", "2", "3", "1992", "1993"}, "experiments take turns"


def commands(broker: Broker) -> int:
    """How many the server has run, those of scripts too."""
    stats = broker.client.info("commandstats")
    return sum(one["calls"] for one in stats.values())


def test_what_is_granted_to_code_that_does_not_take_it_goes_to_the_next(gpu: Broker) -> None:
    """Its process has died while it waited, or stands still."""
    assert gpu.acquire("holder", "t.licence=1").outcome == "granted"
    for name in ("dead", "alive"):
        assert gpu.acquire(name, "t.licence=1").outcome == "waiting"
    gpu.free("holder")
    assert gpu.client.hget(f"{gpu.prefix}a:dead", "f")
    assert gpu.acquire("alive", "t.licence=1").outcome == "waiting"
    gpu.client.zincrby(f"{gpu.prefix}offered", -4_000, "dead")
    assert gpu.acquire("alive", "t.licence=1").outcome == "granted"
    assert gpu.acquire("dead", "t.licence=1").outcome == "waiting", "it keeps its place"
    gpu.acquire("third", "t.licence=1")
    gpu.free("alive")
    assert gpu.acquire("dead", "t.licence=1").outcome == "granted"
    assert not gpu.client.exists(f"{gpu.prefix}offered")


def test_nothing_is_granted_to_code_that_has_not_asked_lately(gpu: Broker) -> None:
    assert gpu.acquire("holder", "t.licence=1").outcome == "granted"
    for name in ("dead", "alive"):
        gpu.acquire(name, "t.licence=1")
    gpu.client.hincrby(f"{gpu.prefix}a:dead", "seen", -11_000)
    gpu.free("holder")
    assert gpu.acquire("alive", "t.licence=1").outcome == "granted"


@pytest.mark.parametrize("how", ["lanes", "groups"])
def test_those_that_lack_what_this_host_has_for_itself_hide_nobody(
    broker: Broker, run: Run, hands: Hands, how: str
) -> None:
    """They may start on another host at any time, so they stay among those that a claim looks at."""
    broker.declare({"h.mem": 1000, "t.licence": 1})
    broker.submit(run, [needing("first", "h.mem=1000", priority=200)])
    assert hands.runs("w0") == job("first")
    if how == "lanes":
        broker.submit(run, [needing(n, "h.mem=1000", priority=n + 1) for n in range(100)])
    else:
        broker.submit(run, [needing(n, f"h.mem={n + 1}") for n in range(150)])
    broker.submit(run, [needing("low", "t.licence=1")])
    assert hands.runs("w1") == job("low")
    assert hands.runs("w2") is None


def test_what_one_host_alone_has_is_a_token_per_host(broker: Broker) -> None:
    broker.resize("h.disk", 3, "tuba")
    assert broker.declare({"t.disk": 5, "h.disk": 0}) == {"t.disk": -2, "h.disk": 0}
    assert declare(broker, [Need("h", "disk", 2)])[0] == {"h.disk": 3}, "on the host that has most"
    assert broker.declare({"h.disk": 1}) == {"h.disk": 1}, "on all others"
    assert Ledger(broker).supplies(["h.disk"])["h.disk"].most == 3
