"""The module that workers load in place of a notebook: the definitions of its cells, and what these use."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from types import FunctionType
from typing import Any, NamedTuple

from xpm.cells.history import History, bound_by
from xpm.cells.uses import Uses, uses
from xpm.cells.values import LARGEST, importable, literal, made_anew
from xpm.core.naming import cells_file
from xpm.core.typeinfo import TypeInfo
from xpm.errors import ConfigError

_OF_KERNELS = frozenset({"get_ipython", "display", "In", "Out", "exit", "quit"})
_NOTHING = Uses(frozenset(), frozenset(), frozenset())
_DEFINES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)


class _Piece(NamedTuple):
    """Some lines of the module."""

    order: int
    """Its place in the order of execution; values come first."""
    text: str
    uses: Uses
    function: bool = False


class _Refused(Exception):
    """A name can't be written as source; the text says why."""


class Cells:
    """What the cells of a notebook had defined when this was made.

    Args:
        name: the notebook's.
        history: what the cells have bound.
        names: the variables of the notebook.
    """

    def __init__(self, name: str, history: History, names: Mapping[str, Any]) -> None:
        self._name = name
        self._history = history
        self._names = names
        self._pieces: dict[str, _Piece | _Refused | None] = {}
        self._checked: set[str] = set()

    def check(self, types: Iterable[TypeInfo]) -> None:
        """Refuses what workers couldn't load.

        Raises:
            ConfigError: a class or a function uses what can't be written as source.
        """
        for info in types:
            if info.script == self._name and info.qualname not in self._checked:
                root = info.qualname.partition(".")[0]
                _, included, troubles = self._written
                if root in troubles:
                    raise ConfigError(troubles[root])
                if root not in included:
                    raise ConfigError(
                        f"{root}: workers get the cells as they were at the first submission of the experiment, "
                        "without it: define it before, and name it in a cell"
                    )
                self._checked.add(info.qualname)

    def files(self) -> dict[str, bytes]:
        """The module, by its path in the project; nothing where the cells define no class."""
        text = self._written[0]
        return {cells_file(self._name): text.encode("utf-8", "surrogateescape")} if text else {}

    @cached_property
    def _written(self) -> tuple[str, frozenset[str], dict[str, str]]:
        """The module's text, the names that it defines, and why others can't be in it."""
        pieces: dict[str, _Piece] = {}
        troubles: dict[str, str] = {}
        for root in self._roots():
            try:
                pieces |= self._closure(root)
            except _Refused as refused:
                troubles[root] = f"{root}: {refused}"
        if not pieces:
            return "", frozenset(), troubles
        lines = [f'"""What the tasks of {self._name} need of its cells, written for workers."""']
        if self._history.postponed:
            lines.append("from __future__ import annotations")
        return "\n\n".join([*lines, *_in_order(pieces)]) + "\n", frozenset(pieces), troubles

    def _roots(self) -> Iterator[str]:
        """The names of the notebook's own classes, and of functions that may be values of parameters."""
        for name, found in list(self._names.items()):
            own = (
                getattr(found, "__module__", "") == "__main__" and getattr(found, "__qualname__", "") == name
            )
            is_value = isinstance(found, FunctionType) and name in self._history.mentioned
            if own and (isinstance(found, type) or is_value):
                yield name

    def _closure(self, root: str) -> dict[str, _Piece]:
        """All that `root` needs, by name."""
        found: dict[str, _Piece] = {}
        waiting = [(root, "")]
        while waiting:
            name, by = waiting.pop()
            if name in found:
                continue
            try:
                piece = self._piece(name)
            except _Refused as refused:
                raise _Refused(f"{refused}{f' ({by} uses it)' if by not in ('', root) else ''}") from None
            if piece is None:
                continue
            found[name] = piece
            waiting += [(each, name) for each in sorted(piece.uses.now | piece.uses.later)]
            waiting += [
                (each, name) for each in sorted(piece.uses.quoted) if isinstance(self._names.get(each), type)
            ]
        return found

    def _piece(self, name: str) -> _Piece | None:
        """The lines for `name`; None where it is no variable of the notebook."""
        if name not in self._pieces:
            try:
                self._pieces[name] = self._made(name)
            except _Refused as refused:
                self._pieces[name] = refused
        found = self._pieces[name]
        if isinstance(found, _Refused):
            raise found
        return found

    def _made(self, name: str) -> _Piece | None:
        if name.startswith("__") and name.endswith("__"):
            return None  # each module has its own
        live = self._names.get(name, _NOTHING)
        definition = self._history.definition(name, live)
        if name in _OF_KERNELS and definition is None:
            raise _Refused(
                f"uses {name}, as %magic and !shell do, which no worker has: use the module that does the same, "
                "as subprocess"
                if name == "get_ipython"
                else f"uses {name}, which only notebooks have: leave it to the cells that look at results"
            )
        if live is _NOTHING:
            return None  # Python's own, or a name that is missing here, too
        imported = self._history.imported(name, live)
        if imported is not None:
            return _Piece(imported.order, imported.source, _NOTHING)
        text = literal(live)
        if text is not None:
            if len(text) > LARGEST:
                raise _Refused(
                    f"uses {name}, which is {len(text):,} bytes of data: give them as a file, or make them in a function"
                )
            return _Piece(-1, f"{name} = {text}", _NOTHING)
        if not made_anew(live):
            raise _Refused(
                f"uses {name}, a {type(live).__name__} that only this kernel has: "
                "make it a parameter, or make it in a function that the task calls"
            )
        if definition is not None and not isinstance(definition.node, ast.AugAssign):
            return self._defined(name, live, definition)
        return _elsewhere(name, live)

    def _defined(self, name: str, live: Any, definition: Any) -> _Piece:
        node, source, order = definition
        used = uses(node, source, postponed=self._history.postponed)
        if isinstance(node, _DEFINES):
            return _Piece(order, source, used, function=not isinstance(node, ast.ClassDef))
        if name in used.now and name in bound_by(node):
            raise _Refused(f"uses {name}, which a line makes of its old value: give one of them another name")
        if _has_changed(getattr(node, "value", None), live):
            raise _Refused(f"uses {name}, which was changed after it was made: make it complete in one line")
        return _Piece(order, source, used)


