"""Function tasks, and the promises of what they return."""

from __future__ import annotations

import copy
import pickle
from pathlib import Path
from typing import Any

import pytest
from sessions import Recorder

from xpm.core.config import Config, Constant, Meta, Param, Task, reference
from xpm.core.fields import field
from xpm.core.identifier import identifier
from xpm.core.instances import InstanceConfig
from xpm.core.message import JobRef, build, describe, parameters
from xpm.core.schema import schema_of
from xpm.core.tags import tag
from xpm.describe.functions import task
from xpm.errors import ConfigError, SealedError
from xpm.workspace.saving import deserialize, serialize


class Data(Config):
    name: Param[str]


class Model(Config):
    layers: Param[int] = 2


class Deep(Model):
    depth: Param[int] = 1


@task
def train(
    lr: float,
    data: Data,
    layers: int = field(default=2, ge=1),
    threads: Meta[int] = 1,
    out: Path | None = None,
) -> Model:
    """Trains."""
    return Model.C(layers=layers + threads)


@task(name="lab.score", version="2")
def score(model: Model, models: list[Model] = [], fold: Param[int] = 0) -> float:  # noqa: B006 - copied for each
    return model.layers + fold


class Apart(InstanceConfig):
    x: Param[int] = 1


@task
def part() -> Apart:
    return Apart.C()


@task
def pair(one: Apart, two: Apart) -> None: ...


def test_promises_of_two_tasks_are_two() -> None:
    with Recorder():
        one, two = part().submit(), part.C().copy()
        assert identifier(pair(one, one)) != identifier(pair(one, Apart.C()))
        assert identifier(two) == identifier(part())
    assert identifier(pair(one, one)) == identifier(pair(one, one))


@task
def wrong(n: int) -> Model:
    return n  # type: ignore[return-value] - the mistake that is to be told


@task()
def plain(n: int, names: dict[str, list[int]] = {}):  # noqa: B006 - copied for each
    return n


class Train(Task):
    __xpmid__ = f"{__name__}.train"

    lr: Param[float]
    data: Param[Data]
    layers: Param[int] = 2
    threads: Meta[int] = 1
    out: Param[Path | None] = None

    def execute(self) -> None: ...


class Score(Task):
    __xpmid__ = "lab.score"

    model: Param[Model]
    models: Param[list[Model]] = field(default_factory=list)
    fold: Param[int] = 0
    version: Constant[str] = "2"

    def execute(self) -> None: ...


CLASSES: dict[str, Any] = {
    "train": train, "score": score, "plain": plain, "Data": Data, "Model": Model, "Deep": Deep,
}  # fmt: skip


def described(**values: Any) -> Any:
    return train(lr=0.1, data=Data.C(name="m"), **values)


def test_the_identifier_is_that_of_a_class() -> None:
    assert identifier(described()) == identifier(Train.C(lr=0.1, data=Data.C(name="m")))
    assert identifier(described(threads=7)) == identifier(described())
    assert (
        identifier(train(0.1, Data.C(name="m"), 3))
        == identifier(described(layers=3))
        != identifier(described())
    )
    assert identifier(score(Model.C(), fold=1)) == identifier(Score.C(model=Model.C(), fold=1))
    assert identifier(train.C(lr=0.1, data=Data.C(name="m"))) == identifier(described())


def test_it_is_a_description_like_another() -> None:
    made: Any = described(layers=tag(4))
    assert repr(made) == "train(lr=0.1, data=Data(name='m'), layers=4, threads=1, out=None)"
    assert dict(made.tags) == {"layers": 4}
    made.lr = 1
    assert made.copy(lr=3).lr == 3.0
    assert identifier(pickle.loads(pickle.dumps(made))) == identifier(made)
    assert (made.__doc__, type(made).__module__, list(schema_of(type(made)).fields)) == (
        "Trains.", __name__, ["lr", "data", "layers", "threads", "out"],
    )  # fmt: skip
    assert serialize(deserialize(serialize(made))) == serialize(made)


