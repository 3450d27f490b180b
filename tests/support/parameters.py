"""Types of parameters, values of them as plain data, and values that are nearly the same.

A value is what `meanings` compares; `twins` makes descriptions of it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from draws import Draws, odd, pick
from meanings import LEFT_OUT, NOTHING, Called, Made, Many, Member, Output, Route, Table, meaning

if TYPE_CHECKING:
    from twins import Realizer

NUMBERS = [0, 1, 2, -1, 3, 2**53, 2**63 - 1, 2**63, 2**64 - 1, 2**64, -(2**63), -(2**63) - 1, 2**70]
REALS = [
    0.0,
    1.0,
    2.0,
    -1.0,
    0.1,
    float("nan"),
    float("inf"),
    float("-inf"),
    5e-324,
    2.0**53,
    2.0**63,
    2.0**70,
]
TEXTS = ["", "a", "b", "ab", "c", "bc", "1", "1.0", "True", "None", "a\0b", "é", "e\u0301", "\udcff", "\ud83d\ude00", "😀"]  # fmt: skip
PARTS = ["a", "b", "ab", "..", "é", "\udcff", "a b"]

ENUMS = {
    "Kind": ("Enum", {"RED": "1", "SCARLET": "1", "BLUE": "2"}),
    "Level": ("IntEnum", {"LOW": "1", "HIGH": "2"}),
    "Word": ("StrEnum", {"A": "'a'", "ONE": "'1'"}),
}
"""The enums of each family: their bases and members."""

ALIASES = {"SCARLET": "RED"}
FUNCTIONS = ("called", "other")


@dataclass(frozen=True)
class Field:
    """A parameter of a generated class."""

    name: str
    role: str
    type: Type
    default: Any = NOTHING
    factory: bool = False
    ignore: bool = False


@dataclass(eq=False)
class Class:
    """A generated class."""

    name: str
    base: str
    """`Config`, `Task`, ... or another generated class."""
    own: tuple[Field, ...]
    known_as: str
    """Its name in identifiers."""
    parent: Class | None = None
    gives: Class | None = None
    """Of what class its output is."""
    giver: Class | None = None
    """The task that gives out one of these."""
    loads: list[Class] = field(default_factory=list)
    """The init tasks that it can have."""
    kin: list[Class] = field(default_factory=list)
    """Those that are accepted where this one is, itself first."""

    def __post_init__(self) -> None:
        self.fields: tuple[Field, ...] = (
            *(each for each in (self.parent.fields if self.parent else ()) if each.name not in self.names),
            *self.own,
        )
        root = self
        while root.parent is not None:
            root = root.parent
            root.kin.append(self)
        self.kin.insert(0, self)
        self.task = root.base == "Task"
        self.instanced = root.base == "InstanceConfig"
        self.initial = root.base == "LightweightTask"

    @property
    def names(self) -> set[str]:
        return {each.name for each in self.own}

    def __repr__(self) -> str:
        return self.name

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        printer.text(self.name)


class Values:
    """Draws values; some descriptions are used again, or made again."""

    def __init__(self, d: Draws) -> None:
        self.d = d
        self.pool: dict[Class, list[Made]] = {}

    def made(self, of: Class, depth: int = 0) -> Made:
        """A description of `of` or of a class derived from it."""
        d = self.d
        known = self.pool.setdefault(of, [])
        if known and odd(d, 3):
            found = pick(d, known)
            return again(found) if odd(d) else found
        kind = pick(d, of.kin) if odd(d, 3) else of
        values: dict[str, Any] = {}
        for each in kind.fields:
            self.given(each, values)
        found = Made(kind, values, counts=odd(d, 8))
        if kind.task and odd(d, 4):
            found.init = self.init(kind)
        known.append(found)
        return found

    def given(self, each: Field, values: dict[str, Any]) -> None:
        """Puts a value for the parameter into `values`, if there is to be one."""
        d = self.d
        holds = config_of(each.type)
        if each.role == "Meta":
            if holds is not None and odd(d, 3):
                values[each.name] = counted(self.made(holds))
        elif each.role == "Param":
            if holds is not None and odd(d, 10):
                values[each.name] = LEFT_OUT
            elif each.default is not NOTHING and odd(d):
                values[each.name] = each.default
            else:
                values[each.name] = each.type.draw(self)

    def init(self, task: Class) -> tuple[Made, ...]:
        """Init tasks for a task."""
        return tuple(plainly(self.made(pick(self.d, task.loads))) for _ in range(1 + self.d.below(2)))


def again(made: Made, **changes: Any) -> Made:
    """Another description like `made`."""
    return Made(made.of, {**made.values, **changes}, made.counts, made.init)


def counted(made: Made) -> Made:
    """One like `made` that was set to count; of an `InstanceConfig`, another one."""
    return made if made.counts else Made(made.of, made.values, True, made.init)


def plainly(made: Made) -> Made:
    return Made(made.of, made.values, False, made.init) if made.counts else made


class Type(ABC):
    """A type of parameters."""

    text = ""
    """As an annotation has it."""
    form = ""
    """What tells it from the other members of a union."""
    hashable = True
    key = True

    @abstractmethod
    def draw(self, v: Values) -> Any:
        """A value."""

    @abstractmethod
    def holds(self, value: Any) -> bool:
        """Whether it has the value."""

    def near(self, v: Values, value: Any) -> Any:
        """A value that is much like `value`, and may be it."""
        return self.draw(v)

    @abstractmethod
    def make(self, r: Realizer, value: Any, others: frozenset[str]) -> Any:
        """The value for Python, in one of its ways; `others` are forms that would take it for something else."""

    def parts(self) -> Iterator[Type]:
        """It and the types in it."""
        yield self


class Scalar(Type):
    """None, bool, int, float or str."""

    def __init__(self, text: str) -> None:
        self.text = self.form = text

    def draw(self, v: Values) -> Any:
        d = v.d
        if self.form == "None":
            return None
        if self.form == "bool":
            return bool(d.below(2))
        if self.form == "int":
            return d.number() if odd(d, 6) else pick(d, NUMBERS)
        if self.form == "float":
            return (d.real() if odd(d, 6) else pick(d, REALS)) + 0.0
        return d.text() if odd(d, 6) else pick(d, TEXTS)

    def holds(self, value: Any) -> bool:
        return type(value).__name__ == ("NoneType" if self.form == "None" else self.form)

    def near(self, v: Values, value: Any) -> Any:
        d = v.d
        if self.form == "bool":
            return not value
        if self.form == "int":
            return pick(d, [value + 1, value - 1, -value, value ^ (1 << 32), value * 256])
        if self.form == "float":
            return pick(d, [value + 1.0, -value + 0.0, value / 2 + 0.0, value * (1 + 2**-52), self.draw(v)])
        if self.form == "str":
            return pick(
                d, [value + "a", value[1:], value[::-1], value + "\0", value.swapcase(), self.draw(v)]
            )
        return value

    def make(self, r: Realizer, value: Any, others: frozenset[str]) -> Any:
        return r.scalar(value, others) if odd(r.d, 3) else value


class Choice(Type):
    """`Literal[...]`."""

    def __init__(self, among: Sequence[Any]) -> None:
        self.among = among
        self.text = f"Literal[{', '.join(map(repr, among))}]"
        self.form = "literal"

    def draw(self, v: Values) -> Any:
        return pick(v.d, self.among)

    def holds(self, value: Any) -> bool:
        return any(type(value) is type(each) and value == each for each in self.among)

    def make(self, r: Realizer, value: Any, others: frozenset[str]) -> Any:
        return r.scalar(value, frozenset({"Level", "Word"})) if odd(r.d, 3) else value


class OneOf(Type):
    """An enum."""

    def __init__(self, name: str, known_as: str) -> None:
        self.text = self.form = name
        self.known_as = known_as
        self.members = [each for each in ENUMS[name][1] if each not in ALIASES]

    def draw(self, v: Values) -> Any:
        return Member(self.known_as, pick(v.d, self.members))

    def holds(self, value: Any) -> bool:
        return type(value) is Member and value.enum == self.known_as and value.name in self.members

    def make(self, r: Realizer, value: Any, others: frozenset[str]) -> Any:
        names = [value.name, *(alias for alias, name in ALIASES.items() if name == value.name)]
        return r.names[self.text][pick(r.d, names) if self.text == "Kind" else value.name]


class Paths(Type):
    """`Path`."""

    text = form = "Path"

    def draw(self, v: Values) -> Any:
        return Route(odd(v.d), tuple(pick(v.d, PARTS) for _ in range(v.d.below(3))))

    def holds(self, value: Any) -> bool:
        return type(value) is Route

    def near(self, v: Values, value: Any) -> Any:
        parts = value.parts
        return pick(
            v.d,
            [
                Route(not value.absolute, parts),
                Route(value.absolute, (*parts, "a")),
                Route(value.absolute, parts[::-1]),
                Route(value.absolute, ("".join(parts) or "a",)),
            ],
        )

    def make(self, r: Realizer, value: Any, others: frozenset[str]) -> Any:
        return r.path(value, as_text="str" not in others)


class Functions(Type):
    """A function."""

    text = form = "FunctionType"
    hashable = key = False

    def __init__(self, module: str) -> None:
        self.module = module

    def draw(self, v: Values) -> Any:
        return Called(f"{self.module}.{pick(v.d, FUNCTIONS)}")

    def holds(self, value: Any) -> bool:
        return type(value) is Called

    def make(self, r: Realizer, value: Any, others: frozenset[str]) -> Any:
        return r.names[value.name.rpartition(".")[2]]


INSIDE = frozenset({"hashed"})
"""Of `others`, what holds for the elements, too: a set in a set is a frozenset."""


class Container(Type):
    """`list[T]`, `tuple[T, ...]`, `set[T]`, `frozenset[T]`."""

    def __init__(self, form: str, of: Type) -> None:
        self.form, self.of = form, of
        self.text = f"{form}[{of.text}, ...]" if form == "tuple" else f"{form}[{of.text}]"
        self.hashable = form in ("tuple", "frozenset") and of.hashable
        self.key = self.hashable and of.key

    def many(self, items: Sequence[Any]) -> Many:
        """One of its values."""
        return many(self.form, items)

    def draw(self, v: Values) -> Any:
        return self.many([self.of.draw(v) for _ in range(v.d.below(4))])

    def holds(self, value: Any) -> bool:
        return type(value) is Many and value.form == self.form and all(map(self.of.holds, value.items))

    def near(self, v: Values, value: Any) -> Any:
        d, items = v.d, list(value.items)
        way = d.below(8)
        at = d.below(len(items)) if items else 0
        if way == 7 and len(items) > 1:
            # A part of an element goes to its neighbour.
            at = max(at, 1)
            found = _moved(items[at - 1], items[at])
            if all(map(self.of.holds, found)):
                items[at - 1 : at + 1] = found
        elif way == 6 and items and type(items[at]) is Many and all(map(self.of.holds, items[at].items)):
            items[at : at + 1] = items[at].items
        elif way == 5 and len(items) > 1 and self.of.holds(found := Many("tuple", tuple(items[at:]))):
            items[at:] = [found]
        elif way == 4 and len(items) > 1:
            items[0], items[-1] = items[-1], items[0]
        elif way == 3 or not items:
            items.insert(at, self.of.draw(v))
        elif way == 2:
            del items[at]
        elif way == 1:
            items.append(items[at])
        else:
            items[at] = self.of.near(v, items[at])
        return self.many(items)

    def make(self, r: Realizer, value: Any, others: frozenset[str]) -> Any:
        return r.container(self, value, others)

    def parts(self) -> Iterator[Type]:
        yield self
        yield from self.of.parts()


class Fixed(Type):
    """`tuple[A, B]`."""

    form = "tuple"

    def __init__(self, of: Sequence[Type]) -> None:
        self.of = of
        self.text = f"tuple[{', '.join(each.text for each in of)}]"
        self.hashable = all(each.hashable for each in of)
        self.key = all(each.key for each in of)

    def draw(self, v: Values) -> Any:
        return Many("tuple", tuple(each.draw(v) for each in self.of))

    def holds(self, value: Any) -> bool:
        return (
            type(value) is Many
            and value.form == "tuple"
            and len(value.items) == len(self.of)
            and all(one.holds(each) for one, each in zip(self.of, value.items, strict=True))
        )

    def near(self, v: Values, value: Any) -> Any:
        d, items = v.d, list(value.items)
        at = d.below(len(items))
        turned = Many("tuple", tuple(items[::-1]))
        if odd(d, 3) and self.holds(turned):
            return turned
        items[at] = self.of[at].near(v, items[at])
        return Many("tuple", tuple(items))

    def make(self, r: Realizer, value: Any, others: frozenset[str]) -> Any:
        inside = others & INSIDE
        return tuple(of.make(r, each, inside) for of, each in zip(self.of, value.items, strict=True))

    def parts(self) -> Iterator[Type]:
        yield self
        for each in self.of:
            yield from each.parts()


class Dict(Type):
    """`dict[K, V]`."""

    form = "dict"
    hashable = key = False

    def __init__(self, by: Type, of: Type) -> None:
        self.by, self.of = by, of
        self.text = f"dict[{by.text}, {of.text}]"

    def table(self, pairs: Sequence[tuple[Any, Any]]) -> Table:
        return Table(tuple({_python(key): (key, each) for key, each in pairs}.values()))

    def draw(self, v: Values) -> Any:
        return self.table([(self.by.draw(v), self.of.draw(v)) for _ in range(v.d.below(4))])

    def holds(self, value: Any) -> bool:
        return type(value) is Table and all(
            self.by.holds(key) and self.of.holds(each) for key, each in value.pairs
        )

    def near(self, v: Values, value: Any) -> Any:
        d, pairs = v.d, list(value.pairs)
        way = d.below(6)
        if way == 5 or not pairs:
            return self.table([*pairs, (self.by.draw(v), self.of.draw(v))])
        at = d.below(len(pairs))
        key, each = pairs[at]
        if way == 4:
            del pairs[at]
        elif way == 3 and self.by.holds(each) and self.of.holds(key):
            pairs[at] = (each, key)
        elif way == 2 and len(pairs) > 1:
            other = pairs[at - 1]
            pairs[at], pairs[at - 1] = (key, other[1]), (other[0], each)
        elif way == 1:
            pairs[at] = (self.by.near(v, key), each)
        else:
            pairs[at] = (key, self.of.near(v, each))
        return self.table(pairs)

    def make(self, r: Realizer, value: Any, others: frozenset[str]) -> Any:
        return r.table(self, value, others)

    def parts(self) -> Iterator[Type]:
        yield self
        yield from self.by.parts()
        yield from self.of.parts()


class Union(Type):
    """`A | B`, whose members' values are of different types."""

    form = "union"

    def __init__(self, of: Sequence[Type]) -> None:
        self.of = of
        self.text = " | ".join(each.text for each in of)
        self.hashable = all(each.hashable for each in of)
        self.key = all(each.key for each in of)
        self.forms = frozenset(each.form for each in of)

    def member(self, value: Any) -> Type:
        """The first member that has the value."""
        return next(each for each in self.of if each.holds(value))

    def draw(self, v: Values) -> Any:
        return pick(v.d, self.of).draw(v)

    def holds(self, value: Any) -> bool:
        return any(each.holds(value) for each in self.of)

    def near(self, v: Values, value: Any) -> Any:
        found = [each for each in _crossed(value) if self.holds(each)]
        if found and odd(v.d):
            return pick(v.d, found)
        return self.draw(v) if odd(v.d, 4) else self.member(value).near(v, value)

    def make(self, r: Realizer, value: Any, others: frozenset[str]) -> Any:
        member = self.member(value)
        return member.make(r, value, (others & INSIDE) | (self.forms - {member.form}))

    def parts(self) -> Iterator[Type]:
        yield self
        for each in self.of:
            yield from each.parts()


