"""Value classes: what live objects are made of where the class that describes them is kept light.

    class Model(Config, value_class="lab.torch_models:TorchModel"): ...

    @Model.value_class()  # in lab/torch_models.py
    class TorchModel(Model, torch.nn.Module): ...

What only describes never imports the second module; who makes a live object does.
"""

from __future__ import annotations

import importlib
from typing import Any, NamedTuple

from xpm.core.naming import found_in, script_of
from xpm.core.schema import schema_of
from xpm.errors import ConfigError

_NAMED = "__xpm_value_named__"
"""The attribute of a config class that names its value class: `module:Class`."""

_VALUE = "__xpm_value__"
"""The attribute that holds it, once it is there."""

_OF = "__xpm_value_of__"
"""The attribute of a value class that holds the config class."""


class _Name(NamedTuple):
    module: str
    qualname: str

    def __str__(self) -> str:
        return f"{self.module}:{self.qualname}"


def name_value_class(cls: type[Any], text: object) -> None:
    """Notes where the value class of `cls` is.

    Raises:
        ConfigError: `text` is no `module:Class`.
    """
    module, colon, qualname = text.partition(":") if isinstance(text, str) else ("", "", "")
    if not (module and colon and qualname):
        raise ConfigError(f"{cls.__name__}: value_class: expected 'module:Class', got {text!r}")
    setattr(cls, _NAMED, _Name(module, qualname))


def set_value_class(cls: type[Any], value: Any) -> None:
    """Makes `value` the value class of `cls`.

    Raises:
        ConfigError: it is no class derived from `cls` and from the value classes of its parents, or there is another.
    """
    label = getattr(value, "__name__", repr(value))
    if not isinstance(value, type) or not issubclass(value, cls) or value is cls:
        raise ConfigError(f"{label}: the value class of {cls.__name__} must be a subclass of it")
    for parent in cls.__mro__[1:]:
        of_parent = _own_value(parent)
        if of_parent is not None and not issubclass(value, of_parent):
            raise ConfigError(
                f"{label}: the value class of {cls.__name__} must be a subclass of {of_parent.__name__}, "
                f"that of {parent.__name__}"
            )
    before = cls.__dict__.get(_VALUE)
    named: _Name | None = cls.__dict__.get(_NAMED)
    there = _Name(value.__module__, value.__qualname__)
    if named is not None and script_of(value) is None and there != named:
        raise ConfigError(f"{cls.__name__}: its value class is named as {named}, and {there} says it is")
    if before is not None and _Name(before.__module__, before.__qualname__) != there:
        raise ConfigError(f"{label}: {cls.__name__} has a value class already: {before.__name__}")
    setattr(cls, _VALUE, value)
    setattr(value, _OF, cls)


def live_class(cls: type[Any]) -> type[Any]:
    """The class of the live objects of the config class `cls`, which is loaded: its value class, or itself.

    Raises:
        ConfigError: it isn't there, or no value class of this one; what its module raises comes through.
    """
    value = _own_value(cls)
    if value is None:
        return cls
    more = schema_of(value).fields.keys() - schema_of(cls).fields.keys()
    if more:
        raise ConfigError(
            f"{value.__name__}.{min(more)}: the value class of {cls.__name__} can't have parameters of its own"
        )
    return value


def config_class(cls: type[Any]) -> type[Any]:
    """The config class that `cls` is the value class of; else `cls` itself."""
    return cls.__dict__.get(_OF, cls)


def value_elsewhere(cls: type[Any]) -> str:
    """What a worker must be told to find the value class of `cls`: `module:Class`; empty where `cls` leads to it.

    Raises:
        ConfigError: no worker would find it.
    """
    value = cls.__dict__.get(_VALUE)
    if value is None or _NAMED in cls.__dict__ or value.__module__ == cls.__module__:
        return ""
    if script_of(value) is not None or value.__module__ == "__main__":
        raise ConfigError(
            f"{value.__name__}: the value class of {cls.__name__} is in a script, where no worker looks for it; "
            f"move it to a module, or to that of {cls.__name__}"
        )
    return str(_Name(value.__module__, value.__qualname__))


def _own_value(cls: type[Any]) -> type[Any] | None:
    value = cls.__dict__.get(_VALUE)
    named: _Name | None = cls.__dict__.get(_NAMED)
    if value is None and named is not None:
        value = _load(cls, named)
        set_value_class(cls, value)
    return value


def load_value_class(cls: type[Any], text: str) -> None:
    """Loads the value class of `cls` from where `value_elsewhere` has said that it is.

    Raises:
        ConfigError: it isn't there, or is none of this one; what its module raises comes through.
    """
    module, _, qualname = text.partition(":")
    set_value_class(cls, _load(cls, _Name(module, qualname)))


def _load(cls: type[Any], name: _Name) -> Any:
    try:
        module = importlib.import_module(name.module)
    except ModuleNotFoundError as error:
        if error.name != name.module and not name.module.startswith(f"{error.name}."):
            raise
        raise ConfigError(
            f"{cls.__name__}: its value class is {name}, and there is no module {error.name}"
        ) from None
    found = found_in(module, name.qualname)
    if found is None:
        raise ConfigError(
            f"{cls.__name__}: its value class is {name}, and {name.module} has no {name.qualname}"
        )
    return found
