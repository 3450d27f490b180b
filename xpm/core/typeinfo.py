"""How a payload names classes: once per class, by a short key."""

from __future__ import annotations

from enum import Enum
from functools import cache
from hashlib import sha256
from typing import Any, NamedTuple, cast

from xpm.core.functions import Function
from xpm.core.info import Submittable
from xpm.core.naming import class_name, importable, module_of, script_of
from xpm.core.pack import pack_raw, unpack
from xpm.core.schema import schema_of
from xpm.core.valued import value_elsewhere
from xpm.errors import MessageError

_KEY_DIGITS = 12


class TypeInfo(NamedTuple):
    """A class as payloads mean it: where to find it, and the names of the values that come with it.

    Or a function, which comes without values.
    """

    name: str
    """Its name in identifiers."""
    module: str
    qualname: str
    script: str | None
    """The script that defines it, relative to its project."""
    fields: tuple[str, ...]
    """The parameters, in the order in which a payload has their values; none for an enum."""
    task: bool
    function: bool = False
    value: str = ""
    """Where its value class is, `module:Class`, if it doesn't say so itself."""

    @property
    def key(self) -> str:
        """What payloads call it: the first digits of a hash of all this."""
        return sha256(self.pack()).hexdigest()[:_KEY_DIGITS]

    def pack(self) -> bytes:
        """All this as MessagePack."""
        form = [self.name, self.module, self.qualname, self.script, list(self.fields), self.task]
        more = [self.function, self.value] if self.value else [True] if self.function else []
        return pack_raw([*form, *more])

    @classmethod
    def unpack(cls, data: bytes) -> TypeInfo:
        """The reverse of `pack`.

        Raises:
            MessageError: `data` is damaged.
        """
        try:
            name, module, qualname, script, fields, *rest = cast("list[Any]", unpack(data))
            return cls(name, module, qualname, script, tuple(fields), *rest)
        except (ValueError, TypeError) as wrong:
            raise MessageError(f"a type can't be read: {wrong}") from None


def function_info(function: Function) -> TypeInfo:
    """The description of a function."""
    return TypeInfo(
        function.name, function.module, function.qualname, function.script, (), task=False, function=True
    )


@cache
def type_info(cls: type[Any]) -> tuple[str, TypeInfo]:
    """The key and the description of a config class or an enum.

    Raises:
        ConfigError: no other process could find the class.
    """
    importable(cls)
    if issubclass(cls, Enum):
        fields: tuple[str, ...] = ()
    else:
        schema = schema_of(cls)
        fields = (*schema.stored, *schema.generated)
    info = TypeInfo(
        class_name(cls),
        module_of(cls),
        cls.__qualname__,
        script_of(cls),
        fields,
        issubclass(cls, Submittable),
        value="" if issubclass(cls, Enum) else value_elsewhere(cls),
    )
    return info.key, info