def _crossed(value: Any) -> Iterator[Any]:
    """Values of other types that look like `value`."""
    if value is None:
        yield from ("None", "", 0, False, Many("list", ()))
    elif isinstance(value, bool | int | float):
        yield from (str(value), float(value) if abs(value) < 2**60 else 0.0, Many("list", (value,)))
        if value in (0, 1):
            yield from (bool(value), int(value))
        elif value == value and abs(value) < 2**60:
            yield int(value)
    elif isinstance(value, str):
        yield from (Many("list", (value,)), Many("list", tuple(value)), None)
        if value.isdigit() and value.isascii():
            yield int(value)
        if value in PARTS:
            yield Route(False, (value,))
    elif type(value) is Route:
        yield "/".join(value.parts)
    elif type(value) is Member:
        yield from (value.name, *(Member(value.enum, each) for each in ("LOW", "HIGH", "A", "ONE")))
    elif type(value) is Many:
        yield from (
            many(form, value.items) for form in ("list", "tuple", "set", "frozenset") if form != value.form
        )
        yield from value.items[:1]
        for at, each in enumerate(value.items):
            for other in _crossed(each):
                yield many(value.form, (*value.items[:at], other, *value.items[at + 1 :]))


class Configs(Type):
    """A generated class."""

    form = "config"
    key = False

    def __init__(self, of: Class) -> None:
        self.of = of
        self.text = of.name

    def draw(self, v: Values) -> Any:
        giver = self.of.giver
        if giver is not None and odd(v.d):
            return Output(v.made(giver))
        return v.made(self.of)

    def holds(self, value: Any) -> bool:
        if type(value) is Output:
            return value.task.of.gives is self.of
        return type(value) is Made and value.of in self.of.kin

    def near(self, v: Values, value: Any) -> Any:
        if type(value) is Output:
            # The same config, but that no task has given out.
            alike = Made(self.of, {"n": value.task.values["n"]})
            return alike if odd(v.d) else Output(near(v, value.task))
        if odd(v.d, 4):
            # Another one that is equal, or one that is there already.
            known = [each for kin in self.of.kin for each in v.pool.get(kin, ())]
            return pick(v.d, known) if known and odd(v.d) else again(value)
        return near(v, value)

    def make(self, r: Realizer, value: Any, others: frozenset[str]) -> Any:
        return r.output(value) if type(value) is Output else r.config(value)


