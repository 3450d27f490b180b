"""Why a job is not running: from facts to sentences."""

from __future__ import annotations

from dataclasses import replace

import pytest

from xpm.core.explain import Facts, Hold, Line, Near, Need, Other, differences, explain
from xpm.core.state import State

NOW = 1_000_000.0
ID = "0123456789abcdef"


def facts(state: State, **more: object) -> Facts:
    return replace(Facts(Other("Train lr=1", ID, state), NOW), **more)


@pytest.mark.parametrize(
    ("known", "said"),
    [
        (
            facts(State.WAITING, inputs=3, unmet=2, waits_for=[Other("Load", "ab" * 8, State.RUNNING, "for 2.0 s")]),
            ["Train lr=1 01234567 waits for 2 of its 3 inputs", "  Load abababab is RUNNING: for 2.0 s", "  and 1 more"],
        ),
        (
            facts(State.WAITING, inputs=1, unmet=1, waits_for=[Other("Load", "ab" * 8, State.READY)]),
            ["Train lr=1 01234567 waits for its input", "  Load abababab is READY"],
        ),
        (
            facts(State.HOLD, holds=[Hold("person", "ada@host", NOW - 90, cure="xpm release 01234567")]),
            ["Train lr=1 01234567 is on hold", "ada@host holds it for 1 min 30 s: xpm release 01234567"],
        ),
        (
            facts(State.HOLD, holds=[Hold("brake", text="20 jobs failed", cure="xpm release --task Train")]),
            ["Train lr=1 01234567 is on hold", "20 jobs failed; when that is mended: xpm release --task Train"],
        ),
        (
            facts(
                State.HOLD,
                inputs=2,
                unmet=1,
                holds=[Hold("dependency")],
                waits_for=[Other("Load", "ab" * 8, State.ERROR, "ValueError: no")],
            ),
            [
                "Train lr=1 01234567 is on hold",
                "it needs what has no result:",
                "  Load abababab is ERROR: ValueError: no",
            ],
        ),
        (facts(State.HOLD, holds=[Hold("capacity", text="3 of token gpu, of which there are 2", cure="xpm token set gpu 3")])
         , ["Train lr=1 01234567 is on hold", "it needs 3 of token gpu, of which there are 2; when there can be more: xpm token set gpu 3"]),
        (
            facts(State.READY, line=Line("gpu", "no worker serves queue gpu: xpm worker start --queue gpu")),
            ["Train lr=1 01234567 is ready to start", "no worker serves queue gpu: xpm worker start --queue gpu"],
        ),
        (
            facts(State.READY, line=Line("q", paused=Hold("pause", "ada@host", NOW - 5, cure="xpm queue resume q"))),
            [
                "Train lr=1 01234567 is ready to start",
                "queue q is paused by ada@host for 5.0 s: xpm queue resume q",
            ],
        ),
        (
            facts(State.READY, line=Line("q", suspended=True, serving=1)),
            ["Train lr=1 01234567 is ready to start", 'all workers are suspended by RQ: rq resume -u "$(xpm broker url)"'],
        ),
        (
            facts(State.READY, reason="worker lost", line=Line("q", serving=3, ahead=1200)),
            [
                "Train lr=1 01234567 is ready to start (worker lost)",
                "1,200 jobs of queue q before it: all 3 workers are busy",
            ],
        ),
        (
            facts(State.READY, line=Line("q", serving=1)),
            ["Train lr=1 01234567 is ready to start", "it is the next of queue q: its only worker is busy"],
        ),
        (
            facts(State.READY, line=Line("q", serving=2, idle=1)),
            ["Train lr=1 01234567 is ready to start", "it is the next of queue q: a worker takes it in a moment"],
        ),
        (
            facts(
                State.READY,
                line=Line("q", serving=2, idle=1),
                needs=[Need("token gpu: 2 of 4, 1 free", ["Fit 5a5a5a5a has 3, for 1 h 00 min"], "Big 99999999")],
            ),
            [
                "Train lr=1 01234567 is ready to start",
                "it waits for token gpu: 2 of 4, 1 free",
                "  Fit 5a5a5a5a has 3, for 1 h 00 min",
                "  before it waits Big 99999999, for which what is free may be kept",
            ],
        ),
        (
            facts(
                State.READY,
                line=Line("gpu", "no worker serves queue gpu: xpm worker start --queue gpu", suspended=True),
                needs=[
                    Need("token gpu: 3 of 3, 3 free", reserved="Big 99999999", free=True),
                    Need("lock ix, to write: it is being written", ["Fit 5a5a5a5a is writing it for 2.0 s"]),
                ],
            ),
            [
                "Train lr=1 01234567 is ready to start",
                'all workers are suspended by RQ: rq resume -u "$(xpm broker url)"',
                "no worker serves queue gpu: xpm worker start --queue gpu",
                "besides, it waits for lock ix, to write: it is being written",
                "  Fit 5a5a5a5a is writing it for 2.0 s",
            ],
        ),
        (
            facts(
                State.READY,
                line=Line("q", paused=Hold("pause", "ada@host", NOW - 5, cure="xpm queue resume q")),
                needs=[Need("lock ix, to write: it is free", reserved="Big 99999999", free=True)],
            ),
            [
                "Train lr=1 01234567 is ready to start",
                "queue q is paused by ada@host for 5.0 s: xpm queue resume q",
            ],
        ),
        (
            facts(
                State.READY,
                line=Line("q", serving=1, idle=1),
                needs=[Need("token disk: 2 of 1 on vm, 1 free", lack="2 of token disk on one host; vm has most: 1")],
            ),
            ["Train lr=1 01234567 is ready to start", "it needs 2 of token disk on one host; vm has most: 1"],
        ),
        (
            facts(
                State.RUNNING,
                worker="host.17",
                needs=[
                    Need("token gpu: 2 of 1, 0 free", ["Fit 5a5a5a5a has 1 for 2.0 s"], lack="2 of token gpu; do so"),
                    Need("lock ix, to read: it is being written"),
                ],
            ),
            [
                "Train lr=1 01234567 is running on host.17",
                "its code needs 2 of token gpu; do so",
                "  Fit 5a5a5a5a has 1 for 2.0 s",
                "its code waits for lock ix, to read: it is being written",
            ],
        ),
        (
            facts(State.SCHEDULED, starts=NOW + 3600, reason="retry 2 of 3"),
            ["Train lr=1 01234567 starts in 1 h 00 min at the earliest (retry 2 of 3)"],
        ),
        (
            facts(State.HOLD, holds=[Hold("person", "ada@host", NOW - 5, cure="xpm release 01234567")], starts=NOW + 3600),
            [
                "Train lr=1 01234567 is on hold",
                "ada@host holds it for 5.0 s: xpm release 01234567",
                "besides, it starts in 1 h 00 min at the earliest",
            ],
        ),
        (facts(State.SCHEDULED, starts=NOW - 1), ["Train lr=1 01234567 starts in a moment: its time has come"]),
        (
            facts(State.RUNNING, since=NOW - 12, worker="host.17", stop="kill", who="ada@host"),
            ["Train lr=1 01234567 is running for 12 s on host.17", "it was asked to stop by ada@host (kill)"],
        ),
        (
            facts(State.RUNNING, since=NOW - 90, worker="host.17", silent=60.0),
            ["Train lr=1 01234567 is running for 1 min 30 s on host.17", "its worker has not been heard of for 1 min 00 s"],
        ),
        (
            facts(State.RUNNING, silent=60.0, alone=True),
            [
                "Train lr=1 01234567 is running",
                "its worker has not been heard of for 1 min 00 s; nobody is there to take its lease: xpm worker start",
            ],
        ),
        (
            facts(State.ERROR, since=NOW - 12, reason="ValueError: no", retry="xpm retry 01234567"),
            ["Train lr=1 01234567 failed 12 s ago: ValueError: no", "to run it again: xpm retry 01234567"],
        ),
        (facts(State.CANCELLED, reason="cancelled by ada@host"), ["Train lr=1 01234567 was cancelled: cancelled by ada@host"]),
        (facts(State.LOST), ["Train lr=1 01234567 lost its only outputs"]),
        (facts(State.DONE, since=NOW - 12), ["Train lr=1 01234567 is done, 12 s ago"]),
        (
            facts(State.DONE, since=NOW - 12, reason="kept: ValueError: no"),
            ["Train lr=1 01234567 is done, 12 s ago (kept: ValueError: no)"],
        ),
    ],
)  # fmt: skip
def test_an_answer(known: Facts, said: list[str]) -> None:
    assert explain(known) == said


