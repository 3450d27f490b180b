"""Further attempts: what the broker makes of policies, budgets, delays and start times."""

from __future__ import annotations

import time

import pytest
from hands import FAILURE, SLOTS, Hands, entry, job, later

from xpm.broker.broker import Broker, Reply, Run
from xpm.broker.jobview import JobView
from xpm.broker.views import Views
from xpm.cli.listing import rows
from xpm.core.retries import Retries
from xpm.core.state import State

AT_ONCE = Retries(2, delay=0).pack()
SOON = Retries(3, delay=100, factor=2, most=300, jitter=0).pack()


class Bench:
    """A broker with one worker, and a job `a`."""

    def __init__(self, broker: Broker, run: Run, hands: Hands, views: Views) -> None:
        self.broker, self.run, self.hands, self.views = broker, run, hands, views

    def submit(self, name: str = "a", run: Run | None = None, **wishes: str | int) -> None:
        self.broker.submit(run or self.run, [entry(name, wishes=wishes)])

    def job(self, name: str = "a") -> JobView:
        found = self.views.job(job(name))
        assert found
        return found

    def fail(self, *, again: bool = True, worker: str = "w") -> Reply:
        """The worker's next job fails; what its report brings."""
        claim = self.hands.claim(worker).claim
        assert claim
        number = self.hands.number(worker)
        return self.broker.fail(worker, number, "", claim.id, claim.execution, FAILURE, again)

    def crash(self) -> Reply:
        claim = self.hands.claim().claim
        assert claim
        return self.broker.crash("w", self.hands.number("w"), "", claim.id, claim.execution, "gone")

    def adjourn(self) -> Reply:
        claim = self.hands.claim().claim
        assert claim
        return self.broker.adjourn("w", self.hands.number("w"), "", claim.id, claim.execution, "no time")

    def come_due(self, name: str = "a", ahead: int = 0) -> None:
        """The moment of the job is so many ms ahead, and no more."""
        moment = self.now() + ahead
        short = job(name)[:32]
        self.broker.client.hset(f"{self.broker.prefix}j:{short}", "nb", moment)
        self.broker.client.zadd(f"{self.broker.prefix}due", {short: moment}, xx=True)

    def now(self) -> int:
        seconds, micros = self.broker.client.time()
        return seconds * 1000 + micros // 1000

    def woken(self) -> list[str]:
        return self.hands.woken()


@pytest.fixture
def bench(broker: Broker, run: Run, hands: Hands, views: Views) -> Bench:
    return Bench(broker, run, hands, views)


def test_what_the_policy_covers_is_attempted_again_within_the_budget(bench: Bench) -> None:
    bench.submit(ry=AT_ONCE)
    outcomes = [bench.fail().outcome for _ in range(3)]
    assert outcomes == ["READY", "READY", "ERROR"]
    assert (bench.job().attempt, bench.job().retried, bench.job().attempts) == (3, 2, 3)


def test_what_the_policy_does_not_cover_is_an_error_at_once(bench: Bench) -> None:
    bench.submit(ry=AT_ONCE)
    assert bench.fail(again=False).outcome == "ERROR"


def test_without_a_policy_nothing_is_attempted_again(bench: Bench) -> None:
    bench.submit()
    assert bench.fail().outcome == "ERROR"


def test_the_delays_grow_up_to_the_longest(bench: Bench) -> None:
    bench.submit(ry=SOON)
    for delay in (100, 200, 300):
        before = bench.now()
        assert bench.fail().outcome == "SCHEDULED"
        assert (
            before + delay * 1000 <= bench.job().due * 1000 + 1
            and bench.job().due * 1000 <= bench.now() + delay * 1000
        )
        assert bench.job().reason == FAILURE.line
        assert bench.hands.runs() is None
        bench.come_due()
    assert bench.fail().outcome == "ERROR"


def test_jitter_leaves_out_a_part_of_the_delay(bench: Bench) -> None:
    bench.submit(ry=Retries(3, delay=100, jitter=0.5).pack())
    before = bench.now()
    assert bench.fail().outcome == "SCHEDULED"
    assert before + 50_000 <= bench.job().due * 1000 + 1 <= bench.now() + 100_001


def test_a_failure_that_is_followed_by_another_attempt_leaves_dependents_waiting(bench: Bench) -> None:
    bench.broker.submit(bench.run, [entry("a", wishes={"ry": SOON}), entry("b", "a")])
    bench.fail()
    assert bench.job("b").state is State.WAITING
    view = bench.views.run(bench.run.token)
    assert view and not view.ended and view.counts[State.SCHEDULED] == 1
    failure = bench.views.failure(job("a"))
    assert failure and failure.type == "ValueError"


def test_success_gives_the_budget_back_and_forgets_the_failure(bench: Bench) -> None:
    bench.submit(ry=AT_ONCE)
    bench.fail()
    bench.hands.finish(bench.hands.claim())
    assert (bench.job().state, bench.job().retried) == (State.DONE, 0)
    assert bench.views.failure(job("a")) is None


