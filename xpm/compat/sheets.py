"""Experiments that YAML files describe, as experimaestro's users write them: `run(helper, cfg)`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import xpm.experiment.helper as native
from xpm.compat.experiments import experiment
from xpm.describe.configuration import combinations, configuration
from xpm.types import Scalar

if TYPE_CHECKING:
    from xpm.describe.sheet import Sheet
    from xpm.experiment.block import Experiment

C = TypeVar("C")


class ExperimentHelper(native.ExperimentHelper):
    """The open experiment, and what goes with it; its `xp` is an `experiment` of experimaestro."""

    @classmethod
    def open(cls, sheet: Sheet) -> Experiment:
        """The experiment that a sheet describes, to be entered."""
        return experiment(None, sheet.id, origin=sheet.path.resolve())


@configuration
class ConfigurationBase:
    """What a configuration has in common with others."""

    id: str = ""
    """The experiment's name."""
    title: str = ""
    subtitle: str = ""
    paper: str = ""
    description: str = ""


def generate_grid(cfg: C) -> tuple[list[C], list[dict[str, Scalar]]]:
    """The configurations that `cfg` stands for, and for each the tags of what varies."""
    found: list[Any] = combinations(cfg)
    return [one for one, _ in found], [tags for _, tags in found]
