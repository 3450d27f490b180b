"""No task can depend on itself: every way to try it is refused, with the place."""

from __future__ import annotations

import pytest
from sessions import Recorder

from xpm.core.config import Config, Param, Task, field, reference
from xpm.errors import ConfigError, SealedError, SubmissionError


class Box(Config):
    task: Param[First | None] = None
    box: Param[Box | None] = None
    boxes: Param[list[Box]] = field(default_factory=list)


class First(Task):
    n: Param[int] = 0
    then: Param[First | Second | None] = None
    many: Param[list[First]] = field(default_factory=list)
    table: Param[dict[str, list[First]]] = field(default_factory=dict)
    box: Param[Box | None] = None

    def execute(self) -> None: ...


class Second(Task):
    first: Param[First | None] = None

    def execute(self) -> None: ...


def itself(task: First) -> None:
    task.then = task


def through_another_task(task: First) -> None:
    task.then = Second.C(first=task)


def in_a_list(task: First) -> None:
    task.many.append(task)


def in_a_list_of_another(task: First) -> None:
    task.many = [First.C(), First.C(many=[First.C(), task])]


def in_a_dict(task: First) -> None:
    task.table["x"] = [task]


def in_a_config(task: First) -> None:
    task.box = Box.C(boxes=[Box.C(task=task)])


def below(task: First) -> None:
    """A cycle among what it needs, without itself."""
    task.then = other = First.C(n=1)
    other.box = Box.C(task=other)


@pytest.mark.parametrize(
    ("close", "place"),
    [
        (itself, "First.then"),
        (through_another_task, "First.then.first"),
        (in_a_list, "First.many[0]"),
        (in_a_dict, "First.table['x'][0]"),
        (in_a_config, "First.box.boxes[0].task"),
        (below, "First.then.box.task"),
    ],
)
def test_a_cycle_is_refused_at_submission_with_its_place(close, place: str) -> None:
    task = First.C()
    close(task)
    with Recorder() as recorder, pytest.raises(SubmissionError) as caught:
        task.submit()
    assert str(caught.value) == f"{place}: a cycle: a task cannot depend on itself"
    assert not recorder.prepared


def test_a_cycle_behind_a_task_that_only_lacks_its_submission() -> None:
    task = First.C()
    in_a_list_of_another(task)
    with Recorder():
        with pytest.raises(
            SubmissionError, match=r"^First.many\[0\]: the task First must be submitted first \(\S+:\d+\)$"
        ):
            task.submit()
        task.many[0].submit()
        with pytest.raises(SubmissionError, match=r"^First.many\[1\].many\[1\]: a cycle"):
            task.submit()
        # The other one is refused just so, for what it lacks: there is no order in which both go.
        with pytest.raises(
            SubmissionError, match=r"^First.many\[0\]: the task First must be submitted first \(\S+:\d+\)$"
        ):
            task.many[1].submit()


def test_a_cycle_cannot_be_closed_afterwards() -> None:
    with Recorder():
        task = First.C()
        second = Second.C(first=task.submit()).submit()
        for close in (lambda: setattr(task, "then", second), lambda: task.many.append(task)):
            with pytest.raises(SealedError, match=r"change a \.copy\(\) of it"):
                close()
        copy = task.copy(then=second).submit()
    assert reference(copy) != reference(task), "a copy that depends on the first is another job"


@pytest.mark.parametrize("ask", [lambda box: box.seal(), lambda box: box.tags])
def test_a_config_in_itself_is_refused_with_its_place(ask) -> None:
    box = Box.C(box=Box.C())
    box.box.boxes = [box]
    with pytest.raises(ConfigError, match=r"^Box.box.boxes\[0\]: contains itself$"):
        ask(box)


def test_what_is_only_deep_is_not_called_a_cycle() -> None:
    box = Box.C()
    for _ in range(2000):
        box = Box.C(box=box)
    with pytest.raises(RecursionError):
        box.tags
