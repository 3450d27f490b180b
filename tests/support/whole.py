"""Generated descriptions on their whole way: submitted, run by real workers, given back, and read from their records.

A job draws its own description again, as plain data, and looks whether it has become what that says.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from random import Random
from typing import Any

from configs import Family, root
from draws import Seeded
from meanings import LEFT_OUT, Called, Made, Many, Member, Output, Route, Table
from parameters import Values
from twins import TWINS, Realizer, kind_of, same_values

from xpm import experiment, identifier, load
from xpm.core.functions import Function
from xpm.core.info import Described, own_info
from xpm.core.schema import schema_of

NOWHERE = -1
"""The number of a task that is a part of another."""

ECHO = """
class Echo(Task):
    'Gives its value back.'
    value: Param[Root]
    number: Meta[int] = -1
    def execute(self): return _echo(self)
"""


def write(folder: Path, seed: int) -> None:
    """Writes the two modules of a family into a project."""
    found = Family(seed, load=False)
    for moved in (False, True):
        text = found.text(moved, execute="return _echo(self)", more=["number: Meta[int] = -1"])
        name = f"__xpmid__ = '{found.name}.Echo'"
        echo = ECHO.replace("    value:", f"    {name}\n    value:")
        future, _, rest = text.partition("from enum")
        helper = f"from configs import _values\nfrom whole import default, echo as _echo\n_default = default({seed}, globals())\nfrom enum"
        (folder / f"{found.name}{'_moved' * moved}.py").write_text(future + helper + rest + echo, "utf-8")


def default(seed: int, names: dict[str, Any]) -> Callable[[str, str], Any]:
    """What makes the defaults of a module with these names."""
    found = Family(seed, load=False)

    def make(of: str, field: str) -> Any:
        return found.default(of, field, names)

    return make


def drawn(found: Family, number: int) -> Made:
    """The description of that number."""
    return root(Values(Seeded(Random(f"{found.name} {number}"))), found)


_families: dict[str, Family] = {}


def family_of(task: Any) -> Family:
    """The family that the task's class is of."""
    name = type(task).__module__.removesuffix("_moved")
    if name not in _families:
        _families[name] = Family(int(name.rpartition("_")[2]), load=False)
    return _families[name]


def echo(task: Any) -> Any:
    """What the job of a live task does: looks at it, and gives back the configs in it."""
    if task.number == NOWHERE:
        return None
    made = drawn(family_of(task), task.number)
    assert fits(made, within(made, task), live=True), f"{made!r}\n{task!r}"
    live = own_info(task).init
    assert all(fits(one, each, live=True) for one, each in zip(made.init, live, strict=True)), repr(made)
    return given_back(made, task)


def within(made: Made, task: Any) -> Any:
    """What of the task `made` describes."""
    return task if made.of.task else task.value


def given_back(made: Made, task: Any) -> Any:
    """What the task returns."""
    if not made.of.task:
        return task.value
    return {
        name: getattr(task, name)
        for name, value in made.values.items()
        if type(value) in (Made, Output) and not _is_task(value)
    }


def _is_task(value: Any) -> bool:
    return type(value) is Made and value.of.task


class Numbered(Realizer):
    """Gives the task that describes `made` its number."""

    def __init__(self, names: dict[str, Any], d: Any, made: Made, number: int) -> None:
        super().__init__(names, d)
        self.whole, self.number = made, number

    def _given(self, made: Made) -> dict[str, Any]:
        given = super()._given(made)
        return {**given, "number": self.number} if made is self.whole and made.of.task else given

    def task(self) -> Any:
        """The task, submitted."""
        made = self.whole
        if not made.of.task:
            task = self.names["Echo"].C(value=self.config(made, root=True), number=self.number)
        else:
            task = self.config(made, root=True)
        if own_info(task).session is None:
            task.submit()
        return task


def walk(seed: int, count: int) -> None:
    """Carries descriptions of one family the whole way, in an experiment of their own."""
    found = Family(seed, load=False)
    # Not both: what a job gives back has the classes of its first submission, and other ones don't take them.
    names = vars(importlib.import_module(f"{found.name}{'_moved' * (seed % 2)}"))
    sent: list[tuple[Made, Any]] = []
    with experiment(f"whole{seed}"):
        for number in range(count):
            d = Seeded(Random(f"ways {seed} {number}"))
            made = drawn(found, number)
            sent.append((made, Numbered(names, d, made, number).task()))
    told: dict[str, list[Any]] = {}
    for _, task in sent:
        told.setdefault(task.job.id, []).append(task)
    for made, task in sent:
        compared(made, task, told[task.job.id])
    sys.stdout.write(f"{len(sent)} {len(told)}\n")


