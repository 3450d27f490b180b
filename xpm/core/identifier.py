"""The identifier of a description: equal experimental parameters, equal identifier."""

from __future__ import annotations

from hashlib import sha256
from typing import Any

from xpm.core.canonical import CONFIG, OUTPUT, PLAIN, REFERENCE, VERSION, Digest, canonical
from xpm.core.info import HIDDEN, Description, Info, JobRef, info_of
from xpm.core.pack import pack_bin
from xpm.core.schema import Declared, Schema
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
    if info is None or not info.sealed:
        return _Digests()(config)
    if info.digest is None:
        info.digest = _digest(config, info, digest)
    return info.digest


class _Digests:
    """The digests of descriptions that may still change; nothing of it is remembered."""

    def __init__(self) -> None:
        self.open: set[int] = set()

    def __call__(self, config: Any) -> bytes:
        info = info_of(config)
        if info is not None and info.sealed:
            return digest(config)
        if id(config) in self.open:
            raise ConfigError(f"{config.__xpm_schema__.label}: contains itself")
        self.open.add(id(config))
        found = _digest(config, info, self)
        self.open.discard(id(config))
        return found


def _digest(config: Any, info: Info | None, nested: Digest) -> bytes:
    found = _hash(_document(config, nested))
    return found if info is None or info.producer is None else produced(found, info.producer)


def _document(config: Any, nested: Digest) -> list[Any]:
    schema: Schema = config.__xpm_schema__
    pairs = schema.template.copy()
    try:
        pairs[1::2] = schema.identified(config.__dict__)
    except KeyError:
        raise ConfigError(f"{schema.label}.{schema.missing(config.__dict__)[0]}: is missing") from None
    ignored: list[int] = []
    if schema.ignorable:
        ignored = [
            place for place, each in schema.ignorable if _is_default(schema, each, pairs[place], nested)
        ]
    for place in schema.rich_places:
        value = pairs[place]
        if isinstance(value, Description):
            info = value.__dict__.get(HIDDEN)
            known = None if info is None else info.digest
            pairs[place] = [REFERENCE, known or nested(value)]
        elif type(value) not in PLAIN:
            pairs[place] = canonical(value, nested)
    for place in ignored:
        del pairs[place - 1 : place + 1]
    return [CONFIG, schema.name, pairs]


def _is_default(schema: Schema, declared: Declared, value: Any, nested: Digest) -> bool:
    default = schema.default(declared)
    if type(value) in PLAIN and type(default) in PLAIN:
        return type(value) is type(default) and (value == default or value is default)
    return pack_bin(canonical(value, nested)) == pack_bin(canonical(default, nested))


def produced(config: bytes, producer: JobRef) -> bytes:
    """The digest of a description that the job `producer` gave out, from its own digest `config`."""
    return _hash([OUTPUT, config, bytes.fromhex(producer.id)])


def _hash(document: list[Any]) -> bytes:
    return sha256(VERSION + pack_bin(document)).digest()
