from __future__ import annotations

import pickle
from enum import Enum
from pathlib import Path
from typing import Any

import pytest
from sessions import Recorder

from xpm.core.config import Config, Meta, Param, Task, field
from xpm.core.identifier import identifier
from xpm.core.tags import LABEL_BYTES, label_below, stop_tags, tag, tagspath
from xpm.errors import ConfigError, SealedError


class Kind(Enum):
    A = 1


class Model(Config):
    layers: Param[int] = 2
    sizes: Param[list[int]] = field(default_factory=list)


class Train(Task):
    model: Param[Model] = Model.C()
    lr: Param[float] = 0.1
    kind: Param[Kind] = Kind.A
    path: Meta[Path] = Path("p")
    note: Param[str | None] = None

    def execute(self) -> None: ...


class Compare(Task):
    left: Param[Train]
    right: Param[Train]
    many: Param[list[Train]] = field(default_factory=list)

    def execute(self) -> None: ...


def trained(**values: Any) -> Train:
    return Train.C(**values).submit()


def test_a_tag_is_the_stored_value() -> None:
    made = Train.C(lr=tag(1), kind=tag(Kind.A), path=tag("a//b"), note=tag(None))
    assert dict(made.tags) == {"lr": 1.0, "kind": "A", "path": "a/b", "note": None}
    assert type(made.tags["lr"]) is float
    made.lr = tag(0.5)
    assert made.tag("seed", 3) is made
    assert (made.tags["lr"], made.tags["seed"]) == (0.5, 3)


def test_a_parameter_under_study_stays_so_with_another_value() -> None:
    task = Train.C(lr=tag(0.1)).tag("run", "a")
    assert dict(task.copy(lr=5).tags) == {"lr": 5.0, "run": "a"}
    again = task.copy()
    again.lr = 7.0
    assert dict(again.tags) == {"lr": 7.0, "run": "a"}
    assert dict(task.tags) == {"lr": 0.1, "run": "a"}
    del again.lr
    assert dict(again.tags) == {"run": "a"}
    again.lr = 0.2
    assert dict(again.tags) == {"run": "a"}


def test_a_tag_of_one_s_own_does_not_follow_the_parameter_of_its_name() -> None:
    task = Train.C(lr=tag(0.1))
    task.tag("lr", "low")
    assert dict(task.copy(lr=5).tags) == {"lr": "low"}


def test_tags_that_are_stopped() -> None:
    model = Model.C(layers=tag(3), sizes=[1]).tag("kind", "a")
    task = Train.C(model=model, lr=stop_tags(tag(0.1)))
    assert dict(task.tags) == {"layers": 3, "kind": "a", "lr": 0.1}
    assert stop_tags(model) is model
    assert dict(model.tags) == {"layers": 3, "kind": "a"}
    for each in (task, task.copy(), pickle.loads(pickle.dumps(task))):
        assert dict(each.tags) == {"lr": 0.1}
    with Recorder() as session:
        task.submit()
        other = Train.C(lr=tag(0.2)).submit()
        compare = Compare.C(left=task, right=other).submit()
    assert dict(session.last.tags) == dict(compare.tags) == {"lr": 0.2}
    again = task.copy(lr=tag(0.3))
    assert dict(Compare.C(left=again, right=again).tags) == {"lr": 0.3}


def test_tags_as_a_name() -> None:
    task = Train.C(lr=tag(0.1), path=tag(Path("a/b"))).tag("Who", "ada")
    assert tagspath(task) == "Who=ada_lr=0.1_path=a-b"
    assert tagspath(Train.C()) == ""


def test_what_can_not_be_stopped() -> None:
    with pytest.raises(ConfigError, match=r"stop_tags: expected a description or tag\(...\), got int"):
        stop_tags(3)
    with pytest.raises(SealedError, match="stop_tags: the Model is sealed"):
        stop_tags(Model.C().seal())


def test_tags_survive_pickling() -> None:
    task = pickle.loads(pickle.dumps(Train.C(lr=tag(0.1), model=Model.C(layers=tag(3)))))
    assert dict(task.tags) == {"lr": 0.1, "layers": 3}
    task.lr = 0.2
    assert task.tags["lr"] == 0.2


def test_tags_are_not_in_the_identifier() -> None:
    assert identifier(Train.C(lr=tag(0.5)).tag("a", 1)) == identifier(Train.C(lr=0.5))


def test_tags_of_nested_configs_and_dependencies() -> None:
    with Recorder() as session:
        left = trained(model=Model.C(layers=tag(3)), lr=tag(0.1))
        Compare.C(left=left, right=left).tag("lr", 5).submit()
    assert dict(left.tags) == {"layers": 3, "lr": 0.1}
    assert session.last.tags == {"layers": 3, "lr": 5}


def test_different_values_are_both_kept() -> None:
    with Recorder():
        left, right = Train.C(lr=tag(0.1)).tag("same", 1).submit(), trained(lr=tag(0.2))
        made = Compare.C(left=left, right=right, many=[left])
    assert dict(made.tags) == {"left.lr": 0.1, "right.lr": 0.2, "many.lr": 0.1, "same": 1}


def test_elements_that_differ_say_nothing_of_the_whole() -> None:
    with Recorder():
        same = trained(note="same")
        many = [Train.C(lr=tag(lr)).tag("data", "digits").submit() for lr in (0.1, 0.2)]
        many.append(trained(lr=0.3))
        assert dict(Compare.C(left=same, right=same, many=many).tags) == {"data": "digits"}


@pytest.mark.parametrize("value", [[1], Model])
def test_what_can_be_no_tag(value: Any) -> None:
    with pytest.raises(ConfigError, match=r"Train.x: a tag is a number"):
        Train.C().tag("x", value)


def test_a_tag_stands_for_a_parameter_s_value_only() -> None:
    with pytest.raises(ConfigError, match=r"Model.sizes\[0\]: expected int, got tag\(1\)"):
        Model.C(sizes=[tag(1)])
    with pytest.raises(ConfigError, match=r"Model.sizes: a tag is"):
        Model.C(sizes=tag([1]))


def label(task: Task) -> str:
    with Recorder() as session:
        task.submit()
    return session.last.label


def test_label() -> None:
    assert (
        label(Train.C(lr=tag(0.30000000000000004), model=Model.C(layers=tag(3)))) == "Train layers=3 lr=0.3"
    )
    assert label(Train.C(lr=1e-5)) == "Train lr=1e-05 note=None"


def test_a_label_is_cut_between_characters() -> None:
    found = label(Train.C(note="é" * 60))
    assert found.startswith("Train lr=0.1 note=é")
    assert LABEL_BYTES - 2 < len(found.encode()) <= LABEL_BYTES
    assert len(label(Train.C(note="e" * 60))) == LABEL_BYTES
    assert "?" in label(Train.C(note="\ud800"))


@pytest.mark.parametrize(
    ("label", "own", "inherited", "whole"),
    [
        ("Report", {}, {"lr": 0.1}, "Report lr=0.1"),
        ("Leaf n=1", {"n": 1}, {"n": 2, "lr": 0.1}, "Leaf n=1 lr=0.1"),
        ("Leaf n=1", {}, {"n": 2}, "Leaf n=1"),
        ("Leaf", {}, {}, "Leaf"),
    ],
)
def test_a_label_with_inherited_tags(
    label: str, own: dict[str, Any], inherited: dict[str, Any], whole: str
) -> None:
    assert label_below(label, own, inherited) == whole
