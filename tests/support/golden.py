"""One description for each kind of value and each rule of identifiers; prints their identifiers.

The names and values here are frozen together with tests/unit/golden_identifiers.json: a change of an
identifier would make every result that a user has worthless. New kinds and rules get new entries.
"""

from __future__ import annotations

import json
import sys
import warnings
from collections.abc import Iterator
from contextlib import AbstractContextManager
from enum import Enum, IntEnum
from pathlib import Path
from types import FunctionType
from typing import Any, Literal

from sessions import Recorder

from xpm.core.config import Config, Constant, LightweightTask, Meta, Param, PathGenerator, Task, field
from xpm.core.counting import setmeta
from xpm.core.deprecation import deprecate
from xpm.core.fields import param_group, partial
from xpm.core.identifier import identifier, partial_digest
from xpm.core.instances import InstanceConfig
from xpm.core.promise import promised


class Kind(Enum):
    __xpmid__ = "golden.Kind"

    RED = 1
    SCARLET = 1
    BLUE = 2


class Level(IntEnum):
    __xpmid__ = "golden.Level"

    LOW = 1


class Empty(Config):
    __xpmid__ = "golden.Empty"


Plain = None | bool | int | float | str


class Value(Config):
    """Has any value that a parameter can have."""

    __xpmid__ = "golden.Value"

    x: Param[
        Plain
        | Path
        | Kind
        | Level
        | list[Plain | Kind | Empty | list[int]]
        | tuple[Plain, ...]
        | set[Plain]
        | frozenset[Path]
        | dict[Plain, Plain | list[int]]
        | dict[Kind, int]
        | Empty
    ]


class Sets(Config):
    __xpmid__ = "golden.Sets"

    x: Param[set[Level | Real | tuple[Real, int]] | frozenset[Real]]


class Real(Config):
    __xpmid__ = "golden.Real"

    x: Param[float]


class Choice(Config):
    __xpmid__ = "golden.Choice"

    x: Param[Literal["a", 1]]


class Calling(Config):
    __xpmid__ = "golden.Calling"

    x: Param[FunctionType]


def called() -> None: ...


called.__dict__["__xpmid__"] = "golden.called"


class Rules(Config):
    __xpmid__ = "golden.Rules"

    zeta: Param[int]
    alpha: Param[int] = 3
    ignored: Param[int] = field(default=7, ignore_default=True)
    items: Param[list[int]] = field(default_factory=lambda: [1], ignore_default=True)
    threads: Meta[int] = 4
    path: Meta[Path] = field(default_factory=PathGenerator("x"))
    version: Constant[str] = "1"


class Inherited(Rules):
    __xpmid__ = "golden.Inherited"

    beta: Param[str] = "b"


class Part(InstanceConfig):
    __xpmid__ = "golden.Part"

    x: Param[int]


class Between(Config):
    __xpmid__ = "golden.Between"

    part: Param[Part]


class Parts(Config):
    __xpmid__ = "golden.Parts"

    one: Param[Part | Between]
    two: Param[Part | Between]
    more: Param[list[Part]] = field(default_factory=list)


class Counted(Config):
    __xpmid__ = "golden.Counted"

    a: Param[Real | None] = None
    b: Param[list[Real] | dict[str, Real] | tuple[Real, ...]] = field(default_factory=list)
    c: Meta[Real | None] = None


class Source(Task):
    __xpmid__ = "golden.Source"

    seed: Param[int]

    def task_outputs(self, dep: Any) -> Any:
        return (self, dep(Empty.C()))

    def execute(self) -> None: ...


class Sink(Task):
    __xpmid__ = "golden.Sink"

    source: Param[Source | None] = None
    sources: Param[list[Source]] = field(default_factory=list)
    output: Param[Empty | None] = None

    def execute(self) -> None: ...


class Load(LightweightTask):
    __xpmid__ = "golden.Load"

    what: Param[Source | Empty | Part]

    def execute(self) -> None: ...


@deprecate
class Formerly(Rules):
    __xpmid__ = "golden.Formerly"


@deprecate(to=Rules)
class Converted(Config):
    __xpmid__ = "golden.Converted"

    half: Param[int]

    def __convert__(self) -> Rules:
        return Formerly.C(zeta=2 * self.half)


@deprecate(to=Converted, replace=True)
class Replaced(Config):
    __xpmid__ = "golden.Replaced"

    quarter: Param[int]

    def __convert__(self) -> Converted:
        return Converted.C(half=2 * self.quarter)


@deprecate
class Well(Source):
    __xpmid__ = "golden.Well"


