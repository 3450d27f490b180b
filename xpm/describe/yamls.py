"""YAML with the places of its values, for what is described in files.

Scalars are those of YAML 1.2: `1e-3` is a number, `on`, `yes` and `12:30` are texts, `017` is seventeen.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import yaml

from xpm.core.kinds import shown
from xpm.errors import ConfigError, UsageError

Plain = bool | int | float | str | None
"""A value without parts."""


@dataclass(frozen=True, slots=True)
class Node:
    """A value of a document, and where it stands."""

    value: Plain | list[Node] | dict[Plain, Node]
    source: str
    """The file's name as messages say it, or what else the text came from."""
    line: int = 0
    """Counted from 1; of a value in a mapping, its key's. 0: the source is one line."""
    text: str | None = None
    """A scalar without quotes as it was written: `1e-3`."""

    @property
    def place(self) -> str:
        """The place for a message: `params.yaml:3`."""
        return f"{self.source}:{self.line}" if self.line else self.source

    def wrong(self, message: str) -> ConfigError:
        """The error that something is wrong here."""
        return ConfigError(f"{self.place}: {message}")

    def mapping(self, what: str) -> dict[str, Node]:
        """The values by their keys, which are texts.

        Args:
            what: it is, for a message: `the parameters`.

        Raises:
            ConfigError: it is no mapping, or has a key that is no text.
        """
        if not isinstance(self.value, dict):
            raise self.wrong(f"expected {what} as 'name: value' lines, got {shown(self.plain())}")
        for key, each in self.value.items():
            if not isinstance(key, str):
                raise each.wrong(f"expected a name in {what}, got {shown(key)}")
        return cast("dict[str, Node]", self.value)

    def plain(self) -> Any:
        """The value as Python's own: scalars, lists and dicts."""
        if isinstance(self.value, list):
            return [each.plain() for each in self.value]
        if isinstance(self.value, dict):
            return {key: each.plain() for key, each in self.value.items()}
        return self.value


def read_file(path: Path, source: str | None = None) -> Node:
    """The document in a file.

    Args:
        path: the file.
        source: what messages call it; by default its path.

    Raises:
        UsageError: the file can't be read.
        ConfigError: it is no YAML, or has what no description has: a tag, a key twice, several documents.
    """
    source = str(path) if source is None else source
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise UsageError(f"{source}: can't be read: {error.strerror or error}") from None
    except UnicodeDecodeError as error:
        raise ConfigError(f"{source}: is no text in UTF-8, at byte {error.start}") from None
    return read_text(text, source, line=1)


def read_text(text: str, source: str, *, line: int = 0) -> Node:
    """The document in a text; an empty one is None.

    Args:
        text: it.
        source: what messages call it.
        line: the number of its first line; 0 if it is one line that needs no number.

    Raises:
        ConfigError: as `read_file`.
    """
    here = Node(None, source, line)
    try:
        loader = _Loader(text)
        found = loader.get_single_node()
        return replace(here, text="") if found is None else _Reading(loader, source, line).node(found)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = replace(here, line=line and line + (mark.line if mark is not None else 0))
        raise place.wrong(f"is no YAML: {error.problem or error.context}") from None
    except yaml.reader.ReaderError as error:
        place = replace(here, line=line and line + text.count("\n", 0, error.position))
        raise place.wrong(f"is no YAML: has the character {text[error.position]!r}") from None
    except RecursionError:
        raise here.wrong("is nested too deeply") from None


class _Loader(yaml.SafeLoader):
    """Tells the kinds of scalars as YAML 1.2 does."""

    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012 - PyYAML's own name and way


_TAG = "tag:yaml.org,2002:"
for _tag, _pattern, _first in (
    ("null", r"~|null|Null|NULL|", "~nN\0"),
    ("bool", r"true|True|TRUE|false|False|FALSE", "tTfF"),
    ("int", r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", "-+0123456789"),
    (
        "float",
        r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)",
        "-+0123456789.",
    ),
    ("merge", "<<", "<"),
):
    _firsts = ["" if each == "\0" else each for each in _first]
    cast("Any", _Loader).add_implicit_resolver(_TAG + _tag, re.compile(f"(?:{_pattern})$"), _firsts)


class _Reading:
    """One document on its way from PyYAML's nodes to ours."""

    def __init__(self, loader: yaml.SafeLoader, source: str, line: int) -> None:
        self._loader = loader
        self._source = source
        self._line = line
        self._open: set[int] = set()
        self._known: dict[int, Node] = {}

    def node(self, found: yaml.Node) -> Node:
        known = self._known.get(id(found))
        if known is None:
            if id(found) in self._open:
                raise self._at(found).wrong("contains itself")
            self._open.add(id(found))
            known = self._known[id(found)] = self._made(found)
        return known

    def _at(self, found: yaml.Node) -> Node:
        return Node(None, self._source, self._line and self._line + found.start_mark.line)

    def _made(self, found: yaml.Node) -> Node:
        place = self._at(found)
        tag = found.tag.removeprefix(_TAG)
        if isinstance(found, yaml.SequenceNode) and tag == "seq":
            return replace(place, value=[self.node(each) for each in found.value])
        if isinstance(found, yaml.MappingNode) and tag == "map":
            return replace(place, value=self._mapping(found))
        if isinstance(found, yaml.ScalarNode):
            return replace(
                place, value=self._scalar(found, tag), text=None if found.style else str(found.value)
            )
        raise place.wrong(f"expected no tag such as {found.tag}")

    def _mapping(self, found: yaml.MappingNode) -> dict[Plain, Node]:
        self._refuse_twice(found)
        self._loader.flatten_mapping(found)  # what `<<` brings comes first
        made: dict[Plain, Node] = {}
        for key, value in found.value:
            # The key tells the line: a value may begin below it, or elsewhere, behind an anchor.
            made[self._key(key)] = replace(self.node(value), line=self._at(key).line)
        return made

    def _refuse_twice(self, found: yaml.MappingNode) -> None:
        seen: set[Plain] = set()
        for key, _ in found.value:
            name = self._key(key)
            if name in seen:
                raise self._at(key).wrong(f"{name} is given twice")
            seen.add(name)

    def _key(self, found: yaml.Node) -> Plain:
        if not isinstance(found, yaml.ScalarNode):
            raise self._at(found).wrong("expected a name before the ':', got a list or a mapping")
        if found.tag == f"{_TAG}merge":
            return "<<"
        return cast("Plain", self.node(found).value)

    def _scalar(self, found: yaml.ScalarNode, tag: str) -> Plain:
        text = str(found.value)
        try:
            return _SCALARS[tag](text)
        except KeyError:
            raise self._at(found).wrong(f"expected no tag such as {found.tag}") from None
        except ValueError:
            raise self._at(found).wrong(f"expected {tag}, got {shown(text)}") from None


def _bool(text: str) -> bool:
    if text.lower() not in ("true", "false"):
        raise ValueError(text)
    return text.lower() == "true"


def _int(text: str) -> int:
    return int(text, 0) if text[:2] in ("0x", "0o") else int(text)


def _float(text: str) -> float:
    return float(text.lower().replace(".inf", "inf").replace(".nan", "nan"))


def _null(text: str) -> None:
    if text not in ("", "~", "null", "Null", "NULL"):
        raise ValueError(text)


_SCALARS: Mapping[str, Any] = {
    "null": _null,
    "bool": _bool,
    "int": _int,
    "float": _float,
    "str": str,
}
