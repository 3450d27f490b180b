from __future__ import annotations

import re
import tomllib
from pathlib import Path

from xpm.cli.doctor import PACKAGES, SERVER


def test_what_the_doctor_asks_for_is_what_the_package_needs() -> None:
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
    said = {}
    for text in project["dependencies"]:
        name, limits = re.fullmatch(r"([a-z-]+)(?:\[\w+\])?(.*)", text).groups()
        least, _, most = limits.removeprefix(">=").partition(",<")
        said[name] = tuple(
            tuple(map(int, version.split("."))) if version else None for version in (least, most)
        )
    assert said.pop(SERVER)
    assert said == PACKAGES
