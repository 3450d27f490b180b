"""Descriptions in repositories of the Hugging Face Hub, with its library and a hub on this machine."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from commands import Lab
from hub import Hub, hub

MODELS = """
from xpm import Config, DataPath, LightweightTask, Param

class Model(Config):
    layers: Param[int]
    weights: DataPath

class Load(LightweightTask):
    model: Param[Model]
    def execute(self):
        self.model.loaded = self.model.weights.read_text()
"""

PUSH = """
from pathlib import Path
from models import Load, Model
from xpm import from_hub, identifier, push_to_hub, tag

Path("w.bin").write_text("old")
Path("v.bin").write_text("1 2 3")
push_to_hub(Model.C(layers=1, weights="w.bin"), "ada/model")
model = Model.C(layers=tag(3), weights="v.bin")
print(push_to_hub(model, "ada/model", init_tasks=[Load.C(model=model)]).partition("/commit/")[1])
again = from_hub("ada/model")
print(identifier(again) == identifier(model), dict(again.tags), again.weights.read_text())
live = from_hub("ada/model", as_instance=True)
print(type(live) is Model, live.loaded)
"""

WRONG = """
from models import Model
from xpm import XpmError, from_hub, push_to_hub
for call in (
    lambda: from_hub("ada/none"),
    lambda: from_hub("a b"),
    lambda: push_to_hub(Model.C(layers=1), "ada/model"),
    lambda: push_to_hub(Model.C(layers=1, weights=__file__), "a b"),
):
    try:
        call()
    except XpmError as error:
        print(type(error).__name__, error)
"""

AWAY = """
from models import Model
from xpm import WorkspaceError, from_hub, push_to_hub
for call in (
    lambda: push_to_hub(Model.C(layers=1, weights=__file__), "ada/model"),
    lambda: from_hub("ada/model"),
):
    try:
        call()
    except WorkspaceError as error:
        print(error)
"""

LACKING = """
import sys
sys.modules["huggingface_hub"] = None  # as if it weren't installed
from xpm import from_hub
from_hub("ada/model")
"""

COMPAT = """
from pathlib import Path
from models import Model
from xpm.compat.experimaestro.huggingface import ExperimaestroHFHub

Path("v.bin").write_text("1 2 3")
ExperimaestroHFHub(Model.C(layers=3, weights="v.bin")).save_pretrained("here", model_card_kwargs={})
print(ExperimaestroHFHub.from_pretrained("here").layers)
print(ExperimaestroHFHub.from_pretrained("here", as_instance=True).weights.read_text())
"""


@pytest.fixture
def models() -> Iterator[Hub]:
    with hub() as made:
        yield made


@pytest.fixture
def lab(models: Hub) -> Iterator[Lab]:
    made = Lab()
    made.env |= {"HF_ENDPOINT": models.url, "HF_TOKEN": "secret", "HF_HUB_DISABLE_PROGRESS_BARS": "1"}
    made.env |= {"HF_HUB_DISABLE_TELEMETRY": "1", "HF_HOME": str(made.home / "hf")}
    (made.project / "models.py").write_text(MODELS)
    yield made
    made.close()


def test_a_description_goes_to_a_hub_and_comes_back(lab: Lab, models: Hub) -> None:
    models.repos["ada/model"] = {"README.md": b"A card.", "files/9/gone": b"from before"}
    (lab.project / "push.py").write_text(PUSH)
    said = lab.python("push.py").stdout.splitlines()
    assert said == ["/commit/", "True {'layers': 3} 1 2 3", "True 1 2 3"]
    assert set(models.repos["ada/model"]) == {"README.md", "description.json", "files/0/v.bin"}


def test_what_goes_wrong_is_one_line(lab: Lab) -> None:
    (lab.project / "wrong.py").write_text(WRONG)
    none, name, missing, pushed = lab.python("wrong.py").stdout.splitlines()
    assert none.startswith("WorkspaceError can't load ada/none from the hub: ")
    assert name.startswith("WorkspaceError can't load a b from the hub: Repo id must use ")
    assert missing.startswith("ConfigError Model.weights: is missing")
    assert pushed.startswith("WorkspaceError can't push to a b: Repo id must use ")


def test_a_hub_that_does_not_answer_is_one_line(lab: Lab) -> None:
    lab.env["HF_ENDPOINT"] = "http://127.0.0.1:9"
    (lab.project / "wrong.py").write_text(AWAY)
    push, load = lab.python("wrong.py").stdout.splitlines()
    assert push == "can't push to ada/model: [Errno 111] Connection refused"
    assert load.startswith("can't load ada/model from the hub: ")


def test_without_the_library_the_line_that_installs_it_is_said(lab: Lab) -> None:
    (lab.project / "lacking.py").write_text(LACKING)
    done = lab.python("lacking.py", check=False)
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].startswith("xpm: from_hub needs huggingface-hub: ")
    assert "[hub]'" in done.stderr


def test_code_of_experimaestro_goes_on(lab: Lab) -> None:
    (lab.project / "old.py").write_text(COMPAT)
    assert lab.python("old.py").stdout.splitlines() == ["3", "1 2 3"]
