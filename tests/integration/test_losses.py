"""What of a job's lost executions counts against it, against its host, or against nobody."""

from __future__ import annotations

import pytest
from hands import SLOTS, Hands, entry, job, later

from xpm.broker.broker import Broker, Claim, Reply, Run, Silence
from xpm.broker.views import Views
from xpm.core.state import State

HERE, THERE = "here.1", "there.1"


class Hosts:
    """Workers named `<host>.<number>`, each host with one pool."""

    def __init__(self, broker: Broker, hands: Hands) -> None:
        self.broker = broker
        self.hands = hands

    def enrol(self, *workers: str, pool: str = "a") -> None:
        for worker in workers:
            host = worker.partition(".")[0]
            facts = {"host": host, "pid": 1, "pool": f"{host}.{pool}", "slots": SLOTS}
            self.broker.enrol(worker, facts)
            self.hands.numbers[worker] = 0

    def claim(self, worker: str) -> Reply:
        return self.hands.claim(worker)

    def granted(self, worker: str) -> Claim:
        claim = self.claim(worker).claim
        assert claim is not None
        return claim

    def crash(self, worker: str, end: Silence = "crashed", *, slots: str = "") -> Reply:
        claim = self.granted(worker)
        number = self.hands.number(worker)
        return self.broker.crash(worker, number, slots, claim.id, claim.execution, "SIGKILL", end)

    def end(self, worker: str, claim: Claim) -> None:
        """The job's process dies."""
        self.broker.crash(worker, self.hands.number(worker), "", claim.id, claim.execution, "SIGKILL")

    def rung(self, worker: str) -> bool:
        return worker in self.hands.woken()


@pytest.fixture
def hosts(broker: Broker, hands: Hands) -> Hosts:
    return Hosts(broker, hands)


# Against the job


def test_what_never_began_or_went_with_its_host_has_a_limit_of_its_own(
    broker: Broker, run: Run, hosts: Hosts, views: Views
) -> None:
    broker.submit(run, [entry("a")])
    for loss in range(10):
        assert loss == 0 or state(views, "a") is State.READY
        hosts.enrol(HERE)
        if loss % 3 == 0:
            hosts.crash(HERE, "lost")
        elif loss % 3 == 1:
            hosts.granted(HERE)
            broker.depart(HERE, "gone", "lost")
        else:
            expire(broker, hosts.granted(HERE))
    found, failure = views.job(job("a")), views.failure(job("a"))
    assert found and failure
    assert (found.state, found.crashes, found.attempt) == (State.ERROR, 0, 10)
    assert failure.type == "HostLost" and failure.message.startswith(
        "10 executions of this job ended with their"
    )

    broker.submit(later(broker), [entry("a")])  # another run tries again, from the beginning
    hosts.enrol(HERE)
    expire(broker, hosts.granted(HERE))
    assert state(views, "a") is State.READY


def test_what_was_handed_back_for_a_dead_worker_counts_nothing(
    broker: Broker, run: Run, hosts: Hosts, views: Views
) -> None:
    broker.submit(run, [entry("a")])
    for _ in range(12):
        hosts.enrol(HERE)
        assert hosts.granted(HERE).attempt == 1
        broker.depart(HERE, "it stood still", "returned")
    assert state(views, "a") is State.READY


def test_a_success_ends_the_count(broker: Broker, run: Run, hosts: Hosts, hands: Hands, views: Views) -> None:
    broker.submit(run, [entry("a")])
    hosts.enrol(HERE)
    expire(broker, hosts.granted(HERE))
    hosts.crash(HERE)
    hands.finish(hosts.claim(HERE), HERE)
    fields = broker.client.hmget(f"{broker.prefix}j:{job('a')[:32]}", "cr", "ls", "ah")
    assert fields == [None, None, None]


# The next attempt


def test_the_next_attempt_avoids_the_host_of_the_last_crash_while_another_is_there(
    broker: Broker, run: Run, hosts: Hosts
) -> None:
    hosts.enrol(HERE, "here.2", THERE)
    broker.submit(run, [entry("a"), entry("b")])
    assert hosts.granted(HERE).id == job("a")
    number = hosts.hands.number(HERE)
    reply = broker.crash(HERE, number, SLOTS, job("a"), 1, "SIGKILL")
    assert reply.claim and reply.claim.id == job("b")  # what comes behind it is not held up
    assert hosts.claim("here.2").claim is None
    assert hosts.granted(THERE).id == job("a")


