from __future__ import annotations

import doctest
import hashlib
import os
import shutil
import threading

import pytest

from xpm.core.naming import task_dir
from xpm.errors import WorkspaceError
from xpm.types import JobId
from xpm.workspace import paths
from xpm.workspace.layout import Workspace
from xpm.workspace.paths import MARKER

A, B, C = (JobId(digit * 64) for digit in "abc")


def test_the_examples_of_names_hold():
    assert doctest.testmod(paths).failed == 0


@pytest.mark.parametrize(
    "name", ["a/b.py:T", "../../etc:T", "été.T", ".hidden.T", "x" * 300, "a\0b", "\udc80.T", ""]
)
def test_any_class_name_becomes_a_safe_folder(name):
    folder = task_dir(name)
    assert len(folder) <= 130
    assert folder not in {"", ".", ".."} and not folder.startswith(".")
    assert not set(folder) & {"/", "\0", ":"}


def test_names_that_differ_in_replaced_characters_get_different_folders():
    assert len({task_dir("a/b.py:T"), task_dir("a-b.py:T"), task_dir("a-b.T"), task_dir("a b.T")}) == 4


def test_a_workspace_is_made_once_and_found_again(tmp_path):
    first = Workspace.open(tmp_path / "runs")
    again = Workspace.open(tmp_path / "runs", create=False)
    assert first == again
    assert len(first.namespace) == 12
    assert first.jobpath("m.T", A) == tmp_path / "runs" / "jobs" / "m.T" / "aa" / A


def test_opening_what_is_not_a_workspace_says_so(tmp_path):
    with pytest.raises(WorkspaceError, match="not a workspace"):
        Workspace.open(tmp_path, create=False)


def test_two_that_make_it_at_once_agree(tmp_path):
    found = []
    barrier = threading.Barrier(8)

    def make():
        barrier.wait()
        found.append(Workspace.open(tmp_path / "runs").namespace)

    threads = [threading.Thread(target=make) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(found)) == 1
    assert os.listdir(tmp_path / "runs" / ".xpm") == ["workspace.toml"]


def test_a_copy_is_refused_with_the_way_out(tmp_path):
    Workspace.open(tmp_path / "a")
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    with pytest.raises(WorkspaceError, match=r"copy of the workspace .*/a .*delete .*workspace\.toml"):
        Workspace.open(tmp_path / "b")
    (tmp_path / "b" / MARKER).unlink()
    assert Workspace.open(tmp_path / "b").namespace != Workspace.open(tmp_path / "a").namespace


def test_a_moved_tree_keeps_its_namespace(tmp_path):
    made = Workspace.open(tmp_path / "a")
    (tmp_path / "a").rename(tmp_path / 'b é " \\')
    moved = Workspace.open(tmp_path / 'b é " \\')
    assert moved.namespace == made.namespace
    shutil.copytree(moved.path, tmp_path / "c")
    with pytest.raises(WorkspaceError, match="copy"):
        Workspace.open(tmp_path / "c")


def test_a_link_to_a_workspace_is_the_workspace(tmp_path):
    made = Workspace.open(tmp_path / "a")
    (tmp_path / "link").symlink_to(tmp_path / "a")
    assert Workspace.open(tmp_path / "link") == made


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("format = 99\n", "newer xpm"),
        ("format = 1\n", "damaged"),
        ("= nonsense", "damaged"),
        ('format = 1\nnamespace = "UPPER"\npath = "/x"\n', "12 hexadecimal"),
    ],
)
def test_a_marker_that_cannot_be_used_is_explained(tmp_path, text, message):
    (tmp_path / ".xpm").mkdir()
    (tmp_path / MARKER).write_text(text)
    with pytest.raises(WorkspaceError, match=message):
        Workspace.open(tmp_path)


def test_a_path_that_is_a_file_is_explained(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(WorkspaceError, match="cannot use the workspace"):
        Workspace.open(tmp_path / "file")


def test_present_are_directories_and_finished_are_records(tmp_path):
    workspace = Workspace.open(tmp_path)
    for job in (A, B):
        (workspace.jobpath("m.T", job) / ".xpm").mkdir(parents=True)
    body = f'{{"format":1,"job":"{B}","code":"c","fence":"1"'
    (workspace.jobpath("m.T", B) / ".xpm" / "result.json").write_text(
        f'{body},"checksum":"{hashlib.sha256(body.encode()).hexdigest()}"}}\n'
    )
    assert workspace.present({"m.T": [A, B, C], "m.Other": [A]}) == {A, B}
    assert workspace.finished({"m.T": [A, B, C], "m.Other": [A]}) == {B}
    assert workspace.finished({}) == set()


def test_a_record_that_cannot_be_read_is_told_with_its_path(tmp_path):
    workspace = Workspace.open(tmp_path)
    # As little to be read as another user's; for root, too.
    (workspace.jobpath("m.T", A) / ".xpm" / "result.json").mkdir(parents=True)
    with pytest.raises(WorkspaceError, match=f"cannot read the record in .*{A}.*: Is a directory"):
        workspace.finished({"m.T": [A]})
