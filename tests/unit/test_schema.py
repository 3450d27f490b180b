from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Generic, Protocol, TypeVar

import pytest

from xpm.core.config import Config, Constant, Meta, Param, PathGenerator, Task, field
from xpm.core.limits import Choices, Range
from xpm.core.schema import RESERVED, schema_of
from xpm.errors import ConfigError

if TYPE_CHECKING:
    from nowhere import Unknown

T = TypeVar("T", bound=int)


class Base(Config):
    """Its parameters come first."""

    first: Param[int]
    second: Param[int] = 2


class Derived(Base):
    third: Param[str] = "c"
    second: Param[int] = 22


class Node(Config):
    child: Param[Node | None] = None
    later: Param[list[Later]] = field(default_factory=list)


class Later(Config):
    pass


class Odd(Config):
    count: ClassVar[int] = 3
    plain = 4
    note: Unknown
    callback: Callable[[], None] | None
    Path: Param[Path]


class Mixin:
    number: int = 3

    def twice(self) -> int:
        return 2 * self.number


class Mixed(Mixin, Config):
    size: Param[int]


class Container(Config, Generic[T]):
    item: Param[T]


class Shape(Config, ABC):
    name: Param[str] = "shape"

    @abstractmethod
    def area(self) -> float: ...


class Square(Shape):
    side: Param[float]

    def area(self) -> float:
        return self.side**2


class Sized(Protocol):
    def size(self) -> int: ...


class Box(Config, Sized):
    width: Param[int] = 3

    def size(self) -> int:
        return self.width**2


class Failing(Config, Exception):
    code: Param[int]


def make(namespace: dict[str, Any], *bases: type) -> type[Config]:
    return type("Made", bases or (Config,), {"__module__": __name__, **namespace})


def test_order_is_that_of_the_source_bases_first() -> None:
    assert list(schema_of(Derived).fields) == ["first", "second", "third"]
    assert Derived.C(first=1).second == 22
    assert Base.C(first=1).second == 2


def test_forward_references() -> None:
    node = Node.C(child=Node.C(), later=[Later.C()])
    assert isinstance(node.child, Node)
    with pytest.raises(ConfigError, match=r"Node.later\[0\]: expected Later"):
        Node.C(later=[Node.C()])


def test_what_is_no_parameter_is_left_alone() -> None:
    assert list(schema_of(Odd).fields) == ["Path"]
    assert (Odd.count, Odd.plain) == (3, 4)
    assert Odd.C(Path="a").Path == Path("a")


def test_mixed_with_an_ordinary_class() -> None:
    live = Mixed.C(size=2).instance()
    assert (live.size, live.twice()) == (2, 6)


def test_protocol() -> None:
    assert (Box.C().size(), Box.C(width=4).instance().size()) == (9, 16)


def test_generic_and_exception() -> None:
    assert Container[int].C(item=3).item == 3
    assert isinstance(Failing.C(code=2), Exception)
    assert Failing.C(code=2).instance().code == 2


def test_abstract() -> None:
    with pytest.raises(ConfigError, match=r"Shape: is abstract \(area\); use one of its subclasses"):
        Shape.C()
    assert Square.C(side=2).area() == 4.0


@pytest.mark.parametrize("name", sorted(RESERVED))
def test_reserved_names(name: str) -> None:
    with pytest.raises(ConfigError, match=rf"Made.{name}: the name is reserved"):
        make({"__annotations__": {name: Param[int]}})
    with pytest.raises(ConfigError, match=rf"Made.{name}: the name is reserved"):
        make({"__annotations__": {name: "Param[int]"}}, Task)