def test_the_nearest_job_and_where_it_differs() -> None:
    here = {
        "lr": 1.0,
        "low": float("nan"),
        "model": {"$type": "m.Model", "layers": 3},
        "data": {"$job": "ab" * 32},
        "new": [1],
    }
    there = {
        "lr": 1.0,
        "low": float("nan"),
        "model": {"$type": "m.Model", "layers": 2},
        "data": {"$job": "cd" * 32},
    }
    found = differences(here, there)
    near = Near(Other("Train lr=0.1", "99" * 8, State.DONE), found, 7, all=True)
    assert explain(facts(State.RUNNING, near=near))[1:] == [
        "the job most like it that is done: Train lr=0.1 99999999; they differ in",
        "  data: abababab here, cdcdcdcd there",
        "  model.layers: 3 here, 2 there",
        "  new: [1] here, absent there",
    ]
    some = replace(near, differences=(), all=False)
    assert explain(facts(State.RUNNING, near=some))[1].startswith(
        "of 7 done jobs the one most like it: Train"
    )


def test_lists_are_compared_by_place() -> None:
    here = {
        "notes": [{"$job": "ab" * 32}, {"$job": "cd" * 32}],
        "models": [{"n": 1}, {"n": 2}],
        "sizes": [1] * 9,
    }
    there = {"notes": [{"$job": "ab" * 32}, {"$job": "ef" * 32}], "models": [{"n": 1}], "sizes": [2] * 9}
    assert [(one.name, one.here, one.there) for one in differences(here, there)] == [
        ("models", "2 items", "1"),
        ("notes[1]", "cdcdcdcd", "efefefef"),
        ("sizes[0]", "1", "2"),
        ("sizes[1]", "1", "2"),
        ("sizes[2]", "1", "2"),
        ("sizes", "6 more", "others"),
    ]


def test_every_state_has_an_answer() -> None:
    for state in State:
        assert explain(facts(state))