def test_a_resubmission_gives_a_new_budget_and_ends_the_wait(bench: Bench) -> None:
    bench.submit(ry=SOON)
    bench.fail()
    bench.submit(run=later(bench.broker), ry=AT_ONCE)
    assert (bench.job().state, bench.job().retried) == (State.READY, 0)
    assert [bench.fail().outcome for _ in range(3)] == ["READY", "READY", "ERROR"]
    bench.submit(run=later(bench.broker, name="3"), ry=AT_ONCE)
    assert (bench.job().state, bench.job().retried) == (State.READY, 0)


def test_a_policy_that_covers_lost_workers_allows_more_of_them_and_delays(bench: Bench) -> None:
    bench.submit(ry=Retries(4, on=("lost",), delay=0).pack())
    assert [bench.crash().outcome for _ in range(5)] == ["READY"] * 4 + ["ERROR"]
    bench.submit("b", ry=Retries(1, on=("lost",), delay=60, jitter=0).pack())
    before = bench.now()
    assert bench.crash().outcome == "SCHEDULED"
    assert bench.job("b").due * 1000 >= before + 59_999


def test_a_policy_that_covers_what_is_lost_holds_for_hosts_too(bench: Bench) -> None:
    """On hosts that come and go by the hour, whoever allows more than ten of them has them."""

    def lose() -> str:
        claim = bench.hands.claim().claim
        assert claim
        at = ("w", bench.hands.number("w"), "", claim.id, claim.execution)
        return bench.broker.crash(*at, "its pool died", "lost").outcome

    bench.submit(ry=Retries(12, on=("lost",), delay=0).pack())
    assert [lose() for _ in range(13)] == ["READY"] * 12 + ["ERROR"]
    bench.submit("b", ry=Retries(1, on=("lost",), delay=60).pack())
    assert lose() == "SCHEDULED"
    bench.submit("c", ry=Retries(20, on=("oom",)).pack())
    assert [lose() for _ in range(10)] == ["READY"] * 9 + ["ERROR"]


def test_progress_of_a_resumable_task_forgives_lost_workers(bench: Bench) -> None:
    bench.submit(ru=1)
    for reached in (0.1, 0.2, 0.3, 0.4):
        claim = bench.hands.claim().claim
        assert claim and claim.resumable
        assert bench.broker.renew("w", claim.id, claim.execution, b"", reached) == "ok"
        number = bench.hands.number("w")
        assert bench.broker.crash("w", number, "", claim.id, claim.execution, "gone").outcome == "READY"
        assert bench.job().crashes == 1
    for outcome in ("READY", "ERROR"):  # no further than before
        claim = bench.hands.claim().claim
        assert claim
        assert bench.broker.renew("w", claim.id, claim.execution, b"", 0.4) == "ok"
        number = bench.hands.number("w")
        assert bench.broker.crash("w", number, "", claim.id, claim.execution, "gone").outcome == outcome


def test_a_task_that_ends_itself_is_continued_uncounted_but_not_for_ever(bench: Bench) -> None:
    bench.submit(ru=1)
    assert [bench.adjourn().outcome for _ in range(9)] == ["READY"] * 9
    assert (bench.job().attempt, bench.job().crashes) == (0, 0)
    claim = bench.hands.claim().claim
    assert claim
    bench.broker.renew("w", claim.id, claim.execution, b"", 0.1)  # it gets somewhere
    bench.broker.adjourn("w", bench.hands.number("w"), "", claim.id, claim.execution, "no time")
    assert [bench.adjourn().outcome for _ in range(9)] == ["READY"] * 8 + ["ERROR"]
    failure = bench.views.failure(job("a"))
    assert failure and "10 times in a row" in failure.message


def test_a_long_turn_is_no_loop(bench: Bench) -> None:
    bench.submit(ru=1)
    for _ in range(15):
        claim = bench.hands.claim().claim
        assert claim
        bench.broker.client.hincrby(f"{bench.broker.prefix}j:{claim.id[:32]}", "t1", -61_000)
        number = bench.hands.number("w")
        assert bench.broker.adjourn("w", number, "", claim.id, claim.execution, "no time").outcome == "READY"


# Moments


def test_a_job_is_not_started_before_its_moment(bench: Bench) -> None:
    bench.submit(nb=bench.now() + 60_000)
    assert bench.job().state is State.SCHEDULED
    reply = bench.hands.claim()
    assert reply.claim is None and reply.due and 50 < reply.due <= 60
    bench.come_due()
    assert bench.hands.runs() == job("a")


def test_a_moment_that_is_over_is_none(bench: Bench) -> None:
    bench.submit(nb=bench.now() - 1)
    assert bench.job().state is State.READY
    assert bench.hands.claim().due is None


