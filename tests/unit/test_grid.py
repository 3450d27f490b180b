from __future__ import annotations

from collections.abc import Callable, Iterator
from enum import Enum
from itertools import product
from pathlib import Path
from types import FunctionType, SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sessions import Recorder

from xpm.core.config import Config, Dependent, Meta, Param, PathGenerator, Task, field
from xpm.core.grid import Grid, grid, zipped
from xpm.core.identifier import identifier
from xpm.core.info import info_of
from xpm.core.instances import InstanceConfig
from xpm.core.tags import stop_tags, tag
from xpm.describe.functions import task
from xpm.errors import ConfigError, NoExperiment, SealedError, SubmissionError, UsageError, XpmError


class Mode(Enum):
    FAST = 1
    EXACT = 2


class Data(Config):
    name: Param[str]
    size: Param[int] = 1


class Model(Config):
    layers: Param[int] = 2
    lr: Param[float] = 0.5


class CNN(Model):
    kernel: Param[int] = 3


class ViT(Model):
    heads: Param[int] = 4


class Train(Task):
    model: Param[Model] = Model.C()
    lr: Param[float]
    epochs: Param[int] = 1
    mode: Param[Mode] = Mode.FAST
    sizes: Param[list[int]] = field(default_factory=list[int])
    data: Param[Data | None] = None

    def execute(self) -> float:
        return self.lr


class Evaluate(Task):
    trained: Param[Train]
    seed: Param[int] = 0

    def execute(self) -> None: ...


class Pair(Task):
    left: Param[Model]
    right: Param[Model]
    lr: Param[float] = 1.0

    def execute(self) -> None: ...


class Both(Config):
    pair: Param[Pair]


def len_of(text: str) -> int:
    return len(text)


class Apply(Task):
    by: Param[FunctionType]

    def execute(self) -> None: ...


class Weights(Config):
    path: Meta[Path]


class Learn(Task):
    seed: Param[int]

    def task_outputs(self, dep: Dependent) -> Weights:
        return dep(Weights.C(path=self.jobpath / "weights"))

    def execute(self) -> None: ...


class Use(Task):
    weights: Param[Weights]
    limit: Param[int] = 0

    def execute(self) -> None: ...


class Kept(Config):
    name: Param[str] = "a"
    file: Meta[Path] = field(default_factory=PathGenerator("kept.txt"))


class Keep(Task):
    kept: Param[Kept]
    seed: Param[int] = 0

    def execute(self) -> None: ...


class Reads(Config):
    path: Param[Path]


class Read(Task):
    reads: Param[Reads]

    def execute(self) -> None: ...


class Encoder(InstanceConfig):
    size: Param[int] = 1


class Twins(Task):
    left: Param[Encoder]
    right: Param[Encoder]
    seed: Param[int] = 0

    def execute(self) -> None: ...


def ids(configs: Any) -> list[str]:
    return [identifier(each) for each in configs]


def tags(plan: Grid[Any]) -> list[dict[str, Any]]:
    return [dict(each.tags) for each in plan]


# What it makes


def test_a_product_is_what_nested_loops_make():
    plan = grid(Train.C(lr=9.0, epochs=3), lr=[0.1, 1], mode=Mode, sizes=([1], [1, 2]))
    loops = [
        Train.C(epochs=3, lr=tag(lr), mode=tag(mode), sizes=sizes).tag("sizes", str(sizes))
        for lr in (0.1, 1.0)
        for mode in Mode
        for sizes in ([1], [1, 2])
    ]
    assert len(plan) == 8
    assert ids(plan) == ids(loops)
    assert tags(plan) == [dict(each.tags) for each in loops]
    assert plan.tags == ("lr", "mode", "sizes")
    assert all(type(each) is type(Train.C(lr=1.0)) for each in plan)


def test_a_path_leads_into_nested_configs():
    base = Train.C(model=CNN.C(kernel=5), lr=0.1)
    plan = grid(base, {"model.layers": [1, 2], "model.kernel": [3, 5]}, lr=[0.5])
    loops = [
        Train.C(model=CNN.C(layers=tag(layers), kernel=tag(kernel)), lr=tag(0.5))
        for layers in (1, 2)
        for kernel in (3, 5)
    ]
    assert ids(plan) == ids(loops)
    assert tags(plan) == [dict(each.tags) for each in loops]
    assert base.model.layers == 2 and not base.tags


def test_a_path_leads_into_what_varies_itself():
    plan = grid(Train.C(lr=1.0), {"model.layers": [1, 2]}, model=[CNN.C(), ViT.C(heads=8)])
    assert [(type(each.model).__name__, each.model.layers) for each in plan] == [
        ("CNN", 1),
        ("ViT", 1),
        ("CNN", 2),
        ("ViT", 2),
    ]
    assert plan.tags == ("layers", "model")
    with pytest.raises(ConfigError, match=r"CNN\.heads: no such parameter"):
        grid(Train.C(lr=1.0), {"model.heads": [1]}, model=[CNN.C(), ViT.C()])


