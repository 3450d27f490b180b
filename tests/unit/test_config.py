from __future__ import annotations

import copy
import pickle
import re
from enum import Enum
from pathlib import Path
from typing import Any

import pytest
from sessions import Recorder

from xpm.core.config import Config, Constant, Meta, Param, PathGenerator, Task, field, reference
from xpm.core.identifier import identifier
from xpm.core.info import info_of
from xpm.core.tags import tag
from xpm.errors import ConfigError, NoExperiment, NotSubmitted, SealedError, SubmissionError


class Kind(Enum):
    A = 1


class Model(Config):
    layers: Param[int] = 2
    sizes: Param[list[int]] = field(default_factory=list)


class Store(Config):
    file: Meta[Path] = field(default_factory=PathGenerator("data.bin"))


class Train(Task):
    model: Param[Model]
    lr: Param[float]
    kind: Param[Kind] = Kind.A
    base: Param[Model] = Model.C(layers=7)
    names: Param[dict[str, list[int]]] = {"a": [1]}  # noqa: RUF012 - as people write it
    version: Constant[str] = "1"
    weights: Meta[Path] = field(default_factory=PathGenerator("weights.npz"))
    calls = 0

    def __init__(self) -> None:
        type(self).calls += 1

    def execute(self) -> float:
        return self.lr


class Evaluate(Task):
    trained: Param[Train | None] = None
    many: Param[list[Train]] = field(default_factory=list)
    store: Param[Store | None] = None
    stores: Param[dict[str, list[Store]]] = field(default_factory=dict)

    def execute(self) -> None: ...


class Idle(Task):
    """Has nothing to execute."""


class Loop(Config):
    child: Param[Loop | None] = None
    children: Param[list[Loop]] = field(default_factory=list)


class Loops(Task):
    loop: Param[Loop]

    def execute(self) -> None: ...


class Output(Config):
    path: Meta[Path]
    store: Param[Store | None] = None
    steps: Param[list[int]] = field(default_factory=list)


class Produce(Task):
    store: Param[Store]
    seed: Param[int] = 0

    def task_outputs(self, dep: Any) -> Any:
        return dep(Output.C(path=self.jobpath / "out", store=self.store))

    def execute(self) -> None: ...


class Consume(Task):
    output: Param[Output]

    def execute(self) -> None: ...


def train(**changes: Any) -> Train:
    return Train.C(**{"model": Model.C(), "lr": 0.1, **changes})


