"""Runs a plan that a YAML file describes: `xpm run` becomes this, and the file stands for its script."""

from __future__ import annotations

import sys
from pathlib import Path

from xpm.describe.planned import Plan
from xpm.experiment.block import Experiment
from xpm.experiment.ending import plainly


def program(path: Path) -> list[str]:
    """What Python runs to do it."""
    return ["-m", __name__, str(path)]


def main() -> None:
    """Runs the plan in the file that the one argument names."""
    plainly()
    path = Path(sys.argv[1])
    plan = Plan(path)
    with Experiment(plan.name, given={}, origin=path.resolve()):
        plan.submit()


if __name__ == "__main__":
    main()
