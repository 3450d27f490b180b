"""What many descriptions can share: parts that are sealed in advance, and so can't change."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, cast

from xpm.core.canonical import PLAIN
from xpm.core.copying import carry, copy_of
from xpm.core.frozen import freeze
from xpm.core.info import HIDDEN, Description, Submittable, allocate, info_of, own_info
from xpm.core.schema import Schema
from xpm.core.sealing import seal, unseal
from xpm.errors import ConfigError, SubmissionError


def settle(value: Any) -> bool:
    """Seals the configs in `value`; False if they can't be shared.

    That is so when they have paths in the directory of their job, or when something in them is missing.
    Tasks, and what they have given out, are shared always.
    """
    if isinstance(value, Submittable):
        return True
    if isinstance(value, Description):
        return _settle(value)
    if not isinstance(value, (list, tuple, set, frozenset, dict)):
        return True
    items = cast("Iterable[Any]", value.values() if isinstance(value, dict) else value)
    settled = True
    for each in items:
        settled &= settle(each)
    return settled


def _settle(config: Any) -> bool:
    info = own_info(config)
    if info.sealed or info.producer is not None:
        return info.producer is not None or not info.generates
    try:
        sealing = seal(config)
    except (ConfigError, SubmissionError):
        return False
    # Whoever has it as a parameter looks for paths only in what isn't sealed yet.
    if info.generates or (sealing is not None and sealing.paths):
        unseal(config, sealing)
        return False
    return True


def settle_parts(config: Any) -> bool:
    """Settles all that is in the description `config`, not itself."""
    values = config.__dict__
    settled = True
    schema: Schema = config.__xpm_schema__
    for name in schema.closed:
        if name in values:
            values[name] = freeze(values[name])
    for name in schema.open:
        value = values.get(name)
        if type(value) not in PLAIN:
            settled &= settle(value)
            values[name] = freeze(value)
    return settled


def fresh(config: Any) -> Any:
    """A copy of the description `config` that has the same parts."""
    info = info_of(config)
    if info is not None and info.producer is not None:
        return copy_of(config)
    copy = allocate(config.__class__)
    values = copy.__dict__
    values.update(config.__dict__)
    if info is not None:
        del values[HIDDEN]
        carry(info, copy)
    return copy
