"""Init tasks: what is done in the process of a job before its task."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import pytest
from sessions import Recorder

from xpm.core.config import Config, LightweightTask, Meta, Param, PathGenerator, Task, field, reference
from xpm.core.identifier import identifier
from xpm.core.initial import perform
from xpm.core.message import JobRef, build, describe, parameters
from xpm.core.submission import Prepared
from xpm.core.tags import tag
from xpm.errors import ConfigError, SealedError, SubmissionError


class Model(Config):
    layers: Param[int] = 2

    def __post_init__(self) -> None:
        self.weights: list[object] = []


class Learn(Task):
    model: Param[Model]
    epochs: Param[int] = 1

    def task_outputs(self, dep: Any) -> Any:
        return dep(Load.C(model=self.model, path=self.jobpath / "w"))

    def execute(self) -> None: ...


class Load(LightweightTask):
    model: Param[Model]
    path: Meta[Path] = Path("w")
    noted: Meta[Path] = field(default_factory=PathGenerator("noted"))

    def execute(self) -> None:
        self.model.weights.append(self.path)


class Scale(LightweightTask):
    model: Param[Model]
    by: Param[float] = 2.0

    def execute(self) -> None:
        self.model.weights.append(self.by)


class Other(Scale):
    pass


class Fail(LightweightTask):
    def execute(self) -> None:
        raise ValueError("no such weights")


class Idle(LightweightTask):
    pass


class Evaluate(Task):
    model: Param[Model]

    def execute(self) -> list[object]:
        return list(self.model.weights)


CLASSES = {each.__name__: each for each in (Model, Learn, Load, Scale, Fail, Evaluate)}


def live(prepared: Prepared) -> Any:
    return build(
        prepared.payload,
        prepared.types,
        lambda info: CLASSES[info.qualname],
        lambda ref: ref,
        lambda ref: f"/ws/{ref.id[:4]}" if ref else "/ws/own",
    )


def submit(task: Any, *init_tasks: Any) -> Prepared:
    with Recorder() as session:
        task.submit(init_tasks=init_tasks)
    return session.last


def test_they_work_on_the_objects_of_the_task_in_their_order() -> None:
    model = Model.C()
    prepared = submit(Evaluate.C(model=model), Scale.C(model=model), Load.C(model=model))
    assert perform(live(prepared)) == [2.0, Path("w")]


def test_they_count_and_so_does_their_order() -> None:
    model = Model.C()
    scale, load = Scale.C(model=model), Other.C(model=model)
    plain = submit(Evaluate.C(model=model)).id
    ids = [
        submit(Evaluate.C(model=model), *each).id
        for each in ([], [scale], [load], [scale, load], [load, scale], [Scale.C(model=model, by=3.0)])
    ]
    assert ids[0] == plain
    assert len(set(ids)) == len(ids)
    task = Evaluate.C(model=model).seal()
    assert identifier(task) == plain
    assert submit(task, scale).id == ids[1]
    assert identifier(task) == ids[1]
    assert identifier(task.copy()) == plain


def test_what_they_need_is_waited_for_and_their_tags_are_the_task_s() -> None:
    with Recorder() as session:
        learn = Learn.C(model=Model.C(), epochs=tag(3))
        load = learn.submit()
        model = load.model
        Evaluate.C(model=model).submit(init_tasks=[load])
    assert session.last.dependencies == (reference(learn),)
    assert dict(session.last.tags) == {"epochs": 3}
    made = live(session.last)
    assert perform(made) == [learn.jobpath / "w"]


def test_their_generated_paths_lie_in_the_job_s_directory() -> None:
    model = Model.C()
    prepared = submit(Evaluate.C(model=model), Scale.C(model=model), load := Load.C(model=model))
    assert load.noted == Path("/ws/jobs") / prepared.id / "out/init_tasks/1/noted"
    made = live(prepared)
    assert made.__dict__["__xpm__"].init[1].noted == Path("/ws/own/out/init_tasks/1/noted")


def test_one_init_task_of_several_tasks() -> None:
    model = Model.C()
    scale = Scale.C(model=model)
    one, two = submit(Evaluate.C(model=model), scale), submit(Learn.C(model=model), scale)
    assert one.id != two.id
    shared = Load.C(model=model)
    submit(Evaluate.C(model=model), shared)
    with pytest.raises(
        SubmissionError, match=r"Learn.init_tasks\[0\].noted: its path lies in the directory of another"
    ):
        submit(Learn.C(model=model), shared)


def test_people_are_shown_them() -> None:
    model = Model.C()
    prepared = submit(Evaluate.C(model=model), Scale.C(model=model))
    assert parameters(prepared.payload, prepared.types) == {
        "model": {"$type": f"{__name__}.Model", "layers": 2},
        "$init": [
            {"$type": f"{__name__}.Scale", "model": {"$type": f"{__name__}.Model", "layers": 2}, "by": 2.0}
        ],
    }


def test_the_description_of_a_payload_has_them() -> None:
    model = Model.C()
    prepared = submit(Evaluate.C(model=model), Scale.C(model=model))
    ref = JobRef(prepared.id, prepared.task)
    again = describe(
        prepared.payload, prepared.types, lambda info: CLASSES[info.qualname], lambda ref: ref, ref
    )
    hidden = again.__dict__["__xpm__"]
    hidden.digest = None
    assert identifier(again) == prepared.id
    assert hidden.init[0].model is again.model


def test_a_failure_names_the_init_task() -> None:
    with pytest.raises(ValueError, match="no such weights") as error:
        perform(live(submit(Evaluate.C(model=Model.C()), Fail.C())))
    assert error.value.__notes__ == ["in the init task Fail, before Evaluate.execute"]


def test_another_object_than_the_task_has_is_told() -> None:
    model = Model.C()
    with pytest.warns(
        RuntimeWarning, match=r"the init task's Scale\.model equals Evaluate\.model, but is another"
    ):
        submit(Evaluate.C(model=model), Scale.C(model=model.copy()))
    with warnings.catch_warnings(action="error"):
        submit(Evaluate.C(model=model), Scale.C(model=Model.C(layers=7)))


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (lambda: Scale.C(model=Model.C()), "init_tasks: expected a list, got Scale"),
        (
            lambda: [Evaluate.C(model=Model.C())],
            r"init_tasks\[0\]: Evaluate is a task with a job of its own: make it a",
        ),
        (lambda: [Model.C()], r"init_tasks\[0\]: expected a description of a LightweightTask, got Model"),
        (lambda: [Scale], r"init_tasks\[0\]: expected a description of a LightweightTask, got type"),
        (
            lambda: [Scale.C(model=Model.C()).instance()],
            r"init_tasks\[0\]: expected a description, got a live Scale",
        ),
        (lambda: [Fail.C(), Idle.C()], r"init_tasks\[1\]: Idle has no method execute"),
    ],
)
def test_what_is_no_init_task(given: Any, said: str) -> None:
    with Recorder(), pytest.raises(SubmissionError, match=f"Evaluate.submit: {said}"):
        Evaluate.C(model=Model.C()).submit(init_tasks=given())


def test_a_refused_submission_leaves_no_init_tasks() -> None:
    model = Model.C()
    task = Evaluate.C(model=model)
    with Recorder(), pytest.raises(ConfigError, match=r"Evaluate.init_tasks\[0\].model: is missing"):
        task.submit(init_tasks=[Scale.C()])
    with (
        Recorder(),
        pytest.raises(SubmissionError, match=r"Evaluate.init_tasks\[0\].model: .*Learn must be submitted"),
    ):
        task.submit(init_tasks=[Needs.C(model=Learn.C(model=model))])
    assert submit(task).id == identifier(Evaluate.C(model=model))


class Needs(LightweightTask):
    model: Param[Learn]

    def execute(self) -> None: ...


def test_submitted_again_with_others() -> None:
    model = Model.C()
    task, scale = Evaluate.C(model=model), Scale.C(model=model)
    with Recorder() as session:
        assert task.submit(init_tasks=[scale]) is task
        assert task.submit() is task.submit(init_tasks=[Scale.C(model=model)]) is task
        with pytest.raises(SubmissionError, match=r"Evaluate.submit: it was submitted with other init tasks"):
            task.submit(init_tasks=[scale, scale])
        with pytest.raises(SealedError):
            scale.by = 3.0
    assert len(session.prepared) == 1
