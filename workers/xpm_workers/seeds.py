"""Seeds for the global random generators of a job: the same for the same job and attempt.

A generator that is not loaded yet gets its seed when the task imports it, so that a job pays for none that
it does not use. (`importlib.abc`, which names the classes of finders and loaders, imports `random` itself.)
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any, cast

_GENERATORS = ("random", "numpy.random")
_NUMPY_LARGEST = 0xFFFFFFFF


class Seeder:
    """Seeds the generators that are loaded, and later the others; in force when it is in `sys.meta_path`."""

    def __init__(self) -> None:
        self._attempt: tuple[str, int] | None = None

    @property
    def seed(self) -> int | None:
        """The seed of the attempt; None before there is one."""
        if self._attempt is None:
            return None
        job, attempt = self._attempt
        return (int(job[:16], 16) + attempt) & 0xFFFFFFFFFFFFFFFF

    def sow(self, job: str, attempt: int) -> None:
        """Seeds the generators that are loaded, and from now on those that will be."""
        self._attempt = (job, attempt)
        for name in _GENERATORS:
            if name in sys.modules:
                self.into(sys.modules[name])

    def into(self, module: Any) -> None:
        """Seeds the generator `module`."""
        if self.seed is not None:
            module.seed(self.seed & _NUMPY_LARGEST if module.__name__ != "random" else self.seed)

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Finds only generators, and only those that come after `sow`."""
        if fullname not in _GENERATORS or self.seed is None or self not in sys.meta_path:
            return None
        place = sys.meta_path.index(self)
        sys.meta_path.remove(self)
        try:
            spec = importlib.util.find_spec(fullname)
        finally:
            sys.meta_path.insert(place, self)
        if spec is not None and spec.loader is not None:
            spec.loader = cast(Any, _Seeding(spec.loader, self))
        return spec


class _Seeding:
    """The loader of a generator, which is seeded when it is there."""

    def __init__(self, loader: Any, seeder: Seeder) -> None:
        self._loader = loader
        self._seeder = seeder

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        self._loader.exec_module(module)
        self._seeder.into(module)


seeder = Seeder()
"""The one of this process."""
