"""Loading what has classes in it that are gone."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from sessions import Recorder

from xpm.core.identifier import identifier
from xpm.core.info import own_info
from xpm.errors import ConfigError
from xpm.workspace.saving import load, save

GONE = """
from enum import Enum
from pathlib import Path
from types import FunctionType
from xpm import Config, Meta, Param, PathGenerator, Task, field

class Kind(Enum):
    A = 1

def score(): ...

class Base(Config):
    size: Param[int] = 1

class Gone(Base):
    kind: Param[Kind]
    function: Param[FunctionType]
    file: Meta[Path] = field(default_factory=PathGenerator("f"))

class Learn(Task):
    base: Param[Base]

    def execute(self): ...

class Use(Config):
    base: Param[Base]
    others: Param[list[Base]] = field(default_factory=list)
    learn: Param[Learn]
"""


@pytest.fixture
def module(monkeypatch: pytest.MonkeyPatch) -> Any:
    made: Any = ModuleType("passing")
    monkeypatch.setitem(sys.modules, "passing", made)
    exec(GONE, vars(made))
    return made


def test_what_stands_for_a_class_has_its_values_and_identifier(module: Any, tmp_path: Path) -> None:
    with Recorder() as session:
        gone = module.Gone.C(kind=module.Kind.A, function=module.score, size=3)
        learn = module.Learn.C(base=gone).submit()
        use = module.Use.C(base=gone, others=[gone], learn=learn).tag("who", "ada")
        save(use, tmp_path / "saved")
    del module.Gone, module.Kind, module.score, module.Learn
    with pytest.raises(ConfigError, match=r"^passing has no Gone \(any more\)$"):
        load(tmp_path / "saved")
    again = load(tmp_path / "saved", partial=True)
    assert identifier(again) == identifier(use) and dict(again.tags) == {"who": "ada"}
    assert type(again) is type(use) and again.others == [again.base]
    assert (again.base.size, again.base.kind, again.base.function) == (3, "A", "passing.score")
    assert again.base.file == session.root / own_info(learn).ref.id / "out/base/f"
    assert repr(again.base).startswith("Gone(size=3, kind='A'")
    live = load(tmp_path / "saved", partial=True, as_instance=True)
    assert type(live) is module.Use and live.base.kind == "A" and live.others == [live.base]
    assert not hasattr(live.learn, "base")


def test_a_module_that_is_gone(module: Any, tmp_path: Path) -> None:
    save([module.Base.C(size=3)], tmp_path / "saved")
    del sys.modules["passing"]
    (again,) = load(tmp_path / "saved", partial=True)
    assert again.size == 3 and type(again).__name__ == "Base"
    sys.modules["passing"] = module


def test_where_nothing_is_gone_it_is_the_same(module: Any, tmp_path: Path) -> None:
    save(module.Base.C(size=3), tmp_path / "saved")
    again = load(tmp_path / "saved", partial=True)
    assert isinstance(again, module.Base) and again.size == 3
    again.size = 4
