"""The statements of a notebook's cells, as they were executed: which one has bound a name."""

from __future__ import annotations
import __future__

import ast
import sys
from collections.abc import Callable, Iterable, Iterator
from types import CodeType, FunctionType
from typing import Any, NamedTuple, cast

from xpm.cells.samecode import same_code

_MAGIC = ("run_cell_magic", "run_line_magic")
_ANNOTATIONS = __future__.annotations.compiler_flag
_BODIES = ("body", "orelse", "finalbody", "handlers", "cases")

Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


class Statement(NamedTuple):
    """A statement that has bound names of the notebook."""

    node: ast.stmt
    source: str
    order: int
    """How many were executed before."""


class History:
    """What the cells have bound, by name.

    Args:
        cells: the sources of the executed cells, in the order of execution, as IPython compiles them.
        transform: what IPython does to the source of a cell before that: magics in cells have sources, too.
    """

    def __init__(self, cells: Iterable[str], transform: Callable[[str], str]) -> None:
        self._transform = transform
        self._bound: dict[str, list[Statement]] = {}
        self._stars: list[Statement] = []
        self._mentioned: set[str] = set()
        self.postponed = False
        """Whether a cell has postponed the evaluation of annotations, for itself and all after it."""
        count = 0
        for cell in cells:
            for node, source in self._statements(cell):
                self._add(Statement(node, source, count))
                count += 1

    @property
    def mentioned(self) -> frozenset[str]:
        """Names that stand somewhere without being called or decorating: those of functions may be values."""
        return frozenset(self._mentioned)

    def definition(self, name: str, live: Any) -> Statement | None:
        """The newest statement that has bound `name`, and to what it is now; the newest at all if none is known to."""
        bound = self._bound.get(name, [])
        for statement in reversed(bound):
            if self._agrees(statement.node, name, live):
                return statement
        for statement in reversed(self._stars):
            if isinstance(statement.node, ast.ImportFrom) and _imports(statement.node, name, live):
                return statement
        return bound[-1] if bound else None

    def imported(self, name: str, live: Any) -> Statement | None:
        """All that imports `name` as it is now; None where it is no import that has bound it."""
        found = self.definition(name, live)
        if found is None or not isinstance(found.node, (ast.Import, ast.ImportFrom)):
            return None
        if not _imports(found.node, name, live):
            return None
        # `import a.b` and `import a.c` both bind `a`.
        same = [each for each in self._bound.get(name, ()) if isinstance(each.node, ast.Import)]
        lines = [each.source for each in same if self._agrees(each.node, name, live)] or [found.source]
        return found._replace(source="\n".join(dict.fromkeys(lines)))

    def _statements(self, cell: str) -> Iterator[tuple[ast.stmt, str]]:
        tree = _parsed(cell)
        if tree is None:
            return  # it was never executed, or is no Python, as below %%bash
        self._mentioned |= _mentions(tree)
        lines = cell.splitlines()
        for node in _flat(tree.body):
            inner = _of_magic(node)
            if inner is not None:
                yield from self._statements(self._transform(inner))
            else:
                yield node, _source(node, lines, cell)

    def _add(self, statement: Statement) -> None:
        node = statement.node
        if isinstance(node, ast.ImportFrom) and node.module == "__future__":
            self.postponed |= any(alias.name == "annotations" for alias in node.names)
            return
        for name in bound_by(node):
            if name == "*":
                self._stars.append(statement)
            else:
                self._bound.setdefault(name, []).append(statement)

    def _agrees(self, node: ast.stmt, name: str, live: Any) -> bool:
        """Whether what `node` binds is what is there: a cell may have failed before it came to that."""
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            return _imports(node, name, live)
        if isinstance(node, ast.ClassDef):
            return isinstance(live, type) and self._has_methods(node, live)
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            function = _function(live)
            return function is None or same_code(self._code(node), function.__code__)
        return True

    def _has_methods(self, node: ast.ClassDef, cls: type[Any]) -> bool:
        inside = {each.co_name: each for each in _codes(self._code(node))}
        for each in node.body:
            if isinstance(each, (ast.FunctionDef, ast.AsyncFunctionDef)):
                if each.name not in vars(cls):
                    return False
                function = _function(vars(cls)[each.name])
                if function is not None and not same_code(inside[each.name], function.__code__):
                    return False
        return True

    def _code(self, node: Definition) -> CodeType:
        """The code of what `node` defines."""
        flags = _ANNOTATIONS if self.postponed else 0
        whole = compile(ast.Module([node], []), "<cell>", "exec", flags, dont_inherit=True)
        return next(each for each in _codes(whole) if each.co_name == node.name)


