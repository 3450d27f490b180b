"""A plan that is a grid: looked at, submitted, cut down, run again."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from commands import Lab

STUDY = """
import sys
from pathlib import Path
from xpm import Config, Dependent, Meta, Param, PathGenerator, Task, experiment, field, grid, zipped

class Data(Config):
    name: Param[str]
    index: Meta[Path] = field(default_factory=PathGenerator("index.txt"))

class Model(Config):
    layers: Param[int] = 2

class Deep(Model):
    depth: Param[int] = 1

class Weights(Config):
    path: Meta[Path]

class Train(Task):
    model: Param[Model]
    data: Param[Data]
    lr: Param[float]
    steps: Param[int]

    def task_outputs(self, dep: Dependent) -> Weights:
        return dep(Weights.C(path=self.jobpath / "weights.txt"))

    def execute(self) -> None:
        self.data.index.parent.mkdir(parents=True, exist_ok=True)
        self.data.index.write_text(self.data.name)
        Path("weights.txt").write_text(str(self.lr * self.steps * self.model.layers))

class Evaluate(Task):
    weights: Param[Weights]
    seed: Param[int]

    def execute(self) -> float:
        return float(self.weights.path.read_text()) + self.seed

class Difference(Task):
    left: Param[Evaluate]
    right: Param[Evaluate]

    def execute(self) -> float:
        return self.right.result() - self.left.result()

rates = [float(word) for word in sys.argv[1:]]
models = grid(Model, layers=[1, 2]) | grid(Deep, depth=[3])
plan = grid(
    Train.C(model=Model.C(), data=Data.C(name="toy"), lr=0.0, steps=1),
    zipped(lr=rates, steps=range(1, len(rates) + 1)),
    model=models,
)

if __name__ == "__main__":
    print(plan)
    with experiment("study") as xp:
        weights = plan.submit()
        scores = grid(Evaluate, weights=weights, seed=[0, 10]).submit()
        seen = grid(scores)
        for left, right in seen.where("seed = 0").join(seen.where("seed = 10"), on=["lr", "model", "layers"]):
            Difference.C(left=left, right=right).submit()
    for row in xp.rows(Evaluate, where="model = Model and seed = 0"):
        print(row["lr"], row["layers"], row["result"])
    print(sorted(row["result"] for row in xp.rows(Difference)))
"""


GROWING = """
from xpm import Config, Param, Task, experiment, grid

class Model(Config):
    layers: Param[int]

class Leaf(Task):
    root: Param["Root"]
    model: Param[Model]
    n: Param[int]
    def execute(self) -> int:
        return self.n * self.model.layers

class Root(Task):
    model: Param[Model]
    def execute(self) -> str:
        leaves = grid(Leaf, root=[self], model=[self.model, Model.C(layers=5)], n=[1, 2])
        return f"{len(leaves.submit())} {leaves.tags}"

if __name__ == "__main__":
    with experiment("growing") as xp:
        root = grid(Root, model=grid(Model, layers=[3])).submit()[0]
    print(root.result())
    print(sorted((row["model"], row["n"], row["result"]) for row in xp.rows(Leaf)))
"""


@pytest.fixture
def lab() -> Iterator[Lab]:
    made = Lab()
    (made.project / "study.py").write_text(STUDY)
    yield made
    made.close()


def test_a_grid_runs(lab: Lab):
    first = lab.python("study.py", "0.5", "1")
    assert first.stdout.splitlines() == [
        "6 Train",
        "   layers  depth  lr   steps  model",
        "0  1              0.5  1      Model",
        "1  2              0.5  1      Model",
        "2          3      0.5  1      Deep",
        "3  1              1    2      Model",
        "4  2              1    2      Model",
        "5          3      1    2      Deep",
        "0.5 1 0.5",
        "0.5 2 1.0",
        "1.0 1 2.0",
        "1.0 2 4.0",
        "[10.0, 10.0, 10.0, 10.0]",
    ]
    assert "study: all 22 jobs done" in first.stderr
    jobs = lab.json("jobs", "--where", "task = Evaluate and lr = 1 and depth = 3 and seed = 10")["jobs"]
    assert [job["label"] for job in jobs] == ["Evaluate depth=3 lr=1 steps=2 model=Deep seed=10"]
    again = lab.python("study.py", "0.5", "1")
    assert again.stdout == first.stdout and "all 22 jobs were done before" in again.stderr
    assert "all 11 jobs were done before" in lab.python("study.py", "0.5").stderr


def test_a_running_task_submits_a_grid(lab: Lab):
    (lab.project / "growing.py").write_text(GROWING)
    assert lab.python("growing.py").stdout.splitlines() == [
        "4 ('model', 'n')",
        "[('Model layers=3', 1, 3), ('Model layers=3', 2, 6), ('Model layers=5', 1, 5), ('Model layers=5', 2, 10)]",
    ]
