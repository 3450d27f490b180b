"""Where descriptions and values come from, and how errors tell it."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import pytest
from sessions import Recorder

from xpm.core.config import Config, Constant, Meta, Param, PathGenerator, Task, field
from xpm.core.provenance import provenance
from xpm.core.tags import tag
from xpm.describe.functions import task
from xpm.errors import ConfigError

HERE = Path(__file__)


class Model(Config):
    layers: Param[int] = 2
    width: Param[int] = 3
    version: Constant[str] = "1"
    cache: Meta[Path] = field(default_factory=PathGenerator("c"))


class Train(Task):
    model: Param[Model]
    lr: Param[float]

    def execute(self) -> None: ...


@task
def fit(lr: float, model: Model) -> None: ...


def line(text: str) -> int:
    """The line of this file that ends with the comment `text`."""
    return next(
        number for number, each in enumerate(HERE.read_text().splitlines(), 1) if each.endswith(f"# {text}")
    )


def test_of_a_value() -> None:
    model = Model.C(layers=tag(4))  # made
    assert provenance(model) == provenance(model, "layers") == ("given", HERE, line("made"))
    assert [provenance(model, name).kind for name in ("width", "version", "cache")] == [
        "default",
        "constant",
        "generated",
    ]
    assert provenance(model, "width") == ("default", None, 0)
    model.width = 5  # set
    assert provenance(model, "width") == ("set", HERE, line("set"))
    copy = model.copy(layers=6)  # copied
    assert provenance(copy) == ("given", HERE, line("copied"))
    assert provenance(copy, "layers") == ("set", HERE, line("copied"))
    assert provenance(copy, "width") == ("set", HERE, line("set"))
    assert provenance(Train.C(model=model, lr=1).copy().model, "layers").line == line("made")
    assert provenance(pickle.loads(pickle.dumps(model)), "layers").kind == "unknown"
    assert str(provenance(model, "version")) == "constant"
    assert str(provenance(model, "width")).endswith(f"test_provenance.py:{line('set')}")


def test_of_a_function_task() -> None:
    made = fit(0.1, Model.C())  # called
    assert provenance(made) == provenance(made, "lr") == ("given", HERE, line("called"))


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: provenance(3), "provenance: expected a description, got int"),
        (lambda: provenance(Model.C(), "layer"), "Model.layer: no such parameter; did you mean 'layers'?"),
    ],
)
def test_wrong(make: Any, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        make()
    assert str(caught.value) == said


def test_errors_tell_the_line_that_made_the_description() -> None:
    model = Model.C()
    model.width = 3
    bare = Train.C(model=model)  # type: ignore[call-arg] # bare
    with Recorder(), pytest.raises(ConfigError) as caught:
        bare.submit()
    assert str(caught.value).endswith(
        f"Train.lr: is missing (tests/unit/test_provenance.py:{line('bare')})"
    ) or str(caught.value).endswith(f"{HERE}:{line('bare')})")