def test_a_grid_is_a_value():
    models = grid(CNN, layers=[2, 3]) | grid(ViT, heads=[4, 8])
    plan = grid(Train, model=models, lr=[0.1, 0.01])
    assert len(plan) == 8
    assert plan[0].model is plan[1].model
    assert [dict(each.tags) for each in (plan[0], plan[7])] == [
        {"layers": 2, "model": "CNN", "lr": 0.1},
        {"heads": 8, "model": "ViT", "lr": 0.01},
    ]
    assert plan.tags == ("layers", "heads", "model", "lr")


def test_a_grid_is_a_base():
    plan = grid(grid(Train, lr=[0.1, 0.2]), epochs=[1, 2])
    assert [(each.lr, each.epochs) for each in plan] == [(0.1, 1), (0.1, 2), (0.2, 1), (0.2, 2)]
    assert plan.tags == ("lr", "epochs")
    assert tags(plan[3:]) == [{"lr": 0.2, "epochs": 2}]


def test_several_descriptions_are_a_base():
    plan = grid([Train.C(lr=tag(0.1)), Train.C(lr=tag(0.2))], epochs=[1, 2])
    assert [(each.lr, each.epochs) for each in plan] == [(0.1, 1), (0.1, 2), (0.2, 1), (0.2, 2)]
    assert plan.tags == ("lr", "epochs")


def test_nothing_varied():
    plan = grid(Train.C(lr=0.1))
    assert len(plan) == 1 and not plan.tags
    assert plan[0].lr == 0.1
    assert len(grid(Train, {}, zipped())) == 1


def test_zipped():
    plan = grid(Train, zipped({"model.layers": range(2)}, lr=[0.1, 0.2]), epochs=[1, 2])
    assert [(each.model.layers, each.lr, each.epochs) for each in plan] == [
        (0, 0.1, 1),
        (0, 0.1, 2),
        (1, 0.2, 1),
        (1, 0.2, 2),
    ]
    assert len(grid(Train, zipped(model=grid(CNN, layers=[1, 2]), lr=[0.1, 0.2]))) == 2


def test_values_are_any_list():
    numpy: Any = pytest.importorskip("numpy")
    plan = grid(Train, lr=numpy.linspace(0, 1, 3), epochs=(each for each in (1, 2)))
    assert [each.lr for each in plan][::2] == [0.0, 0.5, 1.0]
    assert type(plan[0].lr) is float and type(plan[0].tags["lr"]) is float
    assert tags(grid(Train, lr=[tag(0.1)])) == [{"lr": 0.1}]


# Tags


def test_one_value_is_a_tag_too():
    assert tags(grid(Train, lr=[0.1])) == [{"lr": 0.1}]
    assert grid(Train, lr=[0.1]).where("lr < 1").tags == ("lr",)


def test_tags_of_configs():
    def told(values: list[Any]) -> list[Any]:
        return [each.get("data", "-") for each in tags(grid(Train.C(lr=1.0), data=values))]

    assert told([Data.C(name="a")]) == ["-"]
    assert told([Data.C(name=tag("a")), Data.C(name=tag("b"))]) == ["-", "-"]
    assert told([Data.C(name="a"), Data.C(name="b")]) == ["Data name=a", "Data name=b"]
    assert told([None, Data.C(name="a")]) == [None, "Data"]
    same = [Model.C(layers=1).tag("x", 1), Model.C(layers=1)]
    assert tags(grid(Train.C(lr=1.0), model=same)) == [{"x": 1}, {}]
    twice = [Data.C(name="a"), Data.C(name="a")]
    assert told(twice) == ["Data #0", "Data #1"]


def test_tags_of_one_name_are_told_apart():
    base = Pair.C(left=Model.C(), right=Model.C())
    plan = grid(base, {"left.layers": [1, 2], "right.layers": [1, 2]}, lr=[0.1])
    assert plan.tags == ("left.layers", "right.layers", "lr")
    assert tags(plan)[0] == {"left.layers": 1, "right.layers": 1, "lr": 0.1}
    assert len(plan.where("left.layers = 1")) == 2
    models = grid(Model, layers=[1, 2])
    again = grid(Pair, left=models, right=models)
    assert tags(again) == [{"left.layers": a, "right.layers": b} for a in (1, 2) for b in (1, 2)]
    later = grid(grid(Pair.C(left=Model.C(), right=Model.C()), left=models), right=models)
    assert tags(later) == tags(again) and later.tags == again.tags


def test_a_tag_that_another_would_hide_is_told_apart():
    plan = grid(Train, {"model.lr": [1.0, 2.0]}, lr=[0.1])
    assert tags(plan) == [{"model.lr": 1.0, "lr": 0.1}, {"model.lr": 2.0, "lr": 0.1}]
    copy = plan[1].copy()
    assert dict(copy.tags) == {"model.lr": 2.0, "lr": 0.1}
    copy.model = Model.C(lr=tag(7.0))
    copy.lr = 3.0
    assert dict(copy.tags) == {"model.lr": 7.0, "lr": 3.0}


