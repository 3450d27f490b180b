"""Descriptions of one experiment, made in as many ways as there are."""

from __future__ import annotations

import copy
import math
import pickle
import struct
import warnings
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from draws import Draws, odd, pick, shuffled
from meanings import LEFT_OUT, NOTHING, Made, Many, Output, Route, Table, inside, meaning
from parameters import INSIDE, Container, Dict, Type, Values, config_of, plainly

from xpm import setmeta, tag
from xpm.core.config import reference
from xpm.core.functions import Function
from xpm.core.info import Described, JobRef, Submittable
from xpm.core.schema import schema_of

OTHER_NAN = struct.unpack("<d", struct.pack("<Q", 0xFFF8000000000123))[0]
TWINS = ("Was", "Via")
"""What the names of deprecated classes end in, which were renamed, and which are converted."""

NOTHING_ELSE: frozenset[str] = frozenset()


class Realizer:
    """Makes the descriptions of one value, and of what is in it; all choices that don't count are those of `d`."""

    def __init__(self, names: dict[str, Any], d: Draws) -> None:
        self.names = names
        self.d = d
        self.made: dict[int, Any] = {}
        self.outputs: dict[int, Any] = {}
        self.kept: list[Made] = []
        """What was drawn here; an `id` in `made` must not be that of something else later."""
        self.bound = False
        """Something can't be pickled, or loses its init tasks by that."""

    # Scalars

    def scalar(self, value: Any, others: frozenset[str]) -> Any:
        """Something else that is stored as `value`."""
        kind, d = type(value), self.d
        if kind is bool:
            return np.bool_(value)
        if kind is int:
            return self._int(value, others)
        if kind is float:
            return self._float(value, others)
        if kind is str:
            if value in ("a", "1") and "Word" not in others and odd(d):
                return self.names["Word"](value)
            return np.str_(value) if value.isascii() and not value.endswith("\0") else value
        return value

    def _int(self, value: int, others: frozenset[str]) -> Any:
        if value in (1, 2) and "Level" not in others and odd(self.d):
            return self.names["Level"](value)
        for kind in (np.int8, np.uint8, np.int64, np.uint64):
            if np.iinfo(kind).min <= value <= np.iinfo(kind).max and odd(self.d):
                return kind(value)
        return value

    def _float(self, value: float, others: frozenset[str]) -> Any:
        ways: list[Any] = [np.float64(value)]
        with np.errstate(over="ignore", under="ignore"):
            if math.isnan(value) or float(np.float32(value)) == value:
                ways.append(np.float32(value))
        if math.isnan(value):
            ways += [OTHER_NAN, -value]
        elif value == 0:
            ways += [-0.0, np.float64(-0.0)]
        if not others & {"int", "bool"} and math.isfinite(value) and value == int(value):
            ways.append(int(value))
            if -(2**63) <= value < 2**63:
                ways.append(np.int64(int(value)))
        return pick(self.d, ways)

    def path(self, route: Route, *, as_text: bool) -> Any:
        """The path, or a text for it that isn't the shortest."""
        text = "" if route.absolute or not odd(self.d, 4) else "./"
        for each in route.parts:
            text += ("/" if text and not text.endswith("/") else "") + each
            text += pick(self.d, ["", "/", "//", "/./"])
        text = ("/" if route.absolute else "") + (text or ("" if route.absolute else "."))
        return text if as_text and odd(self.d) else Path(text)

    # Containers

    def container(self, kind: Container, value: Many, others: frozenset[str]) -> Any:
        """The list, tuple or set."""
        d, form, hashed = self.d, value.form, "hashed" in others
        inner = others & INSIDE
        if form in ("set", "frozenset"):
            inner |= INSIDE
        items = [kind.of.make(self, each, inner) for each in value.items]
        if form in ("set", "frozenset"):
            for each in value.items:
                if (each != each or type(each) is Made) and not _instances(each) and odd(d, 4):
                    items.append(kind.of.make(self, each, inner))
            items = shuffled(d, items)
            if {"set", "frozenset"} <= others | {form} or (form == "frozenset" and "set" not in others):
                form = "frozenset" if hashed or not odd(d) else "set"
        for left_out in self.some_left_out(kind.of):
            items.insert(d.below(len(items) + 1), left_out)
        make: Any = {"list": list, "tuple": tuple, "set": set, "frozenset": frozenset}[form]
        return make(items)

    def table(self, kind: Dict, value: Table, others: frozenset[str]) -> Any:
        """The dict."""
        pairs = list(value.pairs)
        made = [
            (kind.by.make(self, key, INSIDE), kind.of.make(self, each, NOTHING_ELSE)) for key, each in pairs
        ]
        for left_out in self.some_left_out(kind.of):
            key = kind.by.draw(Values(self.d))
            if len(kind.table([*pairs, (key, None)]).pairs) > len(pairs):
                made.append((kind.by.make(self, key, INSIDE), left_out))
        return dict(shuffled(self.d, made))

    def some_left_out(self, kind: Type) -> list[Any]:
        """Descriptions for a container that don't count in it."""
        if config_of(kind) is None or not odd(self.d, 5):
            return []
        return [self.left_out(kind)]

    # Descriptions

    def left_out(self, kind: Type) -> Any:
        """Any description that was set not to count."""
        of = config_of(kind)
        assert of is not None
        made = Values(self.d).made(of)
        self.kept.append(made)
        return self.config(made, left_out=True)

    def fresh(self, kind: Type) -> Any:
        """Any value, one that was not set to count."""
        value = kind.draw(Values(self.d))
        if type(value) is Made:
            value = plainly(value)
        self.kept.append(value)
        return kind.make(self, value, NOTHING_ELSE)

    def output(self, output: Output) -> Any:
        """What the task gives out."""
        self.config(output.task)
        self.bound = True
        return self.outputs[id(output.task)]

    def config(self, made: Made, *, left_out: bool = False, root: bool = False) -> Any:
        """The description `made`; an equal one if that makes no difference."""
        d = self.d
        known = self.made.get(id(made))
        if known is not None and (made.of.instanced or not odd(d)):
            return known
        given = self._given(made)
        later = {}
        if given and odd(d, 6):
            name = pick(d, list(given))
            later[name] = given.pop(name)
        cls = self.names[made.of.name + self._twin(made, root)]
        with warnings.catch_warnings(action="ignore", category=DeprecationWarning):
            config = cls.C(**dict(shuffled(d, list(given.items()))))
        for name, value in later.items():
            setattr(config, name, value)
        self._mark(made, config, left_out)
        if made.of.task:
            if not root or made.init or odd(d, 4):
                self._submit(made, config)
        elif not root and odd(d, 6):
            config.seal()
        self.made[id(made)] = config
        return config

    def _twin(self, made: Made, root: bool) -> str:
        """The end of the name of the class, or of one that is deprecated in favour of it.

        A task of such a one becomes another's job, and what it gives out is a class of its own.
        """
        return pick(self.d, TWINS) if odd(self.d, 6) and not (root and made.of.task) else ""

    def _given(self, made: Made) -> dict[str, Any]:
        d, given = self.d, {}
        for each in made.of.fields:
            name = each.name
            if each.role == "Constant":
                continue
            value = made.values.get(name, LEFT_OUT)
            if each.role == "Meta":
                if value is not LEFT_OUT:
                    given[name] = each.type.make(self, value, NOTHING_ELSE)
                elif each.default is NOTHING or odd(d):
                    given[name] = self.fresh(each.type)
            elif value is LEFT_OUT:
                given[name] = self.left_out(each.type)
            elif each.default is NOTHING or odd(d) or meaning(value) != meaning(each.default):
                given[name] = each.type.make(self, value, NOTHING_ELSE)
                if type(given[name]) in (bool, int, str) and odd(d, 6):
                    given[name] = tag(given[name])
        return given

    def _mark(self, made: Made, config: Any, left_out: bool) -> None:
        d = self.d
        if odd(d, 8):
            config.tag("who", "ada")
        if left_out or made.counts:
            setmeta(config, left_out)
        elif odd(d, 6):
            setmeta(setmeta(config, True), None)

    def _submit(self, made: Made, config: Any) -> None:
        init = [self.config(each) for each in made.init]
        self.bound |= bool(init)
        with warnings.catch_warnings(action="ignore"):
            output = config.submit(init_tasks=init)
        if made.of.gives is not None:
            self.outputs[id(made)] = output

    def root(self, made: Made) -> Any:
        """The description `made` that is in no other, perhaps on a journey before."""
        d = self.d
        config = self.config(made, root=True)
        if made.init:
            return config
        way = d.below(8)
        if way == 1:
            config = config.copy()
        elif way == 2:
            config = copy.deepcopy(config)
        elif way == 3 and not self.bound:
            config = pickle.loads(pickle.dumps(config))
        elif way == 4:
            config.seal()
        elif way == 5:
            config = config.seal().copy()
        elif way == 6 and not self.bound:
            config = pickle.loads(pickle.dumps(config.seal())).copy()
        return config


