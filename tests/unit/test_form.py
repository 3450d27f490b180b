"""Descriptions as JSON and back, in memory and in folders."""

from __future__ import annotations

import json
import math
import os
import pickle
import subprocess
import sys
from enum import Enum
from pathlib import Path
from types import FunctionType
from typing import Any

import jsonschema
import pytest
from sessions import Recorder

from xpm.core.config import (
    Config,
    Constant,
    LightweightTask,
    Meta,
    Param,
    PathGenerator,
    Task,
    field,
    reference,
)
from xpm.core.counting import setmeta
from xpm.core.fields import DataPath, OptionalDataPath
from xpm.core.grid import grid
from xpm.core.identifier import identifier
from xpm.core.info import own_info
from xpm.core.instances import InstanceConfig
from xpm.core.tags import stop_tags, tag
from xpm.errors import ConfigError, MessageError, WorkspaceError
from xpm.workspace.saving import deserialize, load, save, serialize

SCHEMA = jsonschema.Draft202012Validator(
    json.loads((Path(__file__).parents[2] / "docs/schema/config-1.json").read_text())
)


class Color(Enum):
    RED = 1


class Model(Config):
    layers: Param[int] = 2
    version: Constant[str] = "1"
    cache: Meta[Path] = field(default_factory=PathGenerator("cache.bin"))


class Pair(Config):
    left: Param[Model]
    right: Param[Model]


class Part(InstanceConfig):
    x: Param[int] = 1


class Source(Task):
    seed: Param[int]

    def task_outputs(self, dep: Any) -> Any:
        return self, dep(Weights.C(model=Model.C(layers=5)))

    def execute(self) -> None: ...


class Weights(Config):
    model: Param[Model]


def called() -> int:
    return 3


class Everything(Config):
    none: Param[int | None] = None
    flag: Param[bool] = True
    small: Param[int] = -3
    big: Param[int] = 2**70
    safe: Param[int] = 2**53
    real: Param[float] = 0.1
    nan: Param[float] = math.nan
    infinity: Param[float] = -math.inf
    text: Param[str] = "é\udcff$"
    halves: Param[str] = "\ud83d\ude00 😀"
    odd: Param[dict[str, Path]] = field(default_factory=lambda: {"\ud83d\ude00": Path("\ud83d\ude00")})
    path: Param[Path] = Path("a/b")
    color: Param[Color] = Color.RED
    function: Param[FunctionType] = called
    many: Param[list[list[float]]] = field(default_factory=lambda: [[1.0, math.nan], []])
    pair: Param[tuple[int, str]] = (1, "a")
    some: Param[set[int]] = field(default_factory=lambda: {3, 1, 2})
    fixed: Param[frozenset[str]] = frozenset({"a", "b"})
    keyed: Param[dict[int | str, int]] = field(default_factory=lambda: {1: 1, "1": 2})
    named: Param[dict[str, int]] = field(default_factory=lambda: {"$": 1, "v": 2})
    plain: Param[dict[str, Color]] = field(default_factory=lambda: {"a": Color.RED})
    model: Param[Model] = field(default_factory=Model.C)
    models: Param[list[Model | Part]] = field(default_factory=list)
    source: Param[Source | None] = None


class Learned(Config):
    model: Param[Model]
    weights: DataPath
    notes: OptionalDataPath = None


class Load(LightweightTask):
    learned: Param[Learned]

    def execute(self) -> None:
        self.learned.text = self.learned.weights.read_text()


class Use(Task):
    learned: Param[Learned]

    def execute(self) -> None: ...


def journey(value: Any) -> Any:
    """`value` after a journey as text, and nothing lost on the way."""
    data = serialize(value)
    text = json.dumps(data, allow_nan=False)
    SCHEMA.validate(json.loads(text))
    again = deserialize(json.loads(text))
    assert serialize(again) == data
    return again