def test_tags_of_the_base_stay():
    plan = grid(Train.C(lr=tag(0.1), model=Model.C(layers=tag(7))).tag("who", "ada"), epochs=[1])
    assert tags(plan) == [{"layers": 7, "lr": 0.1, "who": "ada", "epochs": 1}]
    assert plan.tags == ("layers", "lr", "who", "epochs")


def test_a_function_is_a_tag_by_its_name():
    assert tags(grid(Apply, by=[len_of, ids])) == [{"by": "len_of"}, {"by": "ids"}]


def test_a_base_of_several_classes():
    bases = [Train.C(lr=1.0, model=CNN.C()), Train.C(lr=1.0, model=ViT.C(heads=tag(3)))]
    plan = grid(grid(bases, {"model.layers": [1, 2]}, data=[None, Data.C(name="a")]), epochs=[1])
    assert sorted(plan.tags) == ["data", "epochs", "heads", "layers"]
    assert len(plan) == 8 and plan[7].model.layers == 2


def test_what_varies_again_has_the_last_tag():
    once = grid(Train, model=[CNN.C(), ViT.C()], lr=[0.1])
    plan = grid(once, model=[Model.C(layers=tag(3))], lr=[0.2])
    assert tags(plan) == [{"layers": 3, "lr": 0.2}] * 2
    assert plan.tags == ("layers", "lr")
    named = grid(Train.C(lr=1.0).tag("model", "big").tag("lr", 7), model=[Model.C()], lr=[0.1])
    assert tags(named) == [{"model": "big", "lr": 0.1}]


def test_tags_that_are_stopped_go_no_further_up():
    plan = grid(Train.C(model=stop_tags(CNN.C(kernel=tag(5))), lr=1.0), {"model.layers": [1, 2]}, epochs=[1])
    assert plan.tags == ("epochs",) and tags(plan) == [{"epochs": 1}] * 2
    models = grid(stop_tags(CNN.C()), layers=[1, 2])
    assert models.tags == ("layers",)
    assert tags(grid(Train, model=models, lr=[0.1])) == [{"lr": 0.1}] * 2
    assert grid(Train, model=models, lr=[0.1]).tags == ("lr",)


# It never changes


def test_what_it_was_made_of_stays_as_it_was_and_can_change():
    sizes, model = [1], CNN.C()
    base = Train.C(lr=0.1, sizes=sizes, model=model)
    plan = grid(base, model=[model, ViT.C()], epochs=[1, 2])
    before = ids(plan)
    base.lr = 5.0
    base.sizes.append(7)
    model.layers = 9
    assert ids(plan) == before
    assert not (base.tags or model.tags)


def test_an_element_can_change_and_the_grid_does_not():
    plan = grid(Train.C(lr=0.1, sizes=[1]), {"model.layers": [1, 2]}, epochs=[1, 2])
    before = ids(plan)
    first = plan[0]
    first.epochs, first.sizes = 7, [4]
    assert dict(first.tags) == {"layers": 1, "epochs": 7}
    with pytest.raises(SealedError):
        first.model.layers = 3
    with pytest.raises(SealedError):
        plan[1].sizes.append(3)
    changed = plan[1].copy()
    changed.model.layers = 9
    assert ids(plan) == before


def test_what_cannot_be_shared_is_not():
    plan = grid(Keep, kept=[Kept.C(), Kept.C(name="b")], seed=[1, 2])
    assert plan[0].kept is not plan[1].kept
    paths = grid(Keep.C(kept=Kept.C()), {"kept.name": ["a", "b"]}, seed=[1, 2])
    with Recorder():
        assert len({each.kept.file for each in (*plan.submit(), *paths.submit())}) == 4
    shared = Encoder.C()
    twins = grid(Twins.C(left=shared, right=shared), seed=[1, 2])
    assert all(each.left is each.right for each in twins)
    assert ids(twins) == [identifier(Twins.C(left=shared, right=shared, seed=seed)) for seed in (1, 2)]
    apart = grid(Twins, left=[shared], right=[shared, Encoder.C()])
    assert ids(apart) == [identifier(Twins.C(left=shared, right=right)) for right in (shared, Encoder.C())]


def test_configs_with_paths_from_a_grid_are_not_shared():
    plan = grid(Keep, kept=grid(Kept, name=["a", "b"]), seed=[1, 2])
    assert plan[0].kept is not plan[1].kept
    with Recorder():
        assert len({each.kept.file for each in plan.submit()}) == 4


def test_what_is_incomplete_is_completed_by_a_path():
    plan = grid(Train.C(lr=1.0), {"data.name": ["a", "b"]}, data=[grid(Data, size=[3])[0]])
    assert [(each.data.name, each.data.size) for each in plan if each.data] == [("a", 3), ("b", 3)]
    plan[0].data.size = 4
    assert plan[0].data.size == 3


