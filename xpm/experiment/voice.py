"""What an experiment says to its user: single lines on stderr."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable
from typing import Any


class Voice:
    """Says lines; while a live display is there, above it.

    Args:
        plain: no colours on a terminal either.
        quiet: no remarks.
    """

    def __init__(self, *, plain: bool = False, quiet: bool = False) -> None:
        self.plain = plain
        self.quiet = quiet
        self.above: Callable[[str], None] | None = None
        self._said: set[str] = set()

    @property
    def terminal(self) -> bool:
        """Whether a person looks on."""
        return sys.stderr.isatty()

    def say(self, text: str, style: str = "") -> None:
        """One line, or several; `style` is shown on terminals only."""
        try:
            self._write(text, style)
        except BrokenPipeError:
            # Whoever read this has gone, as `head` does. The jobs go on, and so does the script.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stderr.fileno())

    def remark(self, text: str) -> None:
        """What nobody misses who wants to know the end alone."""
        if not self.quiet:
            self.say(text)

    def _write(self, text: str, style: str) -> None:
        if self.above is not None:
            self.above(text)
        elif style and self.terminal and not self.plain:
            self._styled(text, style)
        else:
            sys.stderr.write(f"{text}\n")
            sys.stderr.flush()

    def once(self, text: str) -> None:
        """Says `text` unless it was said before."""
        if text not in self._said:
            self._said.add(text)
            self.say(text)

    def _styled(self, text: str, style: str) -> None:
        # rich is loaded only where it is seen: it costs more than all else of a run that has nothing to do.
        rich: Any = importlib.import_module("rich.console")
        rich.Console(stderr=True, highlight=False, soft_wrap=True).print(text, style=style, markup=False)


def jobs(count: int) -> str:
    """`1 job`, `1,200 jobs`."""
    return f"{count:,} job" if count == 1 else f"{count:,} jobs"


def all_jobs(count: int) -> str:
    """`the one job`, `all 1,200 jobs`."""
    return "the one job" if count == 1 else f"all {jobs(count)}"


def agree(count: int, verb: str) -> str:
    """The verb for so many: `1 job waits`, `2 jobs wait`."""
    return verb if count != 1 else f"{verb}es" if verb.endswith("o") else f"{verb}s"


def nothing_to_do(count: int) -> str:
    """What to say of a plan in which everything was done before."""
    return f"nothing to do: {all_jobs(count)} {'was' if count == 1 else 'were'} done before"