@pytest.mark.parametrize(
    ("namespace", "message"),
    [
        (
            {"__annotations__": {"x": Param[list]}},
            "Made.x: list needs the type of its elements, as in list[int]",
        ),
        ({"__annotations__": {"x": Param[object]}}, "Made.x: "),
        (
            {"__annotations__": {"x": Param[int]}, "x": field(default=0, gt=0)},
            "Made.x: expected int > 0, got 0",
        ),
        (
            {"__annotations__": {"x": Param[str]}, "x": field(gt=0)},
            "Made.x: a range is for numbers, not for str",
        ),
        (
            {"__annotations__": {"x": Annotated[Param[str], Choices(["a", "b"])]}, "x": "c"},
            "Made.x: expected one of 'a', 'b', got 'c'",
        ),
        (
            {"__annotations__": {"x": "Param[Nothing]"}},
            "Made.x: the annotation 'Param[Nothing]' can't be resolved",
        ),
        ({"__annotations__": {"x": Constant[int]}}, "Made.x: a constant needs its value"),
        ({"__annotations__": {"x": Param[int]}, "x": "a"}, "Made.x: expected int, got 'a'"),
        ({"__annotations__": {"x": Param[list[int]]}, "x": ["a"]}, "Made.x[0]: expected int, got 'a'"),
        (
            {"__annotations__": {"x": Param[Path]}, "x": field(default_factory=PathGenerator("a"))},
            "make it Meta[Path]",
        ),
        ({"__annotations__": {"x": Param[Meta[int]]}}, "Made.x: has 2 roles"),
    ],
)
def test_impossible_classes(namespace: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        make(namespace).C()
    assert message in str(caught.value)


def test_a_plain_attribute_must_not_hide_a_parameter() -> None:
    with pytest.raises(ConfigError, match=r"Made.second: hides a parameter"):
        make({"second": 5}, Base).C(first=1)


@pytest.mark.parametrize("path", ["/a", "../a", "a/../b", "", "."])
def test_a_generated_path_stays_in_the_job(path: str) -> None:
    with pytest.raises(ConfigError, match="below the job's directory"):
        PathGenerator(path)


def test_field_arguments() -> None:
    with pytest.raises(ConfigError, match="not both"):
        field(default=1, default_factory=int)
    with pytest.raises(ConfigError, match="needs a default"):
        field(ignore_default=True)


def test_author_s_hooks_meet_the_author_s_classes_only() -> None:
    seen: list[str] = []

    class Registered(Config):
        __module__ = __name__

        def __init_subclass__(cls, **kwargs: Any) -> None:
            super().__init_subclass__(**kwargs)
            seen.append(cls.__name__)

    class Child(Registered):
        pass

    Child.C()
    assert seen == ["Child"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"default": 1, "gtt": 0}, "field: no option 'gtt'; did you mean 'gt'?"),
        ({"choices": "ab"}, "Choices: expected a list of values, got 'ab'"),
        ({"choices": []}, "Choices: expected a list of values, got []"),
        ({"choices": 3}, "Choices: expected a list of values, got 3"),
    ],
)
def test_wrong_field_arguments(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        field(**arguments)
    assert str(caught.value) == message


def test_limits_hold_at_construction_and_when_set() -> None:
    class Limited(Config):
        lr: Param[float] = field(default=0.1, gt=0, le=1)
        rows: Param[list[Annotated[int, Range(ge=1)]]] = field(default_factory=list)
        kind: Annotated[Param[str], Choices(["a", "b"])] = "a"

    made = Limited.C(lr=1)
    assert (made.lr, made.kind) == (1.0, "a")
    for call, message in (
        (lambda: Limited.C(lr=0), "Limited.lr: expected float > 0 and <= 1, got 0"),
        (lambda: setattr(made, "lr", 2), "Limited.lr: expected float > 0 and <= 1, got 2"),
        (lambda: Limited.C(rows=[1, 0]), "Limited.rows[1]: expected int >= 1, got 0"),
        (lambda: Limited.C(kind="c"), "Limited.kind: expected one of 'a', 'b', got 'c'"),
    ):
        with pytest.raises(ConfigError) as caught:
            call()
        assert str(caught.value) == message


U = TypeVar("U", bound="Base")
V = TypeVar("V")


class Holds(Config, Generic[U, V]):
    one: Param[U]
    many: Param[list[V]] = field(default_factory=list)
    plain: Param[int] = 1


class HoldsDerived(Holds["Derived", str]):
    pass


class HoldsLess(Holds[Derived, V], Generic[V]):
    pass


class Keeps(Config):
    held: Param[Holds[Derived, float]]
    less: Param[HoldsLess[int] | None] = None


def test_a_bound_that_is_text() -> None:
    assert Holds.C(one=Base.C(first=1)).one.first == 1
    with pytest.raises(ConfigError, match=r"Holds.one: expected Base, got 3"):
        Holds.C(one=3)
    assert Holds.C(one=Derived.C(first=1), many=[1, "a", None]).many == [1, "a", None]


def test_a_subclass_binds_type_variables() -> None:
    assert HoldsDerived.C(one=Derived.C(first=1), many=["a"]).many == ["a"]
    with pytest.raises(ConfigError, match=r"HoldsDerived.one: expected Derived, got Base"):
        HoldsDerived.C(one=Base.C(first=1))
    with pytest.raises(ConfigError, match=r"HoldsDerived.many\[0\]: expected str, got 1"):
        HoldsDerived.C(one=Derived.C(first=1), many=[1])
    with pytest.raises(ConfigError, match=r"HoldsLess.one: expected Derived"):
        HoldsLess.C(one=Base.C(first=1))
    assert HoldsLess.C(one=Derived.C(first=1), many=[1, "a"])


def test_the_arguments_of_a_generic_parameter_are_checked() -> None:
    derived = Derived.C(first=1)
    assert Keeps.C(held=Holds.C(one=derived, many=[1.0]))
    for held, message in (
        (Holds.C(one=Base.C(first=1)), r"Keeps.held.one: expected Derived, got Base"),
        (Holds.C(one=derived, many=["a"]), r"Keeps.held.many\[0\]: expected float, got 'a'"),
        (HoldsDerived.C(one=derived, many=["a"]), r"Keeps.held.many\[0\]: expected float"),
        (derived, r"Keeps.held: expected Holds"),
    ):
        with pytest.raises(ConfigError, match=message):
            Keeps.C(held=held)
    assert Keeps.C(held=Holds.C(one=derived), less=HoldsLess.C(one=derived, many=[1]))
    with pytest.raises(ConfigError, match=r"Keeps.less"):
        Keeps.C(held=Holds.C(one=derived), less=HoldsLess.C(one=derived, many=["a"]))


@pytest.mark.parametrize(
    ("annotation", "message"),
    [
        (Param[int], None),
        (
            Param[str],
            "Made.first: is str here, and int in a base class; a subclass may narrow a type, not change it",
        ),
        (Param[int | None], "Made.first: is int | None here, and int in a base class"),
        (Meta[int], None),
    ],
)
def test_a_subclass_may_narrow_a_type(annotation: Any, message: str | None) -> None:
    made = make({"__annotations__": {"first": annotation}}, Base)
    if message is None:
        assert made.C(first=1).first == 1
        return
    with pytest.raises(ConfigError) as caught:
        made.C(first=1)
    assert str(caught.value).startswith(message)