def test_what_a_job_has_given_out_is_changed_as_a_copy_is():
    with Recorder() as session:
        weights = Learn.C(seed=1).submit()
        plan = grid(Use.C(weights=weights), {"weights.path": ["a", "b"]}, limit=[1])
        copies = grid(weights, path=["a"])
        assert [str(each.weights.path) for each in plan.submit()] == ["a", "b"]
        assert [each.dependencies for each in session.prepared[1:]] == [(info_of(weights).producer,)] * 2
        assert info_of(copies[0]).producer is info_of(weights).producer
        own = weights.copy(path="mine")
        mine = grid(own)
        own.path = "other"
        assert str(mine[0].path) == "mine"


@task
def make_model(layers: int) -> Model:
    return Model.C(layers=layers)


def test_a_promise_is_a_value_and_does_not_vary():
    with Recorder() as session:
        promised = grid(make_model(layers=1), layers=[1, 2]).submit()
        plan = grid(Train, model=promised, lr=[0.1])
        assert len({identifier(each) for each in plan}) == 2 and plan[0].model is promised[0]
        assert str(plan).startswith("2 Train") and plan.graph().count("->") == 2
        plan.submit()
        assert [len(each.dependencies) for each in session.prepared] == [0, 0, 1, 1]
        with pytest.raises(ConfigError, match="Model: is what a job will return; nothing of it can vary"):
            grid(promised[0], layers=[3])
        with pytest.raises(ConfigError, match=r"Train\.model: is what a job will return"):
            grid(Train, {"model.layers": [3]}, model=promised)


@pytest.mark.parametrize("kept", [1, 2])
def test_few_configs_are_kept(monkeypatch: pytest.MonkeyPatch, kept: int):
    monkeypatch.setattr("xpm.core.axes.KEPT", kept)
    monkeypatch.setattr("xpm.core.product.KEPT", kept)
    plan = grid(
        Train.C(lr=1.0), {"model.lr": [0.1, 0.2, 0.3]}, model=grid(CNN, layers=[1, 2, 3]), epochs=[1, 2]
    )
    assert [(each.model.lr, each.model.layers) for each in plan] == [
        (lr, layers) for lr in (0.1, 0.2, 0.3) for layers in (1, 2, 3) for _ in range(2)
    ]


def test_each_look_makes_a_new_description():
    plan = grid(Train, lr=[0.1])
    assert plan[0] is not plan[0]
    assert plan[0] in plan and Train.C(lr=0.1) in plan
    assert Train.C(lr=0.2) not in plan and 3 not in plan


def test_a_product_is_counted_without_being_made():
    plan = grid(Train, lr=[0.1] * 1000, epochs=range(1000), model=grid(Model, layers=range(1000)))
    assert len(plan) == 10**9
    assert plan[10**9 - 1].epochs == 999
    assert len(plan[10 : 10**8]) == 10**8 - 10


# Union, slices, filters, groups, joins


def test_union_keeps_the_order_and_equal_ones_once():
    one = grid(Train, lr=[0.1, 0.2])
    other = grid(Train.C(lr=9.0).tag("late", True), lr=[0.2, 0.3])
    both = one | other
    assert [each.lr for each in both] == [0.1, 0.2, 0.3]
    assert tags(both) == [{"lr": 0.1}, {"lr": 0.2}, {"late": True, "lr": 0.3}]
    assert both.tags == ("lr", "late")
    assert len(both | both | one) == 3
    with pytest.raises(TypeError):
        one | [1]


def test_slices_and_indices():
    plan = grid(Train, lr=[0.1, 0.2], epochs=range(3))
    assert ids(plan[1:5:2]) == ids(plan)[1:5:2]
    assert ids(plan[::-1]) == ids(plan)[::-1] == ids(reversed(plan))
    assert identifier(plan[-1]) == ids(plan)[5]
    assert not len(plan[6:])
    with pytest.raises(IndexError, match="a grid of 6 has no element 6"):
        plan[6]


def test_where():
    plan = grid(Train, model=[CNN.C(), ViT.C()], lr=[0.1, 0.01], mode=Mode)
    assert len(plan.where("lr < 0.1 and model ~ CNN")) == 2
    assert len(plan.where("tag.lr = 0.1")) == 4
    assert len(plan.where("mode = FAST and task = Train")) == 4
    assert len(plan.where("label ~ 'model=CNN lr=0.1 mode=FAST'")) == 1
    assert len(plan.where(lambda each: each.lr == 0.1 and isinstance(each.model, ViT))) == 2
    assert len(grid(CNN, layers=[1, 2]).where("label = 'CNN layers=2' and task = CNN")) == 1
    none = plan.where("lr > 1")
    assert not len(none) and not list(none) and not len(grid(none, epochs=[1, 2]))
    assert str(none) == "0 descriptions"


