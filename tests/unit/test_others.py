"""Which results were made by other code than today's."""

from __future__ import annotations

import sys
import types
from pathlib import Path

import pytest

from xpm.core.config import Config
from xpm.experiment.others import Today
from xpm.workspace.layout import Workspace
from xpm.workspace.snapshot import Entry, snapshot


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with a script, a module that it has loaded, and one that it hasn't."""
    root = tmp_path / "project"
    root.mkdir()
    (root / "pyproject.toml").touch()
    for name in ("script", "loaded", "other"):
        (root / f"{name}.py").write_text("one = 1\n")
    for name, file in (("__main__", "script.py"), ("loaded", "loaded.py")):
        module = types.ModuleType(name)
        module.__file__ = str(root / file)
        monkeypatch.setitem(sys.modules, name, module)
    return root


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace.open(tmp_path / "runs")


def test_only_what_the_script_has_loaded_counts(project: Path, workspace: Workspace) -> None:
    code = snapshot(project, workspace, Entry(project / "script.py", None, ())).id
    (project / "other.py").write_text("two = 2\n")
    (project / "new.py").write_text("three = 3\n")
    assert not Today(project, workspace).differs(code)
    (project / "loaded.py").write_text("two = 2\n")
    today = Today(project, workspace)
    said = "3 of the 8 jobs done before were made by other code than today's"
    assert today.differs(code) and today.about({code: 3, "unknown": 2, "": 1}, 8) == said
    assert today.about({code: 1}, 2).startswith("1 of the 2 jobs done before was made")
    assert Today(project, workspace).about({"": 1}, 1) == ""


def test_the_script_counts_when_it_has_classes_of_its_own(project: Path, workspace: Workspace) -> None:
    code = snapshot(project, workspace, Entry(project / "script.py", None, ())).id
    (project / "script.py").write_text("two = 2\n")
    assert not Today(project, workspace).differs(code)
    main = sys.modules["__main__"]
    main.Size = type("Size", (Config,), {"__module__": "__main__"})  # type: ignore[attr-defined]
    assert Today(project, workspace).differs(code)


def test_another_project_s_code_is_named(project: Path, workspace: Workspace, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    for file in ("pyproject.toml", "script.py", "loaded.py"):
        (elsewhere / file).write_text("")
    code = snapshot(elsewhere, workspace, Entry(elsewhere / "script.py", None, ())).id
    assert Today(project, workspace).about({code: 2}, 2).endswith(f"than today's: that of {elsewhere}")
