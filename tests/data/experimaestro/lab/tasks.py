"""Tasks of a study that was run with experimaestro."""

from enum import Enum
from pathlib import Path
from typing import Dict, List, Optional

from experimaestro import (
    Config,
    Constant,
    LightweightTask,
    Meta,
    Param,
    PathGenerator,
    Task,
    field,
)


class Kind(Enum):
    SMALL = "small"
    LARGE = "large"


class Optimizer(Config):
    lr: Param[float] = field(default=0.1, ignore_default=True)
    momentum: Param[float] = field(default=0.9)
    name: Param[Optional[str]]


class Model(Config):
    layers: Param[int]
    kind: Param[Kind] = field(default=Kind.SMALL, ignore_default=True)
    sizes: Param[List[int]] = field(default_factory=list)
    cache: Meta[Path] = field(default=Path("/tmp/none"))


class Loader(LightweightTask):
    model: Param[Model]
    path: Meta[Path]

    def execute(self):
        self.path.read_text()


class Learn(Task):
    model: Param[Model]
    optimizer: Param[Optimizer]
    options: Param[Dict[str, float]] = field(default_factory=dict)
    version: Constant[str] = "2"
    weights: Meta[Path] = field(default_factory=PathGenerator("weights.txt"))

    def task_outputs(self, dep):
        return dep(Loader.C(model=self.model, path=self.weights))

    def execute(self):
        print("learning", self.model.layers)
        self.weights.write_text(str(self.model.layers * self.optimizer.lr))


class Evaluate(Task):
    model: Param[Model]
    results: Meta[Path] = field(default_factory=PathGenerator("results.txt"))

    def execute(self):
        self.results.write_text("good")


class Total(Task):
    parts: Param[List[Evaluate]]
    fail: Param[bool] = field(default=False, ignore_default=True)

    def execute(self):
        if self.fail:
            raise ValueError("asked to")
        print(len(self.parts))