def test_group_by():
    plan = grid(CNN, kernel=[1, 2], layers=[1, 2]) | grid(ViT, layers=[1])
    found = [
        (key, [(type(each).__name__, each.layers) for each in part]) for key, part in plan.group_by("layers")
    ]
    assert found == [((1,), [("CNN", 1), ("CNN", 1), ("ViT", 1)]), ((2,), [("CNN", 2), ("CNN", 2)])]
    assert [key for key, _ in plan.group_by("kernel")] == [(1,), (2,), (None,)]
    assert [len(part) for _, part in plan.group_by("kernel", "layers")] == [1, 1, 1, 1, 1]
    assert [(key, len(part)) for key, part in plan.group_by()] == [((), 5)]


def test_join():
    trains = grid(Train, lr=[0.1, 0.2], epochs=[1, 2])
    others = grid(Pair.C(left=Model.C(), right=Model.C()), lr=[0.2, 0.3])
    assert [(a.lr, a.epochs, b.lr) for a, b in trains.join(others)] == [(0.2, 1, 0.2), (0.2, 2, 0.2)]
    assert [(a.epochs, b.epochs) for a, b in trains[:2].join(trains[2:], on=["epochs"])] == [(1, 1), (2, 2)]
    mixed = grid(CNN, kernel=[1]) | grid(ViT, heads=[1])
    assert len(mixed.join(mixed, on="kernel")) == 1
    pair = trains.join(trains, on="epochs")
    assert pair[0][0] is pair[1][0]


# Submission


def test_submission_gives_what_submit_gives():
    plan = grid(Train, lr=[0.1, 0.2])
    with Recorder() as session:
        trained = plan.submit(queue="gpu", priority=3)
        assert [each.lr for each in trained] == [0.1, 0.2]
        assert {(each.queue, each.priority) for each in session.options} == {("gpu", 3)}
        evaluations = grid(Evaluate, trained=trained, seed=[1, 2])
        assert evaluations.tags == ("lr", "seed")
        assert tags(evaluations)[3] == {"lr": 0.2, "seed": 2}
        assert evaluations[0].trained is trained[0]
        evaluations.submit()
        assert dict(session.last.tags) == {"lr": 0.2, "seed": 2}
        assert session.last.label == "Evaluate lr=0.2 seed=2"
        assert [each.lr for each in grid(trained).where("lr > 0.1")] == [0.2]
        assert grid(trained)[1] is trained[1]
        again = grid(trained, epochs=[5])[0]
        assert (again.lr, again.epochs) == (0.1, 5) and not info_of(again).sealed


def test_outputs_carry_their_tags():
    with Recorder() as session:
        weights = grid(Learn, seed=[1, 2]).submit()
        assert all(isinstance(each, Weights) for each in weights)
        plan = grid(Use, weights=weights, limit=[3])
        assert plan.tags == ("seed", "limit")
        plan.submit()
        assert [dict(each.tags) for each in session.prepared[2:]] == [
            {"seed": 1, "limit": 3},
            {"seed": 2, "limit": 3},
        ]
        assert [len(each.dependencies) for each in session.prepared] == [0, 0, 1, 1]
        assert len(grid(weights).where("seed = 2")) == 1


def test_nothing_is_submitted_when_something_is_wrong():
    with Recorder() as session:
        with pytest.raises(ConfigError, match=r"Train\.lr: is missing"):
            grid([Train.C(lr=0.1), grid(Train, epochs=[2])[0]]).submit()
        with pytest.raises(
            SubmissionError, match=r"Evaluate\.trained: the task Train must be submitted first"
        ):
            grid(Evaluate, trained=grid(Train, lr=[0.1])).submit()
        with pytest.raises(ConfigError, match="Model: is no task, and can't be submitted"):
            grid(Model, layers=[1]).submit()
        with pytest.raises(SubmissionError, match="queue"):
            grid(Train, lr=[0.1]).submit(queue=3)
        assert not session.prepared
    with pytest.raises(NoExperiment):
        grid(Train, lr=[0.1]).submit()


def test_a_path_in_a_job_is_refused_as_ever():
    with Recorder():
        learnt = Train.C(lr=0.1).submit()
        with pytest.raises(XpmError, match="a path in the directory of Train"):
            grid(Read, reads=[Reads.C(path=learnt.jobpath / "a")]).submit()


# Looking at it


def test_the_table_shows_what_differs():
    plan = grid(
        Train.C(epochs=3),
        model=grid(CNN, kernel=[3]) | grid(ViT, heads=[4]),
        lr=[0.1, 1e-10],
        mode=[Mode.FAST],
    )
    assert str(plan).splitlines() == [
        "4 Train",
        "   kernel  heads  model  lr",
        "0  3              CNN    0.1",
        "1  3              CNN    1e-10",
        "2          4      ViT    0.1",
        "3          4      ViT    1e-10",
    ]
    assert str(grid(CNN) | grid(ViT)).splitlines() == ["2 CNN | ViT", "   task", "0  CNN", "1  ViT"]
    assert str(plan[:1]) == "1 Train"
    assert repr(plan) == "<Grid of Train: kernel, heads, model, lr, mode>"
    assert repr(grid(Model)) == "<Grid of Model: no tags>"
    shown: list[str] = []
    plan._repr_pretty_(SimpleNamespace(text=shown.append), False)
    assert shown == [plan.table()], "what IPython shows"


