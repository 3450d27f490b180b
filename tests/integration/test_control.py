"""What people do to jobs, beside what workers do to them at the same moment."""

from __future__ import annotations

from itertools import permutations

import pytest
from hands import FAILURE, Hands, drain, entry, job, later

from xpm.broker.broker import Broker, Claim, Run
from xpm.broker.views import JobView, RunView, Views
from xpm.core.state import State

ADA = "ada@host"


def view(views: Views, name: str) -> JobView:
    found = views.job(job(name))
    assert found is not None
    return found


def state(views: Views, name: str) -> State:
    return view(views, name).state


def counted(views: Views, run: Run) -> RunView:
    found = views.run(run.token)
    assert found is not None
    return found


def granted(hands: Hands, worker: str = "w") -> Claim:
    claim = hands.claim(worker).claim
    assert claim is not None
    return claim


def expire(broker: Broker, claim: Claim) -> None:
    """The worker was not heard of: both looks, without the time between them."""
    broker.client.hset(f"{broker.prefix}meta", "grace", 0)
    broker.client.zadd(f"{broker.prefix}leases", {claim.id[:32]: 1}, xx=True)
    for short, execution, renewals in broker.overdue()[1]:
        broker.expire(short, execution, renewals, 0)


ENDS = ("finish", "fail", "crash", "hand_back", "expire", "depart")


def end(how: str, broker: Broker, hands: Hands, claim: Claim) -> None:
    mine = ("w", hands.number("w"), "", claim.id, claim.execution)
    if how == "finish":
        broker.finish(*mine, claim.fence)
    elif how == "fail":
        broker.fail(*mine, FAILURE)
    elif how == "crash":
        broker.crash(*mine, "gone")
    elif how == "hand_back":
        broker.hand_back(*mine, "its worker was stopped")
    elif how == "expire":
        expire(broker, claim)
    else:
        broker.depart("w")


# kill


@pytest.mark.parametrize("how", ENDS)
def test_a_killed_execution_ends_killed_unless_its_result_came(
    broker: Broker, run: Run, hands: Hands, views: Views, how: str
) -> None:
    broker.submit(run, [entry("a"), entry("b", "a")])
    claim = granted(hands)
    assert broker.kill([job("a"), job("b"), job("x")], ADA) == {"stopping": 1, "idle": 1, "unknown": 1}
    assert broker.renew("w", claim.id, claim.execution) == "stop"
    end(how, broker, hands, claim)
    drain(broker)
    if how == "finish":
        assert (state(views, "a"), state(views, "b")) == (State.DONE, State.READY)
        return
    found, failure = view(views, "a"), views.failure(job("a"))
    assert (found.state, found.reason, found.stop) == (State.ERROR, "killed by ada@host", "")
    assert failure is not None and (failure.kind, failure.message) == ("killed", "stopped by ada@host")
    assert state(views, "b") is State.HOLD


@pytest.mark.parametrize("meanwhile", ["cancel", "submit", "retry", "kill", "hold"])
def test_nothing_that_is_asked_for_meanwhile_undoes_a_kill(
    broker: Broker, run: Run, hands: Hands, views: Views, meanwhile: str
) -> None:
    broker.submit(run, [entry("a")])
    claim = granted(hands)
    if meanwhile in ("cancel", "kill"):  # in either order
        broker.cancel(run.serial, [job("a")])
    broker.kill([job("a")], ADA)
    if meanwhile == "cancel":
        broker.cancel(run.serial, [job("a")])
    elif meanwhile == "submit":
        broker.submit(later(broker), [entry("a")])
    elif meanwhile != "kill":
        getattr(broker, meanwhile)([job("a")], ADA)
    end("hand_back", broker, hands, claim)
    assert state(views, "a") is State.ERROR


@pytest.mark.parametrize("order", [*permutations(("kill", "finish", "expire", "cancel"))], ids="-".join)
def test_of_a_kill_and_the_ends_of_an_execution_one_wins(
    broker: Broker, run: Run, hands: Hands, views: Views, order: tuple[str, ...]
) -> None:
    broker.submit(run, [entry("a")])
    claim = granted(hands)
    for step in order:
        if step == "kill":
            broker.kill([job("a")], ADA)
        elif step == "cancel":
            broker.cancel(run.serial, [job("a")], ADA)
        else:
            end(step, broker, hands, claim)
    before = order[: order.index("expire")]
    if "finish" in before:
        expected = State.DONE
    elif "kill" in before:
        expected = State.ERROR
    else:  # it was cancelled, running or then ready again
        expected = State.CANCELLED
    assert state(views, "a") is expected
    counts = counted(views, run).counts
    assert {name: count for name, count in counts.items() if count} == {expected: 1}


# hold and release


