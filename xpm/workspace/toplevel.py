"""Scripts that are loaded for their classes: run up to where they open an experiment."""

from __future__ import annotations

import importlib.machinery
import sys
from types import ModuleType

from xpm.core.session import ScriptLoaded, loading


def run_top_level(module: ModuleType, name: str, path: str) -> None:
    """Runs the file at `path` as `module`, up to where it opens an experiment."""
    code = importlib.machinery.SourceFileLoader(name, path).get_code(name)
    sys.modules[name] = module
    token = loading.set(True)
    complete = False
    try:
        exec(code or "", module.__dict__)
        complete = True
    except ScriptLoaded:
        complete = True
    finally:
        loading.reset(token)
        if not complete:
            sys.modules.pop(name, None)
