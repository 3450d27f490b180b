"""The identifier of a description: equal experimental parameters, equal identifier."""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import sha256
from typing import Any, cast

from xpm.core.canonical import (
    CONFIG,
    INIT_TASKS,
    INSTANCE,
    OUTPUT,
    PARTIAL,
    PLAIN,
    REFERENCE,
    VERSION,
    Digest,
    canonical,
)
from xpm.core.deprecation import meant
from xpm.core.fields import Partial, Role
from xpm.core.info import HIDDEN, Description, Info, Instanced, JobRef, Submittable, info_of, left_out
from xpm.core.kinds import shown
from xpm.core.pack import pack_bin
from xpm.core.provenance import made_at
from xpm.core.schema import Declared, Schema
from xpm.errors import ConfigError
from xpm.types import JobId


def identifier(config: Any) -> JobId:
    """The identifier of the description `config`: 64 hexadecimal digits.

    Raises:
        ConfigError: it is no description, a parameter is missing, or `config` contains itself.
    """
    if not isinstance(config, Description):
        raise ConfigError(f"identifier: expected a description, as X.C(...) makes, got {shown(config)}")
    found = digest(config)
    if Instanced.known and not isinstance(config, Submittable):
        found = _told_apart(config, found, _Digests())
    return JobId(found.hex())


def digest(config: Any) -> bytes:
    """The 32 bytes by which others refer to `config`: a task's identifier; remembered once it is sealed."""
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
        self.meant: dict[int, tuple[Any, Any]] = {}
        """What deprecated descriptions stand for."""

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
    found = hashed(config, info, _document(config, nested), nested)
    return found if info is None or info.producer is None else produced(found, info.producer)


def hashed(config: Any, info: Info | None, document: list[Any], nested: Digest) -> bytes:
    """The digest of `config` with its init tasks, be it given out by a job or not, from its document."""
    found = _hash(document)
    if info is not None and info.init:
        found = _hash([INIT_TASKS, found, *map(nested, info.init)])
    if Instanced.known and isinstance(config, Submittable):
        found = _told_apart(config, found, nested)
    return found


def partial_digest(config: Any, partial: Partial, name: str) -> bytes:
    """The digest of the parameters of `config` that count for `partial`, with its init tasks.

    Args:
        config: a complete description.
        partial: says which those are.
        name: of the partial.

    Raises:
        ConfigError: a parameter is missing.
    """
    nested = _Digests()
    used = _in_use(config, nested)
    schema: Schema = used.__xpm_schema__
    mark, named, pairs = own_document(used, schema, nested)
    kept = [
        part
        for at in range(0, len(pairs), 2)
        if partial.counts(schema.fields[pairs[at]].groups)
        for part in pairs[at : at + 2]
    ]
    return hashed(config, info_of(config), [PARTIAL, name, [mark, named, kept]], nested)


def _document(config: Any, nested: Digest) -> list[Any]:
    schema: Schema = config.__xpm_schema__
    if schema.deprecation is not None:
        return _document(_in_use(config, nested), nested)
    return own_document(config, schema, nested)


def _in_use(config: Any, nested: Digest) -> Any:
    """The description that `config` stands for, the same in one computation."""
    return meant(config, nested.meant if isinstance(nested, _Digests) else None)


def own_document(config: Any, schema: Schema, nested: Digest, *, fresh: bool = False) -> list[Any]:
    """The document of `config` by its own class.

    Args:
        config: a description.
        schema: of its class.
        nested: gives the digests of others.
        fresh: take none that is known.
    """
    pairs = schema.template.copy()
    try:
        pairs[1::2] = schema.identified(config.__dict__)
    except KeyError:
        missing = schema.missing(config.__dict__)[0]
        raise ConfigError(f"{schema.label}.{missing}: is missing{made_at(config)}") from None
    dropped: list[int] = []
    if schema.ignorable:
        dropped = [
            place for place, each in schema.ignorable if _is_default(schema, each, pairs[place], nested)
        ]
    for place in schema.rich_places:
        value = pairs[place]
        if isinstance(value, Description):
            info = value.__dict__.get(HIDDEN)
            known = None if info is None or fresh else info.digest
            pairs[place] = [REFERENCE, known or nested(value)]
            if info is not None and info.meta and schema.fields[pairs[place - 1]].role is not Role.CONSTANT:
                dropped.append(place)
        elif type(value) not in PLAIN:
            pairs[place] = canonical(value, nested)
    if dropped:
        for place in sorted(set(dropped), reverse=True):
            del pairs[place - 1 : place + 1]
    if schema.may_count:
        pairs = _with_counting(config, schema, pairs, nested)
    return [CONFIG, schema.name, pairs]


