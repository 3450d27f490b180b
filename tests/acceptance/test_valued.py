"""Classes of live objects that scripts need not import, made by real workers."""

from __future__ import annotations

from commands import Lab

MODELS = """
from experimaestro import Config, Param, Task

class Model(Config):
    size: Param[int]

class Learn(Task):
    model: Param[Model]

    def execute(self):
        print(type(self.model).__name__, self.model.weights)

class Compare(Task):
    learn: Param[Learn]

    def execute(self):
        print(type(self.learn.model).__name__, self.learn.model.weights)
"""

HEAVY = """
from models import Model

class Module:
    def __init__(self):
        self.weights = []

@Model.value_class()
class TorchModel(Model, Module):
    def __post_init__(self):
        self.weights.append(self.size)
"""

PLAN = """
import sys
import heavy
from experimaestro import experiment
from models import Compare, Learn, Model

if __name__ == "__main__":
    with experiment("ws", "values"):
        assert Model.XPMValue is heavy.TorchModel
        learn = Learn.C(model=Model.C(size=3)).submit()
        compare = Compare.C(learn=learn).submit()
    print(learn.stdout().read_text() + compare.stdout().read_text(), end="")
"""


def test_a_worker_imports_the_module_that_registered_it(lab: Lab) -> None:
    for name, text in {"models": MODELS, "heavy": HEAVY, "plan": PLAN}.items():
        (lab.project / f"{name}.py").write_text(text)
    done = lab.python("-m", "xpm.compat", "plan.py")
    assert done.stdout == "TorchModel [3]\n" * 2


def test_one_that_is_not_there_fails_the_job_in_a_line(lab: Lab) -> None:
    (lab.project / "models.py").write_text(
        MODELS.replace("Model(Config)", "Model(Config, value_class='no:M')")
    )
    (lab.project / "plan.py").write_text(PLAN.replace("import heavy", "").replace("assert", "0 and"))
    done = lab.python("-m", "xpm.compat", "plan.py", check=False)
    assert done.returncode == 1
    assert "ConfigError: Model: its value class is no:M, and there is no module no" in done.stderr