def test_all_kinds_of_values() -> None:
    made = Everything.C()
    again = journey(made)
    assert identifier(again) == identifier(made)
    for name, value in vars(made).items():
        if name not in ("nan", "many", "model", "__xpm__"):
            assert (getattr(again, name), type(getattr(again, name))) == (value, type(value)), name
    assert math.isnan(again.nan) and math.isnan(again.many[0][1])
    assert again.function.itself is called


def test_what_is_shared_is_shared_again() -> None:
    model, one, two = Model.C(), Part.C(), Part.C()
    again = journey(Everything.C(model=model, models=[model, one, two, one, Model.C()]))
    assert again.models[0] is again.model and again.models[1] is again.models[3]
    assert again.models[4] is not again.model and again.models[1] is not again.models[2]


def test_tags_and_what_counts_go_along() -> None:
    made = Everything.C(
        small=tag(4), real=tag(math.inf), models=[setmeta(Part.C(x=tag(9)), True)], color=tag(Color.RED)
    ).tag("who", "ada")
    again = journey(made)
    assert dict(again.tags) == dict(made.tags) == {
        "small": 4, "real": math.inf, "x": 9, "color": "RED", "who": "ada"
    }  # fmt: skip
    kept = journey([stop_tags(Part.C(x=tag(1))), Part.C(x=stop_tags(tag(2)))])
    assert dict(Everything.C(models=kept).tags) == {}
    again.small = 5
    assert again.tags["small"] == 5
    assert identifier(again.copy(small=4)) == identifier(made)


def test_tags_that_are_told_apart_stay_so() -> None:
    models = grid(Model, layers=[1, 2])
    made = grid(Pair, left=models, right=models)[0]
    for again in (journey(made), pickle.loads(pickle.dumps(made))):
        assert dict(again.tags) == dict(made.tags) == {"left.layers": 1, "right.layers": 1}
        assert dict(again.copy(right=Model.C(layers=tag(3))).tags) == {"left.layers": 1, "right.layers": 3}


def test_lists_and_dicts_of_descriptions() -> None:
    model = Model.C(layers=7)
    again = journey({"a": [model, (Model.C(),)], "b": model, "n": 3})
    assert again["a"][0] is again["b"] and again["b"].layers == 7 and again["n"] == 3
    live = deserialize(serialize([Part.C(x=4), 1]), as_instance=True)
    assert type(live[0]) is Part and live == [live[0], 1] and live[0].x == 4


def test_tasks_and_what_they_give_out() -> None:
    with Recorder() as session:
        source, weights = Source.C(seed=1).submit()
        Everything.C(source=source)
        again = journey([Everything.C(source=source), weights, weights.model])
    assert again[0].source.__class__.__name__ == "Source" and reference(again[0].source) == reference(source)
    assert identifier(again[0]) == identifier(Everything.C(source=source))
    assert identifier(again[1]) == identifier(weights)
    assert again[1].model is again[2]
    home = session.root / reference(source).id / "out/outputs/model/cache.bin"
    assert again[2].cache == weights.model.cache == home

    class Take(Task):
        __xpmid__ = "Take"

        weights: Param[Weights]

        def execute(self) -> None: ...

    with Recorder() as session:
        Task.submit(again_copy := Use.C(learned=Learned.C(model=again[2], weights="w")))
    assert session.last.dependencies == ()
    assert again_copy.learned.model.cache == home


def test_a_task_that_was_set_not_to_count_does_not() -> None:
    with Recorder():
        source, _ = Source.C(seed=1).submit()
    made = Everything.C(source=setmeta(source.copy(), True))
    with Recorder():
        made.source.submit()
    assert identifier(journey(made)) == identifier(made) != identifier(Everything.C(source=source))


def test_a_task_with_init_tasks() -> None:
    learned = Learned.C(model=Model.C(), weights="w")
    task = Use.C(learned=learned)
    with Recorder():
        task.submit(init_tasks=[Load.C(learned=learned)])
    again = journey(task)
    assert own_info(again).ref is None
    assert own_info(again).init[0].learned is again.learned
    assert identifier(again) == identifier(task)


