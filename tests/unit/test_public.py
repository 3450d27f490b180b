"""`import xpm`: its names, and how little it takes."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import xpm
import xpm.errors

LATER = {"experiment"}
"""Names whose modules open connections when used; importing these is tested with them."""


@pytest.mark.parametrize("name", sorted(set(xpm.__all__) - LATER))
def test_every_public_name(name: str) -> None:
    assert getattr(xpm, name) is not None
    assert name in dir(xpm)


def test_every_error_is_public() -> None:
    errors = {
        name
        for name, each in vars(xpm.errors).items()
        if isinstance(each, type) and issubclass(each, Exception)
    }
    assert errors <= set(xpm.__all__)


def test_a_type_checker_sees_the_same_names() -> None:
    tree = ast.parse(Path(xpm.__file__).read_text())
    block = next(
        node for node in tree.body if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
    )
    seen = [alias.name for node in block.body if isinstance(node, ast.ImportFrom) for alias in node.names]
    assert sorted(seen) == sorted(xpm.__all__)


def test_an_unknown_name() -> None:
    with pytest.raises(AttributeError, match="module 'xpm' has no attribute 'nothing'"):
        xpm.nothing


def imported(code: str) -> set[str]:
    run = subprocess.run(
        [sys.executable, "-c", f"{code}\nimport sys; print(*sys.modules)"],
        capture_output=True,
        text=True,
        check=True,
    )
    return set(run.stdout.split())


def test_what_an_import_brings_along() -> None:
    assert not {name for name in imported("import xpm") if name.startswith("xpm.")}
    heavy = {
        "redis",
        "rq",
        "numpy",
        "asyncio",
        "inspect",
        "dataclasses",
        "rich",
        "click",
        "logging",
        "subprocess",
    }
    assert not heavy - {"inspect", "dataclasses"} & imported(
        "from xpm import Config, Task, Param, tag, field, progress"
    )


def test_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    run = subprocess.run(
        [sys.executable, "-c", "import sys; sys.platform = 'win32'; import xpm"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 1
    assert "ImportError: xpm runs on Linux and macOS; on Windows use WSL" in run.stderr
