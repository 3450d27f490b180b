"""The identifier of a description: equal experimental parameters, equal identifier."""

from __future__ import annotations

from hashlib import sha256
from typing import Any

from xpm.core.canonical import CONFIG, OUTPUT, PLAIN, VERSION, canonical, packed
from xpm.core.info import JobRef, info_of
from xpm.core.schema import Declared, Schema, schema_of
from xpm.errors import ConfigError
from xpm.types import JobId


def identifier(config: Any) -> JobId:
    """The identifier of the description `config`: 64 hexadecimal digits.

    Raises:
        ConfigError: a parameter is missing, or `config` contains itself.
    """
    return JobId(digest(config).hex())


def digest(config: Any) -> bytes:
    """The 32 bytes of the identifier of `config`; remembered once it is sealed."""
    info = info_of(config)
    if info is not None and info.digest is not None:
        return info.digest
    found = _Digests()(config)
    if info is not None and info.sealed:
        info.digest = found
    return found


class _Digests:
    """One computation over descriptions that may still change."""

    def __init__(self) -> None:
        self.open: set[int] = set()

    def __call__(self, config: Any) -> bytes:
        info = info_of(config)
        if info is not None and info.digest is not None:
            return info.digest
        if id(config) in self.open:
            raise ConfigError(f"{schema_of(type(config)).label}: contains itself")
        self.open.add(id(config))
        found = _hash(self.document(config))
        self.open.discard(id(config))
        if info is None:
            return found
        if info.producer is not None:
            found = produced(found, info.producer)
        if info.sealed:
            info.digest = found
        return found

    def document(self, config: Any) -> list[Any]:
        schema = schema_of(type(config))
        values = config.__dict__
        pairs = schema.template.copy()
        try:
            pairs[1::2] = schema.identified(values)
        except KeyError:
            raise ConfigError(f"{schema.label}.{schema.missing(values)[0]}: is missing") from None
        if schema.ignorable:
            ignored = [
                place
                for place, declared in schema.ignorable
                if self.is_default(schema, declared, pairs[place])
            ]
        else:
            ignored = ()
        for place in schema.rich_places:
            value = pairs[place]
            if type(value) not in PLAIN:
                pairs[place] = canonical(value, self)
        for place in ignored:
            del pairs[place - 1 : place + 1]
        return [CONFIG, schema.name, pairs]

    def is_default(self, schema: Schema, declared: Declared, value: Any) -> bool:
        default = schema.default(declared)
        if type(value) in PLAIN and type(default) in PLAIN:
            return type(value) is type(default) and (value == default or value is default)
        return packed(canonical(value, self)) == packed(canonical(default, self))


def produced(config: bytes, producer: JobRef) -> bytes:
    """The digest of a description that the job `producer` gave out, from its own digest `config`."""
    return _hash([OUTPUT, config, bytes.fromhex(producer.id)])


def _hash(document: list[Any]) -> bytes:
    return sha256(VERSION + packed(document)).digest()