def compared(made: Made, task: Any, all_told: list[Any]) -> None:
    """Looks at what came of a task.

    Args:
        made: what it was made of.
        task: its description.
        all_told: the descriptions that were submitted as its job; what doesn't count is that of one of them.
    """
    shown = f"{type(task).__module__} {made!r}"
    assert identifier(task) == task.job.id == task.jobpath.name, shown
    again = load(task.jobpath)
    assert identifier(again) == task.job.id, shown
    assert identifier(again.copy()) == task.job.id or made.init, shown
    one = next((each for each in all_told if same_values(each, again)), None)
    assert one is not None and fits(made, within(made, again)), shown
    live = load(task.jobpath, as_instance=True)
    assert same_values(one, live) and fits(made, within(made, live), live=True), shown
    back = task.result()
    if made.of.task:
        assert all(fits(made.values[name], each) for name, each in back.items()), shown
        assert all(same_values(getattr(one, name), each) for name, each in back.items()), shown
    else:
        assert fits(made, back) and same_values(one.value, back), shown


Pairs = Mapping[tuple[str, int], int]
"""Which descriptions that are told apart are one another's, in both directions."""


def fits(value: Any, found: Any, *, live: bool = False) -> bool:
    """Whether `found` is what the plain data `value` describes, as far as that counts.

    Args:
        value: as `meanings` has it.
        found: a value of Python, of a description or of a live object.
        live: what `found` depends on can be looked into as well.
    """
    return next(_Fitting(live).ways(value, found, {}), None) is not None


class _Fitting:
    def __init__(self, live: bool) -> None:
        self.live = live

    def ways(self, value: Any, found: Any, pairs: Pairs) -> Iterator[Pairs]:
        """The ways to go on with `pairs`: what was set not to count may be anything, so there are some."""
        kind = type(value)
        if kind is Made:
            yield from self.config(value, found, pairs)
        elif kind is Output:
            if schema_of(type(found)).name == value.task.of.gives.known_as:
                yield from self.ways(value.task.values["n"], found.n, pairs)
        elif kind is Many:
            form = getattr(kind_of(found), "__name__", "")
            if form == value.form or {form, value.form} == {*ALIKE}:
                look = self.unordered if value.form in ALIKE else self.ordered
                yield from look(list(value.items), list(found), pairs)
        elif kind is Table:
            if isinstance(found, dict):
                yield from self.unordered(
                    [Many("tuple", pair) for pair in value.pairs], list(found.items()), pairs
                )
        elif _is(value, found):
            yield pairs

    def config(self, made: Made, found: Any, pairs: Pairs) -> Iterator[Pairs]:
        if not isinstance(found, Described):
            return
        if self.live and made.of.task:
            getattr(found, "number", None)  # its parameters, and its class, come when one is asked for
        there = vars(sys.modules[type(found).__module__])
        classes = [there.get(made.of.name + twin) for twin in ("", *TWINS)]
        if not any(of is not None and schema_of(of) is schema_of(type(found)) for of in classes):
            return
        if made.of.task and pairs:  # a job of its own, which shares nothing
            if not self.live or next(self.config(made, found, {}), None) is not None:
                yield pairs
            return
        if made.of.instanced:
            there, back = pairs.get(("made", id(made))), pairs.get(("found", id(found)))
            if (there, back) not in ((None, None), (id(found), id(made))):
                return
        pairs = {**pairs, ("made", id(made)): id(found), ("found", id(found)): id(made)}
        values = [
            (each.default, getattr(found, each.name)) for each in made.of.fields if each.role == "Constant"
        ]
        for name, value in made.values.items():
            if value is not LEFT_OUT:
                values.append((value, getattr(found, name)))
        yield from self.all(values, pairs)

    def all(self, values: Sequence[tuple[Any, Any]], pairs: Pairs) -> Iterator[Pairs]:
        if not values:
            yield pairs
            return
        for each in self.ways(*values[0], pairs):
            yield from self.all(values[1:], each)

    def ordered(self, values: list[Any], found: list[Any], pairs: Pairs) -> Iterator[Pairs]:
        """The items are there in their order; between them may be what doesn't count."""
        if len(found) == len(values):
            yield from self.all(list(zip(values, found, strict=True)), pairs)
        elif len(found) > len(values) and isinstance(found[0], Described):
            yield from self.ordered(values, found[1:], pairs)
            if values:
                for each in self.ways(values[0], found[0], pairs):
                    yield from self.ordered(values[1:], found[1:], each)

    def unordered(self, values: list[Any], found: list[Any], pairs: Pairs) -> Iterator[Pairs]:
        """The items are among `found`; the rest is what doesn't count, or is like one of them."""
        if not values:
            yield pairs
            return
        for at, each in enumerate(found):
            for some in self.ways(values[0], each, pairs):
                yield from self.unordered(values[1:], [*found[:at], *found[at + 1 :]], some)


ALIKE = ("set", "frozenset")
"""What identifiers don't tell apart."""


def _is(value: Any, found: Any) -> bool:
    kind = type(value)
    if kind is Member:
        return type(found).__name__ == value.enum.rpartition(".")[2] and found.name == value.name
    if kind is Route:
        text = Path("/" if value.absolute else "", *value.parts)
        return isinstance(found, Path) and found == text
    if kind is Called:
        itself = found.itself if isinstance(found, Function) else found
        return itself.__name__ == value.name.rpartition(".")[2]
    return kind is type(found) and (value == found or (value != value and found != found))