def test_a_description_holds_parameters_and_runs_nothing() -> None:
    before = Train.calls
    made = train(lr=1)
    assert isinstance(made, Train)
    assert (made.lr, made.model.layers, made.version) == (1.0, 2, "1")
    assert type(made.lr) is float
    assert Train.calls == before
    assert repr(Model.C(sizes=[1])) == "Model(layers=2, sizes=[1])"


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"lr": "x"}, "Train.lr: expected float, got 'x'"),
        ({"lr": True}, "Train.lr: expected float, got True"),
        ({"modle": 3}, "Train.modle: no such parameter; did you mean 'model'?"),
        ({"zzz": 3}, "Train.zzz: no such parameter; it has model, lr, kind, base, names, version, weights"),
        ({"names": {"a": [1, "b"]}}, "Train.names['a'][1]: expected int, got 'b'"),
        ({"version": "2"}, "Train.version: is a constant ('1')"),
        ({"weights": "w"}, "Train.weights: is made at submission, and can't be set"),
        ({"model": Model}, "Train.model: expected a description, got the class Model; use Model.C(...)"),
    ],
)
def test_refused_at_construction_and_when_set(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        train(**values)
    assert str(caught.value) == message
    made = train()
    with pytest.raises(ConfigError) as caught:
        for name, value in values.items():
            setattr(made, name, value)
    assert str(caught.value) == message


def test_calling_the_class() -> None:
    for call in (lambda: Model(), lambda: Model(layers=3), lambda: Model(3)):
        with pytest.raises(ConfigError, match=r"use Model.C\(...\)"):
            call()
    with pytest.raises(ConfigError, match="by name only"):
        Model.C(3)


def test_defaults_are_not_shared() -> None:
    first, second = train(), train()
    first.base.layers = 1
    first.names["a"].append(2)
    first.model.sizes.append(3)
    assert second.base.layers == 7
    assert second.names == {"a": [1]}
    assert second.model.sizes == []


def test_given_containers_are_copied() -> None:
    sizes = [1, 2]
    model = Model.C(sizes=sizes)
    sizes.append(3)
    assert model.sizes == [1, 2]


def test_missing_is_refused_at_submission_with_its_path() -> None:
    made = Train.C(lr=0.1)
    with pytest.raises(AttributeError, match=r"Train.model: has no value yet"):
        made.model
    with Recorder(), pytest.raises(ConfigError, match=r"^Train.model: is missing \(\S+test_config.py:\d+\)$"):
        made.submit()
    made.model = Model.C()
    del made.model.layers
    with (
        Recorder(),
        pytest.raises(ConfigError, match=r"^Train.model.layers: is missing \(\S+test_config.py:\d+\)$"),
    ):
        made.submit()
    made.model.layers = 3
    with Recorder():
        made.submit()


def test_a_change_in_a_container_is_checked_at_submission() -> None:
    made = train()
    made.model.sizes.append("three")
    with Recorder(), pytest.raises(ConfigError, match=r"^Train.model.sizes\[0\]: expected int, got 'three'$"):
        made.submit()
    made.model.sizes[0] = 3
    with Recorder():
        made.submit()


def test_sealed_at_submission_with_all_below_it() -> None:
    made = train(names={"a": [1]})
    with Recorder():
        assert made.submit() is made
    for change in (
        lambda: setattr(made, "lr", 0.2),
        lambda: delattr(made, "lr"),
        lambda: setattr(made.model, "layers", 3),
        lambda: made.model.sizes.append(1),
        lambda: made.names["a"].append(1),
        lambda: made.names.update(b=[]),
        lambda: made.names.__setitem__("b", []),
        lambda: made.tag("a", 1),
    ):
        with pytest.raises(SealedError):
            change()
    assert made.names == {"a": [1]}
    assert isinstance(made.names, dict)


def test_a_failed_submission_seals_nothing() -> None:
    model, other = Model.C(), train()
    made = Evaluate.C(trained=other, store=Store.C())
    with (
        Recorder(),
        pytest.raises(
            SubmissionError, match=r"^Evaluate.trained: the task Train must be submitted first \(\S+:\d+\)$"
        ),
    ):
        made.submit()
    made.trained = None
    large = train(model=model, names={"a": list(range(400_000))})
    with (
        Recorder(),
        pytest.raises(SubmissionError, match=r"Train.names alone takes .*: pass large data as a file"),
    ):
        large.submit()
    model.layers = 9
    large.names["a"].clear()
    with Recorder():
        large.submit()
    assert large.model.layers == 9


def test_unsubmitted_task_in_a_list() -> None:
    with Recorder(), pytest.raises(SubmissionError, match=r"^Evaluate.many\[1\]: the task Train must be"):
        Evaluate.C(many=[train().submit(), train()]).submit()


def test_a_config_in_itself() -> None:
    loop = Loop.C()
    loop.child = Loop.C(children=[loop])
    with Recorder(), pytest.raises(ConfigError, match=r"^Loops.loop.child.children\[0\]: contains itself$"):
        Loops.C(loop=loop).submit()
    with pytest.raises(ConfigError, match="contains itself"):
        loop.instance()
    assert "..." in repr(loop)


def test_submit_needs_an_experiment_and_something_to_execute() -> None:
    with pytest.raises(NoExperiment, match="open 'with experiment"):
        train().submit()
    with Recorder(), pytest.raises(SubmissionError, match="Idle: has no method execute"):
        Idle.C().submit()


def test_a_second_submit_is_the_same() -> None:
    with Recorder() as session:
        made = train().submit(queue="gpu", priority=3)
        assert made.submit() is made
    assert len(session.prepared) == 1
    assert (session.options[0].queue, session.options[0].priority) == ("gpu", 3)


def test_handles_work_after_the_block() -> None:
    made = train()
    for ask in (lambda: made.jobpath, lambda: made.job, made.result, lambda: reference(made)):
        with pytest.raises(NotSubmitted):
            ask()
    with pytest.raises(AttributeError, match=r"Train.weights: the path is known once the task is submitted"):
        made.weights
    with Recorder() as session:
        made.submit()
    job = session.last.id
    assert made.jobpath == Path("/ws/jobs", job)
    assert made.job == ("job", job)
    assert made.result(timeout=3.0) == (job, 3.0)
    assert made.weights == Path("/ws/jobs", job, "weights.npz")


def test_generated_paths_of_nested_configs() -> None:
    made = Evaluate.C(store=Store.C(), stores={"a/../b": [Store.C(), Store.C()], ".": [Store.C()]})
    with Recorder():
        made.submit()
    path = made.jobpath
    assert made.store.file == path / "out/store/data.bin"
    assert made.stores["a/../b"][1].file == path / "out/stores/a%2F..%2Fb/1/data.bin"
    assert made.stores["."][0].file == path / "out/stores/%2E/0/data.bin"


def test_generated_paths_belong_to_one_job() -> None:
    store = Store.C()
    with Recorder():
        Evaluate.C(store=store).submit()
        Evaluate.C(store=store).submit()  # the same job
        with pytest.raises(
            SubmissionError, match=r"Produce.store.file: its path lies in the directory of another job"
        ):
            Produce.C(store=store).submit()


def test_task_outputs() -> None:
    with Recorder() as session:
        task = Produce.C(store=Store.C()).tag("seed", 0)
        output = task.submit()
        assert isinstance(output, Output)
        assert task.submit() is output
        Consume.C(output=output).submit()
        consumed = session.last
        Consume.C(output=Produce.C(store=Store.C(), seed=1).submit()).submit()
    assert output.store.file == task.jobpath / "out/store/data.bin"
    assert consumed.dependencies == (reference(task),)
    assert consumed.tags == {"seed": 0}
    assert session.last.id != consumed.id


@pytest.mark.parametrize("copied", [lambda made: made.copy(), copy.copy, copy.deepcopy])
def test_copies_depend_on_the_task_that_gave_out_what_is_in_them(copied: Any) -> None:
    with Recorder() as session:
        task = Produce.C(store=Store.C()).tag("seed", 0)
        output = task.submit()
        made = Consume.C(output=output)
        made.submit()
        submitted = session.last
        again = copied(output)
        assert identifier(again) == identifier(output)
        for each in (copied(made), Consume.C(output=again), Consume.C(output=again)):
            each.submit()
            assert session.last == submitted
            assert each.output.store.file == task.jobpath / "out/store/data.bin"
    with pytest.raises(ConfigError, match="Output: what a task gives out can't be pickled"):
        pickle.dumps(made)


class Quiet(Task):
    def task_outputs(self, dep: Any) -> None:
        """It gives out nothing."""

    def execute(self) -> None: ...


class Wrong(Task):
    def task_outputs(self, dep: Any) -> Any:
        raise ValueError("wrong outputs")

    def execute(self) -> None: ...


def test_a_second_submission_returns_the_same() -> None:
    quiet, wrong = Quiet.C(), Wrong.C()
    with Recorder() as session:
        for _ in range(2):
            assert quiet.submit() is None
            with pytest.raises(ValueError, match="wrong outputs"):
                wrong.submit()
    assert len(session.prepared) == 2


def test_a_changed_copy_of_an_output() -> None:
    with Recorder() as session:
        task = Produce.C(store=Store.C())
        output = task.submit()
        Consume.C(output=output).submit()
        before = session.last
        changed = output.copy(steps=[1])
        changed.steps.append(2)
        Consume.C(output=changed).submit()
    assert session.last.id != before.id
    assert session.last.dependencies == (reference(task),)
    assert changed.store.file == task.jobpath / "out/store/data.bin"
    assert output.steps == []


def test_copy() -> None:
    with Recorder():
        made = train(lr=tag(0.1)).submit()
    copied = made.copy(lr=0.5)
    copied.model.layers = 4
    copied.names["a"].append(4)
    assert (made.lr, made.model.layers, made.names) == (0.1, 2, {"a": [1]})
    assert (copied.lr, copied.model.layers, copied.names) == (0.5, 4, {"a": [1, 4]})
    assert dict(copied.tags) == {"lr": 0.5}
    with Recorder():
        assert copied.submit() is copied


def test_seal() -> None:
    made = train().seal()
    with pytest.raises(SealedError, match=r"Train.lr: the description is sealed; change a .copy\(\) of it"):
        made.lr = 3
    with Recorder():
        assert made.submit().weights.name == "weights.npz"
    with pytest.raises(SealedError, match="the description was submitted"):
        made.lr = 3


def test_python_s_own_copies() -> None:
    with Recorder():
        made = train(lr=0.3).submit()
    for copied in (copy.deepcopy(made), copy.copy(made), pickle.loads(pickle.dumps(made))):
        assert isinstance(copied, Train)
        assert copied.lr == 0.3
        copied.lr = 0.4
    assert made.lr == 0.3
    live = made.instance()
    again = pickle.loads(pickle.dumps(live))
    assert (type(again), again.lr, reference(again)) == (Train, 0.3, reference(made))


def test_properties_with_setters_work() -> None:
    class Scaled(Config):
        size: Param[int] = 1

        @property
        def double(self) -> int:
            return 2 * self.size

        @double.setter
        def double(self, value: int) -> None:
            self.size = value // 2

    made = Scaled.C()
    made.double = 8
    assert (made.size, made.double) == (4, 8)


def test_methods_of_descriptions_need_a_description() -> None:
    live = Model.C().instance()
    with pytest.raises(ConfigError, match=r"Model.copy: only a description has it"):
        live.copy()
    assert info_of(live) is None


class Slip(Config):
    rate: float = 0.1
    many: "list[int]" = []  # noqa: RUF012, UP037 - as people write it
    real: Param[int] = 1


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("rate", "Slip.rate: is no parameter; write rate: Param[float]"),
        ("many", "Slip.many: is no parameter; write many: Param[list[int]]"),
        ("raal", "Slip.raal: no such parameter; did you mean 'real'?"),
    ],
)
def test_a_parameter_without_its_role_is_told(name: str, told: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(told)):
        Slip.C(**{name: 3})


@pytest.mark.parametrize("given", [3, None, Slip, Slip.C(), "Slip"])
def test_only_descriptions_have_identifiers(given: Any) -> None:
    if given is not None and not isinstance(given, (int, str, type)):
        assert identifier(given)
        return
    with pytest.raises(
        ConfigError, match=r"^identifier: expected a description, as X\.C\(\.\.\.\) makes, got "
    ):
        identifier(given)
