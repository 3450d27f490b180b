"""Composition: `Outer.C() @ Inner.C(x=1)` gives the outer description the inner one for the parameter that takes it."""

from __future__ import annotations

from typing import Any

from xpm.core.info import Described, Description, own_info
from xpm.core.kinds import Mismatch
from xpm.core.schema import Schema
from xpm.errors import ConfigError


def taker(outer: Any, inner: object) -> str:
    """The one parameter of the description `outer` that was not given yet and takes `inner`.

    Raises:
        ConfigError: there is none, or more than one; or `inner` is no description.
    """
    schema: Schema = outer.__xpm_schema__
    if not isinstance(inner, Description):
        kind = type(inner).__name__
        more = (
            f", got a live {kind}; use {kind}.C(...)" if isinstance(inner, Described) else f", got {inner!r}"
        )
        raise ConfigError(f"{schema.label} @: expected a description{more}")
    info = own_info(outer)
    given = {*info.given, *info.places}
    unset = [name for name in schema.checks if name not in given]
    takers = [name for name in unset if _takes(schema, name, inner)]
    label = f"{schema.label} @ {type(inner).__name__}"
    if not takers:
        names = f"not given yet: {', '.join(unset)}" if unset else "all are given"
        raise ConfigError(f"{label}: no parameter takes it ({names})")
    if len(takers) > 1:
        raise ConfigError(f"{label}: {' and '.join(takers)} take it; write {schema.label}.C({takers[0]}=...)")
    return takers[0]


def _takes(schema: Schema, name: str, value: object) -> bool:
    try:
        schema.checks[name](value)
    except Mismatch:
        return False
    return True
