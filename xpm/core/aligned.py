"""Plain text in columns, as a pipe or a file gets it."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence


def clean(text: str, *, lines: bool = False) -> str:
    """Text that a job chose, without what would steer the terminal; a table's cell is one line."""
    if text.isprintable():
        return text
    kept = "\n\t" if lines else ""
    return "".join(
        one if one.isprintable() or one in kept else " " if one in "\n\t\r" else "\N{REPLACEMENT CHARACTER}"
        for one in text
    )


def aligned(rows: Sequence[Sequence[str]], right: Sequence[bool] = (), indent: str = "") -> Iterable[str]:
    """The rows as aligned lines, cut nowhere."""
    widths = [max(map(_width, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells: list[str] = []
        for place, text in enumerate(row):
            gap = " " * (widths[place] - _width(text))
            cells.append(gap + text if place < len(right) and right[place] else text + gap)
        yield (indent + "  ".join(cells)).rstrip()


def _width(text: str) -> int:
    if text.isascii():
        return len(text)
    return sum(
        0 if unicodedata.combining(one) else 2 if unicodedata.east_asian_width(one) in "WF" else 1
        for one in text
    )
