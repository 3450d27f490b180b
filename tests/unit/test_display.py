"""What is shown of a run while it goes on."""

from __future__ import annotations

import io
import re

import pytest
from rich.console import Console

from xpm.broker.views import RunView
from xpm.core.lengths import duration
from xpm.core.state import State
from xpm.experiment import display, pace
from xpm.experiment.display import Lines
from xpm.experiment.live import Live
from xpm.experiment.pace import ORDER, Pace, counts
from xpm.experiment.voice import Voice, all_jobs, jobs, nothing_to_do
from xpm.experiment.waiting import RunningJob
from xpm.types import JobId


def view(**states: int) -> RunView:
    found = {**dict.fromkeys(State, 0), **{State(name): n for name, n in states.items()}}
    return RunView("1.1", "e", "r", 0.0, "", {}, sum(found.values()), found, held=0, settling=False)


RUNNING = [
    RunningJob(JobId("ab" * 32), "Fit lr=0.1", 0.0, 0.5, "epoch 5"),
    RunningJob(JobId("cd" * 32), "Fit lr=[bold]", 0.0, None, ""),
]


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    for module in (display, pace):
        monkeypatch.setattr(module, "time", made)
    return made


def test_every_state_has_its_word():
    assert {state for state, _, _ in ORDER} == set(State)
    assert counts(view(DONE=12, RUNNING=2, WAITING=1042)) == "12 of 1,056 done, 2 running, 1,042 waiting"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-1, "0.0 s"), (4.23, "4.2 s"), (59.4, "59 s"), (59.7, "1 min 00 s"), (72, "1 min 12 s"),
        (11_100, "3 h 05 min"), (187_200, "2 d 4 h"),
    ],
)  # fmt: skip
def test_durations_as_people_say_them(seconds: float, text: str):
    assert duration(seconds) == text


def test_numbers_of_jobs():
    assert (jobs(1), jobs(1200), all_jobs(1), all_jobs(2)) == (
        "1 job",
        "1,200 jobs",
        "the one job",
        "all 2 jobs",
    )
    assert nothing_to_do(1) == "nothing to do: the one job was done before"


def test_the_time_left_is_told_from_the_pace_since_the_first_job_ended(clock: Clock):
    pace = Pace()
    assert pace.left(view(READY=10), []) is None
    clock.now += 50  # the workers start
    assert pace.left(view(DONE=1, READY=9), []) is None
    clock.now += 10
    assert pace.left(view(DONE=3, READY=7), []) == pytest.approx(35)
    assert pace.left(view(DONE=2, RUNNING=2, READY=6), RUNNING) == pytest.approx(7.5 * 10 / 1.5)
    assert pace.left(view(DONE=10), []) is None


def test_jobs_that_began_together_and_end_together_are_no_pace(clock: Clock):
    pace = Pace()
    assert pace.left(view(RUNNING=2, READY=4), []) is None
    clock.now += 700
    assert pace.left(view(DONE=1, RUNNING=2, READY=3), []) is None
    clock.now += 11
    assert pace.left(view(DONE=2, RUNNING=2, READY=2), []) is None
    clock.now += 689
    assert pace.left(view(DONE=3, RUNNING=2, READY=1), []) == pytest.approx(3 * 350)


def test_the_time_left_is_told_before_the_first_job_has_ended(clock: Clock):
    pace, now = Pace(), view(RUNNING=2, READY=8)

    def running(value: float) -> list[RunningJob]:
        return [RunningJob(JobId(digit * 64), "Fit", 0.0, value, "") for digit in "ab"]

    assert pace.left(now, []) is None
    clock.now += 20  # the workers start
    assert pace.left(now, running(0.1)) is None
    clock.now += 10
    assert pace.left(now, running(0.11)) is None, "too little to tell from"
    assert pace.left(now, running(0.35)) == pytest.approx((10 - 0.7) * 10 / 0.5)


def test_a_log_gets_a_line_now_and_then_and_the_first_failure(
    clock: Clock, capsys: pytest.CaptureFixture[str]
):
    lines = Lines("e", Voice())
    for second in range(100):
        clock.now = 100 + second
        lines.show(view(DONE=second, READY=100 - second), [])
    said = capsys.readouterr().err.splitlines()
    assert 3 <= len(said) <= 7 and said[0] == "e: 2 of 100 done, 98 ready; about 1 min 38 s left"
    assert re.fullmatch(r"e: \d+ of 100 done, \d+ ready; about \d.* left", said[-1])
    lines.show(view(DONE=90, ERROR=1, READY=9), [])
    assert "1 failed" in capsys.readouterr().err
    lines.show(view(DONE=91, ERROR=1, READY=8), [])
    assert capsys.readouterr().err == ""


def test_the_live_display_draws_bar_counts_and_jobs():
    console = Console(
        file=(screen := io.StringIO()), width=100, height=20, force_terminal=True, color_system=None
    )
    voice = Voice()
    live = Live("digits", voice, console)
    live.show(view(DONE=2, RUNNING=2, ERROR=1), RUNNING)
    voice.say("said above")
    live.close()
    live.close()
    drawn = screen.getvalue()
    for text in (
        "digits",
        "3/5",
        "2 done",
        "2 running",
        "1 failed",
        "Fit lr=0.1",
        "epoch 5",
        "lr=[bold]",
        "said above",
    ):
        assert text in drawn
    assert voice.above is None


def test_what_is_said_above_the_live_display_is_written_as_it_is():
    console = Console(
        file=(screen := io.StringIO()), width=40, height=20, force_terminal=True, color_system=None
    )
    voice = Voice()
    live = Live("digits", voice, console)
    live.show(view(RUNNING=2), RUNNING)
    told = "jobs that a person holds are waited for; to let them go:\n    xpm release -e 'all [lr] of [/tmp]' -w /a/long/way/to/the/runs"
    voice.say(told)
    live.close()
    assert told in screen.getvalue()


def test_what_others_write_while_the_live_display_is_closed_stays_on_the_screen():
    console = Console(
        file=(screen := io.StringIO()), width=60, height=20, force_terminal=True, color_system=None
    )
    live = Live("digits", Voice(), console)
    live.show(view(RUNNING=2), RUNNING)
    live.close()
    console.file.write("by a callback\n")
    live.show(view(RUNNING=1, DONE=1), RUNNING[:1])
    live.close()
    before_the_next, again, _ = screen.getvalue().partition("by a callback\n")[2].partition("digits")
    assert again and "\x1b[1A" not in before_the_next, "a step upwards would erase it"


def test_the_live_display_fits_the_screen():
    console = Console(
        file=(screen := io.StringIO()), width=60, height=8, force_terminal=True, color_system=None
    )
    live = Live("digits", Voice(), console)
    live.show(view(RUNNING=40), RUNNING * 20)
    live.close()
    assert "and 37 more" in screen.getvalue()