def _with_counting(config: Any, schema: Schema, pairs: list[Any], nested: Digest) -> list[Any]:
    """`pairs` with the `Meta` parameters whose description was set to count."""
    found = dict(zip(pairs[::2], pairs[1::2], strict=True))
    for name in schema.may_count:
        value = config.__dict__.get(name)
        info = info_of(value) if isinstance(value, Description) else None
        if info is not None and info.meta is False:
            found[name] = [REFERENCE, nested(value)]
    return [part for name in sorted(found) for part in (name, found[name])]


def _is_default(schema: Schema, declared: Declared, value: Any, nested: Digest) -> bool:
    default = schema.default(declared)
    if type(value) in PLAIN and type(default) in PLAIN:
        # A NaN equals nothing, and one that comes from another process isn't the one that is stored here.
        both_nan = value != value and default != default
        return type(value) is type(default) and (value == default or both_nan)
    return pack_bin(canonical(value, nested)) == pack_bin(canonical(default, nested))


def produced(config: bytes, producer: JobRef) -> bytes:
    """The digest of a description that the job `producer` gave out, from its own digest `config`."""
    return _hash([OUTPUT, config, bytes.fromhex(producer.id)])


def _hash(document: list[Any]) -> bytes:
    return sha256(VERSION + pack_bin(document)).digest()


MAX_INSTANCES = 10_000
"""The most places of `InstanceConfig` descriptions in one description."""


def _told_apart(config: Any, found: bytes, nested: Digest) -> bytes:
    """The digest of `config` with the places of its `InstanceConfig` descriptions, from the plain one `found`.

    Each place has the number of its description among the equal ones, in the order of their first places.
    """
    peers: dict[bytes, dict[int, int]] = {}
    numbers: list[int] = []
    for each in _instances(config, nested):
        known = peers.setdefault(nested(each), {})
        numbers.append(known.setdefault(id(each), len(known)))
    return _hash([INSTANCE, found, *numbers]) if any(numbers) else found


def _instances(config: Any, nested: Digest) -> tuple[Any, ...]:
    """The `InstanceConfig` descriptions below `config`, those of what is shared as often as it is used."""
    info = info_of(config)
    if info is not None and info.promise:
        return ()
    if info is not None and info.instances is not None:
        return info.instances
    used = _in_use(config, nested)
    names: list[str] = _document(used, nested)[2][::2]
    found: list[Any] = []
    for name in names:
        found.extend(_instances_in(used.__dict__[name], nested))
        if len(found) > MAX_INSTANCES:
            raise ConfigError(
                f"{config.__xpm_schema__.label}.{name}: more than {MAX_INSTANCES:,} places of InstanceConfig "
                "descriptions; have fewer configs use them, or derive them from Config"
            )
    for each in () if info is None else info.init:
        found.extend(_instances_in(each, nested))
    instances = tuple(found)
    if info is not None and info.sealed:
        info.instances = instances
    return instances


def _instances_in(value: Any, nested: Digest) -> Iterator[Any]:
    """Those in the value of one parameter, in the order of its canonical form."""
    if isinstance(value, Description):
        if isinstance(value, Submittable) or left_out(value):
            return
        if isinstance(_in_use(value, nested), Instanced):
            yield value
        yield from _instances(value, nested)
    elif isinstance(value, dict):
        pairs = cast("dict[Any, Any]", value).items()
        for _, each in sorted(pairs, key=lambda pair: pack_bin(canonical(pair[0], nested))):
            yield from _instances_in(each, nested)
    elif isinstance(value, (list, tuple)):
        for each in cast("list[Any]", value):
            yield from _instances_in(each, nested)
    elif isinstance(value, (set, frozenset)):
        for each in sorted(cast("set[Any]", value), key=lambda each: pack_bin(canonical(each, nested))):
            yield from _instances_in(each, nested)