def _instances(value: Any) -> bool:
    return any(type(each) is Made and each.of.instanced for each in inside(value))


Pairs = dict[tuple[str, int], int]
"""Which configs are one another's, by where they are, in both directions."""


def same_values(given: Any, found: Any) -> bool:
    """Whether `found` has the values and types of the description's value `given`, and shares what that shares.

    Tasks that are depended on are not looked into.

    Args:
        given: as a sealed description holds it.
        found: as a live object, or another description, holds it.
    """
    return next(_matchings(given, found, {}), None) is not None


def _matchings(given: Any, found: Any, pairs: Pairs) -> Iterator[Pairs]:
    """The ways to go on with `pairs`: of sets with equal configs in them, there are some."""
    if isinstance(given, Described):
        yield from _of_configs(given, found, pairs)
    elif isinstance(given, list | tuple | dict | set | frozenset):
        if kind_of(given) is kind_of(found):
            yield from _of_items(given, found, pairs)
    elif isinstance(given, Function):
        if found is given.itself or found == given:
            yield pairs
    elif type(given) is type(found) and (given == found or (given != given and found != found)):
        # No zero has a sign, so floats that are equal are the same.
        yield pairs


def _of_configs(given: Any, found: Any, pairs: Pairs) -> Iterator[Pairs]:
    if isinstance(given, Submittable) and pairs:
        if _job(given) == _job(found):
            yield pairs
        return
    there, back = pairs.get(("given", id(given))), pairs.get(("found", id(found)))
    if there is not None or back is not None:
        if (there, back) == (id(found), id(given)):
            yield pairs
        return
    schema = schema_of(type(given))
    if isinstance(found, Described) and schema is schema_of(type(found)):
        pairs = {**pairs, ("given", id(given)): id(found), ("found", id(found)): id(given)}
        values = [(given.__dict__[name], found.__dict__[name]) for name in schema.stored]
        yield from _of_all(values, pairs)


