"""`Config` and its kin as experimaestro's users write them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeVar, dataclass_transform

import xpm.core.config as native
from xpm.compat.rules import RULES, field
from xpm.compat.tags import TagDict
from xpm.core.fields import DataPath, Param
from xpm.core.identifier import identifier
from xpm.core.info import allocate, info_of
from xpm.core.instances import InstanceConfig as NativeInstanceConfig
from xpm.core.provenance import provenance
from xpm.core.schema import schema_of
from xpm.core.session import Job

T = TypeVar("T")
C = TypeVar("C", bound=native.Config)


class Identifier(NamedTuple):
    """An identifier as experimaestro shows it."""

    all: bytes
    """Its 32 bytes."""

    @property
    def main(self) -> bytes:
        """The same."""
        return self.all

    def __str__(self) -> str:
        return self.all.hex()


class Information:
    """What `cfg.__xpm__` gives.

    Args:
        config: a description, or a live object.
    """

    def __init__(self, config: Any) -> None:
        self._config = config

    @property
    def values(self) -> Mapping[str, Any]:
        """The values that the parameters have, by their names."""
        held = self._config.__dict__
        return {name: held[name] for name in schema_of(self._config.__class__).fields if name in held}

    @property
    def sealed(self) -> bool:
        """Whether the description can't change any more."""
        info = info_of(self._config)
        return info is not None and info.sealed

    @property
    def identifier(self) -> Identifier:
        """The identifier."""
        return self._config.__identifier__()

    @property
    def job(self) -> Job:
        """The job of a submitted task."""
        return self._config.job

    def tags(self) -> TagDict:
        """The tags."""
        return TagDict(self._config.tags)

    def provenance_of(self, name: str) -> Any:
        """Where in the code the parameter `name` was given."""
        return provenance(self._config, name)


class _Describe(Protocol):
    def __get__(self, instance: object, owner: type[T]) -> type[T]: ...


@dataclass_transform(kw_only_default=True, field_specifiers=(field,))
class Config(native.Config):
    """A typed description of something, by experimaestro's rules; see `xpm.compat.rules`."""

    __xpm_rules__ = RULES

    XPMConfig: _Describe = native.Config.__dict__["C"]
    XPMValue: _Describe = native.Config.__dict__["Live"]

    if not TYPE_CHECKING:  # to a type checker this would be the signature of `.C(...)`

        def __new__(cls, *args, **kwargs):  # noqa: D102 - an implementation detail
            return allocate(cls)

    @property
    def tags(self) -> TagDict:
        """Its tags and those of its parameters; can be called, too."""
        return TagDict(super().tags)

    @property
    def __xpm__(self) -> Information:
        """What is known of it beside its parameters."""
        return Information(self)

    def __identifier__(self) -> Identifier:
        return Identifier(bytes.fromhex(identifier(self)))

    @property
    def __xpmidentifier__(self) -> str:
        return identifier(self)

    @classmethod
    def __xpmtype__(cls) -> type[Any]:
        return schema_of(cls).cls


class InstanceConfig(Config, NativeInstanceConfig):
    """A config whose equal descriptions are not the same thing."""


class LightweightTask(Config, native.LightweightTask):
    """Executed in the process of a job, before the job's own task."""


class SerializationLWTask(LightweightTask, ABC):
    """Loads something into the config `value`; a subclass says what."""

    value: Param[Config]

    @abstractmethod
    def execute(self) -> None:
        """Loads it."""


class PathSerializationLWTask(SerializationLWTask):
    """The same, from a file or folder."""

    path: DataPath


def copyconfig(config: C, **changes: Any) -> C:
    """A copy of a description, which can be changed and keeps its tags."""
    return config.copy(**changes)


def sealed_set(*configs: C) -> set[C]:
    """Descriptions as a set, sealed."""
    for each in configs:
        each.seal()
    return set(configs)
