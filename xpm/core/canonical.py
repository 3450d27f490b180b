"""The canonical form of values: what identifiers are computed over. Specified in docs/identifiers.md.

None, bool, int, float and str stand for themselves; all else is a list that begins with a `Mark`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from enum import Enum, IntEnum
from functools import cache
from itertools import chain
from pathlib import PurePath
from typing import Any

from xpm.core.frozen import FrozenDict, FrozenList, FrozenSet
from xpm.core.functions import Function
from xpm.core.info import Description, left_out
from xpm.core.naming import class_name
from xpm.core.pack import pack_bin
from xpm.core.scalars import PLAIN, all_plain

VERSION = b"\x01"
"""The first byte of everything that is hashed: the version of these rules."""


class Mark(IntEnum):
    """What a list in a canonical form is. A number once given is never used for anything else."""

    LIST = 1
    TUPLE = 2
    SET = 3
    DICT = 4
    ENUM = 5
    PATH = 6
    REFERENCE = 7
    CONFIG = 8
    INTEGER = 9
    BYTES = 10
    OUTPUT = 11
    INSTANCE = 12
    INIT_TASKS = 13
    PARTIAL = 14
    CYCLE = 15
    JOB_PATH = 16
    DATA = 17
    FUNCTION = 18
    RESULT = 19


LIST, TUPLE, SET, DICT, ENUM, PATH = 1, 2, 3, 4, 5, 6
REFERENCE, CONFIG, OUTPUT, INSTANCE, INIT_TASKS, PARTIAL, FUNCTION, RESULT = 7, 8, 11, 12, 13, 14, 18, 19

Digest = Callable[[Any], bytes]


def canonical(value: Any, digest: Digest) -> Any:
    """The canonical form of a stored value.

    Args:
        value: as a description holds it.
        digest: gives the 32 bytes of a nested description's identifier.
    """
    kind: type[Any] = value.__class__
    if kind in PLAIN:
        return value
    make = _FORMS.get(kind)
    if make is not None:
        return make(value, digest)
    if isinstance(value, Description):
        return [REFERENCE, digest(value)]
    if isinstance(value, Enum):
        return [ENUM, _enum_name(kind), value.name]
    if isinstance(value, PurePath):
        return [PATH, value.as_posix()]
    if kind is Function:
        return [FUNCTION, value.name]
    raise TypeError(f"{kind.__name__} has no canonical form")


@cache
def _enum_name(kind: type[Enum]) -> str:
    return class_name(kind)


def _list(value: list[Any], digest: Digest) -> list[Any]:
    return [LIST, *_elements(value, digest)]


def _tuple(value: tuple[Any, ...], digest: Digest) -> list[Any]:
    return [TUPLE, *_elements(value, digest)]


def _elements(value: Collection[Any], digest: Digest) -> Iterable[Any]:
    if all_plain(value):
        return value
    return (canonical(each, digest) for each in value if not left_out(each))


def _set(value: set[Any], digest: Digest) -> list[Any]:
    # Descriptions are in a set by what they are to Python, one each; equal ones count once.
    forms = {pack_bin(form): form for form in _elements(value, digest)}
    return [SET, *(forms[packed] for packed in sorted(forms))]


def _dict(value: dict[Any, Any], digest: Digest) -> list[Any]:
    if all_plain(value) and all_plain(value.values()):
        return [DICT, *chain.from_iterable(sorted(value.items(), key=_packed_key))]
    pairs = sorted(
        ((canonical(key, digest), each) for key, each in value.items() if not left_out(each)),
        key=_packed_key,
    )
    return [DICT, *(part for key, each in pairs for part in (key, canonical(each, digest)))]


def _packed_key(pair: tuple[Any, Any]) -> bytes:
    return pack_bin(pair[0])


_FORMS: dict[type, Callable[[Any, Digest], list[Any]]] = {
    list: _list,
    FrozenList: _list,
    tuple: _tuple,
    set: _set,
    FrozenSet: _set,
    frozenset: _set,
    dict: _dict,
    FrozenDict: _dict,
}
