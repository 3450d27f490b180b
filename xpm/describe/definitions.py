"""Types and tasks that are defined in YAML: a file of them is a module of configs and command tasks."""

from __future__ import annotations

import hashlib
import os
import sys
from pathlib import Path
from types import ModuleType
from typing import Any, ForwardRef, get_args, get_origin

from xpm.core import naming
from xpm.core.config import Config
from xpm.core.fields import Constant, Meta, Param, PathGenerator, field
from xpm.core.kinds import shown
from xpm.core.limits import LIMITS
from xpm.core.naming import FILES, SCRIPT
from xpm.core.provenance import frame_above
from xpm.core.schema import schema_of
from xpm.core.spelling import nearest
from xpm.describe.commands import CommandTask
from xpm.describe.configuration import Varied
from xpm.describe.params import fitted
from xpm.describe.typenames import NoType, type_of
from xpm.describe.written import command_of, mapping, text_of, told
from xpm.describe.yamls import Node, read_file
from xpm.errors import ConfigError, UsageError
from xpm.project import project_root

SECTIONS = ("definitions", "types", "tasks")
"""The keys of such a file; `definitions` names further files."""

PLAN = ("experiment", "plan")
"""The keys that such a file has besides where it is a plan, too."""

_TYPE = ("help", "extends", "id", "arguments")
_TASK = (*_TYPE, "command")
_ARGUMENT = ("type", "default", "help", "meta", "constant", "ignore_default", "generator", "choices", *LIMITS)


def definitions(path: str | os.PathLike[str]) -> ModuleType:
    """The types and tasks that a YAML file defines, as a module: `lab.Train` is a class like one written in Python.

    Args:
        path: the file, relative to that of the module that asks for it; it lies in the project.

    Raises:
        UsageError: it can't be read, or lies elsewhere.
        ConfigError: it defines something impossible, with the line.

    Example:
        ```python
        lab = definitions("lab.yaml")
        lab.Train.C(lr=0.1).submit()
        ```
    """
    asking = frame_above(1).f_globals.get("__file__")
    folder = Path(asking).absolute().parent if asking else Path.cwd()
    return defined_in(folder / path)


def defined_in(path: Path) -> ModuleType:
    """The definitions of the file at `path`; see `definitions`."""
    real = Path(os.path.realpath(path))
    root = Path(os.path.realpath(naming.code_folder or project_root(real)[0]))
    if not real.is_relative_to(root):
        raise UsageError(f"{path}: lies outside of the project {root}, where no worker finds it")
    script = real.relative_to(root).as_posix()
    name = f"xpm_definitions_{hashlib.sha256(script.encode()).hexdigest()[:12]}"
    known = sys.modules.get(name)
    if known is not None:
        return known
    module = ModuleType(name, f"What {script} defines.")
    module.__dict__.update({"__file__": str(real), SCRIPT: script, FILES: [str(real)]})
    sys.modules[name] = module
    try:
        _fill(module, read_file(real, script), real.parent)
    except BaseException:  # whatever stopped it: half a module must not be found by the next who asks
        del sys.modules[name]
        raise
    return module


def _fill(module: ModuleType, document: Node, folder: Path) -> None:
    sections = mapping(document, "a file of definitions", (*SECTIONS, *PLAN))
    if "definitions" in sections:
        for other in _listed(sections["definitions"]):
            found = told(other, lambda other=other: defined_in(folder / text_of(other)))
            module.__dict__.update({name: each for name, each in vars(found).items() if _is_class(each)})
    own: dict[str, tuple[Node, bool]] = {}
    for section, is_task in (("types", False), ("tasks", True)):
        if section in sections:
            for name, node in sections[section].mapping(section).items():
                if not name.isidentifier() or name.startswith("__"):
                    raise node.wrong(f"{name!r} can't be the name of a class")
                if name in own or _is_class(module.__dict__.get(name)):
                    raise node.wrong(f"{name} is defined twice")
                own[name] = node, is_task
    made = _Classes(module, own)
    for name in own:
        made.get(name, document)
    for name, (node, _) in own.items():
        made.check(name, node)


def _listed(node: Node) -> list[Node]:
    return node.value if isinstance(node.value, list) else [node]


def _is_class(found: object) -> bool:
    return isinstance(found, type) and issubclass(found, Config)


