"""From YAML to a typed configuration."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest

from xpm import ConfigError, GridSearch, Range, configuration, field
from xpm.describe.configuration import Varied, combinations
from xpm.describe.params import typed
from xpm.describe.yamls import read_text


class Kind(Enum):
    SGD = "plain"
    ADAM = 2


@configuration
class Model:
    layers: int = 2
    width: int = 8


@configuration
class Params:
    flag: bool = False
    count: int = 1
    lr: float = field(default=0.1, gt=0, le=1)
    name: str = "x"
    path: Path = Path("a")
    kind: Kind = Kind.SGD
    mode: Literal["fast", "exact"] = "fast"
    opt: str = field(default="a", choices=["a", "b"])
    maybe: int | None = None
    either: int | str | list[int] = 0
    many: list[int] = [3]  # noqa: RUF012 - as people write it
    pair: tuple[int, str] = (1, "a")
    row: tuple[float, ...] = ()
    names: set[str] = field(default_factory=set)
    fixed: frozenset[int] = frozenset()
    seq: Sequence[int] = ()
    table: dict[str, list[float]] = field(default_factory=dict)
    sizes: Mapping[int, int] = field(default_factory=dict)
    rates: list[Annotated[float, Range(ge=0)]] = field(default_factory=list)
    model: Model = Model(width=5)
    other: Model | None = None
    models: list[Model] = field(default_factory=list)
    free: Any = None
    wide: GridSearch[float] = field(default=1.0, ge=0)
    either_way: GridSearch[int | None] = 1


@configuration
class Strict:
    lr: float
    model: Model


def read(*texts: str, cls: type[Any] = Params) -> Any:
    layers = tuple(
        read_text(text, f"p{at}.yaml", line=1) if not text.startswith("-s ") else read_text(text[3:], "-s it")
        for at, text in enumerate(texts)
    )
    return typed(cls, layers, beside=("id",))


@pytest.mark.parametrize(
    ("text", "name", "value"),
    [
        ("flag: true", "flag", True),
        ("count: 3", "count", 3),
        ("lr: 1e-3", "lr", 1e-3),
        ("lr: 1", "lr", 1.0),
        ("name: yes", "name", "yes"),
        ("path: data/x", "path", Path("data/x")),
        ("kind: ADAM", "kind", Kind.ADAM),
        ("kind: 2", "kind", Kind.ADAM),
        ("kind: plain", "kind", Kind.SGD),
        ("mode: exact", "mode", "exact"),
        ("opt: b", "opt", "b"),
        ("maybe: 4", "maybe", 4),
        ("maybe: ~", "maybe", None),
        ("either: 3", "either", 3),
        ("either: a", "either", "a"),
        ("either: [1]", "either", [1]),
        ("many: [1, 2]", "many", [1, 2]),
        ("many: {range: [0, 6, 2]}", "many", [0, 2, 4]),
        ("many: {value: 5}", "many", [5]),
        ("pair: [2, b]", "pair", (2, "b")),
        ("row: [1, 2.5]", "row", (1.0, 2.5)),
        ("names: [a, b]", "names", {"a", "b"}),
        ("fixed: [1, 1]", "fixed", frozenset({1})),
        ("seq: [1, 2]", "seq", [1, 2]),
        ("table: {a: [1]}", "table", {"a": [1.0]}),
        ("table: {range: [1]}", "table", {"range": [1.0]}),
        ("sizes: {1: 2}", "sizes", {1: 2}),
        ("model: {layers: 3}", "model", Model(layers=3, width=5)),
        ("other: {layers: 3}", "other", Model(layers=3, width=8)),
        ("models: [{}, {width: 1}]", "models", [Model(), Model(width=1)]),
        ("free: {a: [1, b]}", "free", {"a": [1, "b"]}),
        ("lr: {value: 0.5}", "lr", 0.5),
        ("lr: {values_list: [0.5]}", "lr", 0.5),
        ("id: 3", "count", 1),
    ],
)
def test_a_value_is_what_its_type_says(text: str, name: str, value: object) -> None:
    found = getattr(read(text), name)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("lr: 1\ncout: 3", "p0.yaml:2: cout: no such parameter; did you mean 'count'?"),
        ("model:\n  layer: 3", "p0.yaml:2: model.layer: no such parameter; did you mean 'layers'?"),
        ("model: {zzz: 3}", "p0.yaml:1: model.zzz: no such parameter; there are layers, width"),
        ("\nlr: fast", "p0.yaml:2: lr: expected float, got 'fast'"),
        ("lr: 2", "p0.yaml:1: lr: expected float > 0 and <= 1, got 2.0"),
        ("flag: yes", "p0.yaml:1: flag: expected bool, got 'yes'; write true"),
        ("flag: Off", "p0.yaml:1: flag: expected bool, got 'Off'; write false"),
        ("count: 1.0", "p0.yaml:1: count: expected int, got 1.0"),
        ("name: 3.10", "p0.yaml:1: name: expected str, got 3.1; write '3.10' in quotes"),
        (
            "lr: [0.1, 0.2]",
            "p0.yaml:1: lr: expected float, got [0.1, 0.2]; to vary it, write {values_list: [...]}",
        ),
        ("kind: ADM", "p0.yaml:1: kind: expected one of SGD, ADAM, got 'ADM'; did you mean 'ADAM'?"),
        ("kind: [ADAM]", "p0.yaml:1: kind: expected one of SGD, ADAM, got ['ADAM']"),
        ("mode: slow", "p0.yaml:1: mode: expected Literal['fast', 'exact'], got 'slow'"),
        ("opt: c", "p0.yaml:1: opt: expected one of 'a', 'b', got 'c'"),
        ("maybe: x", "p0.yaml:1: maybe: expected int | None, got 'x'"),
        ("many:\n  - 1\n  - x", "p0.yaml:3: many[1]: expected int, got 'x'"),
        ("many: 3", "p0.yaml:1: many: expected list[int], got 3"),
        ("pair: [1]", "p0.yaml:1: pair: expected tuple[int, str], got 1 values"),
        ("table: {a: [x]}", "p0.yaml:1: table.a[0]: expected float, got 'x'"),
        ("rates: [1, -1]", "p0.yaml:1: rates[1]: expected float >= 0, got -1.0"),
        ("model: 3", "p0.yaml:1: model: expected Model, got 3"),
        ("other: [1]", "p0.yaml:1: other: expected Model | None, got [1]"),
        ("models:\n  - {layers: a}", "p0.yaml:2: models[0].layers: expected int, got 'a'"),
        ("lr: {range: [0, 1], step: 2}", "p0.yaml:1: lr: expected float, got {'range': [0, 1], 'step': 2}"),
        ("lr: {values_list: [0.1, 3]}", "p0.yaml:1: lr: expected float > 0 and <= 1, got 3.0"),
        (
            "models: [{layers: {grid_search: [{range: [0, 3]}, 1]}}]",
            "p0.yaml:1: models[0].layers: nothing can vary in a value of a set, or of what varies itself",
        ),
        (
            "fixed: [1, {range: [2, 4]}]",
            "p0.yaml:1: fixed: nothing can vary in a value of a set, or of what varies itself",
        ),
        ("- 1", "p0.yaml:1: expected the parameters as 'name: value' lines, got [1]"),
    ],
)
def test_what_is_wrong_is_one_line_with_its_place(text: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read(text)
    assert str(caught.value) == message


def test_what_is_missing() -> None:
    with pytest.raises(ConfigError, match=r"^p0.yaml:1: lr: is missing; expected float$"):
        read("model: {}", cls=Strict)
    with pytest.raises(ConfigError, match=r"^p0.yaml:1: model: is missing; expected Model$"):
        read("lr: 0.1", "-s {lr: 0.2}", cls=Strict)


def test_later_documents_are_stronger_and_mappings_join() -> None:
    found = read(
        "model: {layers: 3, width: 1}\ntable: {a: [1], b: [2]}", "model: {layers: 4}\ntable: {a: [3]}"
    )
    assert found.model == Model(layers=4, width=1)
    assert found.table == {"a": [3.0], "b": [2.0]}
    assert read("many: [1, 2]", "many: [3]").many == [3]
    assert read("other: {layers: 3}", "other: ~").other is None
    assert read("other: {layers: 3}", "other: ~", "other: {width: 1}").other == Model(width=1)
    assert read("lr: {values_list: [0.1, 0.2]}", "lr: 0.5").lr == 0.5
    assert read("lr: {value: 0.1}", "lr: {range: [0.5, 1, 0.5]}").lr == 0.5


def test_on_the_command_line_the_type_tells_a_text() -> None:
    assert read("name: a", "-s {name: 3}").name == "3"
    assert read("name: a", "-s {either: 3}").either == 3
    assert read("name: a", "-s {names: [1, true]}").names == {"1", "true"}
    with pytest.raises(ConfigError, match=r"^-s it: count: expected int, got 'x'$"):
        read("name: a", "-s {count: x}")


def test_several_values_vary() -> None:
    found = read(
        "lr: {values_list: [0.1, 0.2]}\nmodel: {layers: {range: [1, 3]}}\nmany: {grid_search: [[1], [2]]}"
    )
    assert isinstance(found.lr, Varied)
    assert found.lr.values == (0.1, 0.2)
    assert found.model.layers.values == (1, 2)
    assert found.many.values == ([1], [2])


def test_a_parameter_that_is_meant_to_vary_does_over_a_list() -> None:
    found = read("wide: [0.1, 2]\neither_way: [3, ~]")
    assert found.wide.values == (0.1, 2.0)
    assert found.either_way.values == (3, None)
    assert read("wide: 3").wide == 3.0
    assert read("wide: [3]").wide == 3.0
    with pytest.raises(ConfigError, match=r"^p0.yaml:1: wide: expected float >= 0, got -1.0$"):
        read("wide: [1, -1]")
    with pytest.raises(ConfigError, match=r"^p0.yaml:1: wide: grid_search: gives no value$"):
        read("wide: []")


@configuration
class Judged:
    low: float = 0
    high: float = 1

    def __post_init__(self) -> None:
        if self.low > self.high:
            raise ValueError("low is above high")


def test_what_a_class_says_of_the_whole() -> None:
    with pytest.raises(ConfigError, match=r"^p0.yaml:1: Judged: low is above high$"):
        read("low: 3", cls=Judged)
    found = combinations(read("low: {range: [0, 4]}\nhigh: 5", cls=Judged))
    assert [each.low for each, _ in found] == [0, 1, 2, 3]
    with pytest.raises(ValueError, match="low is above high"):
        combinations(read("low: {range: [0, 4]}", cls=Judged))


@configuration
class WrongDefault:
    lr: float = "x"


@configuration
class WrongType:
    lr: bytes = b""


def test_a_class_that_is_wrong() -> None:
    with pytest.raises(ConfigError, match=r"^WrongDefault.lr: expected float, got 'x'$"):
        read("{}", cls=WrongDefault)
    with pytest.raises(ConfigError, match=r"^p0.yaml:1: lr: bytes is no type of parameters$"):
        read("lr: a", cls=WrongType)
