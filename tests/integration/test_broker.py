"""What the broker promises to scripts and workers, verb by verb."""

from __future__ import annotations

import threading

import invariants
import pytest
import redis
from hands import FAILURE, SLOTS, Hands, drain, entry, job, later
from servers import Server

from xpm.broker.broker import Broker, Failure, Run
from xpm.broker.connect import open_client
from xpm.broker.views import Views
from xpm.core.state import State
from xpm.errors import BrokerError
from xpm.types import JobId, Namespace, short


def state(views: Views, name: str) -> State:
    (found,) = views.states([job(name)])
    assert found is not None
    return found[0]


# Submission


def test_what_is_submitted_twice_is_one_job(broker: Broker, run: Run, views: Views) -> None:
    plan = [entry("a"), entry("b", "a")]
    first = broker.submit(run, plan)
    again = broker.submit(run, plan)
    assert [one.action for one in first] == ["new", "new"]
    assert [(one.state, one.action) for one in again] == [(State.READY, "joined"), (State.WAITING, "joined")]
    found = views.run(run.token)
    assert found
    assert (found.total, found.open) == (2, 2)


def test_two_scripts_that_submit_overlapping_plans_at_once_share_jobs(
    server: Server, broker: Broker, views: Views
) -> None:
    plans = [[entry(n, *([n - 1] if n else [])) for n in range(0, 300)], [entry(n) for n in range(300, 320)]]
    plans[1] = [*plans[0][:200], *plans[1]]
    start, outcomes = threading.Barrier(2), [[], []]

    def script(number: int) -> None:
        with server.client() as client:
            mine = Broker(client, broker.namespace)
            run = mine.open(f"experiment {number}", "1")
            start.wait()
            for at in range(0, len(plans[number]), 20):
                outcomes[number] += mine.submit(run, plans[number][at : at + 20])

    threads = [threading.Thread(target=script, args=(number,)) for number in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    made = [outcome.id for outcome in outcomes[0] + outcomes[1] if outcome.action == "new"]
    assert len(made) == len(set(made)) == 320
    assert sum(views.counts().values()) == 320
    runs = {view.experiment: view for view in views.experiments()}
    assert (runs["experiment 0"].total, runs["experiment 1"].total) == (300, 220)
    shared = views.job(job(7))
    assert shared
    assert len(shared.runs) == 2


def test_a_repeated_submission_of_a_shared_job_counts_once(broker: Broker, run: Run, views: Views) -> None:
    broker.submit(run, [entry("a")])
    broker.submit(broker.open("letters", "1"), [entry("a")])
    broker.submit(run, [entry("a")])
    found = views.run(run.token)
    assert found
    assert (found.total, found.counts[State.READY]) == (1, 1)


def test_a_newer_run_of_the_experiment_takes_the_jobs_over(broker: Broker, run: Run, views: Views) -> None:
    broker.submit(run, [entry("a"), entry("b")])
    newer = later(broker)
    broker.submit(newer, [entry("a")])
    broker.submit(run, [entry("a")])
    old, new = views.run(run.token), views.run(newer.token)
    assert old
    assert new
    assert (old.counts[State.READY], new.counts[State.READY]) == (1, 1)


def test_inputs_may_come_later(broker: Broker, run: Run, hands: Hands) -> None:
    broker.submit(run, [entry("b", "a")])
    assert hands.runs() is None
    broker.submit(run, [entry("a")])
    hands.run("a")
    assert hands.runs("v") == job("b")


def test_a_recorded_job_is_done_at_once(broker: Broker, run: Run, hands: Hands, views: Views) -> None:
    found = entry("a", known="recorded", fence="7" * 26)
    outcomes = broker.submit(run, [found, entry("b", "a")])
    assert [one.state for one in outcomes] == [State.DONE, State.READY]
    claim = hands.claim().claim
    assert claim
    assert claim.fences == ("7" * 26,)


def test_a_removed_result_runs_again_once(broker: Broker, run: Run, hands: Hands, views: Views) -> None:
    broker.submit(run, [entry("a"), entry("b", "a"), entry("c", "b")])
    hands.run("b")
    found = views.states([job("a")])[0]
    assert found
    gone = entry("a")._replace(known="removed", fence=found[2])
    assert broker.submit(run, [gone])[0].action == "retried"
    assert broker.submit(run, [gone])[0].action == "joined"
    assert [one.state for one in views.jobs([job("b"), job("c")]) if one] == [State.DONE, State.READY]
    hands.run("a")
    assert broker.submit(run, [gone])[0].action == "reused", "a call whose reply was lost came again"


def test_a_submission_describes_what_is_not_started_anew(broker: Broker, run: Run, hands: Hands) -> None:
    broker.submit(run, [entry("a"), entry("b", "a")])
    changed = entry("b", "a")._replace(version=2, payload=b"newer", queue="big")
    broker.submit(later(broker), [entry("a")._replace(version=2), changed])
    assert hands.runs() is None, "a worker was offered a payload that it cannot read"
    assert hands.runs("new", "default:1 default:2") == job("a")


def test_what_a_job_needs_is_what_its_last_submission_says(
    broker: Broker, run: Run, hands: Hands, views: Views
) -> None:
    """Parameters that do not identify a job may bring other tasks the next time, or the same in another order."""
    broker.submit(run, [*map(entry, "abc"), entry("x", "a", "b"), entry("y", "a"), entry("z", "b", "c")])
    swapped, other, fewer = entry("x", "b", "a"), entry("y", "c"), entry("z")
    outcomes = broker.submit(later(broker), [*map(entry, "abc"), swapped, other, fewer])
    assert [one.state for one in outcomes[3:]] == [State.WAITING, State.WAITING, State.READY]
    first, second = hands.claim("first"), hands.claim("second")
    hands.finish(first, "first")
    drain(broker)
    assert state(views, "y") is State.WAITING, "what it needed before is none of its business any more"
    hands.finish(second, "second")
    drain(broker)
    found = {name: hands.claim(name).claim for name in ("one", "two", "three")}
    by_job = {claim.id: claim for claim in found.values() if claim}
    assert set(by_job) == {job("c"), job("x"), job("z")}
    assert first.claim and second.claim
    assert by_job[job("x")].fences == (second.claim.fence, first.claim.fence)
    assert by_job[job("z")].fences == ()


def test_more_inputs_than_one_call_settles_may_change_too(
    broker: Broker, run: Run, hands: Hands, views: Views
) -> None:
    many = range(600)
    broker.submit(run, [*map(entry, many), entry("x", *many)])
    broker.submit(later(broker), [entry("x", *reversed(many[:300]))])
    for n in many[:300]:
        hands.run(n)
    drain(broker)
    assert state(views, "x") is State.READY


def test_a_job_that_comes_twice_in_one_call_is_as_it_was_described_last(
    broker: Broker, run: Run, hands: Hands
) -> None:
    last = entry("x", "b")._replace(payload=b"last", tags={"more": 1})
    broker.submit(run, [entry("a"), entry("b"), entry("x", "a"), last])
    hands.run("b")
    claim = hands.claim().claim
    assert claim and (claim.id, claim.payload) == (job("x"), b"last")


def test_ids_that_share_their_first_half_are_refused(broker: Broker, run: Run) -> None:
    broker.submit(run, [entry("a")])
    other = JobId(job("a")[:32] + "0" * 32)
    with pytest.raises(BrokerError, match="same first 32 digits"):
        broker.submit(run, [entry("a")._replace(id=other)])


def test_types_are_kept(broker: Broker, run: Run) -> None:
    broker.submit(run, [entry("a")], {"0011": b"packed", "0022": b"other"})
    assert broker.types(["0011", "0033"]) == {"0011": b"packed"}
    assert broker.types([]) == {}


# Order


def test_priority_stands_before_order(broker: Broker, run: Run, hands: Hands) -> None:
    broker.submit(run, [entry(1), entry(2, priority=-5), entry(3, priority=4095), entry(4), entry(5)])
    broker.submit(run, [entry(5, priority=7), entry(3, priority=-4095)])
    assert [hands.runs(f"w{n}") for n in range(6)] == [*map(job, (3, 5, 1, 4, 2)), None]


def test_queues_are_served_in_the_workers_order(broker: Broker, run: Run, hands: Hands) -> None:
    broker.submit(run, [entry(1), entry(2, queue="big"), entry(3, queue="big.er", priority=9)])
    slots = "big:1 big.er:1 default:1"
    assert [hands.runs(f"w{n}", slots) for n in range(4)] == [*map(job, (2, 3, 1)), None]


def test_a_newer_payload_is_never_offered_to_an_older_worker(broker: Broker, run: Run, hands: Hands) -> None:
    broker.submit(run, [entry(1, version=2, priority=9), entry(2)])
    assert hands.runs("old") == job(2)
    assert hands.runs("older") is None
    assert hands.runs("new", "default:1 default:2") == job(1)


def test_the_best_of_all_payloads_comes_first(broker: Broker, run: Run, hands: Hands) -> None:
    broker.submit(run, [entry(1), entry(2, version=2, priority=1), entry(3)])
    assert [hands.runs(f"w{n}", "default:1 default:2") for n in range(3)] == [*map(job, (2, 1, 3))]


def test_queues_that_begin_with_waiting_jobs_are_listed(broker: Broker, run: Run, views: Views) -> None:
    broker.submit(run, [entry("a"), entry("b", "a", queue="later")])
    Hands(broker).run("a")
    assert broker.slots() == ["default:1", "later:1"]
    assert views.listing(State.READY) == [short(job("b"))]


# Calls of workers


def test_a_lost_reply_never_fetches_twice(broker: Broker, run: Run, views: Views) -> None:
    broker.submit(run, [entry("a"), entry("b")])
    broker.enrol("w", {})
    first = broker.claim("w", 1, SLOTS)
    assert first.claim
    assert broker.claim("w", 1, SLOTS) == first
    report = (first.claim.id, first.claim.execution, first.claim.fence)
    second = broker.finish("w", 2, SLOTS, *report)
    assert broker.finish("w", 2, SLOTS, *report) == second
    assert broker.claim("w", 1, SLOTS).outcome == "stale"
    assert (second.outcome, second.claim and second.claim.id) == ("done", job("b"))
    assert views.counts()[State.RUNNING] == 1


def test_a_lost_reply_of_a_real_connection_fetches_once(
    server: Server, broker: Broker, run: Run, views: Views
) -> None:
    """The client itself makes the call again when the connection drops before the reply."""
    broker.submit(run, [entry("a"), entry("b")])
    client = open_client(server.url)
    mine = Broker(client, broker.namespace)
    mine.enrol("w", {})
    read = redis.connection.AbstractConnection.read_response
    dropped: list[bool] = []

    def drop(connection: redis.connection.AbstractConnection, *args: object, **options: object) -> object:
        found = read(connection, *args, **options)
        if not dropped and isinstance(found, list) and found[0] == b"ok":
            dropped.append(True)
            connection.disconnect()
            raise redis.exceptions.ConnectionError("dropped")
        return found

    for kind in (redis.UnixDomainSocketConnection,):
        kind.read_response = drop  # type: ignore[method-assign]
    try:
        reply = mine.claim("w", 1, SLOTS)
    finally:
        del redis.UnixDomainSocketConnection.read_response  # type: ignore[attr-defined]
        client.close()
    assert dropped
    assert reply.claim
    assert (reply.claim.id, reply.claim.execution) == (job("a"), 1)
    assert views.counts()[State.RUNNING] == 1


def test_only_the_holder_completes(broker: Broker, run: Run, hands: Hands, views: Views) -> None:
    broker.submit(run, [entry("a")])
    reply = hands.claim()
    assert reply.claim
    id, execution, fence = reply.claim.id, reply.claim.execution, reply.claim.fence
    number = hands.number("other")
    assert broker.finish("other", number, "", id, execution, fence).outcome == "fenced"
    assert broker.finish("w", hands.number("w"), "", id, execution + 1, fence).outcome == "fenced"
    assert broker.renew("other", id, execution) == "fenced"
    assert broker.renew("w", id, execution) == "ok"
    assert broker.finish("w", hands.number("w"), "", id, execution, fence).outcome == "done"
    assert broker.renew("w", id, execution) == "fenced"


def test_a_failure_holds_what_depends_on_it_and_nothing_else(
    broker: Broker, run: Run, hands: Hands, views: Views
) -> None:
    broker.submit(run, [entry("a"), entry("b", "a"), entry("c", "b"), entry("d")])
    hands.fail(hands.claim())
    drain(broker)
    assert [one.state for one in views.jobs([*map(job, "abcd")]) if one] == [
        State.ERROR, State.HOLD, State.HOLD, State.READY,
    ]  # fmt: skip
    assert views.failure(job("a")) == FAILURE
    held = views.job(job("c"))
    assert held
    assert held.holds == ("dependency",)
    found = views.run(run.token)
    assert found
    assert found.failed
    assert not found.ended


def test_a_failure_may_say_what_is_no_text(broker: Broker, run: Run, hands: Hands, views: Views) -> None:
    broker.submit(run, [entry("a")])
    claim = hands.claim().claim
    assert claim
    odd = Failure("exception", "ValueError", "bad \udcff name", "Traceback: \udcff")
    assert broker.fail("w", hands.number("w"), "", claim.id, claim.execution, odd).outcome == "ERROR"
    told = views.failure(job("a"))
    assert told
    assert told.message == "bad ? name"


def test_a_run_retries_an_older_error_once(broker: Broker, run: Run, hands: Hands, views: Views) -> None:
    plan = [entry("a"), entry("b", "a")]
    broker.submit(run, plan)
    hands.fail(hands.claim())
    assert [one.action for one in broker.submit(run, plan)] == ["joined", "joined"]
    newer = later(broker)
    assert [one.action for one in broker.submit(newer, plan)] == ["retried", "joined"]
    assert views.failure(job("a")) is None
    drain(broker)
    waiting = views.job(job("b"))
    assert waiting
    assert waiting.state is State.WAITING
    reply = hands.claim()
    assert reply.claim
    assert reply.claim.attempt == 2
    hands.fail(reply)
    assert [one.action for one in broker.submit(newer, plan)] == ["joined", "joined"]


def test_workers_that_die_with_a_job_are_counted(
    broker: Broker, run: Run, hands: Hands, views: Views
) -> None:
    broker.submit(run, [entry("a")])
    for death in range(3):
        reply = hands.claim(f"w{death}")
        assert reply.claim
        assert reply.claim.execution == death + 1
        assert broker.depart(f"w{death}", "killed") == short(job("a"))
        assert broker.depart(f"w{death}") == ""
    found, failure = views.job(job("a")), views.failure(job("a"))
    assert found
    assert failure
    assert (found.state, found.crashes) == (State.ERROR, 3)
    assert (failure.kind, failure.type) == ("lost", "WorkerLost")


def test_a_job_that_is_handed_back_counts_no_attempt(broker: Broker, run: Run, hands: Hands) -> None:
    broker.submit(run, [entry("a")])
    for _ in range(5):
        reply = hands.claim()
        assert reply.claim
        assert reply.claim.attempt == 1
        outcome = broker.hand_back(
            "w", hands.number("w"), "", job("a"), reply.claim.execution, "stopped"
        ).outcome
        assert outcome == State.READY


def test_a_missing_input_is_made_again_first(broker: Broker, run: Run, hands: Hands, views: Views) -> None:
    broker.submit(run, [entry("a"), entry("b", "a"), *(entry(n, "a") for n in range(600))])
    drain(broker)
    hands.run("a")
    drain(broker)
    reply = hands.claim()
    assert reply.claim
    assert reply.claim.id == job("b")
    again = broker.miss("w", hands.number("w"), SLOTS, job("b"), reply.claim.execution, job("a"))
    assert again.outcome == State.WAITING
    assert again.claim
    drain(broker)
    states = [one.state for one in views.jobs([job("a"), job("b"), job(599)]) if one]
    assert states == [
        State.RUNNING if again.claim.id == job("a") else State.READY,
        State.WAITING,
        State.WAITING,
    ]
    found = views.job(job("b"))
    assert found and found.attempt == 0, "it was not its fault"


def test_what_is_not_ready_is_dropped_from_its_line(broker: Broker, run: Run, hands: Hands) -> None:
    broker.submit(run, [entry("a"), entry("b"), entry("c")])
    hands.run("a")
    (line,) = broker.client.keys(f"{broker.prefix}ready:*")
    broker.client.zadd(line, {short(job("a")): -1})
    claim = hands.claim().claim
    assert claim and claim.id == job("b")
    assert broker.client.zrange(line, 0, -1) == [short(job("c")).encode()]


def test_a_worker_takes_the_job_that_rq_handed_it(broker: Broker, run: Run, hands: Hands) -> None:
    broker.submit(run, [entry("a"), entry("b"), entry("c", "a")])
    reply = broker.take("w", hands.number("w"), short(job("b")))
    assert reply.claim
    assert (reply.outcome, reply.claim.id) == ("ok", job("b"))
    assert broker.take("v", hands.number("v"), job("b")).outcome == "refused"
    assert broker.take("v", hands.number("v"), job("c")).outcome == "refused"
    assert broker.take("v", hands.number("v"), "0" * 32).outcome == "refused"


def test_no_job_is_taken_that_the_same_call_finds_waiting(server: Server, namespace: str) -> None:
    with server.client() as client:
        broker = Broker(client, Namespace(namespace), budget=1)
        hands = Hands(broker)
        run = broker.open("digits", "1")
        broker.submit(run, [entry("a"), entry("b"), entry("c", "b")])
        hands.run("b")
        drain(broker)
        broker.submit(run, [entry("b")._replace(known="removed"), *(entry(n, "a") for n in range(3))])
        todo = client.lrange(f"{broker.prefix}todo", 0, -1)
        assert todo == [f"U{short(job('b'))}:0".encode()], "c does not know yet"
        assert broker.take("w", hands.number("w"), job("c")).outcome == "refused"
        assert invariants.read(client, Namespace(namespace)).jobs[short(job("c"))]["s"] == "WAITING"


# Cancelling


def test_a_job_that_another_experiment_wants_is_kept(
    broker: Broker, run: Run, hands: Hands, views: Views
) -> None:
    other = broker.open("letters", "1")
    broker.submit(run, [entry("a"), entry("b"), entry("c", "b"), entry("d")])
    broker.submit(other, [entry("a")])
    first, second = hands.claim("v").claim, hands.claim("w").claim
    assert first and first.id == job("b"), "a waits in the shorter line, that of the other experiment"
    assert second and second.id == job("a")
    assert broker.cancel(run.serial, [*map(job, "abcdx")]) == (2, 1, 1)
    assert broker.renew("w", job("a"), 1) == "ok"
    assert broker.renew("v", job("b"), 1) == "cancel"
    assert broker.hand_back("v", hands.number("v"), "", job("b"), 1, "stopped").outcome == State.CANCELLED
    states = [one.state for one in views.jobs([*map(job, "abcd")]) if one]
    assert states == [State.RUNNING, State.CANCELLED, State.CANCELLED, State.CANCELLED]


def test_a_running_job_that_is_wanted_again_runs_again(broker: Broker, run: Run, hands: Hands) -> None:
    broker.submit(run, [entry("a")])
    reply = hands.claim()
    assert broker.cancel(run.serial, [job("a")]) == (0, 1, 0)
    assert broker.submit(later(broker), [entry("a")])[0].action == "joined"
    assert hands.fail(reply).outcome == State.READY


def test_a_cancelled_job_runs_for_an_experiment_that_wants_it(broker: Broker, run: Run, hands: Hands) -> None:
    """Also when it was cancelled by another experiment after this one began."""
    other = broker.open("letters", "1")
    broker.submit(run, [entry("a")])
    broker.cancel(run.serial, [job("a")])
    assert broker.submit(run, [entry("a")])[0].action == "joined", "a script undid its own cancellation"
    assert broker.submit(other, [entry("a")])[0].action == "retried"
    assert hands.runs() == job("a")


def test_a_cancelled_dependency_holds(broker: Broker, run: Run, hands: Hands, views: Views) -> None:
    other = broker.open("letters", "1")
    broker.submit(run, [entry("a"), entry("b", "a")])
    broker.submit(other, [entry("b", "a")])
    broker.cancel(run.serial, [job("a"), job("b")])
    drain(broker)
    held = views.job(job("b"))
    assert held
    assert (held.state, held.blocked) == (State.HOLD, 1)


def test_a_producer_that_nobody_wants_runs_again_for_who_misses_its_result(
    broker: Broker, run: Run, hands: Hands
) -> None:
    broker.submit(run, [entry("p"), entry("c", "p")])
    made = hands.claim("w")
    broker.cancel("", [job("p")])
    hands.finish(made, "w")  # it ended well before it heard of that
    claim = hands.claim("w").claim
    assert claim
    assert claim.id == job("c")
    broker.miss("w", hands.number("w"), "", job("c"), claim.execution, job("p"))
    hands.run("p")
    assert hands.runs("w") == job("c")


def test_a_lane_without_jobs_holds_up_nobody(broker: Broker, run: Run, hands: Hands) -> None:
    broker.submit(run, [entry("a"), entry("b")])
    broker.client.zadd(f"{broker.prefix}lanes:{SLOTS}", {"0.99": -1})
    broker.client.zadd(f"{broker.prefix}lanes:{SLOTS}", {"0.98": -1})
    broker.client.zadd(f"{broker.prefix}ready:{SLOTS}:0.98", {job("nobody")[:32]: 1})
    assert {hands.runs("v"), hands.runs("w")} == {job("a"), job("b")}


def test_what_a_forgotten_worker_reports_counts(broker: Broker, run: Run, hands: Hands) -> None:
    """Its row may expire, or be deleted by hand, while it works on a job."""
    broker.submit(run, [entry("a"), entry("b", "a")])
    reply = hands.claim("w")
    broker.client.delete(f"{broker.prefix}w:w")
    reply = hands.finish(reply, "w", SLOTS)
    assert (reply.outcome, reply.claim) == ("stranger", None)
    view = Views(broker).run(run.token)
    assert view
    assert {state: n for state, n in view.counts.items() if n} == {State.DONE: 1, State.READY: 1}