def test_the_table_of_descriptions_without_tags():
    listed = [Train.C(lr=lr, model=model) for lr in (0.1, 0.2) for model in (CNN.C(), ViT.C(layers=1))]
    assert str(grid(listed)).splitlines() == [
        "4 Train",
        "   model  model.layers  model.kernel  model.heads  lr",
        "0  CNN    2             3                          0.1",
        "1  ViT    1                           4            0.1",
        "2  CNN    2             3                          0.2",
        "3  ViT    1                           4            0.2",
    ]
    some = [Train.C(lr=tag(0.1)), Train.C(lr=tag(0.2)), Train.C(lr=tag(0.2), sizes=[1])]
    assert str(grid(some)).splitlines()[1:] == ["   lr   sizes", "0  0.1  []", "1  0.2  []", "2  0.2  [1]"]
    assert str(grid([Train.C(lr=0.1)] * 2)) == "2 Train"


def test_a_long_table_is_cut():
    text = grid(Train, lr=[0.1], epochs=range(2000)).table(rows=4).splitlines()
    assert text == ["2,000 Train", "       epochs", "0      0", "1      1", "2      2", "...", "1,999  1999"]
    wide = grid(Data, name=["a\nb", "x" * 100]).table().splitlines()
    assert wide[2:] == ["0  a b", "1  " + "x" * 37 + "..."]


def test_the_graph_of_its_jobs():
    with Recorder():
        weights = grid(Learn, seed=[1]).submit()
        uses = grid(Use, weights=weights, limit=[1, 2])
        name = [each[:12] for each in ids(uses)]
        learn = weights[0]
        producer = info_of(learn).producer.id[:12]
        assert uses.graph().splitlines() == [
            "digraph jobs {",
            "  rankdir=LR;",
            "  node [shape=box];",
            f'  "{name[0]}" [label="Use seed=1 limit=1"];',
            f'  "{name[1]}" [label="Use seed=1 limit=2"];',
            f'  "{producer}" [label="Learn seed=1"];',
            f'  "{producer}" -> "{name[0]}";',
            f'  "{producer}" -> "{name[1]}";',
            "}",
        ]
    ahead = grid(Evaluate, trained=grid(Train, lr=[0.1]))
    assert ahead.graph().count("->") == 1
    quoted = grid(Train.C(lr=1.0).tag("x", 'a"b\\'))
    assert 'label="Train x=a\\"b\\\\"' in quoted.graph()
    assert grid(Model, layers=[1]).graph().count("label") == 0


# What is refused

PLAN = grid(Train, model=[CNN.C(), ViT.C()], lr=[0.1])


