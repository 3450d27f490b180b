"""Where the choices of generated configs come from: hypothesis, a seeded generator, or nowhere."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from random import Random
from typing import Any, Protocol, TypeVar

from hypothesis import strategies as st

T = TypeVar("T")


class Draws(Protocol):
    """A source of choices; 0 is the simplest, and what hypothesis shrinks to."""

    def below(self, end: int) -> int:
        """A number from 0 to `end` - 1."""
        ...

    def number(self) -> int:
        """Any int."""
        ...

    def real(self) -> float:
        """Any float."""
        ...

    def text(self) -> str:
        """Any text."""
        ...


class Plain:
    """Chooses the simplest, always."""

    def below(self, end: int) -> int:
        return 0

    def number(self) -> int:
        return 0

    def real(self) -> float:
        return 0.0

    def text(self) -> str:
        return ""


class Seeded:
    """Choices of a generator: a hundred times as quick as those of hypothesis, and nothing shrinks."""

    def __init__(self, random: Random) -> None:
        self.random = random

    def below(self, end: int) -> int:
        return int(self.random.random() * end)

    def number(self) -> int:
        return self.random.randrange(1 << self.below(80)) * (1 - 2 * self.below(2))

    def real(self) -> float:
        return self.random.uniform(-1, 1) * 10 ** self.random.randrange(-5, 20)

    def text(self) -> str:
        return "".join(self.random.choices("ab1\0é\udcff\ud83d\ude00😀", k=self.below(4)))


class Drawn:
    """Choices of hypothesis."""

    def __init__(self, draw: Callable[[Any], Any]) -> None:
        self.draw = draw

    def below(self, end: int) -> int:
        return self.draw(_below(end))

    def number(self) -> int:
        return self.draw(_NUMBERS)

    def real(self) -> float:
        return self.draw(_REALS)

    def text(self) -> str:
        return self.draw(_TEXTS)


@functools.cache
def _below(end: int) -> st.SearchStrategy[int]:
    return st.integers(0, end - 1)


_NUMBERS = st.integers()
_REALS = st.floats()
_TEXTS = st.text(st.characters(exclude_categories=()), max_size=4)


def pick(d: Draws, among: Sequence[T]) -> T:
    """One of `among`, the first by preference."""
    return among[d.below(len(among))]


def odd(d: Draws, one_in: int = 2) -> bool:
    """Whether to do something special, once in so many times."""
    return d.below(one_in) == one_in - 1


def shuffled(d: Draws, items: Sequence[T]) -> list[T]:
    """`items` in some order."""
    found = list(items)
    for end in range(len(found), 1, -1):
        at = end - 1 - d.below(end)
        found[at], found[end - 1] = found[end - 1], found[at]
    return found