def test_init_tasks_are_executed_on_live_objects(tmp_path: Path) -> None:
    (tmp_path / "w").write_text("learned")
    learned = Learned.C(model=Model.C(), weights=tmp_path / "w")
    data = json.loads(json.dumps(serialize(learned, init_tasks=[Load.C(learned=learned)])))
    with pytest.raises(ConfigError, match=r"Model.cache: the path is known once"):
        deserialize(data, as_instance=True)
    own_info(learned.model)
    vars(learned.model)["cache"] = Path("c")
    live = deserialize(serialize(learned, init_tasks=[Load.C(learned=learned)]), as_instance=True)
    assert live.text == "learned"
    assert not hasattr(deserialize(data), "text")


def test_a_folder_that_was_moved(tmp_path: Path) -> None:
    (tmp_path / "w.bin").write_text("weights")
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes/a").write_text("a")
    learned = Learned.C(model=Model.C(), weights=tmp_path / "w.bin", notes=tmp_path / "notes")
    save([learned, learned.copy()], tmp_path / "saved")
    os.rename(tmp_path / "saved", tmp_path / "moved")
    (tmp_path / "w.bin").unlink()
    one, two = load(tmp_path / "moved")
    assert one.weights == two.weights and one.weights.name == "w.bin" and one.weights.read_text() == "weights"
    assert (one.notes / "a").read_text() == "a"
    assert identifier(one) == identifier(learned)
    save(one, tmp_path / "moved")
    assert load(tmp_path / "moved").weights.read_text() == "weights"
    assert sorted(each.name for each in tmp_path.iterdir()) == ["moved", "notes"]


def test_saving_is_all_or_nothing(tmp_path: Path) -> None:
    save(Model.C(layers=3), tmp_path / "saved")
    with pytest.raises(WorkspaceError, match=r"can't save to .*saved: .*No such file"):
        save(Learned.C(model=Model.C(), weights="/nowhere/w"), tmp_path / "saved")
    with pytest.raises(ConfigError, match=r"Learned.weights: is missing"):
        save(Learned.C(model=Model.C()), tmp_path / "saved")
    assert load(tmp_path / "saved").layers == 3
    assert [each.name for each in tmp_path.iterdir()] == ["saved"]
    (tmp_path / "other").mkdir()
    (tmp_path / "other/x").touch()
    with pytest.raises(WorkspaceError, match=r"other is no folder of a saved description"):
        save(Model.C(), tmp_path / "other")
    with pytest.raises(WorkspaceError, match=r"x is no folder of a saved description"):
        save(Model.C(), tmp_path / "other/x")
    save(Model.C(), tmp_path / "deep/down/here")
    assert load(str(tmp_path / "deep/down/here")).layers == 2


@pytest.mark.parametrize(
    ("change", "error", "said"),
    [
        (lambda data: data.update(xpm=2), MessageError, "the form has version 2, this xpm reads 1: upgrade it"),
        (lambda data: data.pop("objects"), MessageError, "the form can't be read: KeyError: 'objects'"),
        (lambda data: data.update(value={"$": "object", "v": 9}), MessageError, "the form can't be read: IndexError"),
        (lambda data: data.update(value={"$": "tensor", "v": 9}), MessageError, "the form has a 'tensor' in it"),
        (lambda data: data["objects"][0]["at"].update(qualname="Gone"), ConfigError, "test_form has no Gone"),
        (lambda data: data["objects"][0]["at"].update(module="gone.x"), ConfigError, "gone.x.Model: there is no module 'gone'"),
        (lambda data: data["objects"][0]["parameters"].update(layer=3), ConfigError, "no such parameter; did you mean 'layers'"),
        (lambda data: data["objects"][0]["parameters"].update(layers="x"), ConfigError, "Model.layers: expected int, got 'x'"),
        (lambda data: data["objects"][0]["at"].update(script="gone.py"), ConfigError, "the script gone.py isn't in this project"),
    ],
)  # fmt: skip
def test_what_cannot_be_read(change: Any, error: type[Exception], said: str) -> None:
    data = serialize(Model.C())
    change(data)
    with pytest.raises(error) as caught:
        deserialize(data)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    "change",
    [
        lambda data: data.update(xpm=2),
        lambda data: data["objects"][0].pop("id"),
        lambda data: data["objects"][0]["parameters"].update(layers={"$": "tensor", "v": 1}),
        lambda data: data["objects"][0]["parameters"].update(layers={"$": "int", "v": 1}),
        lambda data: data["objects"][0]["parameters"].update(layers={"$": "enum", "v": "RED"}),
        lambda data: data.update(value={"$": "object", "v": -1}),
    ],
)
def test_the_schema_refuses(change: Any) -> None:
    data = serialize(Model.C())
    SCHEMA.validate(data)
    change(data)
    with pytest.raises(jsonschema.ValidationError):
        SCHEMA.validate(data)


