from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from xpm.errors import WorkspaceError
from xpm.workspace import snapshot as module
from xpm.workspace.code import read_code
from xpm.workspace.layout import Workspace
from xpm.workspace.snapshot import Entry, fingerprint, project_root, snapshot

ENTRY = Entry(None, None, ("x",))


def make(root, files):
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)


@pytest.fixture
def project(tmp_path):
    root = tmp_path / "project"
    make(
        root,
        {
            "pyproject.toml": "",
            "run.py": "a",
            "pkg/__init__.py": "",
            "pkg/data/names.txt": "n",
            "notes.txt": "",
        },
    )
    return root


@pytest.fixture
def workspace(tmp_path):
    return Workspace.open(tmp_path / "runs")


def copied(code, workspace):
    folder = code.folder(workspace.path)
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_the_python_files_and_what_packages_hold_are_copied(project, workspace):
    code = snapshot(project, workspace, ENTRY)
    assert copied(code, workspace) == ["pkg/__init__.py", "pkg/data/names.txt", "run.py"]
    assert read_code(workspace.path, code.id) == code


def test_equal_code_is_copied_once_and_changed_code_again(project, workspace):
    first = snapshot(project, workspace, ENTRY)
    assert snapshot(project, workspace, ENTRY) == first
    (project / "notes.txt").write_text("not code")
    assert snapshot(project, workspace, ENTRY) == first
    (project / "run.py").write_text("b")
    second = snapshot(project, workspace, ENTRY)
    assert second.id != first.id and second.fingerprint == fingerprint(project)
    assert (first.folder(workspace.path) / "run.py").read_text() == "a"
    assert (second.folder(workspace.path) / "run.py").read_text() == "b"
    assert not list(workspace.code_dir.glob("*.tmp"))


def test_without_a_copy_jobs_import_from_the_project(project, workspace):
    code = snapshot(project, workspace, ENTRY, copy=False)
    assert code.folder(workspace.path) == project
    assert os.listdir(workspace.code_dir) == [f"{code.id}.json"]


def test_git_says_what_is_code(project, workspace):
    make(
        project,
        {".gitignore": "ignored.py\n", "ignored.py": "", "new.py": "", "old.py": "", ".venv/x.py": ""},
    )
    for command in (["init", "-q"], ["add", "run.py", "old.py", "pkg"]):
        subprocess.run(["git", "-C", str(project), *command], check=True)
    (project / "old.py").unlink()
    code = snapshot(project, workspace, ENTRY)
    assert copied(code, workspace) == ["new.py", "pkg/__init__.py", "pkg/data/names.txt", "run.py"]


def test_environments_workspaces_and_hidden_folders_are_no_code(project, workspace):
    make(
        project,
        {
            "env/pyvenv.cfg": "",
            "env/lib/x.py": "",
            "runs2/.xpm/workspace.toml": "",
            "runs2/jobs/x.py": "",
            ".hidden/x.py": "",
            "node_modules/x.py": "",
            "plain/x.py": "",
        },
    )
    assert "plain/x.py" in copied(snapshot(project, workspace, ENTRY), workspace)
    assert len(copied(snapshot(project, workspace, ENTRY), workspace)) == 4


def test_a_folder_that_nothing_marks_is_not_read_through(tmp_path, workspace):
    home = tmp_path / "home"
    make(home, {"run.py": "", "helper.py": "", "pkg/__init__.py": "", "pkg/m.py": "", "other/big.py": ""})
    assert project_root(home / "run.py") == (home, False)
    assert copied(snapshot(home, workspace, ENTRY), workspace) == [
        "helper.py",
        "pkg/__init__.py",
        "pkg/m.py",
        "run.py",
    ]


def test_the_root_is_the_nearest_marked_folder(project):
    assert project_root(project / "pkg" / "__init__.py") == (project, True)
    (project / "pkg" / ".git").mkdir()
    assert project_root(project / "pkg" / "__init__.py") == (project / "pkg", True)


def test_too_many_files_are_refused(project, workspace, monkeypatch):
    monkeypatch.setattr(module, "MAX_FILES", 2)
    with pytest.raises(WorkspaceError, match="more than 2 Python files"):
        snapshot(project, workspace, ENTRY)


def test_a_missing_or_newer_code_is_explained(project, workspace):
    with pytest.raises(WorkspaceError, match="cannot be read"):
        read_code(workspace.path, "nothing")
    code = snapshot(project, workspace, ENTRY)
    spec = workspace.code_dir / f"{code.id}.json"
    spec.write_text(json.dumps({**json.loads(spec.read_text()), "format": 9}))
    with pytest.raises(WorkspaceError, match="newer xpm"):
        read_code(workspace.path, code.id)


PROGRAM = """
import sys
sys.path.insert(0, {source!r})
import generated
from xpm.workspace.layout import Workspace
from xpm.workspace.snapshot import Entry, snapshot, project_root
entry = Entry.of_process()
code = snapshot(project_root(entry.script or __import__("pathlib").Path.cwd())[0], Workspace.open({runs!r}), entry)
print(code.id)
"""


@pytest.mark.parametrize("how", ["script", "module"])
def test_a_program_says_how_it_was_started(project, workspace, how):
    program = PROGRAM.format(source=str(project / "src"), runs=str(workspace.path))
    make(project, {"pkg/main.py": program, "src/generated.py": "", ".gitignore": "generated.py"})
    start = ["pkg/main.py"] if how == "script" else ["-m", "pkg.main"]
    done = subprocess.run(
        [sys.executable, *start, "--lr", "1"], cwd=project, capture_output=True, text=True, check=True
    )
    code = read_code(workspace.path, done.stdout.strip())
    assert (code.script, code.module) == (("pkg/main.py", None) if how == "script" else (None, "pkg.main"))
    assert code.argv[1:] == ("--lr", "1")
    assert code.cwd == code.root == str(project)
    assert code.sys_path == (("src", "pkg") if how == "script" else ("src", "."))
    assert not any(Path(path).is_relative_to(project) for path in code.extra_path)
    assert "src/generated.py" in copied(code, workspace)


def test_copies_made_at_once_do_not_disturb_each_other(project, workspace):
    code = snapshot(project, workspace, ENTRY)
    shutil.rmtree(code.folder(workspace.path))
    program = (
        "import sys\nfrom pathlib import Path\nfrom xpm.workspace.layout import Workspace\n"
        "from xpm.workspace.snapshot import Entry, snapshot\n"
        f"snapshot(Path({str(project)!r}), Workspace.open({str(workspace.path)!r}), Entry(None, None, ('x',)))\n"
    )
    running = [subprocess.Popen([sys.executable, "-c", program]) for _ in range(4)]
    assert [each.wait() for each in running] == [0] * 4
    assert copied(code, workspace) == ["pkg/__init__.py", "pkg/data/names.txt", "run.py"]
    assert not list(workspace.code_dir.glob("*.tmp"))
