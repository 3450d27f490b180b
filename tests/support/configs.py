"""Generated config classes, and strategies for descriptions of them.

A `Family` is a module of classes, written as a text and executed, with all kinds of parameters.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Iterator, Sequence
from random import Random
from types import ModuleType
from typing import Any

from draws import Drawn, Draws, Plain, Seeded, odd, pick, shuffled
from hypothesis import strategies as st
from meanings import NOTHING, Made, Output, inside
from parameters import (
    ENUMS,
    FUNCTIONS,
    Choice,
    Class,
    Configs,
    Container,
    Dict,
    Field,
    Fixed,
    Functions,
    OneOf,
    Paths,
    Scalar,
    Type,
    Union,
    Values,
    config_of,
    plainly,
)  # fmt: skip
from twins import TWINS, Realizer

from xpm.core.schema import schema_of


class Family:
    """A module of generated classes, and the same moved to another one.

    The moved classes have the names of the first ones in identifiers, their parameters in another order, and some
    more that don't count.

    Args:
        seed: what it is made of.
        load: make the modules, too.
    """

    def __init__(self, seed: int, *, load: bool = True) -> None:
        self.name = f"xpm_generated_{seed}"
        self.d: Draws = Seeded(Random(seed))
        self.classes: list[Class] = []
        self.config: dict[str, Class] = {}
        self._invent()
        self.modules: list[ModuleType] = []
        for moved in (False, True) if load else ():
            self.modules.append(self._module(moved))

    def names(self, d: Draws) -> dict[str, Any]:
        """The classes and functions of one of the modules."""
        return vars(pick(d, self.modules))

    def default(self, of: str, field: str, names: dict[str, Any]) -> Any:
        """The default of a class's parameter, made of the classes and functions in `names`."""
        found = next(each for each in self.config[of].own if each.name == field)
        return found.type.make(Realizer(names, Plain()), found.default, frozenset())

    def close(self) -> None:
        """Forgets the modules."""
        for each in self.modules:
            sys.modules.pop(each.__name__, None)

    def _invent(self) -> None:
        d = self.d
        leaf = self._class("Leaf", "Config", 1 + d.below(3))
        if odd(d):
            self._class("Older", "Leaf", d.below(2), parent=leaf)
        self._class("Same", "Leaf", 0, parent=leaf)
        self._class("Part", "InstanceConfig", d.below(3))
        if odd(d, 3):
            self._class("Other", "Part", 0, parent=self.config["Part"])
        self._class("Mid", "Config", 1 + d.below(3), least=("Part",))
        self._class("Load", "LightweightTask", 1 + d.below(2), least=("Part",))
        self._class("Source", "Task", 1 + d.below(2))
        out = self._add(Class("Out", "Config", (Field("n", "Param", Scalar("int")),), f"{self.name}.Out"))
        giver = self._class("Giver", "Task", d.below(2), first=Field("n", "Param", Scalar("int")), gives=out)
        out.giver = giver
        self._class("Root", "Config", d.below(4), least=("Mid", "Part"), wide=True)
        job = self._class("Job", "Task", d.below(4), least=("Part", "Source", "Out"), wide=True)
        # Its version has changed, its name hasn't.
        for of in (leaf, job):
            fields = (Field("version", "Constant", Scalar("str"), pick(d, ["2", "a"])),)
            self._add(Class(f"{of.name}New", of.name, fields, of.known_as, parent=of))

    def _add(self, made: Class) -> Class:
        made.loads = [each for each in self.classes if each.initial]
        self.classes.append(made)
        self.config[made.name] = made
        return made

    def _class(
        self,
        name: str,
        base: str,
        size: int,
        parent: Class | None = None,
        least: Sequence[str] = (),
        wide: bool = False,
        first: Field | None = None,
        gives: Class | None = None,
    ) -> Class:
        d = self.d
        letters = "wxyz" if parent else "abcdefghijkl"
        fields = [first] if first else []
        kinds = [self._of(self.config[each]) for each in least]
        if wide:
            kinds += [self._anything(), Container("list", Scalar("str"))]
            if base == "Task":
                kinds.append(Container("list", Configs(self.config["Part"])))
        kinds += [self._type(2) for _ in range(size)]
        if kinds and odd(d):
            kinds.append(pick(d, kinds))  # two of one type
        names = iter(letters)
        fields += [self._field(next(names), kind) for kind in kinds]
        if parent is None and odd(d, 3):
            fields.append(Field("version", "Constant", Scalar("str"), "1"))
        if parent is not None and parent.own and odd(d):
            changed = pick(d, parent.own)  # an inherited one, with a default of its own
            if changed.role == "Param" and config_of(changed.type) is None:
                fields.append(self._with_default(changed))
        made = Class(name, base, tuple(fields), f"{self.name}.{name}", parent=parent, gives=gives)
        return self._add(made)

    def _of(self, of: Class) -> Type:
        return Union([Configs(of), Scalar("None")]) if odd(self.d, 4) else Configs(of)

    def _field(self, name: str, kind: Type) -> Field:
        d = self.d
        if odd(d, 5):
            found = Field(name, "Meta", kind)
        elif odd(d, 8) and isinstance(kind, Scalar):
            return Field(name, "Constant", kind, kind.draw(Values(d)))
        else:
            found = Field(name, "Param", kind)
        return self._with_default(found) if odd(d) else found

    def _with_default(self, of: Field) -> Field:
        d = self.d
        for _ in range(3):
            value = of.type.draw(Values(d))
            if type(value) is Made:
                value = plainly(value)
            apart = [
                each
                for each in inside(value)
                if type(each) is Output or (type(each) is Made and (each.of.task or each.of.instanced))
            ]
            # A default is made anew for each description: there would be no telling which one it is.
            if not apart:
                ignore = of.role == "Param" and odd(d)
                return Field(of.name, of.role, of.type, value, factory=odd(d), ignore=ignore)
        return Field(of.name, of.role, of.type)

    def _type(self, depth: int) -> Type:
        d = self.d
        way = d.below(10 if depth else 4)
        if way < 4:
            return self._simple()
        if way == 4:
            return Container("list", self._type(depth - 1))
        if way == 5:
            return Container(pick(d, ["tuple", "set", "frozenset"]), self._hashable(depth - 1))
        if way == 6:
            return self._union(depth)
        if way == 7:
            return Dict(self._key(), self._type(depth - 1))
        if way == 8:
            return Fixed([self._type(depth - 1) for _ in range(1 + d.below(3))])
        return self._config()

    def _simple(self) -> Type:
        d = self.d
        way = d.below(10)
        if way < 5:
            return Scalar(pick(d, ["int", "float", "str", "bool"]))
        if way == 5:
            return Paths()
        if way == 6:
            return self._enum()
        if way == 7:
            return Choice(pick(d, [["a", 1, True], ["a", "b"], [0, False, "", None], [1, 2, "1"]]))
        if way == 8:
            return Functions(self.name)
        return Union([Scalar(each) for each in ("bool", "int", "float", "str", "None")])

    def _enum(self) -> Type:
        name = pick(self.d, list(ENUMS))
        return OneOf(name, f"{self.name}.{name}")

    def _config(self) -> Type:
        among = [each for each in self.classes if not each.initial and each.parent is None]
        return self._of(pick(self.d, among)) if among else self._simple()

    def _union(self, depth: int) -> Type:
        d = self.d
        makers = [
            lambda: [Scalar(pick(d, ["int", "float", "str", "bool"]))],
            lambda: [Scalar("int"), Scalar("float"), Scalar("str"), Scalar("bool")],
            lambda: [Scalar("None")],
            lambda: [Container("list", self._type(depth - 1))],
            lambda: [
                Container(form, of)
                for of in [self._hashable(depth - 1)]
                for form in ("list", "tuple", "set", "frozenset")
            ],
            lambda: [Dict(self._key(), self._type(depth - 1))],
            lambda: [Paths()],
            lambda: [self._enum()],
            lambda: [each for each in [self._config()] if isinstance(each, Configs)],
        ]
        found: dict[str, Type] = {}
        for _ in range(3):
            for each in pick(d, makers)():
                found.setdefault(each.form, each)
        return Union(list(found.values())) if len(found) > 1 else Union([Scalar("int"), Scalar("None")])

    def _anything(self) -> Type:
        """What has nearly all values, so that there are many near misses of one."""
        scalars = [Scalar(each) for each in ("bool", "int", "float", "str", "None")]
        within = Union([*scalars, Container("tuple", Union(scalars))])
        some = [Container(form, within) for form in ("list", "tuple", "set", "frozenset")]
        return Union([*scalars, *some, Dict(within, within), Paths(), self._enum()])

    def _hashable(self, depth: int) -> Type:
        while True:
            found = self._type(depth)
            if found.hashable and not _instanced(found):
                return found

    def _key(self) -> Type:
        d = self.d
        way = d.below(6)
        if way == 4:
            return Fixed([self._key(), self._key()])
        if way == 5:
            return Container(pick(d, ["frozenset", "tuple"]), self._key())
        found = self._simple()
        return found if found.key else Scalar("str")

    def text(self, moved: bool, execute: str = "...", more: Sequence[str] = ()) -> str:
        """The module.

        Args:
            moved: the other one.
            execute: what tasks do.
            more: further parameters of tasks.
        """
        lines = ["from __future__ import annotations"] * moved
        lines += [
            "from enum import Enum, IntEnum, StrEnum",
            "from pathlib import Path",
            "from types import FunctionType",
            "from typing import Literal",
            "from xpm import Config, Constant, InstanceConfig, LightweightTask, Meta, Param, PathGenerator, Task",
            "from xpm import deprecate, field",
        ]
        for name, (base, members) in ENUMS.items():
            lines += [f"class {name}({base}):"]
            lines += [f"    __xpmid__ = '{self.name}.{name}'"] * moved
            lines += [f"    {member} = {value}" for member, value in members.items()]
        for name in FUNCTIONS:
            lines += [f"def {name}() -> None: ..."]
            lines += [f"{name}.__xpmid__ = '{self.name}.{name}'"] * moved
        for each in self.classes:
            lines += self._body(each, moved)
            if each.task and each.parent is None:
                lines += [f"    {line}" for line in (*more, f"def execute(self): {execute}")]
            lines += self._twins(each)
        return "\n".join(lines) + "\n"

    def _body(self, of: Class, moved: bool) -> Iterator[str]:
        yield f"class {of.name}({of.base}):"
        yield "    'Generated.'"
        if moved or of.known_as != f"{self.name}.{of.name}":
            yield f"    __xpmid__ = '{of.known_as}'"
        fields = [*of.own]
        if moved:
            fields = shuffled(self.d, [*of.own, *_MORE[of.parent is not None]])
        for each in fields:
            line = f"    {each.name}: {each.role}[{each.type.text}]"
            if each.role == "Constant":
                line += f" = {_constant(each.default)}"
            elif each.default is not NOTHING:
                made = f"_default({of.name!r}, {each.name!r})" if each.name not in _MORE_NAMES else "7"
                given = f"default_factory=lambda: {made}" if each.factory else f"default={made}"
                line += f" = field({given}, ignore_default={each.ignore})"
            yield line
        if of.task and of.parent is None:
            yield "    file: Meta[Path] = field(default_factory=PathGenerator('sub/file'))"
        if of.initial:
            yield "    def execute(self) -> None: ..."
        if of.gives is not None:
            yield "    def task_outputs(self, dep):"
            yield f"        return dep({of.gives.name}.C(n=self.n))"

    def _twins(self, of: Class) -> Iterator[str]:
        """Deprecated classes that stand for it."""
        yield from ["@deprecate", f"class {of.name}{TWINS[0]}({of.name}): ..."]
        yield from [f"@deprecate(to={of.name})", f"class {of.name}{TWINS[1]}({of.name}):"]
        yield "    def __convert__(self):"
        yield f"        return {of.name}{TWINS[0]}.C(**_values(self))"

    def _module(self, moved: bool) -> ModuleType:
        name = self.name + ("_moved" if moved else "")
        module = ModuleType(name)
        names = vars(module)
        names["_default"] = lambda of, field: self.default(of, field, names)
        names["_values"] = _values
        sys.modules[name] = module
        exec(compile(self.text(moved), name, "exec", dont_inherit=True), names)
        return module


