"""The kinds of values that parameters can have, and the functions that check them.

A check returns the value to store, which decides the identifier: an int given for a float becomes
that float, a numpy scalar becomes Python's, -0.0 becomes 0.0, and containers are copied.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from enum import Enum, IntEnum
from itertools import count
from pathlib import Path, PurePath
from types import FunctionType
from typing import Any, NamedTuple, cast

from xpm.core.functions import Function, function_of, why_local
from xpm.core.info import Described, Description
from xpm.core.jobpath import JobPath
from xpm.core.scalars import unwrapped

NAN = float("nan")
"""The one NaN that is stored."""

Check = Callable[[Any], Any]


class Mismatch(Exception):
    """A value doesn't fit; `where` is its place below the parameter, such as `[2]`."""

    def __init__(self, message: str, where: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.where = where

    def below(self, place: str) -> Mismatch:
        """The same, seen from the container that holds the value at `place`."""
        return Mismatch(self.message, place + self.where)


class Unsupported(Exception):
    """A type that no parameter can have; the message says why."""


class Holds(IntEnum):
    """What the values of a kind can be, or have in them; each also what the ones before say."""

    PLAIN = 0
    """None, bool, int, float, str."""
    FIXED = 1
    """Enums, functions, and tuples and frozensets."""
    CLOSED = 2
    """Lists, sets and dicts."""
    PATHS = 3
    CONFIGS = 4


class Kind(NamedTuple):
    """A type of parameters."""

    name: str
    """As messages say it: `list[int]`."""
    check: Check
    """Gives the value to store, or raises `Mismatch`."""
    form: type
    """The Python type of its values: in a union, the member whose form the value has goes first."""
    exact: bool = False
    """A value of exactly `form` needs no check."""
    holds: Holds = Holds.CONFIGS
    """What can be in its stored values at the most."""
    key: bool = False
    """Its values can be a dict's keys."""
    number: bool = False
    """Its values are numbers, or None: they can have limits."""

    @property
    def plain(self) -> bool:
        """Whether all its stored values are None, bool, int, float or str."""
        return self.holds is Holds.PLAIN


def shown(value: object) -> str:
    """`value` for a message, in at most 60 characters."""
    if isinstance(value, type):
        return f"the class {value.__name__}"
    if isinstance(value, Described) and not isinstance(value, Description):
        return f"a live {type(value).__name__}"
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _mismatch(name: str, value: object) -> Mismatch:
    return Mismatch(f"expected {name}, got {shown(value)}")


def _none(value: Any) -> None:
    if value is not None:
        raise _mismatch("None", value)


def _bool(value: Any) -> bool:
    value = unwrapped(value)
    if type(value) is not bool:
        raise _mismatch("bool", value)
    return value


def _int(value: Any) -> int:
    if type(value) is int:
        return value
    plain = unwrapped(value)
    if not isinstance(plain, int) or isinstance(plain, bool):
        raise _mismatch("int", value)
    return int(plain)


def _float(value: Any) -> float:
    if type(value) is not float:
        value = _as_float(value)
    # The sum turns -0.0 into 0.0; a NaN differs from itself.
    return value + 0.0 if value == value else NAN


def _as_float(value: Any) -> float:
    plain = unwrapped(value)
    if isinstance(plain, float):
        return float(plain)
    if not isinstance(plain, int) or isinstance(plain, bool):
        raise _mismatch("float", value)
    try:
        result = float(plain)
    except OverflowError:
        raise Mismatch("expected float, got an int beyond the range of floats") from None
    if result != plain:
        raise Mismatch(f"expected float, got the int {shown(plain)}, which no float holds exactly")
    return result


def _str(value: Any) -> str:
    if type(value) is str:
        return value
    if not isinstance(value, str):
        raise _mismatch("str", value)
    return str.__str__(value)


def path_of(cls: type[PurePath]) -> Kind:
    """Paths."""

    def check(value: Any) -> PurePath:
        if isinstance(value, PurePath):
            return value if isinstance(value, JobPath) and isinstance(value, cls) else cls(value)
        if not isinstance(value, str):
            raise _mismatch("Path", value)
        if not value:
            raise Mismatch("expected Path, got an empty string")
        return cls(str.__str__(value))

    return Kind("Path", check, type(Path()) if cls is Path else cls, holds=Holds.PATHS, key=True)


def _function(value: Any) -> Function:
    if isinstance(value, Function):
        return value
    if not callable(value) or isinstance(value, type):
        raise _mismatch("a function", value)
    reason = why_local(value)
    if reason is not None:
        raise Mismatch(f"expected a function that a worker can import, got {shown(value)}: {reason}")
    return function_of(value)


FUNCTION = Kind("function", _function, FunctionType, holds=Holds.FIXED)

_NONE = Kind("None", _none, type(None), exact=True, holds=Holds.PLAIN, key=True)
SCALARS: dict[Any, Kind] = {
    None: _NONE,
    type(None): _NONE,
    bool: Kind("bool", _bool, bool, exact=True, holds=Holds.PLAIN, key=True),
    int: Kind("int", _int, int, exact=True, holds=Holds.PLAIN, key=True, number=True),
    float: Kind("float", _float, float, holds=Holds.PLAIN, key=True, number=True),
    str: Kind("str", _str, str, exact=True, holds=Holds.PLAIN, key=True),
}


def enum_of(cls: type[Enum]) -> Kind:
    """Members of an enum."""
    members = cls.__members__

    def check(value: Any) -> Enum:
        if type(value) is not cls and not isinstance(value, cls):
            raise _mismatch(cls.__name__, value)
        if value.name not in members:
            raise Mismatch(f"expected one member of {cls.__name__}, got {shown(value)}")
        return value

    return Kind(cls.__name__, check, cls, holds=Holds.FIXED, key=True)


def literal_of(values: tuple[Any, ...]) -> Kind:
    """Some values."""
    name = f"Literal[{', '.join(map(repr, values))}]"
    allowed: dict[tuple[type[Any], Any], Any] = {(each.__class__, each): each for each in values}

    def check(value: Any) -> Any:
        plain = unwrapped(value)
        try:
            return allowed[type(plain), plain]
        except (KeyError, TypeError):  # TypeError: a value that cannot be hashed is none of them
            raise _mismatch(name, value) from None

    holds = Holds.FIXED if any(isinstance(each, Enum) for each in values) else Holds.PLAIN
    return Kind(name, check, type(values[0]), holds=holds, key=True)


def config_of(cls: type[Any]) -> Kind:
    """Descriptions of a class."""
    accepted: set[type] = set()

    def check(value: Any) -> Any:
        kind: type[Any] = value.__class__
        if kind in accepted:
            return value
        if isinstance(value, cls) and isinstance(value, Description):
            accepted.add(kind)
            return value
        if isinstance(value, cls) and isinstance(value, Described):
            description = value.__xpm_stand_in__()
            if description is not None:
                return description
        if value is cls or isinstance(value, cls):
            raise Mismatch(f"expected a description, got {shown(value)}; use {cls.__name__}.C(...)")
        if (kind.__module__, kind.__qualname__) == (cls.__module__, cls.__qualname__):
            raise Mismatch(
                f"expected {cls.__name__} as it was defined when this class was, got another {shown(value)}: "
                "run the cells again that use it, and describe it anew"
            )
        raise _mismatch(cls.__name__, value)

    return Kind(cls.__name__, check, cls)


def _exactly(of: Kind, elements: Iterable[Any]) -> bool:
    """Whether the elements need no check, by their types."""
    return of.exact and {of.form}.issuperset(map(type, elements))


def _members(container: Any, of: Kind, places: Callable[[], Iterable[object]]) -> list[Any]:
    """The checked elements; on a mismatch, with the place of the culprit, which `places` has in their order."""
    return list(container) if _exactly(of, container) else _checked(container, of.check, places)


def _checked(container: Any, checked: Check, places: Callable[[], Iterable[object]]) -> list[Any]:
    try:
        return [checked(each) for each in container]
    except Mismatch:
        for place, each in zip(places(), container, strict=False):
            try:
                checked(each)
            except Mismatch as wrong:
                raise wrong.below(f"[{place}]") from None
        raise


def list_of(of: Kind) -> Kind:
    """Lists."""
    name = f"list[{of.name}]"

    def check(value: Any) -> list[Any]:
        if not isinstance(value, list):
            raise _mismatch(name, value)
        return _members(cast("list[Any]", value), of, count)

    return Kind(name, check, list, holds=max(Holds.CLOSED, of.holds))


def tuple_of(of: tuple[Kind, ...]) -> Kind:
    """Tuples of so many."""
    name = f"tuple[{', '.join(kind.name for kind in of)}]"
    checks = tuple(kind.check for kind in of)

    def element(pair: tuple[Check, Any]) -> Any:
        return pair[0](pair[1])

    def check(value: Any) -> tuple[Any, ...]:
        if not isinstance(value, tuple):
            raise _mismatch(name, value)
        items = cast("tuple[Any, ...]", value)
        if len(items) != len(of):
            raise Mismatch(f"expected {name}, got {len(items)} values")
        return tuple(_checked(tuple(zip(checks, items, strict=True)), element, count))

    holds = max([Holds.FIXED, *(kind.holds for kind in of)])
    return Kind(name, check, tuple, holds=holds, key=all(kind.key for kind in of))


def row_of(of: Kind) -> Kind:
    """Tuples of any length."""
    name = f"tuple[{of.name}, ...]"

    def check(value: Any) -> tuple[Any, ...]:
        if not isinstance(value, tuple):
            raise _mismatch(name, value)
        return tuple(_members(cast("tuple[Any, ...]", value), of, count))

    return Kind(name, check, tuple, holds=max(Holds.FIXED, of.holds), key=of.key)


def set_of(of: Kind, form: type) -> Kind:
    """Sets, or frozensets."""
    name = f"{form.__name__}[{of.name}]"
    make: Callable[[list[Any]], Any] = form

    def check(value: Any) -> Any:
        if not isinstance(value, (set, frozenset) if form is frozenset else set):
            raise _mismatch(name, value)
        items = cast("set[Any]", value)
        return make(_members(items, of, lambda: map(shown, items)))

    holds = max(Holds.FIXED if form is frozenset else Holds.CLOSED, of.holds)
    return Kind(name, check, form, holds=holds, key=form is frozenset and of.key)


def dict_of(key: Kind, of: Kind) -> Kind:
    """Dicts."""
    name = f"dict[{key.name}, {of.name}]"
    if not key.key:
        raise Unsupported(
            f"{name}: a key must be a scalar, an enum, a path, or a tuple or frozenset of these"
        )

    def check(value: Any) -> dict[Any, Any]:
        if not isinstance(value, dict):
            raise _mismatch(name, value)
        items = cast("dict[Any, Any]", value)
        if _exactly(key, items) and _exactly(of, items.values()):
            return dict(items)

        def places() -> Iterable[object]:
            return map(shown, items)

        keys = _members(items, key, places)
        result = dict(zip(keys, _members(items.values(), of, places), strict=True))
        if len(result) != len(items):
            raise Mismatch(f"expected {name}, got two keys that are one as {key.name}")
        return result

    return Kind(name, check, dict, holds=max(Holds.CLOSED, key.holds, of.holds))


def union_of(of: tuple[Kind, ...], name: str = "") -> Kind:
    """What one of several kinds takes; `name` is what that is called, if not by them."""
    name = name or " | ".join(kind.name for kind in of)

    checks = {kind.form: kind.check for kind in reversed(of)}
    unlike = len(checks) == len(of) and object not in checks

    def check(value: Any) -> Any:
        if unlike and (known := checks.get(value.__class__)) is not None:
            return known(value)
        plain = unwrapped(value)
        exact = [kind for kind in of if type(plain) is kind.form]
        near = [kind for kind in of if kind not in exact and isinstance(plain, kind.form)]
        first: Mismatch | None = None
        for kind in (*exact, *near, *(kind for kind in of if kind not in exact and kind not in near)):
            try:
                return kind.check(plain)
            except Mismatch as wrong:
                first = first or (wrong if kind in exact else None)
        # With one member of the value's own type, its message is the more precise one.
        raise first if first is not None and len(exact) == 1 else _mismatch(name, value)

    return Kind(
        name,
        check,
        object,
        holds=max(kind.holds for kind in of),
        key=all(kind.key for kind in of),
        number=all(kind.number or kind is _NONE for kind in of),
    )


def _anything(value: Any) -> Any:
    plain = unwrapped(value)
    kind: type[Any] = plain.__class__
    if isinstance(plain, Enum):
        return enum_of(kind).check(plain)
    for each in (bool, int, float, str):
        if isinstance(plain, each):
            return SCALARS[each].check(plain)
    if plain is None or isinstance(plain, Function):
        return plain
    if isinstance(plain, PurePath):
        return path_of(PurePath if not isinstance(plain, Path) else Path).check(plain)
    if isinstance(plain, FunctionType):
        return FUNCTION.check(plain)
    if isinstance(plain, Described):
        return config_of(Described).check(plain)
    for each in (list, set, frozenset):
        if isinstance(plain, each):
            return (list_of(ANYTHING) if each is list else set_of(ANYTHING, each)).check(plain)
    if isinstance(plain, tuple):
        return row_of(ANYTHING).check(plain)
    if isinstance(plain, dict):
        return dict_of(ANYTHING, ANYTHING).check(plain)
    raise _mismatch("a value that a parameter can have", value)


ANYTHING = Kind("Any", _anything, object, key=True)
"""All values that some kind takes."""
