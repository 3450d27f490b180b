"""The names that a statement uses: at once, or when what it defines is called."""

from __future__ import annotations

import ast
import symtable
from collections.abc import Iterator
from typing import NamedTuple

_AT_ONCE = frozenset({"listcomp", "setcomp", "dictcomp", "genexpr"})
"""Scopes of functions that run where they stand."""


class Uses(NamedTuple):
    """Names of the notebook that a statement uses."""

    now: frozenset[str]
    """When it is executed."""
    later: frozenset[str]
    """When what it defines is called."""
    quoted: frozenset[str]
    """In annotations that are texts; some may be no names, as in `Literal["exact"]`."""


def uses(node: ast.stmt, source: str, *, postponed: bool = False) -> Uses:
    """The names that the statement `node` uses, whose source is `source`.

    Args:
        node: the statement.
        source: its source.
        postponed: whether annotations are evaluated when they are asked for.
    """
    now, later = _looked(source)
    if postponed:
        everything = now | later
        now, later = _looked(ast.unparse(_Bare().visit(ast.parse(source))))
        later |= everything - now
    return Uses(frozenset(now), frozenset(later - now), frozenset(_quoted(node)))


class _Bare(ast.NodeTransformer):
    """Takes annotations out."""

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST:
        node.annotation = ast.Constant(None)
        return self.generic_visit(node)

    def visit_arg(self, node: ast.arg) -> ast.AST:
        node.annotation = None
        return node

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        node.returns = None
        return self.generic_visit(node)

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> ast.AST:
        node.returns = None
        return self.generic_visit(node)


def _looked(source: str) -> tuple[set[str], set[str]]:
    now: set[str] = set()
    later: set[str] = set()
    _look(symtable.symtable(source, "<cell>", "exec"), now, later, at_once=True)
    return now, later


def _look(table: symtable.SymbolTable, now: set[str], later: set[str], *, at_once: bool) -> None:
    top = table.get_type() == "module"
    found = now if at_once else later
    for symbol in table.get_symbols():
        if symbol.is_referenced() if top else symbol.is_global():
            found.add(symbol.get_name())
    for child in table.get_children():
        runs = child.get_type() != "function" or child.get_name() in _AT_ONCE
        _look(child, now, later, at_once=at_once and runs)


def _quoted(node: ast.stmt) -> Iterator[str]:
    for annotation in _annotations(node):
        for each in ast.walk(annotation):
            if isinstance(each, ast.Constant) and isinstance(each.value, str):
                yield from _names(each.value)


def _annotations(node: ast.stmt) -> Iterator[ast.expr]:
    for each in ast.walk(node):
        for part in ("annotation", "returns"):
            found = getattr(each, part, None)
            if isinstance(found, ast.expr):
                yield found


def _names(text: str) -> Iterator[str]:
    try:
        tree = ast.parse(text, mode="eval")
    except (SyntaxError, ValueError):
        return
    yield from (each.id for each in ast.walk(tree) if isinstance(each, ast.Name))
