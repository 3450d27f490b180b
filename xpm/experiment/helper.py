"""What the function of an experiment gets that a YAML file describes: `run(helper, cfg)`."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from xpm.describe.configuration import combinations
from xpm.errors import UsageError
from xpm.types import Scalar

if TYPE_CHECKING:  # a worker that loads the file for its classes needs none of it
    from xpm.describe.sheet import Sheet
    from xpm.experiment.block import Experiment

C = TypeVar("C")


class ExperimentHelper:
    """The open experiment, and what goes with it, for `run(helper, cfg)`.

    A subclass that the function names as the type of its first parameter is made instead; it may do more in `run`.

    Args:
        callable: the function.
        xp: the experiment, which is open.
        sheet: what describes it.
    """

    def __init__(self, callable: Callable[..., object], xp: Experiment, sheet: Sheet) -> None:
        self.callable = callable
        self.xp = xp
        """What `with experiment(...) as xp` gives."""
        self.title = sheet.title
        self.description = sheet.description
        self._sheet = sheet

    @classmethod
    def open(cls, sheet: Sheet) -> Experiment:
        """The experiment that a sheet describes, to be entered."""
        block: Any = importlib.import_module("xpm.experiment.block")
        opened: Experiment = block.Experiment(sheet.id, given={}, origin=sheet.path.resolve())
        return opened

    def run(self, args: Sequence[str], cfg: Any) -> None:
        """Calls the function with this object, its parameters, and what else was typed.

        Args:
            args: the words behind the file.
            cfg: the configuration.

        Raises:
            UsageError: the function takes no further arguments, or not so many.
        """
        try:
            inspect.signature(self.callable).bind(self, cfg, *args)
        except TypeError as wrong:
            said = f" with {' '.join(args)}" if args else ""
            raise UsageError(
                f"{self._sheet.source}: run(helper, cfg) can't be called{said}: {wrong}"
            ) from None
        self.callable(self, cfg, *args)

    def grid(self, cfg: C) -> list[tuple[C, dict[str, Scalar]]]:
        """The configurations that `cfg` stands for, each with the tags of what varies; the last parameter changes fastest.

        Where nothing varies, there is one, without tags.

        Example:
            ```python
            def run(helper: ExperimentHelper, cfg: Params) -> None:
                for one, tags in helper.grid(cfg):
                    task = Train.C(lr=one.lr)
                    for name, value in tags.items():
                        task.tag(name, value)
                    task.submit()
            ```
        """
        return combinations(cfg)
