"""Callbacks that the script calls: each once, whatever its tasks do meanwhile."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest
from sessions import Recorder

from xpm import Config, Param, ResumableTask
from xpm.core.callbacks import Local
from xpm.core.config import reference
from xpm.core.outputs import output_of
from xpm.core.state import State
from xpm.experiment.calls import Calls
from xpm.types import JobId
from xpm.workspace.layout import Workspace
from xpm.workspace.outputs import JOURNAL, Journal


class Model(Config):
    step: Param[int]


class Learn(ResumableTask):
    steps: Param[int]

    def model(self, dep: Callable[[Model], Model], step: int) -> Model:
        return dep(Model.C(step=step))

    def execute(self) -> None: ...


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace.open(tmp_path)


def learn(steps: int) -> Learn:
    task = Learn.C(steps=steps)
    with Recorder():
        task.submit()
    return task


def folder(workspace: Workspace, task: Learn) -> Path:
    ref = reference(task)
    return workspace.jobpath(ref.task, ref.id)


def register(workspace: Workspace, task: Learn, *steps: int) -> None:
    path = folder(workspace, task)
    path.mkdir(parents=True, exist_ok=True)
    for step in steps:
        Journal(str(path)).add(output_of(task, task.model, {"step": step}))


def watching(task: Learn, callback: Callable[..., object]) -> Local:
    return Local(task, callback, ("", "model"), "a test")


def all_are(state: State) -> Callable[[Sequence[JobId]], Mapping[JobId, State]]:
    return lambda ids: dict.fromkeys(ids, state)


def test_one_that_comes_after_another_was_dropped_gets_all_outputs(workspace: Workspace) -> None:
    calls, got = Calls(workspace), list[int]()
    for steps in range(1, 20):  # Python is quick to give an object the place of one that is gone
        task = learn(steps)
        register(workspace, task, 0, 1)
        calls.add(watching(task, lambda model, steps=steps: got.append(steps)))
        calls.call(all_are(State.DONE))
    assert got == [steps for steps in range(1, 20) for _ in range(2)]


def test_an_output_is_given_once_though_it_was_away_for_a_while(workspace: Workspace) -> None:
    calls, got, task = Calls(workspace), list[int](), learn(3)
    register(workspace, task, 0, 1)
    calls.add(watching(task, lambda model: got.append(model.step)))
    assert calls.call(all_are(State.RUNNING))
    journal = folder(workspace, task) / JOURNAL
    before = journal.read_bytes()
    journal.unlink()  # the next attempt has a directory of its own,
    assert not calls.call(all_are(State.RUNNING))
    journal.write_bytes(before)  # and gets what the last one has kept
    register(workspace, task, 2)
    calls.call(all_are(State.DONE))
    assert got == [0, 1, 2]


def test_what_waits_in_a_callback_may_call_the_others(workspace: Workspace) -> None:
    calls, got, done = Calls(workspace), list[str](), all_are(State.DONE)

    def first() -> None:
        calls.call(done)  # as `xp.wait()` does
        got.append("first")

    calls.add(Local(learn(1), first, None, "a test"))
    calls.add(Local(learn(2), lambda: got.append("second"), None, "a test"))
    assert calls.call(done)
    assert got == ["second", "first"]
    assert not calls.call(done)


def test_the_screen_is_made_free_before_each(workspace: Workspace) -> None:
    calls, told, task = Calls(workspace), list[str](), learn(2)
    register(workspace, task, 0, 1)
    calls.add(watching(task, lambda model: told.append("output")))
    calls.add(Local(task, lambda: told.append("done"), None, "a test"))
    calls.call(all_are(State.DONE), lambda: told.append("free"))
    calls.call(all_are(State.DONE), lambda: told.append("free"))
    assert told == ["free", "output", "free", "output", "free", "done"]