def test_a_class_that_has_changed_is_told() -> None:
    data = serialize(Model.C(layers=3))
    data["objects"][0]["parameters"]["version"] = "0"
    deserialize(data)  # the class's own constant counts
    data["objects"][0]["id"] = "ab" * 32
    with pytest.warns(
        RuntimeWarning, match=r"Model: its identifier was abababab, and is \w{8} now: the class has"
    ):
        deserialize(data)
    del data["objects"][0]["parameters"]["layers"]
    with pytest.warns(RuntimeWarning):
        assert deserialize(data).layers == 2


def test_what_cannot_be_written(tmp_path: Path) -> None:
    class Local(Config):
        pass

    with pytest.raises(ConfigError, match="Local: defined inside a function"):
        serialize(Local.C())
    with pytest.raises(ConfigError, match=r"object .* is nothing that a parameter can be"):
        serialize([Model.C(), object()])
    with pytest.raises(WorkspaceError, match=r"no description is saved in .*: No such file"):
        load(tmp_path)
    (tmp_path / "description.json").write_text("{")
    with pytest.raises(MessageError, match=r"description.json can't be read"):
        load(tmp_path)


SCRIPT = """
from pathlib import Path
from xpm import Config, Param, experiment, identifier, load, save

class Size(Config):
    n: Param[int]

print("loaded")
if __name__ == "__main__":
    save(Size.C(n=3), "saved")
    print(identifier(Size.C(n=3)))
"""


def test_a_class_of_a_script_is_found_again(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").touch()
    (tmp_path / "one.py").write_text(SCRIPT)
    (tmp_path / "two.py").write_text(
        "from xpm import identifier, load\nfound = [load('saved'), load('saved')]\n"
        "print(found[0].n, found[0].__class__ is found[1].__class__, identifier(found[0]))\n"
    )
    env = {"PYTHONPATH": str(Path(__file__).parents[2])}
    said = [
        subprocess.run(
            [sys.executable, name], cwd=tmp_path, env=env, capture_output=True, text=True, check=True
        ).stdout.split()
        for name in ("one.py", "two.py")
    ]
    assert said[0][0] == "loaded"
    assert said[1] == ["loaded", "3", "True", said[0][1]]


def test_a_loaded_description_can_be_pickled_and_copied() -> None:
    again = journey(Everything.C(models=[Part.C()]))
    assert identifier(pickle.loads(pickle.dumps(again))) == identifier(again.copy()) == identifier(again)


@pytest.mark.parametrize(
    ("data", "told"),
    [
        ({}, "this is no description in JSON, which would say the version of its form as 'xpm'"),
        ([1], "this is no description in JSON"),
        ("text", "this is no description in JSON"),
        ({"xpm": 9}, "the form has version 9, this xpm reads 1: upgrade it"),
    ],
)
def test_what_is_no_form_is_told_so(data: object, told: str) -> None:
    with pytest.raises(MessageError, match=f"^{told}"):
        deserialize(data)