def _elsewhere(name: str, live: Any) -> _Piece:
    """The line for what no line of a cell has bound by itself: a loop's variable, a name that `exec` has made."""
    found = importable(live)
    if found is not None:
        module, inner = found
        text = f"from {module} import {inner} as {name}" if inner else f"import {module} as {name}"
        return _Piece(-1, text, _NOTHING)
    own = getattr(live, "__qualname__", name)
    if own == name or "." in own:
        raise _Refused(
            f"no line of a cell defines {name}, as after %run or exec: import it, or define it in a cell"
        )
    return _Piece(-1, f"{name} = {own}", Uses(frozenset({own}), frozenset(), frozenset()))


def _has_changed(node: ast.expr | None, live: Any) -> bool:
    """Whether a container has more or less in it than where it was written."""
    if isinstance(node, ast.Dict):
        return None not in node.keys and len(node.keys) != len(live)
    if isinstance(node, (ast.List, ast.Set, ast.Tuple)) and hasattr(live, "__len__"):
        starred = any(isinstance(each, ast.Starred) for each in node.elts)
        return not starred and not isinstance(node, ast.Tuple) and len(node.elts) != len(live)
    return False


def _in_order(pieces: Mapping[str, _Piece]) -> list[str]:
    """The texts in the order of execution, but what a piece uses at once before it: cells may have been run again."""
    texts: list[str] = []
    begun: set[str] = set()
    called: set[str] = set()

    def emit(name: str) -> None:
        if name in begun:
            return
        piece = pieces[name]
        begun.add(name)
        for each in _by_place(pieces, piece.uses.now):
            emit(each)
            call(each)
        if piece.text not in texts:  # one line may bind several names
            texts.append(piece.text)

    def call(name: str) -> None:
        """What a function needs that is called by a decorator, or to make a value."""
        piece = pieces[name]
        if not piece.function or name in called:
            return
        called.add(name)
        for each in _by_place(pieces, piece.uses.later):
            emit(each)
            call(each)

    for name in _by_place(pieces, pieces):
        emit(name)
    return texts


def _by_place(pieces: Mapping[str, _Piece], names: Iterable[str]) -> list[str]:
    """Those of the names that have pieces, in the order of execution."""
    return sorted((name for name in names if name in pieces), key=lambda name: (pieces[name].order, name))