def config_of(kind: Type) -> Class | None:
    """The class whose descriptions a parameter of that type holds directly."""
    if isinstance(kind, Union):
        return next((found for each in kind.of if (found := config_of(each)) is not None), None)
    return kind.of if isinstance(kind, Configs) else None


def near(v: Values, made: Made) -> Made:
    """A description that is much like `made`, and may be like it."""
    d, fields = v.d, [each for each in made.of.fields if each.role != "Constant"]
    way = d.below(8)
    if way == 7 and len(made.of.kin) + (made.of.parent is not None) > 1:
        return _of_another_class(v, made)
    if way == 6 and made.of.task and made.of.loads:
        init = list(made.init)
        found = pick(d, [init[::-1], init[1:], [*init, *v.init(made.of)], [*init, *init[:1]]])
        return Made(made.of, made.values, made.counts, tuple(found))
    if way == 5:
        made = _with_moved(v, made)
    if not fields:
        return made
    values = dict(made.values)
    if way == 4:
        crossed = [
            (each.name, other)
            for each in fields
            if isinstance(each.type, Union) and each.name in values
            for other in _crossed(values[each.name])
            if each.type.holds(other)
        ]
        if crossed:
            values.update([pick(d, crossed)])
            return Made(made.of, values, made.counts, made.init)
    each = pick(d, fields)
    holds = config_of(each.type)
    if each.role == "Meta":
        if holds is not None:
            if each.name in values and odd(d):
                del values[each.name]
            else:
                values[each.name] = counted(v.made(holds))
    elif values[each.name] is LEFT_OUT:
        values[each.name] = each.type.draw(v)
    elif holds is not None and odd(d, 8):
        values[each.name] = LEFT_OUT
    else:
        values[each.name] = each.type.near(v, values[each.name])
    return Made(made.of, values, made.counts, made.init)


