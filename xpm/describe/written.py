"""Commands as they are written in YAML."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, TypeVar, cast

from xpm.core.kinds import shown
from xpm.core.spelling import nearest
from xpm.describe.commands import Command, Details, Shell
from xpm.describe.words import Word, each, flag, option, verbatim
from xpm.describe.yamls import Node
from xpm.errors import ConfigError

T = TypeVar("T")

_COMMAND = ("run", "environment", "parameters", "returns", "success")
_WORDS: dict[str, tuple[str, ...]] = {
    "option": ("option", "name", "joined"),
    "flag": ("flag", "name"),
    "each": ("each", "joined"),
    "verbatim": ("verbatim",),
    "file": ("file",),
}
"""The keys of each kind of word, by the one that tells it."""


def command_of(node: Node) -> Command:
    """The command that `node` says: a list of words, a text for the shell, or a mapping with one of these as `run`.

    Raises:
        ConfigError: it says none, with the file and the line.
    """
    if not isinstance(node.value, dict):
        return _run(node, {})
    given = mapping(node, "a command", _COMMAND)
    if "run" not in given:
        raise node.wrong("a command needs run: a list of words, or a text for the shell")
    details: Details = {}
    if "environment" in given:
        variables = given["environment"].mapping("the environment")
        details["environment"] = {name: text_of(value) for name, value in variables.items()}
    if "parameters" in given:
        details["parameters"] = text_of(given["parameters"])
    if "returns" in given:
        details["returns"] = text_of(given["returns"])
    if "success" in given:
        codes: Any = given["success"].plain()
        if not isinstance(codes, list) or not all(type(code) is int for code in cast("list[Any]", codes)):
            raise given["success"].wrong(
                f"expected a list of exit codes, got {shown(given['success'].plain())}"
            )
        details["success"] = cast("list[int]", codes)
    return _run(given["run"], details)


def _run(node: Node, details: Details) -> Command:
    if isinstance(node.value, str):
        text = node.value
        return told(node, lambda: Shell(text, **details))
    if not isinstance(node.value, list):
        raise node.wrong(f"expected a list of words, or a text for the shell, got {shown(node.plain())}")
    words = [_word(each) for each in node.value]
    return told(node, lambda: Command(*words, **details))


def _word(node: Node) -> str | Path | Word:
    if not isinstance(node.value, dict):
        return text_of(node)
    kind = next((key for key in node.value if key in _WORDS), None)
    if not isinstance(kind, str):
        raise node.wrong(
            f"expected a text, or a word with one of {', '.join(_WORDS)}, got {shown(node.plain())}"
        )
    given = {key: text_of(value) for key, value in mapping(node, f"a word with {kind}", _WORDS[kind]).items()}
    joined = given.get("joined")
    if "name" in _WORDS[kind] and "name" not in given:
        raise node.wrong(
            f"a word with {kind} needs the name of a parameter: {{{kind}: {given[kind]}, name: ...}}"
        )
    match kind:
        case "option":
            return told(node, lambda: option(given["option"], given["name"], joined=joined))
        case "flag":
            return told(node, lambda: flag(given["flag"], given["name"]))
        case "each":
            return told(node, lambda: each(given["each"], joined=joined))
        case "verbatim":
            return told(node, lambda: verbatim(given["verbatim"]))
        case _:
            return Path(given["file"])


def mapping(node: Node, what: str, keys: Iterable[str]) -> dict[str, Node]:
    """The values of a mapping that has no other keys than `keys`.

    Raises:
        ConfigError: it is none, or has another one.
    """
    found = node.mapping(what)
    known = tuple(keys)
    for name, value in found.items():
        if name not in known:
            raise value.wrong(
                f"{what} has no {name!r}{nearest(name, known) or '; it has ' + ', '.join(known)}"
            )
    return found


def text_of(node: Node) -> str:
    """A text; a number as it is written.

    Raises:
        ConfigError: it is none.
    """
    if isinstance(node.value, str):
        return node.value
    if node.text is None or node.value is None:
        raise node.wrong(f"expected a text, got {shown(node.plain())}")
    return node.text


def told(node: Node, make: Callable[[], T]) -> T:
    """What `make` gives, its errors told with the place of `node`."""
    try:
        return make()
    except ConfigError as wrong:
        raise node.wrong(str(wrong)) from None
