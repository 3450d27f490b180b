"""Value classes: live objects of another class than the one that describes them."""

from __future__ import annotations

import pickle
import sys
from types import ModuleType
from typing import Any

import pytest

from xpm.core.config import Config, Param, Task
from xpm.core.identifier import identifier
from xpm.core.live import deferred
from xpm.core.typeinfo import TypeInfo, type_info
from xpm.core.valued import set_value_class
from xpm.errors import ConfigError


class Module:
    def __init__(self) -> None:
        self.layers: list[int] = []


class Model(Config):
    size: Param[int] = 1


class Deep(Model):
    depth: Param[int] = 2


class Plain(Model): ...


@Model.value_class()
class TorchModel(Model, Module):
    def __post_init__(self) -> None:
        self.layers.append(self.size)


@Deep.value_class()
class TorchDeep(Deep, TorchModel): ...


class Train(Task):
    model: Param[Model]

    def execute(self) -> str:
        return type(self.model).__name__


@Train.value_class()
class TorchTrain(Train):
    def execute(self) -> str:
        return f"torch {super().execute()}"


def test_live_objects_are_of_the_value_class() -> None:
    before = identifier(Model.C(size=3))
    live: Any = Model.C(size=3).instance()
    assert type(live) is TorchModel is Model.Live and live.layers == [3]
    assert type(Deep.C().instance()) is TorchDeep
    assert type(Plain.C().instance()) is Plain is Plain.Live
    assert isinstance(Model.C(), Model) and not isinstance(Model.C(), Module)
    assert identifier(Model.C(size=3)) == before
    assert Train.C(model=Deep.C()).instance().execute() == "torch TorchDeep"
    assert type(pickle.loads(pickle.dumps(live))) is TorchModel


def test_one_that_is_filled_later_is_so_too() -> None:
    live: Any = deferred(Model, lambda bare: vars(bare).update(size=4))
    assert isinstance(live, TorchModel) and live.size == 4 and type(live) is TorchModel


def test_it_describes_nothing() -> None:
    with pytest.raises(ConfigError, match=r"^TorchModel: is the value class of Model; use Model.C\(...\)$"):
        TorchModel.C(size=1)


class Base(Config): ...


@Base.value_class()
class LiveBase(Base): ...


class Child(Base): ...


class Extra(Config):
    size: Param[int] = 1


@Extra.value_class()
class LiveExtra(Extra):
    more: Param[int] = 1


class Another(Config): ...


def other() -> type[Any]:
    class Other(Config): ...

    return Other


@pytest.mark.parametrize(
    ("cls", "value", "message"),
    [
        (Base, Extra, r"^Extra: the value class of Base must be a subclass of it$"),
        (Base, Base, r"^Base: the value class of Base must be a subclass of it$"),
        (Base, 3, r"^3: the value class of Base must be"),
        (Child, type("X", (Child,), {}), r"must be a subclass of LiveBase, that of Base$"),
        (Base, type("Y", (LiveBase,), {}), r"^Y: Base has a value class already: LiveBase$"),
    ],
)
def test_what_can_be_none(cls: type[Any], value: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        set_value_class(cls, value)


def test_parameters_of_its_own_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"^LiveExtra.more: the value class of Extra can't have parameters"):
        Extra.C().instance()


def test_one_that_is_named_is_loaded_for_live_objects_only() -> None:
    class Light(Config, value_class="heavy_module:Parts.Heavy"):
        size: Param[int] = 1

    class Heavy(Light): ...

    described = Light.C()
    with pytest.raises(
        ConfigError, match=r"^Light: its value class is heavy_module:Parts.Heavy, and there is no"
    ):
        described.instance()
    module = sys.modules["heavy_module"] = ModuleType("heavy_module")
    try:
        with pytest.raises(ConfigError, match=r"and heavy_module has no Parts.Heavy$"):
            described.instance()
        module.Parts = type("Parts", (), {"Heavy": Heavy})
        Heavy.__module__, Heavy.__qualname__ = "heavy_module", "Parts.Heavy"
        assert type(described.instance()) is Heavy
    finally:
        del sys.modules["heavy_module"]


@pytest.mark.parametrize("text", ["", "torch", ":X", "torch:", 3])
def test_a_name_that_is_none(text: Any) -> None:
    with pytest.raises(ConfigError, match=r"^Light: value_class: expected 'module:Class', got "):

        class Light(Config, value_class=text): ...


def test_a_worker_is_told_where_it_is_if_the_class_does_not_lead_there() -> None:
    assert type_info(Model)[1].value == ""  # it is in the same module
    LiveAnother = type("LiveAnother", (Another,), {"__module__": "elsewhere", "__qualname__": "LiveAnother"})
    set_value_class(Another, LiveAnother)
    info = type_info(Another)[1]
    assert info.value == "elsewhere:LiveAnother" and TypeInfo.unpack(info.pack()) == info
