"""The line that installs an extra fits this installation."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
import tomllib
from importlib.metadata import distribution
from pathlib import Path

import pytest

from xpm.extras import DISTRIBUTION, install_line, line

PYTHON = shlex.quote(sys.executable)


def test_the_line_of_this_installation_names_a_pip_and_a_package_that_are_there():
    words = shlex.split(install_line("web"))
    if words[0] != "uv":
        assert words[:4] == [sys.executable, "-m", "pip", "install"]
    asked = [*words[:3], "--version"] if words[0] != "uv" else [sys.executable, "-c", "import pip"]
    ran = subprocess.run(asked, capture_output=True, check=False)
    assert (ran.returncode == 0) is (words[0] != "uv")
    folder = words[-1].removesuffix("[web]")
    told = json.loads(distribution(DISTRIBUTION).read_text("direct_url.json") or "{}")
    if told:  # from a clone, as the tests are run
        assert (
            "web"
            in tomllib.loads(Path(folder, "pyproject.toml").read_text())["project"]["optional-dependencies"]
        )
        assert ("-e" in words) is told["dir_info"].get("editable", False)


@pytest.mark.parametrize(
    ("told", "words"),
    [
        ({}, "'xpm-experiments[web]'"),
        ({"url": "https://github.com/x/y", "vcs_info": {}}, "'xpm-experiments[web]'"),
        ({"url": "file:///no/longer/there", "dir_info": {}}, "'xpm-experiments[web]'"),
        ({"url": "file://{}/my%20clone", "dir_info": {}}, "'{}/my clone[web]'"),
        ({"url": "file://{}/my%20clone", "dir_info": {"editable": True}}, "-e '{}/my clone[web]'"),
    ],
)
def test_where_it_came_from_decides(tmp_path: Path, told: dict[str, object], words: str):
    (tmp_path / "my clone").mkdir()
    (tmp_path / "my clone" / "pyproject.toml").touch()
    text = json.dumps(told).replace("file://{}", f"file://{tmp_path}") if told else ""
    assert line("web", text, pip=True) == f"{PYTHON} -m pip install {words.replace('{}', str(tmp_path))}"


def test_an_environment_without_pip_is_uv_s():
    assert line("web", "", pip=False) == f"uv pip install --python {PYTHON} 'xpm-experiments[web]'"
