"""Directories that tasks share which are equal in some of their parameters."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from sessions import Recorder

from xpm import (
    Config,
    ConfigError,
    DirectoryContext,
    Meta,
    Param,
    PathGenerator,
    Task,
    deprecate,
    field,
    lock,
    param_group,
    partial,
)
from xpm.core.jobpath import within
from xpm.core.wishes import with_locks

JOBS = Path("/ws/jobs/t/00")

length = param_group("length")


class Train(Task):
    __xpmid__ = "t.Train"

    lr: Param[float]
    epochs: Param[int] = field(default=1, groups=[length])
    patience: Param[int] = field(default=1, groups=[param_group("length")])
    whatever_length = partial(exclude_groups=[length])
    checkpoints: Meta[Path] = field(default_factory=PathGenerator("checkpoints", partial=whatever_length))
    best: Meta[Path] = field(
        default_factory=PathGenerator(lambda _, task: f"{task.lr}", partial=whatever_length)
    )
    everything: Meta[Path] = field(default_factory=PathGenerator(partial=partial(exclude_all=True)))
    log: Meta[Path] = field(default_factory=PathGenerator("log"))

    def execute(self) -> None: ...


@deprecate
class Fit(Train): ...


class Many(Task):
    trains: Param[list[Train]]

    def execute(self) -> None: ...


def test_what_does_not_count_makes_no_other_directory() -> None:
    with Recorder(JOBS) as session:
        one = Train.C(lr=1).submit()
        two = Train.C(lr=1, epochs=2, patience=3).submit()
        other = Train.C(lr=2).submit()
        Many.C(trains=[one, two]).submit()
    top = Path("/ws/partials/t.Train")
    assert one.checkpoints == two.checkpoints != other.checkpoints
    assert one.checkpoints.relative_to(top).parts[::2] == ("whatever_length", "checkpoints")
    assert (one.best.parent, one.best.name) == (one.checkpoints.parent, "1.0")
    assert one.everything == other.everything
    assert one.everything.parent == top / "everything"
    assert one.log == JOBS / one.job[1] / "log"
    locks = [each.locks for each in session.prepared]
    assert locks[0] == locks[1]
    assert [len(each) for each in locks] == [2, 2, 2, 0]
    assert len({*locks[0], *locks[2]}) == 3


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_deprecated_task_has_the_directory_of_the_one_that_it_stands_for() -> None:
    with Recorder(JOBS) as session:
        new, old = Train.C(lr=1).submit(), Fit.C(lr=1).submit()
    assert new.checkpoints == old.checkpoints
    assert session.prepared[0].locks == session.prepared[1].locks


def test_the_locks_go_with_what_the_task_requires() -> None:
    with Recorder(JOBS) as session:
        Train.C(lr=1).submit(requires=lock("index").read())
    needs = with_locks(session.options[0], session.last.locks).requires
    # Behind these, a job may wait for any other.
    assert [need.name[:9] for need in needs] == ["0-partial", "0-partial", "index"]
    assert all(str(need).endswith(".write()") for need in needs[:2])


def test_in_a_directory_of_ones_own_there_is_nothing_shared() -> None:
    live = Train.C(lr=1).instance(DirectoryContext("trial"))
    assert (live.checkpoints, live.everything) == (Path("trial/checkpoints"), Path("trial"))


def test_steps_upwards_are_gone() -> None:
    assert within("/ws/jobs/t/00/1", "../../../../partials/t/p") == "/ws/partials/t/p"
    assert within("/ws/jobs/t/00/1", "../out") == "/ws/jobs/t/00/1/../out"


def no_task() -> Any:
    class Model(Config):
        file: Meta[Path] = field(default_factory=PathGenerator("f", partial=partial()))

    return Model.C()


WRONG = [
    (
        no_task,
        "Model.file: only a task can share a directory with others; leave out partial=",
    ),
    (
        lambda: field(groups=length),
        "groups: expected a list of param_group(...), got ParameterGroup(name='length')",
    ),
    (lambda: partial(exclude_groups=["a"]), "groups: expected a list of param_group(...), got 'a'"),
    (lambda: PathGenerator(), "PathGenerator: expected a path below the job's directory, got ''"),
    (lambda: PathGenerator("a", partial=3), "PathGenerator: partial: expected partial(...), got 3"),
]


@pytest.mark.parametrize(("make", "message"), WRONG)
def test_wrong_partials(make: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=f"^{re.escape(message)}$"):
        make()
