"""The workspace of experimaestro 2.7.0 in tests/data, which `run.py` and `hello.py` there have made, becomes xpm's."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from commands import ROOT, Lab

DATA = ROOT / "tests" / "data" / "experimaestro"


@pytest.fixture
def lab() -> Iterator[Lab]:
    made = Lab()
    shutil.copytree(DATA, made.project, dirs_exist_ok=True)
    (made.project / "ws").rename(made.home / "old")
    yield made
    made.close()


def taken(lab: Lab, *options: str) -> tuple[int, str]:
    done = lab.run("workspace", "import", str(lab.home / "old"), *options)
    assert done.stderr in ("", f"xpm: there was no workspace at {lab.workspace}: made a new one\n")
    return done.returncode, done.stdout


def edit(path: Path, before: str, after: str) -> None:
    text = path.read_text()
    assert before in text
    path.write_text(text.replace(before, after))


def test_what_was_done_there_is_not_done_again(lab: Lab) -> None:
    assert taken(lab) == (0, "8 jobs imported\n")
    done = lab.python("-m", "xpm.compat", "run.py", str(lab.workspace), check=False)
    assert "study: 1 failed, 5 done, 5 of them before" in done.stderr, "the one that had failed there runs"
    done = lab.python("-m", "xpm.compat", "hello.py", str(lab.workspace))
    assert "hello: nothing to do: all 3 jobs were done before" in done.stderr
    (concat,) = lab.workspace.glob("jobs/hello.Concat*/*/*")
    assert (concat / "stdout.log").read_text() == "HELLO WORLD\n"
    assert sorted(path.name for path in concat.iterdir()) == [
        ".xpm",
        "params.json",
        "stderr.log",
        "stdout.log",
    ]
    learned = {path.read_text() for path in lab.workspace.glob("jobs/lab.tasks.Learn/*/*/weights.txt")}
    assert learned == {"0.1", "1.0"}
    (job,) = [each for each in lab.json("jobs", "--limit", "0")["jobs"] if each["label"].startswith("Concat")]
    shown = lab.json("show", job["id"])
    assert shown["state"] == "DONE" and shown["attempts"][0]["ended"] > shown["attempts"][0]["started"] - 1


def test_changed_imports_find_them_too(lab: Lab) -> None:
    edit(lab.project / "hello.py", "from experimaestro import", "from xpm.compat.experimaestro import")
    taken(lab)
    assert "hello: nothing to do" in lab.python("hello.py", str(lab.workspace)).stderr


def test_it_can_be_repeated_and_shown_before(lab: Lab) -> None:
    assert taken(lab, "--dry-run") == (0, "8 jobs to import\n")
    assert not list(lab.workspace.glob("jobs/*"))
    assert taken(lab) == (0, "8 jobs imported\n")
    before = sorted(path.stat().st_ino for path in lab.workspace.glob("jobs/**/*"))
    assert taken(lab) == (0, "0 jobs imported, 8 were there\n")
    assert sorted(path.stat().st_ino for path in lab.workspace.glob("jobs/**/*")) == before
    assert json.loads(taken(lab, "--json")[1])["there"] == 8


@pytest.mark.parametrize("copy", [False, True])
def test_files_are_shared_or_copied(lab: Lab, copy: bool) -> None:
    taken(lab, *(["--copy"] if copy else []))
    for path in lab.workspace.glob("jobs/*/*/*/weights.txt"):
        assert path.stat().st_nlink == (1 if copy else 2)
    assert len(list((lab.home / "old").glob("jobs/*/*/*.done"))) == 8, "the old workspace stays as it is"


def gone(lab: Lab) -> None:
    (lab.project / "lab" / "tasks.py").unlink()


def torn(lab: Lab) -> None:
    (done,) = (lab.home / "old").glob("jobs/lab.tasks.total/*/total.done")
    path = done.with_name("params.json")
    path.write_text(path.read_text()[:99])


def broken(lab: Lab) -> None:
    (lab.project / "lab" / "tasks.py").write_text("1 / 0\n")


def newer(lab: Lab) -> None:
    for path in (lab.home / "old").glob("jobs/__main__.concat/*/params.json"):
        edit(path, '"version": 3', '"version": 4')


def in_tasks(before: str, after: str) -> Callable[[Lab], None]:
    return lambda lab: edit(lab.project / "lab" / "tasks.py", before, after)


@pytest.mark.parametrize(
    ("change", "new", "told"),
    [
        (gone, 3, ": there is no module 'lab.tasks' here: is its folder on the path?"),
        (broken, 3, "ZeroDivisionError: division by zero"),
        (torn, 7, "1 job of lab.tasks.total left: its params.json can't be read: "),
        (newer, 7, "its params.json is of version 4; 3 is read"),
        (in_tasks('Constant[str] = "2"', 'Constant[str] = "3"'), 3, "Learn.version: was '2', and is '3' now"),
        (in_tasks("    layers: Param[int]\n", "    layers: Param[int]\n    more: Param[int]\n"), 3,
         "Model.more: is a parameter now, and was none"),
        (in_tasks("    layers: Param[int]\n", "    layer: Param[int]\n"), 3,
         "Model.layers: no such parameter; did you mean 'layer'?"),
        (in_tasks("layers: Param[int]", "layers: Param[List[int]]"), 3, "Model.layers: expected list[int], got "),
        (in_tasks('LARGE = "large"', 'BIG = "large"'), 5, "lab.tasks.Kind has no LARGE now"),
        (in_tasks("class Learn(Task)", "class Learned(Task)"), 3, "lab.tasks has no Learn (any more)"),
    ],
)  # fmt: skip
def test_what_today_s_classes_would_not_describe_is_left(
    lab: Lab, change: Callable[[Lab], None], new: int, told: str
) -> None:
    change(lab)
    status, out = taken(lab)
    assert status == 1 and told in out, out
    assert out.splitlines()[-1] == f"{new} jobs imported, {8 - new} left"
    assert sum(one["jobs"] for one in json.loads(taken(lab, "--json")[1])["refused"]) == 8 - new


def test_what_does_not_count_may_have_been_added(lab: Lab) -> None:
    edit(
        lab.project / "lab" / "tasks.py",
        "    layers: Param[int]\n",
        "    layers: Param[int]\n    more: Param[int] = 1\n    where: Meta[int] = 2\n",
    )
    assert taken(lab) == (0, "8 jobs imported\n")


def test_a_script_may_have_moved(lab: Lab) -> None:
    (lab.project / "hello.py").rename(lab.project / "words.py")
    status, out = taken(lab)
    assert status == 1 and "the script /tmp/study/hello.py isn't in this project: name it by --script" in out
    assert taken(lab, "--script", "words.py") == (0, "3 jobs imported, 5 were there\n")
    assert "nothing to do" in lab.python("-m", "xpm.compat", "words.py", str(lab.workspace)).stderr


def test_a_job_that_has_begun_here_is_left_alone(lab: Lab) -> None:
    taken(lab)
    (path,) = lab.workspace.glob("jobs/lab.tasks.Total/*/*")
    (path / ".xpm" / "result.json").unlink()
    status, out = taken(lab)
    assert status == 1 and f"there is a job in {path} already, which is not done" in out


def test_wrong_words_are_told(lab: Lab) -> None:
    for words, told in (
        ([], "missing argument 'OLD'"),
        (["nowhere"], "there is no directory nowhere"),
        (["lab"], "lab is no workspace of experimaestro: it has no .__experimaestro__"),
        ([str(lab.home / "old"), "--script", "none.py"], "--script: there is no none.py"),
    ):
        done = lab.run("workspace", "import", *words)
        assert done.returncode == 2 and told in done.stderr, done.stderr
