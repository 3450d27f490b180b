"""Submit hooks: what configs ask of the submission of the tasks that have them."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from sessions import Recorder

from xpm import (
    Config,
    ConfigError,
    LightweightTask,
    Param,
    Submission,
    SubmissionError,
    Task,
    field,
    lock,
    submit_hook,
    token,
)
from xpm.core.environ import unpack_environ

calls: list[str] = []


@submit_hook
def needs_java(submission: Submission) -> None:
    calls.append(type(submission.task).__name__)
    submission.setenv("JAVA_HOME", "/opt/java")
    submission.require(lock("index").read())


@submit_hook
def goes_to_gpus(submission: Submission) -> None:
    submission.queue = "gpu"
    submission.require(token("gpu")(1))


@needs_java
class Index(Config):
    path: Param[str] = "i"


class Small(Index): ...


class Model(Config):
    index: Param[Index | None] = None
    others: Param[dict[str, list[Index]]] = field(default_factory=dict)


@needs_java
@goes_to_gpus
class Train(Task):
    model: Param[Model]

    def execute(self) -> None: ...


class Plain(Task):
    config: Param[Config]
    train: Param[Train | None] = None

    def execute(self) -> None: ...


class Load(LightweightTask):
    index: Param[Index]

    def execute(self) -> None: ...


@submit_hook
def broken(submission: Submission) -> None:
    raise ValueError("no")


@broken
class Broken(Config): ...


@submit_hook
def wrong_queue(submission: Submission) -> None:
    submission.queue = 3


@wrong_queue
class WrongQueue(Config): ...


@submit_hook
def wrong_variable(submission: Submission) -> None:
    submission.setenv("A", 3)


@wrong_variable
class WrongVariable(Config): ...


@submit_hook
def wrong_need(submission: Submission) -> None:
    submission.require("gpu")


@wrong_need
class WrongNeed(Config): ...


def submitted(task: Task, **options: Any) -> Any:
    calls.clear()
    with Recorder() as session:
        task.submit(**options)
    return session.options[-1]


REACHED: list[Callable[[], Config]] = [
    Index.C,
    Small.C,
    lambda: Model.C(index=Small.C()),
    lambda: Model.C(index=Index.C(), others={"a": [Index.C(), Index.C()]}),
]


@pytest.mark.parametrize("make", REACHED)
def test_a_hook_is_called_once_for_a_task_that_has_such_a_config(make: Callable[[], Config]) -> None:
    options = submitted(Plain.C(config=make()), requires=lock("data").read())
    assert calls == ["Plain"]
    assert unpack_environ(options.environ) == {"JAVA_HOME": "/opt/java"}
    assert [str(each) for each in options.requires] == ["lock('data').read()", "lock('index').read()"]
    assert options.queue is None


def test_it_is_not_called_for_others() -> None:
    with Recorder():
        train = Train.C(model=Model.C()).submit()
    options = submitted(Plain.C(config=Model.C(), train=train))
    assert (calls, options.environ, options.requires) == ([], "", ())


def test_hooks_of_the_task_itself() -> None:
    options = submitted(Train.C(model=Model.C()))
    assert (calls, options.queue) == (["Train"], "gpu")
    assert [each.resource for each in options.requires] == ["l.index", "t.gpu"]
    assert submitted(Train.C(model=Model.C()), queue="other").queue == "other"


def test_hooks_of_init_tasks() -> None:
    assert submitted(Plain.C(config=Model.C()), init_tasks=[Load.C(index=Index.C())]).requires


def test_an_error_in_a_hook_says_so_and_nothing_is_submitted() -> None:
    task = Plain.C(config=Broken.C())
    with pytest.raises(ValueError, match=r"^no") as raised:
        submitted(task)
    assert raised.value.__notes__ == ["in a submit hook of Broken"]
    task.config = Model.C()
    assert submitted(task)


WRONG: list[tuple[Callable[[], Any], str]] = [
    (
        lambda: submitted(Plain.C(config=WrongQueue.C())),
        "Plain: in a submit hook of WrongQueue: queue: expected a name, got 3",
    ),
    (
        lambda: submitted(Plain.C(config=WrongVariable.C())),
        "Plain: in a submit hook of WrongVariable: setenv(): A: expected a text, got 3",
    ),
    (
        lambda: submitted(Plain.C(config=WrongNeed.C())),
        "Plain: in a submit hook of WrongNeed: require(): expected amounts of tokens, and locks to read or to write, as gpu(1) or lock('index').read(), "
        "got 'gpu'",
    ),
    (lambda: submit_hook(3), "submit_hook: expected a function, got 3"),
    (lambda: needs_java(int), "submit_hook: expected a config class, got <class 'int'>"),
]


@pytest.mark.parametrize(("make", "message"), WRONG)
def test_wrong_hooks(make: Callable[[], Any], message: str) -> None:
    with pytest.raises((ConfigError, SubmissionError), match=f"^{re.escape(message)}$"):
        make()