class Holder(Config):
    __xpmid__ = "golden.Holder"

    x: Param[Rules | Converted | list[Rules | Converted]]

    @deprecate
    def y(self, value: Any) -> None:
        self.x = value


SIZE, LENGTH = param_group("size"), param_group("length")


class Grouped(Task):
    __xpmid__ = "golden.Grouped"

    alone: Param[int] = 1
    big: Param[int] = field(default=2, groups=[SIZE])
    long: Param[int] = field(default=3, groups=[LENGTH])
    both: Param[int] = field(default=4, groups=[SIZE, LENGTH])
    version: Constant[str] = "1"

    def execute(self) -> None: ...


@deprecate
class Ungrouped(Grouped):
    __xpmid__ = "golden.Ungrouped"


PARTIALS = {
    "all": partial(),
    "without size": partial(exclude_groups=[SIZE]),
    "without groups": partial(exclude_groups=[SIZE, LENGTH]),
    "without size, with length": partial(exclude_groups=[SIZE], include_groups=[LENGTH]),
    "groups alone": partial(exclude_no_group=True),
    "nothing": partial(exclude_all=True),
    "length alone": partial(exclude_all=True, include_groups=[LENGTH]),
}


def partials() -> Iterator[tuple[str, str]]:
    for name, each in PARTIALS.items():
        yield f"partial, {name}", partial_digest(Grouped.C(), each, "p").hex()
    with warnings.catch_warnings(action="ignore"):
        yield "partial, deprecated", partial_digest(Ungrouped.C(), PARTIALS["all"], "p").hex()
    yield "partial, of another name", partial_digest(Grouped.C(), PARTIALS["all"], "q").hex()
    with_init = initial(Grouped.C(), Load.C(what=Empty.C()))
    yield "partial, with an init task", partial_digest(with_init, PARTIALS["all"], "p").hex()


VALUES: dict[str, Any] = {
    "none": None,
    "true": True,
    "false": False,
    "zero": 0,
    "one": 1,
    "minus one": -1,
    "int 64": 2**63 - 1,
    "int -64": -(2**63),
    "int unsigned 64": 2**64 - 1,
    "int large": 2**64,
    "int large negative": -(2**63) - 1,
    "float zero": 0.0,
    "float one": 1.0,
    "float tenth": 0.1,
    "float infinity": float("inf"),
    "float minus infinity": float("-inf"),
    "float nan": float("nan"),
    "float smallest": 5e-324,
    "text empty": "",
    "text": "a",
    "text digits": "1",
    "text unicode": "é𝄞",
    "text decomposed": "e\u0301",
    "text surrogate": "\udcff",
    "text zero": "a\0b",
    "path": Path("a/b"),
    "path absolute": Path("/a/b"),
    "path unnormalised": Path("a//./b/"),
    "enum": Kind.RED,
    "enum alias": Kind.SCARLET,
    "enum int": Level.LOW,
    "list empty": [],
    "list": [1, 2.0, "a", None, True],
    "list of lists": [[1], []],
    "list of one list": [[]],
    "list of enums": [Kind.BLUE],
    "list of configs": [Empty.C(), Empty.C()],
    "list joined": ["ab", "c"],
    "list split": ["a", "bc"],
    "list large int": [2**70],
    "tuple empty": (),
    "tuple": (1, 2.0, "a"),
    "set empty": set(),
    "set": {3, 1, 2, -1, "a", "b", None},
    "frozenset of paths": frozenset({Path("a"), Path("b")}),
    "dict empty": {},
    "dict": {"b": 1, "a": [1], 3: None, 1.5: "x"},
    "dict of enums": {Kind.BLUE: 1, Kind.RED: 2},
    "config": Empty.C(),
}


class Own(Task):
    __xpmid__ = "golden.Own"

    part: Param[Part]

    def execute(self) -> None: ...


def initial(task: Any, *init_tasks: Any) -> Any:
    with warnings.catch_warnings(action="ignore"):
        task.submit(init_tasks=init_tasks)
    return task


def deprecated(source: Any) -> Iterator[tuple[str, Any]]:
    yield "deprecated", Formerly.C(zeta=1, alpha=4)
    yield "deprecated, converted", Converted.C(half=1)
    yield "deprecated, replaced", Replaced.C(quarter=1)
    yield "deprecated, not", Rules.C(zeta=4)
    yield "deprecated, in another", Holder.C(x=Converted.C(half=1))
    yield "deprecated, in a list", Holder.C(x=[Formerly.C(zeta=1), Converted.C(half=1)])
    yield "deprecated parameter", Holder.C(**{"y": Rules.C(zeta=1)})
    yield "deprecated task", Well.C(seed=1)
    yield "deprecated task as dependency", Sink.C(source=Well.C(seed=1).submit()[0])
    yield "deprecated task with init task", initial(Well.C(seed=1), Load.C(what=source))


