"""Finds the classes that payloads name, in the code of the run that submitted them."""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

from xpm import aliases
from xpm.core import naming
from xpm.core.config import Task
from xpm.core.info import Described
from xpm.core.message import TypeInfo
from xpm.core.naming import DEFINED, SCRIPT, SCRIPT_MODULE, class_name, found_in
from xpm.core.session import ScriptLoaded, loading
from xpm.core.valued import live_class, load_value_class
from xpm.errors import ConfigError, SubmissionError
from xpm.workspace.code import Code
from xpm.workspace.toplevel import run_top_level
from xpm_workers import closed


class Loader:
    """The classes of one run's code."""

    def __init__(self, code: Code, workspace: Path) -> None:
        self.code = code
        self.folder = str(code.folder(workspace))
        self._workspace = workspace
        self._found: dict[TypeInfo, Any] = {}
        self._types: dict[str, TypeInfo] = {}
        self._tasks: dict[str, type[Task]] = {}
        self._modules = 0
        self._entries: dict[str, ModuleType] = {}

    def install(self) -> None:
        """Gives this process the module path, arguments and working directory of the run."""
        closed.install()
        if self.code.stands_in:
            aliases.install()
        naming.code_folder = self.folder
        own = [os.path.normpath(os.path.join(self.folder, entry)) for entry in self.code.sys_path]
        sys.path[:] = list(dict.fromkeys([*own, *sys.path, *self.code.extra_path]))
        sys.argv[:] = self.code.argv
        for folder in (self.code.cwd, self.code.root, self.folder):
            if os.path.isdir(folder):
                os.chdir(folder)
                return

    def find(self, info: TypeInfo) -> Any:
        """The class, or function, that `info` describes; loads its module or the script.

        Raises:
            SubmissionError: it isn't there; anything that the user's modules raise comes through.
        """
        found = self._found.get(info)
        if found is None:
            found = self._found[info] = self._load(info)
        return found

    def type(self, key: str, packed: bytes) -> TypeInfo:
        """The description of a type that a request sends along, read once.

        Raises:
            MessageError: it is damaged.
        """
        info = self._types.get(key)
        if info is None:
            info = self._types[key] = TypeInfo.unpack(packed)
        return info

    def loaded(self, types: Mapping[str, bytes]) -> dict[str, TypeInfo] | None:
        """The descriptions that a request sends along, if all of their classes are loaded already; else None."""
        infos: dict[str, TypeInfo] = {}
        for key in types:
            info = self._types.get(key)
            if info is None or info not in self._found:
                return None
            infos[key] = info
        return infos

    def task(self, name: str) -> type[Task] | None:
        """The loaded task class of that name, if there is one."""
        if len(sys.modules) != self._modules:
            self._modules = len(sys.modules)
            self._tasks = dict(_named(_below(Task)))
        return self._tasks.get(name)

    def _load(self, info: TypeInfo) -> Any:
        found = found_in(self._module(info), info.qualname)
        if not isinstance(found, FunctionType if info.function else type):
            place, kind = info.script or info.module, "function" if info.function else "class"
            raise SubmissionError(
                f"{place} defines no {kind} {info.qualname} when a worker loads it: define it at the top level, "
                "above 'with experiment(...)' and outside 'if __name__ == \"__main__\"'"
            )
        cls: Any = found
        if not info.function and issubclass(cls, Described):
            self._load_value(info, cls)
        return found

    def _load_value(self, info: TypeInfo, cls: type[Any]) -> None:
        """Loads what the live objects of `cls` are made of, so that a zygote has imported it before it forks."""
        token = loading.set(True)
        try:
            if info.value:
                load_value_class(cls, info.value)
            live_class(cls)
        except ScriptLoaded:
            raise _opens_experiment(f"the value class of {cls.__name__}: its module") from None
        finally:
            loading.reset(token)

    def _module(self, info: TypeInfo) -> ModuleType:
        if info.script is not None:
            return self._script(info.script)
        if info.module == self.code.module:
            return self._entry(info.module)
        token = loading.set(True)
        try:
            __import__(info.module)  # unlike `import_module`, no frame of a traceback
            return sys.modules[info.module]
        except ScriptLoaded:
            raise _opens_experiment(info.module) from None
        finally:
            loading.reset(token)

    def _script(self, script: str) -> ModuleType:
        loaded = self._entries.get(script)
        if loaded is None:
            if script.endswith(DEFINED):
                return self._definitions(script)
            path = str(self.code.script_file(self._workspace, script))
            loaded = ModuleType(SCRIPT_MODULE)
            loaded.__file__ = path
            setattr(loaded, SCRIPT, script)
            # As multiprocessing has it in the processes that it spawns; before the script runs, because the
            # import of multiprocessing makes `SCRIPT_MODULE` another name of whatever is the main module then.
            sys.modules["__main__"] = loaded
            run_top_level(loaded, SCRIPT_MODULE, path)
            self._entries[script] = loaded
        return loaded

    def _definitions(self, script: str) -> ModuleType:
        """The types and tasks that a file defines, which is no script."""
        reader: Any = importlib.import_module("xpm.describe.definitions")  # few runs have any
        loaded: ModuleType = reader.defined_in(Path(self.folder, script))
        self._entries[script] = loaded
        return loaded

    def _entry(self, name: str) -> ModuleType:
        """The module that was run by `python -m`: like a script, it may open its experiment at the top level."""
        loaded = self._entries.get(name) or sys.modules.get(name)
        if loaded is None:
            spec = importlib.util.find_spec(name)
            if spec is None or spec.origin is None:
                raise ModuleNotFoundError(f"No module named {name!r}", name=name)
            loaded = importlib.util.module_from_spec(spec)
            run_top_level(loaded, name, spec.origin)
            self._entries[name] = loaded
        return loaded


def _opens_experiment(module: str) -> SubmissionError:
    return SubmissionError(
        f"{module} opens an experiment when it is imported: put that below 'if __name__ == \"__main__\":'"
    )


def _below(cls: type[Task]) -> Iterator[type[Task]]:
    for each in cls.__subclasses__():
        yield each
        yield from _below(each)


def _named(classes: Iterable[type[Task]]) -> Iterator[tuple[str, type[Task]]]:
    for each in classes:
        # Classes are also generated from the author's: for descriptions, for objects not yet filled.
        if found_in(sys.modules.get(each.__module__), each.__qualname__) is each:
            with suppress(ConfigError):  # it has no proper name, so nothing depends on it
                yield class_name(each), each
