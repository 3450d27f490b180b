"""Stands in for packages that others import: `import experimaestro` gives what xpm has under these names.

It is put in the way of imports, so modules come when they are asked for, and one module is one object under both names.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from types import ModuleType
from typing import Any, cast

from xpm.errors import UsageError

OLD = "experimaestro"
NEW = "xpm.compat.experimaestro"


class _Alias:  # importlib.abc takes 8 ms to import, and is not needed
    """Gives a module another name; a loader."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._spec: ModuleSpec | None = None

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        module = importlib.import_module(self._name)
        self._spec = module.__spec__
        return module

    def exec_module(self, module: ModuleType) -> None:
        module.__spec__ = self._spec  # the import has given it that of the other name


class _Finder:
    """Finds the modules of the package `OLD` in the package `NEW`."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname != OLD and not fullname.startswith(f"{OLD}."):
            return None
        name = NEW + fullname.removeprefix(OLD)
        if find_spec(name) is None:
            raise ModuleNotFoundError(f"xpm stands in for {OLD}, and has no {fullname}", name=fullname)
        return ModuleSpec(fullname, cast(Any, _Alias(name)), is_package=True)


def install() -> None:
    """Has `import experimaestro` in this process give xpm's own classes; a second call changes nothing.

    Raises:
        UsageError: the package itself has been imported already.
    """
    if installed():
        return
    found = sys.modules.get(OLD)
    if found is not None:
        raise UsageError(
            f"{OLD} itself was imported before xpm could stand in for it: call xpm.compat.install() before the first "
            "import of it"
        )
    sys.meta_path.insert(0, _Finder())


def installed() -> bool:
    """Whether xpm stands in for other packages in this process."""
    return any(isinstance(each, _Finder) for each in sys.meta_path)