def cases() -> Iterator[tuple[str, Any]]:
    yield "no parameters", Empty.C()
    for name, value in VALUES.items():
        yield name, Value.C(x=value)
    yield "float from int", Real.C(x=1)
    yield "float minus zero", Real.C(x=-0.0)
    yield "set of configs", Sets.C(x={Real.C(x=1), Real.C(x=2)})
    yield "set of equal configs", Sets.C(x={Real.C(x=2), Real.C(x=1), Real.C(x=2.0)})
    yield "set of tuples of configs", Sets.C(x={(Real.C(x=1), 1), (Real.C(x=1), 1), (Real.C(x=1), 2)})
    yield "frozenset of configs", Sets.C(x=frozenset({Real.C(x=1), Real.C(x=1)}))
    part, other, third = Part.C(x=1), Part.C(x=1), Part.C(x=2)
    yield "instances, one", Parts.C(one=part, two=part)
    yield "instances, two", Parts.C(one=part, two=other)
    yield "instances, two again", Parts.C(one=other, two=part)
    yield "instances, unlike", Parts.C(one=part, two=third)
    yield "instances, one below", Parts.C(one=part, two=Between.C(part=part))
    yield "instances, two below", Parts.C(one=part, two=Between.C(part=other))
    yield "instances, shared above", Parts.C(one=(between := Between.C(part=part)), two=between)
    yield "instances, shared below", Parts.C(one=Between.C(part=part), two=Between.C(part=part))
    yield "instances, in a list", Parts.C(one=part, two=third, more=[part, other, third, other])
    plain, left, put = Real.C(x=1), setmeta(Real.C(x=1), True), setmeta(Real.C(x=1), False)
    yield "counted", Counted.C(a=plain)
    yield "counted, set to", Counted.C(a=put)
    yield "counted, meta", Counted.C(a=plain, c=plain)
    yield "counted, meta set to", Counted.C(a=plain, c=put)
    yield "not counted", Counted.C(a=left)
    yield "not counted, in a list", Counted.C(a=plain, b=[left])
    yield "not counted, in a list of two", Counted.C(a=plain, b=[left, plain])
    yield "counted, in a list", Counted.C(a=plain, b=[plain])
    yield "not counted, in a dict", Counted.C(a=plain, b={"x": left})
    yield "not counted, in a tuple", Counted.C(a=plain, b=(left,))
    yield "literal text", Choice.C(x="a")
    yield "literal int", Choice.C(x=1)
    yield "function", Calling.C(x=called)
    yield "rules", Rules.C(zeta=1)
    yield "rules, default given", Rules.C(zeta=1, alpha=3, ignored=7, items=[1])
    yield "rules, meta changed", Rules.C(zeta=1, threads=9)
    yield "rules, default changed", Rules.C(zeta=1, alpha=4)
    yield "rules, ignored changed", Rules.C(zeta=1, ignored=8)
    yield "rules, ignored factory changed", Rules.C(zeta=1, items=[1, 2])
    yield "inherited", Inherited.C(zeta=1)
    source, output = Source.C(seed=1).submit()
    yield "task", source
    yield "init task", initial(Source.C(seed=1), Load.C(what=Empty.C()))
    yield "init tasks", initial(Source.C(seed=1), Load.C(what=source), Load.C(what=Empty.C()))
    yield "init tasks, other order", initial(Source.C(seed=1), Load.C(what=Empty.C()), Load.C(what=source))
    yield "init task, one instance", initial(Own.C(part=part), Load.C(what=part))
    yield "init task, two instances", initial(Own.C(part=part), Load.C(what=other))
    with warnings.catch_warnings(action="ignore"):
        yield from deprecated(source)
    yield "promise", Sink.C(output=promised(source, Empty))
    yield "dependency", Sink.C(source=source)
    yield "dependency in a list", Sink.C(sources=[source])
    yield "task output", Sink.C(output=output)
    yield "same config, no task output", Sink.C(output=Empty.C())


def identifiers() -> dict[str, str]:
    session: AbstractContextManager[Any] = Recorder()
    with session:
        return {**{name: identifier(config) for name, config in cases()}, **dict(partials())}


if __name__ == "__main__":
    json.dump(identifiers(), sys.stdout, indent=2, ensure_ascii=True)