def test_the_function_itself() -> None:
    data = Data.C(name="m").instance()
    assert train.local(0.1, data).layers == 3
    assert train.local(lr=0.1, data=data, layers=5, threads=2).layers == 7
    assert plain.local(3) == plain.local(n=3) == 3
    with pytest.raises(ConfigError, match=r"plain.n: is given twice"):
        plain.local(3, n=4)
    with pytest.raises(TypeError, match="missing 1 required positional argument: 'n'"):
        plain.local()


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: train(lr="x"), "train.lr: expected float, got 'x'"),
        (lambda: train(0.1, lr=0.2), "train.lr: is given twice"),
        (lambda: plain(1, {}, 3), "plain: takes 2 parameters, got 3"),
        (lambda: plain(m=1), "plain.m: no such parameter"),
        (lambda: described(layers=0), "train.layers: expected int >= 1, got 0"),
        (lambda: plain().seal(), "plain.n: is missing"),
        (lambda: task(3), "task: expected a function, got 3"),
        (lambda: task(Model), "task: expected a function"),
        (lambda: task(lambda x: 0), "<lambda>.x: needs its type, as in x: float"),
    ],
)
def test_what_is_wrong(make: Any, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        make()
    assert said in str(caught.value)


def test_functions_that_can_be_no_task() -> None:
    def rest(*args: int) -> None: ...
    def named(**values: int) -> None: ...
    def placed(n: int, /) -> None: ...
    def bare(n) -> None: ...
    def taken(version: str) -> None: ...
    def reserved(tags: int) -> None: ...
    def odd(n: bytes) -> None: ...
    def inner(n: int) -> None: ...

    for function, said in (
        (rest, "rest.args: a task has parameters by name only, no variadic positional ones"),
        (named, "named.values: a task has parameters by name only, no variadic keyword ones"),
        (placed, "placed.n: a task has parameters by name only, no positional-only ones"),
        (bare, "bare.n: needs its type"),
        (taken, "taken.version: the name is reserved"),
        (reserved, "reserved.tags: the name is reserved"),
    ):
        with pytest.raises(ConfigError, match=said):
            task(function)
    with pytest.raises(ConfigError, match=r"odd.n: bytes is no type of parameters"):
        task(odd)(n=3)
    with Recorder(), pytest.raises(ConfigError, match="inner: defined inside a function"):
        task(inner)(n=3).submit()


def test_a_promise_stands_for_the_result() -> None:
    with Recorder() as session:
        call = described(layers=tag(4))
        model = call.submit()
        assert call.submit() is model
        first = session.last
        assert isinstance(model, Model) and repr(model) == f"Model(of train {first.id[:8]})"
        scored = score(model, models=[model, Model.C()], fold=1)
        scored.submit()
    prepared = session.last
    assert prepared.dependencies == (reference(call),)
    assert dict(prepared.tags) == {"layers": 4}
    assert parameters(prepared.payload, prepared.types)["model"] == {
        "$job": first.id, "$task": f"{__name__}.train", "$result": True
    }  # fmt: skip
    with pytest.raises(AttributeError, match=rf"Model.layers: is known when train {first.id[:8]} is done"):
        assert model.layers
    with pytest.raises(SealedError):
        model.layers = 3
    with pytest.raises(ConfigError, match="what a task returns is known when it is done"):
        model.instance()
    assert deserialize(serialize([model]))[0].__class__ is model.__class__
    assert identifier(deserialize(serialize([model]))[0]) == identifier(model)
    assert identifier(score(model.copy(), fold=1)) == identifier(score(model, fold=1))


def test_a_worker_has_the_result_in_place_of_the_promise() -> None:
    with Recorder() as session:
        model = described().submit()
        score(model, models=[model]).submit()
    prepared = session.last

    class Done:
        def result(self) -> Any:
            return Deep.C(layers=7)

    live = build(
        prepared.payload,
        prepared.types,
        lambda info: CLASSES[info.qualname],
        lambda ref: Done(),
        lambda ref: "/j",
    )
    assert (live.model.layers, type(live.model)) == (7, Deep) and live.models[0] is live.model
    assert live.execute() == 7
    ref = JobRef(prepared.id, prepared.task)
    with Recorder():
        stand_in = described().copy()
        stand_in.submit()
    again = describe(
        prepared.payload, prepared.types, lambda info: CLASSES[info.qualname], lambda ref: stand_in, ref
    )
    again.__dict__["__xpm__"].digest = None
    assert identifier(again) == prepared.id


def test_what_was_promised_is_kept() -> None:
    live = wrong(n=3).instance()
    with pytest.raises(TypeError, match="wrong returned 3, and promised Model"):
        live.execute()
    assert described().instance().execute().layers == 3


@task
def said(word: str) -> Train:
    return Train.C(lr=0.1, data=Data.C(name=word))


def test_a_live_function_task_can_be_pickled_and_copied() -> None:
    live = said("restored").instance()
    assert live.word == pickle.loads(pickle.dumps(live)).word == copy.copy(live).word == "restored"


def test_a_function_that_returns_a_task_promises_nothing() -> None:
    with Recorder():
        made = said("a")
        assert made.submit() is made


def test_a_function_without_a_config_gives_the_task() -> None:
    with Recorder():
        made = plain(n=3)
        assert made.submit() is made