def test_what_is_held_holds_what_needs_it_until_it_is_released(
    broker: Broker, run: Run, hands: Hands, views: Views
) -> None:
    broker.submit(run, [entry("a"), entry("b", "a"), entry("c")])
    assert broker.hold([job("a")], ADA) == {"held": 1}
    assert broker.hold([job("a")], "bob@host") == {"before": 1}
    drain(broker)
    found = view(views, "a")
    assert (found.state, found.holds, found.reason) == (State.HOLD, ("person",), "held by ada@host")
    assert found.who == ADA and found.asked > 0
    assert state(views, "b") is State.HOLD
    hands.run("c")
    assert hands.runs("v") is None
    waited = counted(views, run)
    assert (waited.open, waited.held, waited.ended) == (0, 1, False)
    assert broker.release([job("a"), job("b")], ADA) == {"released": 1, "free": 1}
    hands.run("b")
    assert counted(views, run).ended


def test_a_running_job_is_not_held(broker: Broker, run: Run, hands: Hands, views: Views) -> None:
    broker.submit(run, [entry("a")])
    reply = hands.claim()
    assert broker.hold([job("a")], ADA) == {"running": 1}
    hands.finish(reply)
    assert broker.hold([job("a")], ADA) == {"ended": 1}
    assert state(views, "a") is State.DONE


def test_a_held_job_whose_input_fails_stays_held_after_its_release(
    broker: Broker, run: Run, hands: Hands, views: Views
) -> None:
    broker.submit(run, [entry("a"), entry("b", "a")])
    reply = hands.claim()
    broker.hold([job("b")], ADA)
    hands.fail(reply)
    drain(broker)
    assert view(views, "b").holds == ("person", "dependency")
    assert broker.release([job("b")], ADA) == {"blocked": 1}
    found = view(views, "b")
    assert (found.state, found.holds, found.reason) == (State.HOLD, ("dependency",), "dependency")


def test_a_newer_run_leaves_a_hold_and_waits_for_it(broker: Broker, run: Run, views: Views) -> None:
    broker.submit(run, [entry("a")])
    broker.hold([job("a")], ADA)
    newer = later(broker)
    assert broker.submit(newer, [entry("a")])[0].state is State.HOLD
    assert (counted(views, run).held, counted(views, newer).held) == (0, 1)
    broker.cancel(run.serial, [job("a")], ADA)
    found = view(views, "a")
    assert (found.state, found.holds, counted(views, newer).held) == (State.CANCELLED, (), 0)


# retry, cancel, priority


def test_a_retry_gives_a_failed_job_a_new_life(broker: Broker, run: Run, hands: Hands, views: Views) -> None:
    broker.submit(run, [entry("a"), entry("b", "a"), entry("c")])
    hands.fail(hands.claim())
    assert broker.retry([job("a"), job("b"), job("c")], ADA) == {"retried": 1, "pending": 2}
    drain(broker)
    found = view(views, "a")
    assert (found.state, found.reason) == (State.READY, "retried by ada@host")
    assert views.failure(job("a")) is None
    hands.run("b")
    assert broker.retry([job("a")], ADA) == {"done": 1}


def test_a_retried_job_is_wanted_by_the_experiments_that_list_it(
    broker: Broker, run: Run, hands: Hands, views: Views
) -> None:
    other = broker.open("letters", "1")
    for each in (run, other):
        broker.submit(each, [entry("a")])
        broker.cancel(each.serial, [job("a")], ADA)
    assert view(views, "a").reason == "cancelled by ada@host"
    broker.retry([job("a")], ADA)
    assert broker.cancel(run.serial, [job("a")], ADA) == (0, 0, 1)
    hands.run("a")


def test_all_that_want_a_job_give_it_up(broker: Broker, run: Run, hands: Hands, views: Views) -> None:
    for each in (run, broker.open("letters", "1")):
        broker.submit(each, [entry("a"), entry("b")])
    claim = granted(hands)
    assert claim.id == job("a")
    assert broker.cancel("", [job("a"), job("b"), job("x")], ADA) == (1, 1, 0)
    end("hand_back", broker, hands, claim)
    assert view(views, "a").reason == "cancelled by ada@host"
    assert (state(views, "a"), state(views, "b")) == (State.CANCELLED, State.CANCELLED)


def test_a_higher_priority_starts_first(broker: Broker, run: Run, hands: Hands) -> None:
    broker.submit(run, [entry("a"), entry("b"), entry("c")])
    assert broker.priority([job("c"), job("x")], 5, ADA) == {"set": 1, "unknown": 1}
    assert broker.priority([job("a")], -1, ADA) == {"set": 1}
    assert broker.priority([job("c")], 5, ADA) == {"same": 1}
    assert [hands.runs(worker) for worker in "uvw"] == [job("c"), job("b"), job("a")]


def test_verbs_of_people_take_any_number_of_jobs(broker: Broker, run: Run, views: Views) -> None:
    names = [str(number) for number in range(250)]
    broker.submit(run, [entry(name) for name in names])
    assert broker.hold([job(name) for name in names], ADA) == {"held": 250}
    assert counted(views, run).held == 250
    assert broker.release([job(name) for name in names], ADA) == {"released": 250}
    assert counted(views, run).counts[State.READY] == 250
