from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Protocol, TypeVar

import pytest

from xpm.core.config import Config, Constant, Meta, Param, PathGenerator, Task, field
from xpm.core.schema import RESERVED, schema_of
from xpm.errors import ConfigError

if TYPE_CHECKING:
    from nowhere import Unknown  # type: ignore[import-not-found]

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
        ({"__annotations__": {"x": Param[Any]}}, "Made.x: "),
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
        field(default=1, default_factory=int)  # type: ignore[call-overload]
    with pytest.raises(ConfigError, match="needs a default"):
        field(ignore_default=True)  # type: ignore[call-overload]


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