def test_a_job_with_a_moment_still_waits_for_its_inputs(bench: Bench) -> None:
    moment = bench.now() + 60_000
    bench.broker.submit(bench.run, [entry("a"), entry("b", "a", wishes={"nb": moment})])
    assert bench.job("b").state is State.WAITING
    bench.hands.run("a")
    assert (bench.job("b").state, bench.job("b").due) == (State.SCHEDULED, moment / 1000)


def test_the_newest_submissions_moment_holds(bench: Bench) -> None:
    bench.submit(nb=bench.now() + 60_000)
    bench.submit(run=later(bench.broker), nb=bench.now() + 900_000)
    reply = bench.hands.claim()
    assert reply.due and reply.due > 800
    bench.submit(run=later(bench.broker, name="3"))
    assert bench.hands.runs() == job("a")


def test_an_idle_worker_hears_of_a_moment_that_comes_before_all_others(bench: Bench) -> None:
    for worker in ("v", "w"):
        assert bench.hands.claim(worker).due is None
    bench.submit("a", nb=bench.now() + 60_000)
    assert bench.woken() == ["v"]
    assert bench.hands.claim("v").due
    bench.submit("b", nb=bench.now() + 90_000)
    assert bench.woken() == []
    bench.submit("c", nb=bench.now() + 30_000)
    assert len(bench.woken()) == 1


def test_who_knows_the_moment_and_gets_a_job_leaves_it_to_another(bench: Bench) -> None:
    bench.submit("a", nb=bench.now() + 60_000)
    bench.hands.claim("v")
    bench.hands.claim("w")
    bench.submit("b")
    assert bench.woken() == ["v"]
    assert bench.hands.runs("v") == job("b")
    assert bench.woken() == ["w"]
    assert bench.hands.claim("w").due


def test_who_postpones_its_job_and_gets_the_next_leaves_the_moment_to_another(bench: Bench) -> None:
    bench.submit("a", ry=SOON)
    bench.submit("b")
    claim = bench.hands.claim("w").claim
    bench.hands.claim("x")
    bench.hands.claim("v")  # idle
    assert claim
    reply = bench.broker.fail("w", bench.hands.number("w"), SLOTS, claim.id, claim.execution, FAILURE, True)
    assert reply.outcome == "SCHEDULED" and reply.claim is None and reply.due
    bench.submit("c")
    assert bench.woken()


def test_many_moments_at_once_are_taken_in_parts(bench: Bench) -> None:
    bench.broker.submit(bench.run, [entry(n, wishes={"nb": bench.now() + 60_000}) for n in range(50)])
    for n in range(50):
        bench.come_due(str(n))
    done = {bench.hands.runs(f"w{n}") for n in range(50)}
    assert done == {job(n) for n in range(50)}


def test_a_lost_reply_names_the_moment_too(bench: Bench) -> None:
    bench.submit(nb=bench.now() + 60_000)
    bench.hands.claim()
    again = bench.broker.claim("w", bench.hands.numbers["w"], SLOTS)
    assert again.claim is None and again.due


def test_the_next_call_of_anybody_lets_start_what_is_due(bench: Bench) -> None:
    bench.submit(nb=bench.now() + 20)
    deadline = time.monotonic() + 10
    while bench.job().state is not State.READY:
        assert time.monotonic() < deadline
        bench.broker.drain()


# What people read


def noted(bench: Bench, name: str = "a") -> str:
    (row,) = rows(bench.broker, bench.views, [bench.job(name)])
    return row.note


def test_a_list_says_which_attempt_comes_when_and_why(bench: Bench) -> None:
    bench.submit(ry=SOON)
    bench.fail()
    clock = time.strftime("%H:%M:%S", time.localtime(bench.job().due))
    assert noted(bench) == f"attempt 2 of 4, again at {clock}: ValueError: no such layer"
    bench.come_due()
    bench.hands.claim()
    assert noted(bench).endswith(", attempt 2 of 4")
    (attempts,) = {bench.job().attempts}
    assert attempts == 4


def test_a_list_says_when_a_job_starts(bench: Bench) -> None:
    moment = bench.now() + 60_000
    bench.submit(nb=moment)
    assert noted(bench) == f"starts at {time.strftime('%H:%M:%S', time.localtime(moment / 1000))}"
    bench.submit("b", nb=moment + 86_400_000)
    day = time.strftime("%Y-%m-%d %H:%M", time.localtime(moment / 1000 + 86400))
    assert noted(bench, "b") == f"starts at {day}"


def test_a_job_that_was_cancelled_before_its_start_still_has_it_when_it_is_retried(bench: Bench) -> None:
    moment = round(bench.now() + 60_000)
    bench.submit(nb=moment)
    bench.broker.cancel("", [job("a")])
    assert bench.broker.retry([job("a")]) == {"retried": 1}
    assert (bench.job().state, round(bench.job().due * 1000)) == ("SCHEDULED", moment)
