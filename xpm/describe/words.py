"""The words of a command line: texts with places for parameters, options, flags, lists.

A word becomes arguments only when the command runs, and each argument is handed over as it is: no shell reads it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from string import Formatter
from typing import Protocol

from xpm.core.kinds import shown
from xpm.describe.plain import Absent, elements, text_of
from xpm.errors import ConfigError

Look = Callable[[str], object]
"""Gives the value of a parameter by its name, `model.layers`; raises `Later` or `ValueError`."""

_NAME = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*")


BRACES = "braces that are no place of a parameter are doubled, {{ and }}, or stand in verbatim(...)"
"""What messages say of them."""


class Later(Exception):
    """The value is known when the job runs."""


class Word(Protocol):
    """A part of a command line."""

    @property
    def names(self) -> tuple[str, ...]:
        """The parameters that it shows."""
        ...

    def arguments(self, look: Look) -> list[str]:
        """The arguments that it becomes.

        Raises:
            ValueError: a value can be none.
        """
        ...


@dataclass(frozen=True, slots=True)
class Part:
    """A piece of a text: what is written, and the parameter that follows it."""

    written: str
    name: str | None = None
    form: str = ""
    """How a number is written, by Python's format specification: `.3f`."""


def parts_of(text: str) -> tuple[Part, ...]:
    """The parts of a text such as `--rate={lr:.3f}`; braces that are meant are doubled.

    Raises:
        ConfigError: a place can't be read.
    """
    found: list[Part] = []
    try:
        for written, name, form, conversion in Formatter().parse(_written(text)):
            if name is not None and (not _NAME.fullmatch(name) or conversion or "{" in (form or "")):
                raise ValueError(f"expected a parameter's name between braces, got {{{name}}}")
            found.append(Part(written, name, form or ""))
    except ValueError as wrong:
        raise ConfigError(f"command: {shown(text)}: {wrong}; {BRACES}") from None
    return tuple(found)


def shown_part(part: Part, look: Look) -> str:
    """The value of a part's parameter as text.

    Raises:
        Later: it isn't known yet.
        ValueError: it is none for an argument; the message begins with the name.
    """
    assert part.name is not None
    value = look(part.name)
    try:
        text = format(value, part.form) if part.form else text_of(value)
        return checked(text)
    except Absent as wrong:
        raise Absent(f"{part.name}: {wrong}") from None
    except (ValueError, TypeError) as wrong:
        raise ValueError(f"{part.name}: {wrong}") from None


def checked(text: str) -> str:
    """The text, which can be an argument.

    Raises:
        ValueError: it can't.
    """
    if "\0" in text:
        raise ValueError("has a NUL in it, which no argument can have")
    try:
        os.fsencode(text)
    except UnicodeEncodeError:
        raise ValueError("has half a surrogate pair in it, which no argument can have") from None
    return text


@dataclass(frozen=True, slots=True)
class Text:
    """One argument: a text with places for parameters."""

    parts: tuple[Part, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """The parameters that it shows."""
        return tuple(part.name for part in self.parts if part.name is not None)

    def arguments(self, look: Look) -> list[str]:
        """The one argument."""
        return [self.filled(look)]

    def filled(self, look: Look) -> str:
        """The text with the values in their places."""
        return "".join(
            part.written + ("" if part.name is None else shown_part(part, look)) for part in self.parts
        )


@dataclass(frozen=True, slots=True)
class File:
    """The path of a file of the project."""

    path: Path

    @property
    def names(self) -> tuple[str, ...]:
        """None."""
        return ()

    def arguments(self, look: Look) -> list[str]:
        """The one path, which was made absolute before."""
        return [str(self.path)]


@dataclass(frozen=True, slots=True)
class Flag:
    """An argument that is there while a parameter is true."""

    word: str
    name: str

    @property
    def names(self) -> tuple[str, ...]:
        """The parameter."""
        return (self.name,)

    def arguments(self, look: Look) -> list[str]:
        """The word, or none."""
        return [self.word] if look(self.name) else []


@dataclass(frozen=True, slots=True)
class Option:
    """A value behind its name; for a list, once for each element, or once with all of them."""

    word: str
    name: str
    joined: str | None

    @property
    def names(self) -> tuple[str, ...]:
        """The parameter."""
        return (self.name,)

    def arguments(self, look: Look) -> list[str]:
        """The option with its value; none for None and for an empty list."""
        value = look(self.name)
        texts = [] if value is None else list(_texts(self.name, elements(value)))
        if self.joined is not None and texts:
            texts = [self.joined.join(texts)]
        if not self.word:
            return texts
        if self.word.endswith("="):
            return [self.word + text for text in texts]
        return [each for text in texts for each in (self.word, text)]


def _texts(name: str, values: list[object]) -> Iterator[str]:
    for at, value in enumerate(values):
        try:
            yield checked(text_of(value))
        except ValueError as wrong:
            raise ValueError(f"{name}: [{at}] {wrong}" if len(values) > 1 else f"{name}: {wrong}") from None


def flag(word: str, name: str) -> Flag:
    """An argument that is there while a parameter is true: `flag("-r", "reverse")`.

    Args:
        word: the argument.
        name: the parameter.

    Raises:
        ConfigError: the name is none.
    """
    return Flag(_written(word), named("flag", name))


def option(word: str, name: str, *, joined: str | None = None) -> Option:
    """A value behind its name, two arguments; left out where the value is None.

    Of a list, `option("-c", "columns")` is `-c a -c b`, and with `joined=","` it is `-c a,b`.

    Args:
        word: the option; one that ends in `=` becomes one argument with the value.
        name: the parameter, `key` or `model.layers`.
        joined: what stands between the elements of a list that are one argument.

    Raises:
        ConfigError: the name is none.
    """
    return Option(_written(word), named("option", name), joined)


def each(name: str, *, joined: str | None = None) -> Option:
    """The elements of a list, each as an argument; with `joined=","`, all as one.

    Args:
        name: the parameter.
        joined: what stands between the elements that are one argument.

    Raises:
        ConfigError: the name is none.
    """
    return Option("", named("each", name), joined)


def _written(text: str) -> str:
    """A text of the class's author.

    Raises:
        ConfigError: no argument can have it.
    """
    try:
        return checked(text)
    except ValueError as wrong:
        raise ConfigError(f"command: {shown(text)}: {wrong}") from None


def named(what: str, name: str) -> str:
    """The name of a parameter, as it was given to `what`.

    Raises:
        ConfigError: it is none.
    """
    if not _NAME.fullmatch(name):
        raise ConfigError(f"command: {what}: expected a parameter's name, got {name!r}")
    return name


def verbatim(text: str) -> Text:
    """One argument as it is written, with its braces: `verbatim("{ print $1 }")`."""
    return Text((Part(_written(text)),))