def test_an_idle_worker_of_another_host_is_rung_for_it(broker: Broker, run: Run, hosts: Hosts) -> None:
    hosts.enrol(HERE, "here.2", THERE)
    broker.submit(run, [entry("a")])
    hosts.granted(HERE)
    assert hosts.claim("here.2").claim is None and hosts.claim(THERE).claim is None
    number = hosts.hands.number(HERE)
    assert broker.crash(HERE, number, SLOTS, job("a"), 1, "SIGKILL").claim is None
    assert hosts.rung(THERE)
    for worker in ("here.2", HERE):  # nobody of the host takes it, nor rings the others for ever
        if hosts.rung(worker):
            assert hosts.claim(worker).claim is None
    assert [worker for worker in hosts.hands.woken() if worker != THERE] == []
    assert hosts.granted(THERE).id == job("a")


def test_a_job_comes_back_to_its_host_when_there_is_no_other(broker: Broker, run: Run, hosts: Hosts) -> None:
    hosts.enrol(HERE, THERE)
    broker.submit(run, [entry("a")])
    hosts.crash(HERE)
    assert hosts.claim(HERE).claim is None
    broker.depart(THERE)
    assert hosts.granted(HERE).id == job("a")


def test_a_worker_that_was_not_heard_of_is_no_other_host(broker: Broker, run: Run, hosts: Hosts) -> None:
    hosts.enrol(HERE, THERE)
    broker.submit(run, [entry("a")])
    hosts.crash(HERE)
    broker.client.zadd(f"{broker.prefix}workers", {THERE: 1})
    assert hosts.granted(HERE).id == job("a")


# Against the host


def test_a_pool_on_which_three_jobs_crash_in_a_row_gets_no_more(
    broker: Broker, run: Run, hosts: Hosts, views: Views
) -> None:
    workers = ("here.1", "here.2", "here.3")
    broker.submit(run, [entry(n) for n in range(5)])
    hosts.enrol(*workers)
    broken = [hosts.granted(worker) for worker in workers]
    for worker, claim in zip(workers, broken, strict=True):
        assert not any(one.suspects for one in views.workers())
        hosts.end(worker, claim)
    suspects = tuple(one.id[:32] for one in broken)
    for worker in workers:
        reply = hosts.claim(worker)
        assert reply.claim is None and reply.suspects == suspects
    assert {one.name: one.suspects for one in views.workers()} == dict.fromkeys(workers, suspects)
    hosts.enrol(THERE)
    assert hosts.claim(THERE).claim is not None
    hosts.enrol(HERE, pool="b")  # started anew
    assert hosts.claim(HERE).claim is not None


def test_a_job_that_still_ends_well_opens_a_pool_that_gets_no_more(
    broker: Broker, run: Run, hosts: Hosts, hands: Hands, views: Views
) -> None:
    workers = ("here.1", "here.2", "here.3", "here.4")
    broker.submit(run, [entry(n) for n in range(5)])
    hosts.enrol(*workers)
    *broken, (other, last) = [(worker, hosts.claim(worker)) for worker in workers]
    for worker, reply in broken:
        assert reply.claim
        hosts.end(worker, reply.claim)
    assert hosts.claim(HERE).suspects
    broker.dismiss([other])  # it takes no other job itself
    hands.finish(last, other)
    assert not any(one.suspects for one in views.workers())
    assert hosts.claim(HERE).claim is not None


@pytest.mark.parametrize("by", ["its zygote", "its worker"])
def test_what_dies_with_its_zygote_or_worker_accuses_no_host(
    broker: Broker, run: Run, hosts: Hosts, hands: Hands, views: Views, by: str
) -> None:
    workers = ("here.1", "here.2", "here.3")
    broker.submit(run, [entry(n) for n in range(3)])
    hosts.enrol(*workers)
    for worker, claim in [(worker, hosts.granted(worker)) for worker in workers]:
        if by == "its zygote":
            number = hands.number(worker)
            broker.crash(worker, number, "", claim.id, claim.execution, "its zygote died", "lost")
        else:
            broker.depart(worker)
    hosts.enrol(*workers)
    assert not any(one.suspects for one in views.workers())
    assert all(hosts.claim(worker).claim is not None for worker in workers)