class _Classes:
    """The classes of a file, each made when it is first needed: by its own turn, or by one that extends it."""

    def __init__(self, module: ModuleType, own: dict[str, tuple[Node, bool]]) -> None:
        self._module = module
        self._own = own
        self._open: list[str] = []
        self._arguments: dict[tuple[str, str], Node] = {}

    @property
    def _names(self) -> list[str]:
        return [*self._own, *(name for name, each in vars(self._module).items() if _is_class(each))]

    def get(self, name: str, asked: Node) -> Any:
        """The class of that name; `asked` is where it is asked for."""
        made = self._module.__dict__.get(name)
        if _is_class(made):
            return made
        if name not in self._own:
            raise asked.wrong(f"no type {name!r}{nearest(name, self._names)}")
        if name in self._open:
            raise asked.wrong(f"{name} extends itself")
        self._open.append(name)
        made = self._made(name, *self._own[name])
        self._open.remove(name)
        setattr(self._module, name, made)
        return made

    def _made(self, name: str, node: Node, is_task: bool) -> Any:
        given = mapping(node, "a task" if is_task else "a type", _TASK if is_task else _TYPE)
        base: Any = CommandTask if is_task else Config
        if "extends" in given:
            extended = self.get(text_of(given["extends"]), given["extends"])
            if issubclass(extended, CommandTask) is not is_task:
                raise given["extends"].wrong(f"{name}: a task extends a task, and a type a type")
            base = extended
        arguments = given["arguments"].mapping("the arguments") if "arguments" in given else {}
        body: dict[str, Any] = {
            "__module__": self._module.__name__,
            "__qualname__": name,
            "__annotations__": {},
        }
        for each, what in arguments.items():
            self._arguments[name, each] = what
            self._argument(f"{name}.{each}", each, what, body)
        body["__doc__"] = _doc(given, arguments)
        if "id" in given:
            body["__xpmid__"] = text_of(given["id"])
        if "command" in given:
            body["command"] = command_of(given["command"])
        elif is_task and not hasattr(base, "command"):
            raise node.wrong(f"{name}: a task needs its command")
        make: Any = base.__class__
        return told(given.get("command", node), lambda: make(name, (base,), body))

    def _argument(self, place: str, name: str, node: Node, body: dict[str, Any]) -> None:
        if not name.isidentifier() or name.startswith("__"):
            raise node.wrong(f"{place}: can't be the name of a parameter")
        given = {"type": node} if isinstance(node.value, str) else mapping(node, "an argument", _ARGUMENT)
        if "type" not in given:
            raise node.wrong(f"{place}: needs its type, as in {name}: {{type: float}}")
        try:
            hint = type_of(text_of(given["type"]), self._names)
        except NoType as why:
            raise given["type"].wrong(f"{place}: {why}") from None
        constant, meta = (_flag(given, each) for each in ("constant", "meta"))
        if constant and meta:
            raise node.wrong(f"{place}: is meta or constant, not both")
        role: Any = Constant if constant else Meta if meta or "generator" in given else Param
        body["__annotations__"][name] = role[hint]
        options = _options(place, given, hint)
        if options:
            body[name] = told(node, lambda: field(**options))

    def check(self, name: str, node: Node) -> None:
        """Has the class read what it declares, so that mistakes are told with the line."""
        cls = self._module.__dict__[name]
        try:
            schema_of(cls)
        except ConfigError as wrong:
            argument = str(wrong).removeprefix(f"{name}.").partition(":")[0]
            raise self._arguments.get((name, argument), node).wrong(str(wrong)) from None


def _options(place: str, given: dict[str, Node], hint: Any) -> dict[str, Any]:
    """What `field` is told of an argument."""
    found: dict[str, Any] = {}
    if "default" in given:
        node = given["default"]
        if _names_class(hint):
            empty = get_origin(hint)
            if node.value is not None and (node.value or empty is None):
                raise node.wrong(f"{place}: a default that is a type, or of types, can only be null or empty")
            found["default"] = None if node.value is None else empty()
        else:
            found["default"] = fitted((node,), hint, (place,))
        if isinstance(found["default"], Varied):
            raise node.wrong(f"{place}: expected one value as the default, got {shown(node.plain())}")
    if "generator" in given:
        found["default_factory"] = told(
            given["generator"], lambda: PathGenerator(text_of(given["generator"]))
        )
    if _flag(given, "ignore_default"):
        found["ignore_default"] = True
    if "choices" in given:
        choices = given["choices"].plain()
        if not isinstance(choices, list):
            raise given["choices"].wrong(f"{place}: expected a list of choices, got {shown(choices)}")
        found["choices"] = choices
    for name in LIMITS:
        if name in given:
            found[name] = fitted((given[name],), int | float, (place, name))
    return found


def _names_class(hint: Any) -> bool:
    return isinstance(hint, ForwardRef) or any(_names_class(each) for each in get_args(hint))


def _flag(given: dict[str, Node], name: str) -> bool:
    if name not in given:
        return False
    value = given[name].value
    if not isinstance(value, bool):
        raise given[name].wrong(f"{name}: expected true or false, got {shown(value)}")
    return value


def _doc(given: dict[str, Node], arguments: dict[str, Node]) -> str | None:
    """The docstring: the help, and that of the arguments."""
    helps = {
        name: text_of(node.value["help"])
        for name, node in arguments.items()
        if isinstance(node.value, dict) and "help" in node.value
    }
    text = text_of(given["help"]) if "help" in given else ""
    lines = "".join(f"\n    {name}: {help}" for name, help in helps.items())
    return f"{text}\n\nArgs:{lines}".strip() if lines else text or None
