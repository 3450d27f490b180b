"""Puts a script together from what it uses: of the library's parts, only the functions and values that it needs.

A server makes all functions of a script anew at each call, and a script may have 200 local names at most.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

_GOES_ON = ("end", "else", "elseif", "}", ")", " ", "\n")
"""How a line begins that belongs to the statement before."""

_DEFINED = re.compile(r"local function (\w+)|local ([\w, ]+)")
_WORD = re.compile(r"[A-Za-z_]\w*")
_COMMENT = re.compile(r"--.*")
_TEXT = re.compile(r"'(?:[^'\\]|\\.)*'")


class _Statement:
    """A statement at the top of a file, with the comment before it."""

    def __init__(self, lines: list[str]) -> None:
        self.text = "".join(lines)
        code = _TEXT.sub("''", _COMMENT.sub("", self.text)).strip()
        found = _DEFINED.match(code)
        names = (found.group(1) or found.group(2)) if found else ""
        self.defines = {name.strip() for name in names.split(",") if name.strip()}
        self.uses = set(_WORD.findall(code)) - self.defines


def link(parts: Iterable[str], body: str) -> str:
    """`body` behind what it uses of `parts`, directly or not; what they do beside defining names is always kept."""
    statements = [statement for part in parts for statement in _statements(part)]
    makers: dict[str, list[_Statement]] = {}
    for statement in statements:
        for name in statement.defines:
            makers.setdefault(name, []).append(statement)
    kept = {statement for statement in statements if not statement.defines}
    waiting = [*kept, _Statement([body])]
    while waiting:
        for name in waiting.pop().uses:
            for statement in makers.get(name, ()):
                if statement not in kept:
                    kept.add(statement)
                    waiting.append(statement)
    return "".join([statement.text for statement in statements if statement in kept] + [body])


def _statements(part: str) -> Iterable[_Statement]:
    lines: list[str] = []
    begun = False
    for line in part.splitlines(keepends=True):
        goes_on = line.startswith(_GOES_ON)
        comment = line.startswith("--")
        if begun and not goes_on:
            yield _Statement(lines)
            lines, begun = [], False
        lines.append(line)
        begun = begun or not (comment or line.isspace())
    if begun:
        yield _Statement(lines)