def test_no_job_waits_for_a_host_that_gets_no_more(broker: Broker, run: Run, hosts: Hosts) -> None:
    workers = ("here.1", "here.2", "here.3", THERE)
    broker.submit(run, [entry(n) for n in range(4)])
    hosts.enrol(*workers)
    for worker, claim in [(worker, hosts.granted(worker)) for worker in workers]:
        hosts.end(worker, claim)
    hosts.enrol(HERE)  # of the same pool
    found = {hosts.granted(THERE).id}
    for n in range(3):
        hosts.enrol(f"there.{n + 2}")
        found.add(hosts.granted(f"there.{n + 2}").id)
    assert len(found) == 4  # also the one that died there


@pytest.mark.parametrize("between", ["a success", "an hour"])
def test_a_success_between_or_a_late_death_accuses_no_host(
    broker: Broker, run: Run, hosts: Hosts, hands: Hands, between: str
) -> None:
    workers = ("here.1", "here.2", "here.3", "here.4")
    broker.submit(run, [entry(n) for n in range(5)])
    hosts.enrol(*workers)
    one, two, three, four = [(worker, hosts.claim(worker)) for worker in workers]
    for worker, reply in (one, two):
        assert reply.claim
        hosts.end(worker, reply.claim)
    assert three[1].claim
    if between == "a success":
        hands.finish(four[1], four[0])
    else:
        broker.client.hincrby(f"{broker.prefix}j:{three[1].claim.id[:32]}", "t1", -61_000)
    hosts.end(three[0], three[1].claim)
    assert hosts.claim(HERE).claim is not None


def state(views: Views, name: str) -> State:
    found = views.job(job(name))
    assert found is not None
    return found.state


def expire(broker: Broker, claim: Claim) -> None:
    broker.client.zadd(f"{broker.prefix}leases", {claim.id[:32]: 1})
    broker.client.hdel(f"{broker.prefix}meta", "grace")
    assert broker.expire(claim.id[:32], claim.execution, "0", 0)


# No host is waited for that cannot have the job, or only after long


def shunned_job(broker: Broker, run: Run, hosts: Hosts, **fields: object) -> None:
    """A job that crashed here, while the worker there is alive, and has another."""
    hosts.enrol(HERE, THERE)
    broker.submit(run, [entry("long", priority=5)])
    hosts.granted(THERE)
    broker.submit(run, [entry("a", **fields)])
    hosts.crash(HERE)


def test_a_busy_worker_of_another_host_is_waited_for_some_seconds(
    broker: Broker, run: Run, hosts: Hosts
) -> None:
    shunned_job(broker, run, hosts)
    assert hosts.claim(HERE).claim is None
    broker.client.hincrby(f"{broker.prefix}j:{job('a')[:32]}", "ac", -11_000)
    assert hosts.granted(HERE).id == job("a")


def test_a_worker_that_is_to_end_is_no_other_host(broker: Broker, run: Run, hosts: Hosts) -> None:
    shunned_job(broker, run, hosts)
    broker.dismiss([THERE])
    assert hosts.granted(HERE).id == job("a")


def test_a_host_that_never_has_enough_is_no_other_host(broker: Broker, run: Run, hosts: Hosts) -> None:
    broker.declare({"h.mem": 10})
    broker.resize("h.mem", 100, "here")
    shunned_job(broker, run, hosts, wishes={"rs": "h.mem=64"})
    assert hosts.granted(HERE).id == job("a")


def test_code_waits_for_no_worker_that_leaves_the_job_to_another_host(
    broker: Broker, run: Run, hosts: Hosts
) -> None:
    broker.declare({"t.gpu": 1})
    shunned_job(broker, run, hosts, priority=1, wishes={"rs": "t.gpu=1"})
    assert hosts.claim(HERE).claim is None
    assert broker.acquire("code", "t.gpu=1").outcome == "granted"


def test_jobs_that_shared_a_zygote_are_not_at_fault_when_it_dies(
    broker: Broker, run: Run, hosts: Hosts, hands: Hands, views: Views
) -> None:
    broker.submit(run, [entry("a")])
    hosts.enrol(HERE)
    for losses in range(3):
        claim = hosts.granted(HERE)
        assert claim.losses == losses, "a worker gives it a zygote of its own from then on"
        number = hands.number(HERE)
        broker.crash(HERE, number, "", claim.id, claim.execution, "its zygote died", "lost")
    found = views.job(job("a"))
    assert found and (found.state, found.crashes) == (State.READY, 0)
