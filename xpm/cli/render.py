"""What is printed: rich tables on a terminal, plain aligned text in a pipe, JSON where that was asked for."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, cast

from xpm.core.aligned import aligned, clean
from xpm.core.state import State

if TYPE_CHECKING:
    from rich.console import Console

VERSION = 1
"""Of the JSON output: a field may be added within a version, none changes or goes."""

STYLES: Mapping[State, str] = {
    State.WAITING: "dim",
    State.READY: "default",
    State.RUNNING: "cyan",
    State.DONE: "green",
    State.ERROR: "bold red",
    State.HOLD: "yellow",
    State.SCHEDULED: "blue",
    State.CANCELLED: "magenta",
    State.LOST: "red",
}

Cell = str | tuple[str, str]
"""A text, or a text and its style."""


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a table."""

    title: str
    right: bool = False
    fixed: bool = False
    """Never wrapped on a narrow terminal."""


def text_of(cell: Cell) -> str:
    """The text of a cell, safe to print."""
    return clean(cell if isinstance(cell, str) else cell[0])


class Screen:
    """Standard output, as a person or a program reads it."""

    def __init__(self, *, no_color: bool = False) -> None:
        self.fancy = sys.stdout.isatty()
        self._no_color = no_color

    @cached_property
    def console(self) -> Console:
        """The terminal."""
        from rich.console import Console

        return Console(no_color=True if self._no_color else None, highlight=False, emoji=False, markup=False)

    def line(self, *cells: Cell) -> None:
        """One line, wrapped on a terminal."""
        if not self.fancy:
            print("".join(map(text_of, cells)))
            return
        from rich.text import Text

        self.console.print(Text.assemble(*((text_of(cell), _style(cell)) for cell in cells)))

    def table(self, columns: Sequence[Column], rows: Sequence[Sequence[Cell]]) -> None:
        """A table with a head."""
        if not self.fancy:
            texts = [[column.title for column in columns], *([text_of(cell) for cell in row] for row in rows)]
            for line in aligned(texts, [column.right for column in columns]):
                print(line)
            return
        self.console.print(_table(columns, rows, head=True))

    def pairs(self, pairs: Sequence[tuple[str, Cell]], indent: str = "") -> None:
        """Names and values below each other."""
        if not pairs:
            return
        if not self.fancy:
            for line in aligned([[name, text_of(cell)] for name, cell in pairs], indent=indent):
                print(line)
            return
        from rich.padding import Padding

        columns = (Column("", fixed=True), Column(""))
        table = _table(columns, [[(name, "dim"), cell] for name, cell in pairs], head=False)
        self.console.print(Padding(table, (0, 0, 0, len(indent))))

    def block(self, text: str, style: str = "") -> None:
        """Several lines as they are, a traceback for example."""
        text = clean(text, lines=True)
        if not self.fancy:
            print(text)
            return
        from rich.text import Text

        self.console.print(Text(text, style))

    def whole(self, text: str, style: str = "") -> None:
        """A line that is never broken, so that a path can be copied."""
        if not self.fancy:
            print(clean(text))
            return
        from rich.text import Text

        self.console.print(Text(clean(text), style), soft_wrap=True)

    def title(self, text: str) -> None:
        """The head of a part."""
        if not self.fancy:
            print(f"\n{text}")
            return
        self.line()
        self.line((text, "bold"))


def _style(cell: Cell) -> str:
    return "" if isinstance(cell, str) else cell[1]


def _table(columns: Sequence[Column], rows: Sequence[Sequence[Cell]], *, head: bool) -> Any:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), show_header=head, header_style="dim")
    for column in columns:
        table.add_column(
            column.title,
            justify="right" if column.right else "left",
            no_wrap=column.fixed,
            overflow="fold",
        )
    for row in rows:
        table.add_row(*(Text(text_of(cell), _style(cell)) for cell in row))
    return table


def state_cell(state: State) -> Cell:
    """A state in its colour."""
    return state.value, STYLES[state]


def print_json(**fields: Any) -> None:
    """One JSON object with the version of its fields."""
    print(json.dumps(_finite({"version": VERSION, **fields}), indent=2, ensure_ascii=False, allow_nan=False))


def _finite(value: Any) -> Any:
    """JSON has no NaN and no infinity: they become text."""
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, Mapping):
        return {str(key): _finite(one) for key, one in cast("Mapping[Any, Any]", value).items()}
    if isinstance(value, (list, tuple)):
        return [_finite(one) for one in cast("Sequence[Any]", value)]
    return value
