"""Paths in jobs' directories: ordinary ones, but no parameter that would make a job start before they are there."""

from __future__ import annotations

import copy
import pickle
from pathlib import Path

import pytest
from sessions import Recorder

from xpm.core.config import Config, Dependent, Meta, Param, PathGenerator, Task, field
from xpm.core.submission import prepare
from xpm.errors import SubmissionError


class Split(Task):
    n: Param[int]
    arrays: Meta[Path] = field(default_factory=PathGenerator("arrays.npz"))

    def execute(self) -> None: ...


class Data(Config):
    path: Param[Path]
    note: Meta[Path | None] = None


class Train(Task):
    data: Param[Data | None] = None
    path: Param[Path | None] = None
    many: Param[list[Path]] = field(default_factory=list)
    split: Param[Split | None] = None
    hint: Meta[Path | None] = None
    hints: Meta[dict[str, Path]] = field(default_factory=dict)

    def execute(self) -> None: ...


class Learned(Config):
    weights: Param[Path]


class Learn(Task):
    n: Param[int]

    def task_outputs(self, dep: Dependent) -> Learned:
        return dep(Learned.C(weights=self.jobpath / "weights.txt"))

    def execute(self) -> None: ...


class Use(Task):
    learned: Param[Learned]

    def execute(self) -> None: ...


@pytest.mark.parametrize(
    ("values", "place"),
    [
        (lambda split: {"path": split.arrays}, "Train.path"),
        (lambda split: {"path": split.jobpath / "a" / "b.csv"}, "Train.path"),
        (lambda split: {"many": [Path("x"), split.arrays]}, "Train.many[1]"),
        (lambda split: {"data": Data.C(path=split.arrays)}, "Train.data.path"),
        (lambda split: {"split": split, "path": split.arrays}, "Train.path"),
        (lambda split: {"hint": split.arrays}, "Train.hint"),
        (lambda split: {"hints": {"x": split.arrays}}, "Train.hints['x']"),
        (lambda split: {"data": Data.C(path=Path("x"), note=split.jobpath)}, "Train.data.note"),
    ],
)
def test_a_path_that_makes_no_dependency_is_refused_at_submission(values, place: str):
    with Recorder() as recorder:
        split = Split.C(n=1).submit()
        task = Train.C(**values(split))
        with pytest.raises(SubmissionError) as caught:
            task.submit()
    assert str(caught.value) == (
        f"{place}: a path in the directory of Split {recorder.prepared[0].id[:8]}: "
        "give the task itself, and take the path from it in execute"
    )
    assert len(recorder.prepared) == 1


def test_what_python_derives_from_it_is_refused_as_well():
    with Recorder():
        split = Split.C(n=1).submit()
        for path in (split.arrays.with_suffix(".csv"), split.jobpath.joinpath("x"), split.arrays.parent):
            with pytest.raises(SubmissionError, match=r"^Train.path: a path in the directory of "):
                Train.C(path=path).submit()


def test_beside_its_task_a_path_that_does_not_identify_may_stand():
    with Recorder() as recorder:
        split = Split.C(n=1).submit()
        plain = Train.C(split=split).submit()
        hinted = Train.C(split=split, hint=split.arrays, hints={"x": split.jobpath}).submit()
        assert prepare(plain).id == prepare(hinted).id
        assert [ref.id for ref in recorder.prepared[-1].dependencies] == [recorder.prepared[0].id]


def test_a_task_may_give_out_paths_in_its_own_directory():
    with Recorder() as recorder:
        learned = Learn.C(n=1).submit()
        Use.C(learned=learned).submit()
    learn, use = recorder.prepared
    assert [ref.id for ref in use.dependencies] == [learn.id]


def test_other_paths_are_what_they_were():
    with Recorder() as recorder:
        split = Split.C(n=1).submit()
        Train.C(path=Path(str(split.arrays))).submit()
        Train.C(path=Path("/data/x.csv")).submit()
    assert len(recorder.prepared) == 3


def test_it_is_an_ordinary_path():
    with Recorder():
        path = Split.C(n=1).submit().arrays
    same = Path(str(path))
    assert isinstance(path, Path) and path == same and hash(path) == hash(same) and repr(path) == repr(same)
    assert {path: 1}[same] == 1 and path.name == "arrays.npz" and sorted([path, same]) == [same, path]
    for other in (pickle.loads(pickle.dumps(path)), copy.copy(path), copy.deepcopy([path])[0]):
        assert type(other) is type(same) and other == same