def _of_another_class(v: Values, made: Made) -> Made:
    kin = [each for each in (*made.of.kin, made.of.parent) if each is not None and each is not made.of]
    of = pick(v.d, kin)
    names = {each.name for each in made.of.fields}
    values = {name: each for name, each in made.values.items() if any(name == one.name for one in of.fields)}
    for each in of.fields:
        if each.name not in names:
            v.given(each, values)
    return Made(of, values, made.counts, made.init)


def _with_moved(v: Values, made: Made) -> Made:
    """With what two parameters of one type have exchanged, or a part of it."""
    fields = [
        each for each in made.of.fields if each.role == "Param" and made.values[each.name] is not LEFT_OUT
    ]
    pairs = [
        (one, two) for one in fields for two in fields if one is not two and one.type.text == two.type.text
    ]
    if not pairs:
        return made
    one, two = pick(v.d, pairs)
    left, right = made.values[one.name], made.values[two.name]
    moved = _moved(left, right) if odd(v.d) else (right, left)
    if len(moved) < 2 or not (one.type.holds(moved[0]) and two.type.holds(moved[1])):
        return made
    return again(made, **{one.name: moved[0], two.name: moved[1]})


def _moved(left: Any, right: Any) -> tuple[Any, ...]:
    """The two, with the end of the first at the beginning of the second; one in the other; or the other way round."""
    if isinstance(left, str) and isinstance(right, str):
        return left[:-1], left[-1:] + right
    if (
        type(left) is Many
        and type(right) is Many
        and left.form == right.form
        and left.form in ("list", "tuple")
    ):
        return Many(left.form, left.items[:-1]), Many(left.form, (*left.items[-1:], *right.items))
    if type(left) is Many and left.form in ("list", "tuple"):
        return (Many(left.form, (*left.items, right)),)
    return right, left


def many(form: str, items: Sequence[Any]) -> Many:
    """Of sets, the elements that differ: Python has 1 and 1.0 there only once."""
    if form in ("set", "frozenset"):
        items = list({_python(each): each for each in items}.values())
    return Many(form, tuple(items))


def _python(value: Any) -> Any:
    """What is one where Python has one key or one element; of equal descriptions, one counts."""
    kind = type(value)
    if kind in (bool, int, float):
        return "nan" if value != value else ("number", value)
    if kind is Member and value.enum.endswith("Level"):
        return ("number", 1 if value.name == "LOW" else 2)
    if kind is Member and value.enum.endswith("Word"):
        return ("str", "a" if value.name == "A" else "1")
    if kind is Many:
        found = list(map(_python, value.items))
        return (value.form, frozenset(found) if value.form == "frozenset" else tuple(found))
    return meaning(value)
