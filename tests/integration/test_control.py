"""What people do to jobs, beside what workers do to them at the same moment."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import permutations

import invariants
import pytest
from hands import FAILURE, SLOTS, Hands, drain, entry, job, later
from servers import Server

from xpm.broker.broker import Broker, Claim, Failure, Run
from xpm.broker.jobview import JobView
from xpm.broker.views import RunView, Views
from xpm.cli.control import downwards
from xpm.cli.render import Screen
from xpm.cli.touch import Touched, preview
from xpm.core.callbacks import OnCompleted
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
    assert broker.cancel("", [job("a"), job("b"), job("x")], ADA) == (1, 1, 0)
    end("hand_back", broker, hands, claim)
    assert view(views, "a").reason == view(views, "b").reason == "cancelled by ada@host"
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


# queues, workers, the brake


def test_a_paused_queue_grants_nothing_and_shows_rq_nothing(
    broker: Broker, run: Run, hands: Hands, views: Views
) -> None:
    broker.submit(run, [entry("a"), entry("b", queue="other"), entry("c")])
    both = "default:1 other:1"
    assert broker.pause(["default"], ADA) == ["default"]
    assert broker.pause(["default"], "bob@host") == []
    ((queue, (since, who)),) = views.paused().items()
    assert (queue, who) == ("default", ADA) and since > 0
    assert hands.runs(slots=both) == job("b")
    assert hands.claim("v", both).claim is None
    listed = f"rq:queue:xpm-{broker.namespace}-default"
    assert not broker.client.exists(listed)
    broker.submit(run, [entry("d")])
    assert broker.take("v", hands.number("v"), job("d")).outcome == "refused"
    assert not broker.client.exists(listed), "a stock worker has nothing to come again for"
    assert not broker.refill("default:1")
    assert hands.claim("v", both).claim is None
    assert broker.resume(["default", "nothing"]) == ["default"]
    assert hands.woken() == ["v"]
    assert broker.client.llen(listed) == 3
    assert hands.runs("v", both) == job("a")


def test_workers_of_a_paused_queue_wake_no_one_in_turn(broker: Broker, run: Run, hands: Hands) -> None:
    broker.pause(["default"], ADA)
    for worker in "uv":
        assert hands.claim(worker).claim is None
    broker.submit(run, [entry("a")])
    (first,) = hands.woken()
    assert hands.claim(first).claim is None
    assert hands.woken() == []


def test_a_dismissed_worker_gets_nothing_more(broker: Broker, run: Run, hands: Hands, views: Views) -> None:
    broker.submit(run, [entry("a"), entry("b"), entry("c")])
    reply = hands.claim("v")
    assert hands.claim("w").claim and hands.claim("u").claim
    assert hands.claim("idle").claim is None
    assert broker.dismiss(["v", "idle", "nobody"]) == ["v", "idle"]
    assert broker.dismiss(["v"]) == ["v"]
    assert "idle" in hands.woken(), "it hears of it at once"
    assert views.dismissed() == {"v", "idle"}
    last = hands.finish(reply, "v", "default:1")
    assert (last.outcome, last.claim) == ("dismissed", None)
    assert state(views, "a") is State.DONE
    broker.submit(run, [entry("d")])
    assert hands.claim("idle").outcome == "dismissed"
    assert hands.runs("x") == job("d")
    for worker in ("v", "idle"):
        broker.depart(worker)
    assert views.dismissed() == set()


def failing(broker: Broker, hands: Hands, times: int, failure: Failure = FAILURE) -> None:
    for _ in range(times):
        claim = granted(hands)
        broker.fail("w", hands.number("w"), "", claim.id, claim.execution, failure)


@pytest.fixture
def braking(server: Server, broker: Broker) -> Iterator[Broker]:
    """Three that fail alike are enough."""
    with server.client() as client:
        yield Broker(client, broker.namespace, brake=3)


def test_the_brake_holds_what_would_fail_alike_some_at_a_time(
    braking: Broker, run: Run, hands: Hands, views: Views
) -> None:
    names = [f"n{number}" for number in range(100)]
    braking.submit(run, [entry(name) for name in names])
    braking.submit(run, [entry("other")._replace(task="Other")])
    failing(braking, hands, 3)
    (brake,) = views.brakes()
    assert (brake.task, brake.failed, brake.kind) == ("Task", 3, "ValueError")
    first = braking.claim("w", hands.number("w"), "default:1")
    assert first.claim is None and first.backlog, "the worker comes again at once"
    assert counted(views, run).counts[State.HOLD] == 25
    assert hands.runs("v") == job("other"), "another task goes on"
    found = counted(views, run)
    assert (found.counts[State.HOLD], found.counts[State.ERROR], found.held) == (97, 3, 0)
    assert view(views, "n50").holds == ("brake",)
    braking.submit(run, [entry("late")])
    assert hands.runs("u") is None
    assert state(views, "late") is State.HOLD
    assert braking.release([job(name) for name in names], ADA) == {"released": 97, "free": 3}
    assert views.brakes() == []
    assert granted(hands).id == job("n3")


def test_a_success_or_another_failure_between_counts_anew(
    braking: Broker, run: Run, hands: Hands, views: Views
) -> None:
    braking.submit(run, [entry(number) for number in range(20)])
    failing(braking, hands, 2)
    hands.finish(hands.claim())
    failing(braking, hands, 2)
    failing(braking, hands, 2, Failure("exception", "KeyError", "x"))
    failing(braking, hands, 2)
    assert views.brakes() == []
    reply = hands.claim()
    assert reply.claim
    braking.kill([reply.claim.id], ADA)
    hands.fail(reply)
    assert views.brakes() == [], "what somebody kills is not its task's doing"
    failing(braking, hands, 1)
    assert len(views.brakes()) == 1
    assert braking.lift(["Task", "Other"]) == ["Task"]
    assert hands.claim().claim


def test_no_brake_where_it_is_off(
    server: Server, broker: Broker, run: Run, hands: Hands, views: Views
) -> None:
    off = Broker(server.client(), broker.namespace, brake=0)
    off.submit(run, [entry(number) for number in range(30)])
    failing(off, hands, 25)
    assert views.brakes() == [] and hands.claim().claim


def test_no_brake_on_callbacks_which_are_of_one_task_whoever_wrote_them(
    braking: Broker, run: Run, hands: Hands, views: Views
) -> None:
    braking.submit(run, [entry(number)._replace(task=OnCompleted.__xpmid__) for number in range(9)])
    failing(braking, hands, 8)
    assert views.brakes() == [] and hands.claim().claim


# rerun


def test_a_done_job_runs_again_and_what_needs_it_waits_if_it_is_not_done(
    broker: Broker, run: Run, hands: Hands, views: Views
) -> None:
    broker.submit(run, [entry("a"), entry("b", "a"), entry("c", "a")])
    hands.run("b")
    before = view(views, "a").fence
    assert broker.rerun([job("a"), job("c"), job("x")], ADA) == {"rerun": 1, "pending": 1, "unknown": 1}
    drain(broker)
    assert [state(views, name) for name in "abc"] == [State.READY, State.DONE, State.WAITING]
    reply = hands.claim()
    assert reply.claim and (reply.claim.id, reply.claim.replaces) == (job("a"), before)
    hands.finish(reply)
    after = view(views, "a")
    assert (after.state, after.fence) == (State.DONE, reply.claim.fence) and after.fence > before
    claim = granted(hands, "v")
    assert (claim.id, claim.fences, claim.replaces) == (job("c"), (after.fence,), "")


@pytest.mark.parametrize("how", ["fail", "kill", "cancel", "lost"])
def test_the_result_stays_when_there_is_no_new_one(
    broker: Broker, run: Run, hands: Hands, views: Views, how: str
) -> None:
    broker.submit(run, [entry("a"), entry("b", "a")])
    hands.run("a")
    before = view(views, "a").fence
    broker.rerun([job("a")], ADA)
    claim = granted(hands)
    if how == "fail":
        end("fail", broker, hands, claim)
    elif how == "lost":
        for _ in range(3):
            end("crash", broker, hands, claim)
            if state(views, "a") is State.READY:
                claim = granted(hands)
                assert claim.replaces == before
    else:
        broker.kill([job("a")], ADA) if how == "kill" else broker.cancel(run.serial, [job("a")], ADA)
        end("hand_back", broker, hands, claim)
    drain(broker)
    found = view(views, "a")
    assert (found.state, found.fence) == (State.DONE, before) and found.reason.startswith("kept: ")
    assert hands.runs("v") == job("b"), "what needs it goes on with the result that stayed"
    assert broker.rerun([job("a")], ADA) == {"rerun": 1}


def test_a_rerun_that_was_not_begun_is_cancelled(
    broker: Broker, run: Run, hands: Hands, views: Views
) -> None:
    broker.submit(run, [entry("a"), entry("b", "a")])
    hands.run("b")
    before = view(views, "a").fence
    broker.rerun([job("a"), job("b")], ADA)
    assert [state(views, name) for name in "ab"] == [State.READY, State.WAITING]
    assert broker.cancel(run.serial, [job("a"), job("b")], ADA) == (2, 0, 0)
    assert (state(views, "a"), view(views, "a").fence, state(views, "b")) == (State.DONE, before, State.DONE)


def test_what_runs_again_together_runs_in_its_order(
    broker: Broker, run: Run, hands: Hands, views: Views
) -> None:
    broker.submit(run, [entry("a"), entry("b", "a"), entry("c", "b"), entry("d", "a")])
    hands.run("c")
    hands.run("d")
    below = views.downstream([job("a")], 100)
    assert set(below.values()) == {State.DONE} and len(below) == 3
    order = views.ordered([*below, job("a")])
    assert order[0] == job("a")[:32] and order.index(job("b")[:32]) < order.index(job("c")[:32])
    broker.rerun(order, ADA)
    assert [state(views, name) for name in "abcd"] == [State.READY, *3 * [State.WAITING]]
    hands.run("a")
    assert view(views, "b").state is State.READY


def all_done(broker: Broker, hands: Hands) -> None:
    drain(broker)
    while (reply := hands.claim("runner")).claim:
        hands.finish(reply, "runner")


def all_were_made_after_their_inputs(views: Views, names: list[str]) -> None:
    found = {one.id[:32]: one for one in views.jobs([job(name) for name in names]) if one is not None}
    assert {one.state for one in found.values()} == {State.DONE}
    for id, one in found.items():
        assert all(found[parent].fence < one.fence for parent in views.inputs(id))


def test_what_runs_again_waits_for_its_inputs_however_many_edges_that_is(
    broker: Broker, run: Run, hands: Hands, views: Views
) -> None:
    tops, lows = [f"t{n}" for n in range(10)], [f"l{n}" for n in range(60)]
    broker.submit(run, [*map(entry, tops), *(entry(low, *tops) for low in lows)])
    all_done(broker, hands)
    broker.rerun(views.ordered([job(name) for name in (*lows, *tops)]), ADA)
    assert {state(views, low) for low in lows} == {State.WAITING}
    first = [granted(hands, f"w{n}") for n in range(10)]
    assert {one.id for one in first} == {job(top) for top in tops}
    assert hands.claim("w").claim is None
    for n, one in enumerate(first):
        broker.finish(f"w{n}", hands.number(f"w{n}"), "", one.id, one.execution, one.fence)
    all_done(broker, hands)
    all_were_made_after_their_inputs(views, [*tops, *lows])
    assert min(view(views, low).fence for low in lows) > max(one.fence for one in first)
    invariants.check_settled(invariants.read(broker.client, broker.namespace))


@pytest.mark.parametrize("lost", [False, True])
def test_what_runs_again_over_several_calls_waits_for_its_inputs(
    broker: Broker, run: Run, views: Views, lost: bool
) -> None:
    """More jobs than one call takes, inputs whose news still wait, and one that has more inputs than a call looks up."""
    small = Broker(broker.client, broker.namespace, budget=20)
    hands = Hands(small)
    tops, lows = ["a", "b"], [f"l{n}" for n in range(150)]
    broker.submit(run, [*map(entry, tops), *(entry(low, *tops) for low in lows), entry("z", *lows)])
    all_done(small, hands)
    order = views.ordered([job(name) for name in ("z", *lows, *tops)])
    asked = 0
    for page in (order[:2], order[:50] if lost else [], order[2:50], order[50:]):
        small.rerun(page, ADA)
        while (claim := broker.claim(f"w{asked}", hands.number(f"w{asked}"), SLOTS).claim) is not None:
            assert claim.id in {job(top) for top in tops}
            asked += 1
    assert asked == 2 and state(views, "z") is State.WAITING
    for number in range(2):
        small.depart(f"w{number}", "its worker was stopped", "returned")
    all_done(small, hands)
    assert {state(views, name) for name in (*tops, *lows, "z")} == {State.DONE}
    assert view(views, "z").fence > max(view(views, low).fence for low in lows)
    assert min(view(views, low).fence for low in lows) > max(view(views, top).fence for top in tops)
    invariants.check_settled(invariants.read(broker.client, broker.namespace))


def test_the_preview_of_a_rerun_counts_what_runs_with_the_old_results(
    broker: Broker, run: Run, hands: Hands, views: Views, capsys: pytest.CaptureFixture[str]
) -> None:
    broker.submit(run, [entry("a"), entry("b", "a"), entry("c", "b"), entry("d", "b")])
    hands.run("b")

    def shown() -> str:
        touched = Touched(ids=[job("a")])
        downwards(views, touched)
        preview(Screen(no_color=True), "rerun", touched, views, "waits until they are done again")
        assert touched.ids == [job("a")[:32], job("b")[:32]]
        return capsys.readouterr().out

    assert "old result" not in shown()
    granted(hands, "w")
    said = "1 job that needs them runs: it goes on with the old results; rerun it when it is done\n"
    assert said in shown()
    granted(hands, "v")
    said = "2 jobs that need them run: they go on with the old results; rerun them when they are done\n"
    assert said in shown()


@pytest.mark.parametrize("inputs", [("b", "a"), ("b", "a", "c", "d")])
@pytest.mark.parametrize("verb", ["claim", "take"])
def test_what_is_ready_is_not_granted_when_an_input_is_to_run_again(
    broker: Broker, run: Run, hands: Hands, views: Views, verb: str, inputs: tuple[str, ...]
) -> None:
    """Though it has not heard of that: others hear before it, and the call that would grant it tells no more of them."""
    small = Broker(broker.client, broker.namespace, budget=2)
    broker.submit(run, [entry(name) for name in "abcd"])
    broker.submit(run, [entry(n, "a") for n in range(20)])
    all_done(broker, hands)
    broker.submit(run, [entry("z", *inputs)])
    small.rerun([job("a")], ADA)
    top = small.take("v", hands.number("v"), job("a")).claim
    assert top is not None and state(views, "z") is State.READY
    if verb == "claim":
        reply = small.claim("w", hands.number("w"), SLOTS)
        assert (reply.claim, reply.backlog) == (None, True)
    else:
        reply = small.take("w", hands.number("w"), job("z"))
        assert (reply.outcome, reply.claim) == ("refused", None)
    assert state(views, "z") is State.WAITING
    invariants.check(invariants.read(broker.client, broker.namespace))
    small.finish("v", hands.number("v"), "", top.id, top.execution, top.fence)
    drain(small)
    assert hands.runs() == job("z")


def test_a_rerun_that_is_killed_as_its_worker_dies_is_looked_at_again(
    broker: Broker, run: Run, hands: Hands, views: Views
) -> None:
    """Its new result may lie there: nobody has heard."""
    broker.submit(run, [entry("a"), entry("b", "a")])
    hands.run("a")
    broker.rerun([job("a")], ADA)
    claim = granted(hands)
    broker.kill([job("a")], ADA)
    broker.depart("w")
    found = view(views, "a")
    assert (found.state, found.reason) == (State.READY, f"kept: killed by {ADA}")
    hands.numbers.pop("w")
    again = granted(hands)
    assert (again.id, again.replaces) == (job("a"), ""), "whatever lies there is the result"
    broker.finish("w", hands.number("w"), "", again.id, again.execution, claim.fence)
    found = view(views, "a")
    assert (found.state, found.fence) == (State.DONE, claim.fence)
    assert view(views, "b").state is State.READY


def test_a_script_tells_of_a_later_record_than_the_broker_knows(
    broker: Broker, run: Run, hands: Hands, views: Views
) -> None:
    """It has lost its last second, say."""
    broker.submit(run, [entry("a")])
    hands.run("a")
    old = view(views, "a").fence
    later_one = f"{int(old) + 1:026}"
    broker.submit(run, [entry("a", known="recorded", fence=later_one)])
    broker.submit(run, [entry("a", known="recorded", fence=old)])
    assert view(views, "a").fence == later_one


def test_a_record_that_was_replaced_before_its_worker_died_counts(
    broker: Broker, run: Run, hands: Hands, views: Views
) -> None:
    broker.submit(run, [entry("a")])
    hands.run("a")
    broker.rerun([job("a")], ADA)
    first = granted(hands)
    broker.crash("w", hands.number("w"), "", first.id, first.execution, "gone")
    second = granted(hands)
    broker.finish("w", hands.number("w"), "", second.id, second.execution, first.fence)
    found = view(views, "a")
    assert (found.state, found.fence) == (State.DONE, first.fence)


def test_a_worker_that_was_told_to_end_takes_nothing_however_long_its_job_takes(
    broker: Broker, run: Run, hands: Hands
) -> None:
    broker.submit(run, [entry("long"), entry("next")])
    reply = hands.claim("w1")
    hands.number("w2")
    broker.dismiss(["w1"])
    broker.client.zincrby(f"{broker.prefix}dismissed", -25 * 3_600_000, "w1")
    broker.dismiss(["w2"])
    reply = hands.finish(reply, "w1", SLOTS)
    assert (reply.outcome, reply.claim) == ("dismissed", None)


def test_a_retry_while_a_cancelled_job_ends_lets_it_run_again(
    broker: Broker, run: Run, hands: Hands, views: Views
) -> None:
    broker.submit(run, [entry("a")])
    reply = hands.claim()
    broker.cancel("", [job("a")])
    assert broker.retry([job("a")]) == {"retried": 1}
    assert broker.retry([job("a")]) == {"pending": 1}
    hands.fail(reply)
    found = views.job(job("a"))
    assert found and found.state is State.READY


@pytest.mark.parametrize("how", ["cancelled while it waits", "killed later"])
def test_a_rerun_of_which_an_execution_was_lost_is_looked_at_before_it_keeps_its_old_result(
    broker: Broker, run: Run, hands: Hands, views: Views, how: str
) -> None:
    """The lost one may have published a new result just before."""
    broker.submit(run, [entry("a")])
    hands.run("a")
    before = view(views, "a").fence
    broker.rerun([job("a")], ADA)
    reply = hands.claim()
    assert reply.claim
    published = reply.claim.fence
    broker.depart("w", "its host died", "lost")
    if how == "cancelled while it waits":
        broker.cancel("", [job("a")], ADA)
    else:
        claim = hands.claim("v").claim
        assert claim
        broker.kill([job("a")], ADA)
        broker.hand_back("v", hands.number("v"), "", claim.id, claim.execution, "its worker was stopped")
    assert state(views, "a") is State.READY
    last = hands.claim("x")
    assert last.claim and last.claim.replaces == ""
    broker.finish("x", hands.number("x"), "", last.claim.id, last.claim.execution, published)
    found = view(views, "a")
    assert (found.state, found.fence) == (State.DONE, published) and published > before


def test_a_rerun_that_all_gave_up_and_is_looked_at_stands_in_the_lane_of_who_wants_it(
    broker: Broker, run: Run, hands: Hands, views: Views
) -> None:
    broker.submit(run, [entry("a")])
    broker.submit(broker.open("other", "r"), [entry("a")])
    hands.run("a")
    broker.rerun([job("a")], ADA)
    hands.claim()
    broker.depart("w", "its host died", "lost")
    assert broker.cancel(run.serial, [job("a")], ADA).kept == 1
    assert broker.cancel("", [job("a")], ADA).cancelled == 1
    assert state(views, "a") is State.READY
    invariants.check(invariants.read(broker.client, broker.namespace))