@pytest.mark.parametrize(
    ("attempt", "message"),
    [
        (lambda: grid(Train, lr=0.1), "Train.lr: expected a list of values, got 0.1; one value is a list, too: [...]"),
        (lambda: grid(Data, name="abc"), "Data.name: expected a list of values, got 'abc'; one value"),
        (lambda: grid(Train, data=Data.C(name="a")), "Train.data: expected a list of values, got Data(name='a', size=1);"),
        (lambda: grid(Train, lr={0.1, 0.2}), "Train.lr: expected a list of values, got a set, which has no order"),
        (lambda: grid(Train, lr=[]), "Train.lr: expected a list of values, got an empty one"),
        (lambda: grid(Train, lr=["x"]), "Train.lr: expected float, got 'x'"),
        (lambda: grid(Train, rl=[1]), "Train.rl: no such parameter; did you mean 'lr'?"),
        (lambda: grid(Train, {"model.layer": [1]}), "Model.layer: no such parameter; did you mean 'layers'?"),
        (lambda: grid(Train, {"modl.layers": [1]}), "Train.modl: no such parameter; did you mean 'model'?"),
        (lambda: grid(Train, {"epochs.a": [1]}), "Train.epochs: is no config that has 'a', but 1"),
        (lambda: grid(Train, {"data.name": ["a"]}), "Train.data: is no config that has 'name', but None"),
        (lambda: grid(Pair, {"left.layers": [1]}), "Pair.left: is missing; what is in it can't vary"),
        (lambda: grid(Evaluate.C(trained=Train.C(lr=1.0)), {"trained.lr": [1]}), "Evaluate.trained: is a task; vary 'lr' in a grid of it"),
        (lambda: grid(Train, {"lr": [1]}, lr=[2]), "Train.lr: is varied twice"),
        (lambda: grid(Train, zipped(lr=[1]), lr=[2]), "Train.lr: is varied twice"),
        (lambda: grid(Train, {3: [1]}), "Train: expected the name of a parameter, got 3"),
        (lambda: grid(Train, [1]), "Train: expected {'model.layers': [2, 3]} or zipped(...), got [1]"),
        (lambda: grid(Train, model=grid(Data, name=["a"])), "Train.model: expected Model, got Data(name='a', size=1)"),
        (lambda: grid(Train, model=[CNN]), "Train.model: expected Model, got the class CNN"),
        (lambda: grid(3), "grid: expected a description such as Train.C(...), its class, or several, got 3"),
        (lambda: grid("Train"), "grid: expected a description such as Train.C(...), its class, or several, got 'Train'"),
        (lambda: grid([Train.C(lr=1.0), 3]), "grid: expected a description such as"),
        (lambda: grid(int), "grid: expected a description such as"),
        (lambda: grid(Train.C(lr=1.0).on_completed(print), lr=[1]), "Train: has callbacks, which the tasks of a grid would lack; "),
        (lambda: grid([]), "grid: expected at least one description, got none"),
        (lambda: zipped(lr=[1, 2], epochs=[1]), "zipped: needs as many values for each: lr has 2, epochs has 1"),
        (lambda: zipped(lr=1), "zipped.lr: expected a list of values, got 1;"),
        (lambda: zipped({"lr": [1]}, lr=[1]), "zipped.lr: is varied twice"),
    ],
)  # fmt: skip
def test_wrong_grids(attempt: Callable[[], object], message: str):
    with pytest.raises(ConfigError) as caught:
        attempt()
    assert str(caught.value).startswith(message) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("attempt", "message"),
    [
        (lambda: PLAN.where("rl = 1"), "where: the grid has no tag 'rl'; did you mean 'lr'?"),
        (lambda: PLAN.where("tag.zzz = 1"), "where: the grid has no tag 'zzz'; there are model, lr"),
        (lambda: PLAN.where("state = done"), "where: state: what isn't submitted has none"),
        (lambda: grid(Train.C(lr=1.0).tag("host", "a")).where("host = a"), "where: host: what isn't submitted has none; the tag is tag.host"),
        (lambda: PLAN.where("lr <"), "the filter 'lr <': expected a value at its end"),
        (lambda: PLAN.where(3), "where: expected a filter or a function, got 3"),
        (lambda: PLAN.group_by("modle"), "group_by: the grid has no tag 'modle'; did you mean 'model'?"),
        (lambda: PLAN.join(PLAN, on="depth"), "join: the grid has no tag 'depth'; there are model, lr"),
        (lambda: PLAN.join(grid(Data, name=["a"]), on=["lr"]), "join: the grid has no tag 'lr'; there are name"),
        (lambda: PLAN.join(grid(Data, name=["a"])), "join: the grids have no tag in common; name some by on="),
        (lambda: grid(Model).group_by("x"), "group_by: the grid has no tag 'x': it has none"),
    ],
)  # fmt: skip
def test_wrong_names(attempt: Callable[[], object], message: str):
    with pytest.raises(UsageError) as caught:
        attempt()
    assert str(caught.value) == message


# Laws

LAW = settings(deadline=None)
LAYERS = st.lists(st.integers(0, 3), min_size=1, max_size=3)
RATES = st.lists(st.sampled_from([0.1, 0.2, 0.3]), min_size=1, max_size=3)


@st.composite
def grids(draw: st.DrawFn) -> Grid[Train]:
    kind = draw(st.integers(0, 4))
    if kind == 0:
        return grid(Train, lr=draw(RATES), epochs=draw(LAYERS))
    if kind == 1:
        models = grid(CNN, layers=draw(LAYERS)) | grid(ViT, heads=draw(LAYERS))
        return grid(Train, model=models, lr=draw(RATES))
    if kind == 2:
        return grid(Train, {"model.layers": draw(LAYERS)}, lr=draw(RATES))
    if kind == 3:
        return grid(Train, zipped(lr=[0.1, 0.2], epochs=[1, 2]), model=[CNN.C(), ViT.C(heads=1)])
    return draw(grids()) | draw(grids())


def look(plan: Grid[Any]) -> list[tuple[str, dict[str, Any]]]:
    return [(identifier(each), dict(each.tags)) for each in plan]


@LAW
@given(grids())
def test_indices_agree_with_iteration(plan: Grid[Train]):
    assert [(identifier(plan[at]), dict(plan[at].tags)) for at in range(len(plan))] == look(plan)
    assert {name for each in plan for name in each.tags} <= set(plan.tags)


VARIED = {
    "lr": st.sampled_from([0.1, 0.2, 1]),
    "epochs": st.integers(0, 3),
    "sizes": st.sampled_from([[], [1]]),
    "model": st.sampled_from([CNN.C(kernel=9), ViT.C(layers=5)]),
    "model.layers": st.integers(0, 3),
    "model.lr": st.sampled_from([0.5, 0.6]),
    "data": st.sampled_from([None, Data.C(name="a"), Data.C(name="b")]),
}
"""Ways to parameters of `Train`, and their values."""