def _values(config: Any) -> dict[str, Any]:
    """What a description was given, or could have been."""
    schema = schema_of(type(config))
    return {
        name: getattr(config, name) for name in schema.stored if schema.fields[name].role.value != "Constant"
    }


def _constant(value: Any) -> str:
    return f"float({str(value)!r})" if isinstance(value, float) else repr(value)


_MORE = [
    (
        Field("more", "Param", Scalar("int"), 7, ignore=True),
        Field("threads", "Meta", Scalar("int"), 7),
    ),
    (Field("still", "Param", Scalar("int"), 7, factory=True, ignore=True),),
]
_MORE_NAMES = {each.name for some in _MORE for each in some}


def _instanced(kind: Type, seen: frozenset[Class] = frozenset()) -> bool:
    """Whether values may have an `InstanceConfig` in them, of which a set can't have two."""
    for each in kind.parts():
        if isinstance(each, Configs) and not each.of.task and each.of not in seen:
            below = (one.type for kin in each.of.kin for one in kin.fields)
            if each.of.instanced or any(_instanced(one, seen | {each.of}) for one in below):
                return True
    return False


@functools.cache
def family(seed: int) -> Family:
    """The family of that number."""
    return Family(seed)


def root(v: Values, family: Family, only: str = "") -> Made:
    """A description that is in no other."""
    of = only or pick(v.d, ["Root", "Job"])
    return plainly(v.made(family.config[of]))


FAMILIES = 24
"""How many families the tests of every day have: classes are dear, values are cheap."""


Case = tuple[Family, Draws, Values, Made]
"""A family of classes, where further choices come from, and a description."""


@st.composite
def cases(draw: st.DrawFn, only: str = "") -> Case:
    """A description of a class `Root` or `Job`, or of that class only.

    Hypothesis draws, and shrinks, the description; what is made of it, a seeded generator does, which is quicker.
    """
    drawn = Drawn(draw)
    found = family(drawn.below(FAMILIES))
    v = Values(drawn)
    made = root(v, found, only)
    v.d = d = Seeded(Random(drawn.below(1 << 32)))
    return found, d, v, made