def bound_by(node: ast.stmt) -> tuple[str, ...]:
    """The names that a statement binds; `*` where it imports all that there is."""
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        return (node.name,)
    if isinstance(node, (ast.Import, ast.ImportFrom)):
        whole = isinstance(node, ast.ImportFrom)
        return tuple(alias.asname or (alias.name if whole else _top(alias.name)) for alias in node.names)
    if isinstance(node, ast.Assign):
        targets: list[ast.expr] = node.targets
    elif isinstance(node, (ast.AnnAssign, ast.AugAssign)):
        targets = [node.target] if node.value is not None else []
    else:
        made: Any = getattr(node, "name", None)  # a type alias, from Python 3.12 on
        targets = [made] if isinstance(made, ast.Name) else []
    return tuple(
        each.id
        for target in targets
        for each in ast.walk(target)
        if isinstance(each, ast.Name) and isinstance(each.ctx, ast.Store)
    )


def _parsed(source: str) -> ast.Module | None:
    try:
        return compile(
            source, "<cell>", "exec", ast.PyCF_ONLY_AST | ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True
        )
    except (SyntaxError, ValueError):
        return None


def _flat(body: Iterable[ast.AST]) -> Iterator[ast.stmt]:
    """The statements that bind names of the notebook, each by itself, also those in `if`, `try`, `with` and loops."""
    for node in body:
        parts: list[Any] = [getattr(node, name, None) for name in _BODIES]
        inner: list[list[ast.AST]] = [part for part in parts if isinstance(part, list)]
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)) or not inner:
            if isinstance(node, ast.stmt):
                yield node
        else:
            for part in inner:
                yield from _flat(part)


def _of_magic(node: ast.stmt) -> str | None:
    """The source that a magic such as `%%time` is given; None if `node` is none."""
    if not (isinstance(node, ast.Expr) and isinstance(node.value, ast.Call) and node.value.args):
        return None
    called, last = node.value.func, node.value.args[-1]
    if isinstance(called, ast.Attribute) and called.attr in _MAGIC and isinstance(last, ast.Constant):
        return last.value if isinstance(last.value, str) else None
    return None


def _source(node: ast.stmt, lines: list[str], cell: str) -> str:
    if node.col_offset:
        return ast.unparse(node)  # in a block: as it would stand outside
    decorators = getattr(node, "decorator_list", None)
    if decorators:
        return "\n".join(lines[decorators[0].lineno - 1 : node.end_lineno])
    return ast.get_source_segment(cell, node) or ast.unparse(node)


def _mentions(tree: ast.Module) -> set[str]:
    apart: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            apart.add(id(node.func))
        apart |= {id(each) for each in getattr(node, "decorator_list", ())}
    return {
        node.id
        for node in ast.walk(tree)
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load) and id(node) not in apart
    }


def _imports(node: ast.Import | ast.ImportFrom, name: str, live: Any) -> bool:
    """Whether an import gives `name`, and what it is now."""
    if isinstance(node, ast.Import):
        given = {alias.asname or _top(alias.name): alias for alias in node.names}[name]
        return sys.modules.get(given.name if given.asname else _top(given.name)) is live
    module = sys.modules.get(node.module or "")
    for alias in node.names:
        if alias.name == "*" or (alias.asname or alias.name) == name:
            wanted = name if alias.name == "*" else alias.name
            inner = sys.modules.get(f"{node.module}.{wanted}")
            return getattr(module, wanted, inner) is live
    return False


def _top(module: str) -> str:
    return module.partition(".")[0]


def _function(live: Any) -> FunctionType | None:
    """The function that was written, below decorators that say so."""
    for _ in range(20):  # a decorator could refer to itself
        if isinstance(live, FunctionType) and not hasattr(live, "__wrapped__"):
            return live
        # Static and class methods have `__wrapped__`, too.
        inner = "fget" if isinstance(live, property) else "__wrapped__"
        live = getattr(cast("object", live), inner, None)
    return None


def _codes(code: CodeType) -> Iterator[CodeType]:
    return (each for each in code.co_consts if isinstance(each, CodeType))
