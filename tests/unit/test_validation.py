"""`__validate__`: a class's own look at a description."""

from __future__ import annotations

import re
from typing import Any

import pytest
from sessions import Recorder

from xpm.core.config import Config, Param, Task, field
from xpm.core.info import own_info
from xpm.errors import ConfigError, SealedError

ASKED: list[str] = []


class Optimiser(Config):
    lr: Param[float]
    sizes: Param[list[int]] = field(default_factory=list)
    clever: Param[bool] = False

    def __validate__(self) -> None:
        ASKED.append("optimiser")
        if self.clever:
            self.lr = 3.0
        if self.lr > 1:
            raise ValueError(f"lr is {self.lr}, and at most 1 makes sense")
        if self.lr < 0:
            raise ValueError
        if self.sizes == [0]:
            raise KeyError("sizes")


class Train(Task):
    optimiser: Param[Optimiser]
    others: Param[list[Optimiser]] = field(default_factory=list)

    def __validate__(self) -> None:
        ASKED.append("train")

    def execute(self) -> None: ...


class Flat(Task):
    n: Param[int]

    def __validate__(self) -> None:
        if self.n > 3:
            raise ValueError("n is too large")

    def execute(self) -> None: ...


@pytest.fixture(autouse=True)
def _nobody_was_asked() -> None:
    ASKED.clear()


def test_each_is_asked_once_what_is_below_first() -> None:
    shared = Optimiser.C(lr=0.1)
    with Recorder():
        task = Train.C(optimiser=shared, others=[shared, Optimiser.C(lr=0.2)])
        assert not ASKED
        task.submit().seal().instance()
    assert ASKED == ["optimiser", "optimiser", "train"]
    Optimiser.C(lr=0.1).instance()
    assert ASKED == ["optimiser", "optimiser", "train", "optimiser"]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: Train.C(optimiser=Optimiser.C(lr=2)),
            "Train.optimiser: lr is 2.0, and at most 1 makes sense",
        ),
        (
            lambda: Train.C(optimiser=Optimiser.C(lr=1), others=[Optimiser.C(lr=1), Optimiser.C(lr=3)]),
            "Train.others[1]: lr is 3.0, and at most 1 makes sense",
        ),
        (lambda: Train.C(optimiser=Optimiser.C(lr=-1)), "Train.optimiser: is wrong"),
        (lambda: Flat.C(n=4), "Flat: n is too large"),
    ],
)
def test_a_value_error_is_told_with_its_place_and_nothing_is_sealed(make: Any, message: str) -> None:
    task = make()
    with Recorder() as session, pytest.raises(ConfigError) as caught:
        task.submit()
    assert re.fullmatch(re.escape(message) + r" \(\S*test_validation\.py:\d+\)", str(caught.value))
    assert isinstance(caught.value.__cause__, ValueError)
    assert not session.prepared and not own_info(task).sealed
    with pytest.raises(ConfigError):
        task.seal()
    with pytest.raises(ConfigError):
        task.instance()
    if isinstance(task, Train):
        task.optimiser.lr, task.others = 0.5, []
    else:
        task.n = 1
    with Recorder() as session:
        task.submit()
    assert len(session.prepared) == 1


def test_another_error_is_the_author_s() -> None:
    with pytest.raises(KeyError) as caught:
        Train.C(optimiser=Optimiser.C(lr=0.1, sizes=[0])).seal()
    assert caught.value.__notes__ == ["in __validate__ of Train.optimiser"]


def test_it_can_change_nothing() -> None:
    with pytest.raises(SealedError, match=r"Optimiser.lr: the description is sealed"):
        Optimiser.C(lr=0.1, clever=True).seal()