def set_at(config: Any, path: str, value: Any) -> None:
    *way, name = path.split(".")
    for part in way:
        config = getattr(config, part)
    setattr(config, name, value)


@LAW
@given(st.data(), st.lists(st.sampled_from(list(VARIED)), unique=True, min_size=1), st.booleans())
def test_a_grid_is_what_copies_with_changes_are(data: st.DataObject, paths: list[str], zipping: bool):
    base = Train.C(lr=0.7, model=CNN.C(layers=8))
    values = {path: data.draw(st.lists(VARIED[path], min_size=2, max_size=2)) for path in paths}
    plan = grid(base, zipped(values) if zipping else values)
    expected: list[Train] = []
    for combination in zip(*values.values(), strict=True) if zipping else product(*values.values()):
        copy = base.copy()
        for path, value in sorted(zip(paths, combination, strict=True), key=lambda pair: pair[0].count(".")):
            set_at(copy, path, value.copy() if isinstance(value, Config) else value)
        expected.append(copy)
    assert ids(plan) == ids(expected)
    for path in set(paths) & {"lr", "epochs", "model.layers"}:
        told = [each.tags[path.rpartition(".")[2]] for each in plan]
        assert told == [each.model.layers if path == "model.layers" else getattr(each, path) for each in plan]
    assert [each.tags.get("model.lr") for each in plan] == [
        each.model.lr if {"lr", "model.lr"} <= set(paths) else None for each in plan
    ]
    assert base.lr == 0.7 and base.model.layers == 8 and not base.tags


@LAW
@given(grids(), st.slices(20))
def test_a_slice_is_that_of_the_list(plan: Grid[Train], part: slice):
    assert look(plan[part]) == look(plan)[part]


@LAW
@given(RATES, LAYERS, LAYERS)
def test_the_length_of_a_product(rates: list[float], layers: list[int], epochs: list[int]):
    plan = grid(Train, {"model.layers": layers}, lr=rates, epochs=epochs)
    assert len(plan) == len(list(plan)) == len(rates) * len(layers) * len(epochs)
    assert [(each.model.layers, each.lr, each.epochs) for each in plan] == list(
        product(layers, rates, epochs)
    )


@LAW
@given(grids(), grids(), grids())
def test_union_is_associative_and_idempotent(one: Grid[Train], two: Grid[Train], three: Grid[Train]):
    assert look((one | two) | three) == look(one | (two | three))
    assert look((one | two) | (one | two)) == look(one | two)
    assert ids(one | two) == list(dict.fromkeys([*ids(one), *ids(two)]))


@LAW
@given(grids(), grids(), LAYERS)
def test_a_product_distributes_over_a_union(one: Grid[Train], two: Grid[Train], seeds: list[int]):
    def evaluated(of: Grid[Train]) -> set[str]:
        return set(ids(grid(Evaluate, trained=of, seed=seeds)))

    assert evaluated(one | two) == evaluated(one) | evaluated(two)


@LAW
@given(st.lists(st.tuples(st.sampled_from([0.1, 0.2]), st.integers(0, 3)), min_size=1))
def test_zip_is_zip(pairs: list[tuple[float, int]]):
    plan = grid(Train, zipped(lr=[lr for lr, _ in pairs], epochs=[epochs for _, epochs in pairs]))
    assert [(each.lr, each.epochs) for each in plan] == pairs


@LAW
@given(grids(), st.sampled_from([0.1, 0.15, 0.2]))
def test_where_filters(plan: Grid[Train], limit: float):
    kept = [each for each in look(plan) if each[1]["lr"] < limit]
    assert look(plan.where(f"lr < {limit}")) == kept
    assert look(plan.where(lambda each: each.lr < limit)) == kept
    assert len(plan.where("lr")) == len(plan)


def some(plan: Grid[Any]) -> Iterator[list[str]]:
    yield ["lr"]
    yield list(plan.tags)
    yield list(plan.tags[:2])


@LAW
@given(grids())
def test_groups_are_a_partition(plan: Grid[Train]):
    for names in some(plan):
        groups = plan.group_by(*names)
        assert sorted(map(repr, (each for _, part in groups for each in look(part)))) == sorted(
            map(repr, look(plan))
        )
        assert len({key for key, _ in groups}) == len(groups)
        for key, part in groups:
            assert all(tuple(each.tags.get(name) for name in names) == key for each in part)


@LAW
@given(grids(), grids())
def test_a_join_is_a_filtered_product(one: Grid[Train], two: Grid[Train]):
    names = [name for name in one.tags if name in two.tags]
    expected = [
        (a, b)
        for a, first in look(one)
        for b, second in look(two)
        if all(name in first and name in second and first[name] == second[name] for name in names)
    ]
    assert [(identifier(a), identifier(b)) for a, b in one.join(two)] == expected
    assert sorted((b, a) for a, b in expected) == sorted(
        (identifier(b), identifier(a)) for b, a in two.join(one)
    )
