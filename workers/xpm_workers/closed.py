"""What `experiment` is where jobs run: it cannot be opened, and so needs nothing of the real one.

A script says `from xpm import experiment` at its top. The real one brings threads, random generators and logging
with it, whose work after each fork would double the cost of a small job.
"""

from __future__ import annotations

import os
import sys
from types import ModuleType
from typing import Any, NoReturn

import xpm.errors
from xpm.core.session import ScriptLoaded, loading
from xpm.errors import UsageError

_REAL = "xpm.experiment"


class Experiment:
    """An experiment that stays closed; takes the arguments of the real one."""

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        del arguments, settings

    def __enter__(self) -> NoReturn:
        if loading.get():
            raise ScriptLoaded
        raise UsageError(
            "a job cannot open an experiment: what it submits belongs to its own; leave out the with"
        )

    def __exit__(self, *exception: object) -> None:
        """Never comes about: nothing was opened."""


def install() -> None:
    """Lets `xpm.experiment` be this, unless the real one is loaded already."""
    if _REAL in sys.modules:
        return
    module = ModuleType(_REAL, __doc__)
    module.__path__ = [os.path.join(os.path.dirname(xpm.errors.__file__), "experiment")]
    vars(module).update(experiment=Experiment, Experiment=Experiment)
    sys.modules[_REAL] = module