def _of_all(values: Sequence[tuple[Any, Any]], pairs: Pairs) -> Iterator[Pairs]:
    if not values:
        yield pairs
        return
    for each in _matchings(*values[0], pairs):
        yield from _of_all(values[1:], each)


def _of_items(given: Any, found: Any, pairs: Pairs) -> Iterator[Pairs]:
    if isinstance(given, set | frozenset):
        # Of two descriptions of one job in a set, of which one doesn't count, a live set has one object.
        jobs = [{_job(each) for each in some} - {None} for some in (given, found)]
        left, right = ([each for each in some if _job(each) is None] for some in (given, found))
        if jobs[0] == jobs[1] and len(left) == len(right):
            yield from _of_sets(left, right, pairs)
    elif len(given) == len(found):
        values = zip(given, found, strict=True)
        if isinstance(given, dict):
            values = chain(values, zip(given.values(), found.values(), strict=True))
        yield from _of_all(list(values), pairs)


def _job(value: Any) -> JobRef | None:
    """The job that a dependency is, in whatever way."""
    return (
        value if isinstance(value, JobRef) else reference(value) if isinstance(value, Submittable) else None
    )


def _of_sets(given: list[Any], found: list[Any], pairs: Pairs) -> Iterator[Pairs]:
    if not given:
        yield pairs
        return
    for at, each in enumerate(found):
        for some in _matchings(given[0], each, pairs):
            yield from _of_sets(given[1:], [*found[:at], *found[at + 1 :]], some)


def kind_of(value: Any) -> type | None:
    """What kind of container it is, frozen or not."""
    return next((kind for kind in (list, tuple, dict, set, frozenset) if isinstance(value, kind)), None)
