"""Tasks that are defined in the cells of a notebook: a real kernel, the workspace's own server, real workers."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import nbclient
import nbformat
import pytest
from commands import Lab, bare
from notebooks import Kernel
from waiting import until

IMPORTS = "import math, sys, time\nfrom pathlib import Path\nimport xpm\nfrom xpm import *"
NET = "class Net(Config):\n    size: Param[int] = 3"
HELPER = "RATE = 2\ndef scaled(x):\n    return x * RATE"
TRAIN = """
class Train(Task):
    net: Param[Net]
    lr: Param[float]
    until: Meta[str] = ""
    def execute(self):
        while self.until and not Path(self.until).exists():
            Path(self.until + ".waits").touch()
            time.sleep(0.02)
        print("without IPython:", "IPython" not in sys.modules)
        return math.sqrt(scaled(self.lr) * self.net.size)
"""
JUDGE = "@task\ndef judge(trained: Train) -> float:\n    return trained.result() + 1"
STUDY = """
with experiment("study") as xp:
    trained = [Train.C(net=Net.C(), lr=tag(lr)).submit() for lr in (6.0, 24.0)]
    judged = [judge(each).submit() for each in trained]
print([each.result() for each in judged])
"""
CELLS = (IMPORTS, NET, HELPER, TRAIN, JUDGE)


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    made = Lab()
    (made.project / "studies").mkdir()
    yield made
    made.close()


class Book:
    """Notebooks of one project, each with its kernels."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self.open: list[Kernel] = []

    def __call__(self, name: str | None = None) -> Kernel:
        """A new kernel for the notebook of that name; without one, for cells that nobody has named."""
        path = None if name is None else self.lab.project / "studies" / f"{name}.ipynb"
        if path is not None:
            path.touch()
        self.open.append(Kernel(self.lab.project / "studies", self.lab.env, path))
        return self.open[-1]


@pytest.fixture
def book(lab: Lab) -> Iterator[Book]:
    made = Book(lab)
    yield made
    for kernel in made.open:
        kernel.close()


def test_a_kernel_that_starts_anew_finds_all_that_is_done(lab: Lab, book: Book) -> None:
    kernel = book("first")
    shown = kernel.run(*CELLS, STUDY)
    assert (shown.out, shown.error) == ("[7.0, 13.0]\n", "")
    assert "study: all 4 jobs done" in shown.err and len(shown.err.splitlines()) == 1
    assert " of 4 done" in shown.displayed[0] and shown.displayed[-1] == ""
    assert kernel.run(NET, TRAIN, JUDGE, STUDY).err == "study: nothing to do: all 4 jobs were done before\n"
    kernel.close()
    shown = book("first").run(IMPORTS, HELPER, NET, TRAIN, "'else'", JUDGE, STUDY)
    assert shown.err == "study: nothing to do: all 4 jobs were done before\n"
    assert shown.out == "[7.0, 13.0]\n"
    assert {job["task"] for job in lab.json("jobs", "-e", "study")["jobs"]} == {
        "studies/first.ipynb:Train",
        "studies/first.ipynb:judge",
    }
    assert lab.ok("logs", lab.job("Train lr=6")["id"][:8]).endswith("without IPython: True\n")


def test_results_of_other_cells_are_told(book: Book) -> None:
    study = STUDY.replace('"study"', '"other"')
    kernel = book("other")
    kernel.run(*CELLS, study)
    again = kernel.run(HELPER.replace("* RATE", "* RATE * 1"), study).err.splitlines()
    assert again == [
        "other: nothing to do: all 4 jobs were done before",
        "4 of the 4 jobs done before were made by other code than today's",
    ]
    # What no task uses is no code of theirs.
    assert len(kernel.run(HELPER, "def plot(): pass\nRATES = [1]", study).err.splitlines()) == 1


def test_the_newest_definition_runs_and_descriptions_of_older_ones_are_refused(book: Book) -> None:
    kernel = book("again")
    kernel.run(*CELLS, "old = Train.C(net=Net.C(), lr=1.0)\nnet = Net.C()")
    kernel.run(TRAIN.replace("return math", "return -math"))
    submit = "with experiment('again', check=False): {}.submit()\n"
    assert kernel.run(submit.format("old")).error == (
        "xpm: Train: was defined again, or deleted, since this was described: describe it anew"
    )
    new = "new = Train.C(net=net, lr=6.0)\n" + submit.format("new") + "print(new.result())"
    assert kernel.run(new).out == "-6.0\n"
    shown = kernel.run(NET, "Train.C(net=Net.C(), lr=1.0)")
    assert shown.error == (
        "xpm: Train.net: expected Net as it was defined when this class was, got another Net(size=3): "
        "run the cells again that use it, and describe it anew"
    )
    assert kernel.run(TRAIN, new.replace("net=net", "net=Net.C()")).error == ""
    kernel.run(
        "class Base(Task):\n    pass",
        "class Child(Base):\n    def execute(self): pass",
        "class Base(Task): x = 1",
    )
    assert (
        "Child: its base Base was defined again since: run the cell of Child again"
        in kernel.run(submit.format("Child.C()")).error
    )


def test_what_only_the_kernel_has_is_named_and_the_kernel_lives_on(book: Book) -> None:
    kernel = book("data")
    kernel.run(
        IMPORTS,
        "import pandas as pd\ndf = pd.DataFrame({'a': [1, 2]})",
        "class Sum(Task):\n    def execute(self): return int(df.a.sum())",
        "class List(Task):\n    def execute(self):\n        files = !ls\n        return len(files)",
    )
    submit = "with experiment('data'): {}.C().submit()"
    assert kernel.run(submit.format("Sum")).error == (
        "xpm: Sum: uses df, a DataFrame that only this kernel has: "
        "make it a parameter, or make it in a function that the task calls"
    )
    assert "xpm: List: uses get_ipython, as %magic and !shell do" in kernel.run(submit.format("List")).error
    frame = "def frame(): return pd.DataFrame({'a': [1, 2]})\nclass Sum(Task):\n    def execute(self): return int(frame().a.sum())"
    assert "data: the one job done" in kernel.run(frame, submit.format("Sum")).err


def test_cells_with_magics(book: Book) -> None:
    shown = book("magics").run(
        "%%time\n" + IMPORTS,
        "%%capture\n" + HELPER,
        "%config InlineBackend.figure_format = 'png'\n!true\n" + NET,
        "%%time\n" + TRAIN,
        "%%time\nwith experiment('magics'):\n    done = Train.C(net=Net.C(), lr=6.0).submit()",
        "%time done.result()",
    )
    assert shown.out.endswith("6.0") and not shown.error


def test_a_failure_is_told_in_lines_for_people(book: Book) -> None:
    kernel = book("failing")
    shown = kernel.run(*CELLS, STUDY.replace('"study"', '"failing"').replace("6.0", "-1.0"))
    assert shown.error == "xpm: failing: 2 jobs not done"
    assert "ValueError: math domain error" in shown.err and "first.ipynb" not in shown.err
    assert "    return math.sqrt(scaled(self.lr) * self.net.size)" in shown.err
    assert shown.err.split()[-14:] == [
        "(run",
        "this",
        "cell",
        "again)",
        "goes",
        "on:",
        "runs",
        "what",
        "is",
        "not",
        "done,",
        "and",
        "nothing",
        "else",
    ]
    assert "ipykernel" not in shown.err
    assert kernel.run("Train.C(net=3)").error == "xpm: Train.net: expected Net, got 3"
    assert "Traceback" in kernel.run("%env XPM_VERBOSE=1", STUDY.replace("6.0", "'x'")).error


def test_interrupting_the_kernel_detaches(lab: Lab, book: Book) -> None:
    kernel, go = book("left"), lab.home / "left"
    begun = kernel.run(*CELLS) and kernel.begin(
        f"with experiment('left'):\n    Train.C(net=Net.C(), lr=6.0, until={str(go)!r}).submit()\nprint('on')"
    )
    until(Path(f"{go}.waits").exists)
    kernel.interrupt()
    shown = kernel.end(begun)
    assert "detached: left goes on without this cell; to come back:\n" in shown.err
    assert "interrupting the kernel again within 2 s cancels what is left of it: 1 job" in shown.err
    assert (shown.out, shown.error) == ("", "xpm: what follows in this cell is left out")
    assert kernel.run("1 + 1").out == "2"
    kernel.close()
    go.touch()
    assert lab.run("attach", "left").returncode == 0


def test_a_dry_run_and_a_detached_cell_end_the_cell(lab: Lab, book: Book) -> None:
    kernel, go = book("dry"), lab.home / "dry"
    cell = (
        f"with experiment('dry'):\n    Train.C(net=Net.C(), lr=6.0, until={str(go)!r}).submit()\nprint('on')"
    )
    shown = kernel.run(*CELLS, "%env XPM_DRY_RUN=1", cell)
    assert "1 new: studies/dry.ipynb:Train" in shown.err and not shown.out
    assert shown.error == "xpm: what follows in this cell is left out"
    shown = kernel.run("%env XPM_DRY_RUN=0", "%env XPM_DETACH=1", cell)
    assert "dry: 1 job submitted" in shown.err and shown.error == "xpm: what follows in this cell is left out"
    kernel.close()
    go.touch()
    assert lab.run("attach", "dry").returncode == 0


def test_a_notebook_without_a_name_is_named_by_its_first_cell(lab: Lab, book: Book) -> None:
    kernel = book()
    kernel.run(*CELLS)
    assert kernel.run("identifier(Net.C())").error == (
        'xpm: Net: this notebook has no name; call xpm.notebook("study"), with a name of yours, in its first cell'
    )
    assert "expected a name as 'study'" in kernel.run("notebook('../x')").error
    shown = kernel.run("notebook('nameless')", STUDY.replace('"study"', '"nameless"'))
    assert shown.out == "[7.0, 13.0]\n"
    assert (
        "the classes of this notebook are called nameless.ipynb:... already"
        in kernel.run("notebook('b')").error
    )
    kernel.run("notebook('nameless.ipynb')")
    assert lab.json("jobs", "-e", "nameless")["jobs"][0]["task"].startswith("nameless.ipynb:")


def test_editors_that_leave_the_path_in_a_variable(lab: Lab, book: Book) -> None:
    path = lab.project / "studies" / "code.ipynb"
    path.touch()
    kernel = book()
    kernel.run(f"__vsc_ipynb_file__ = {str(path)!r}", IMPORTS, NET, "identifier(Net.C())")
    assert "are called studies/code.ipynb:... already" in kernel.run("notebook('b')").error


def test_a_notebook_that_is_executed_as_a_whole(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    cells = ["import xpm\nxpm.notebook('whole')", *CELLS, STUDY.replace('"study"', '"whole"')]
    made = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    for name, value in lab.env.items():
        monkeypatch.setenv(name, value)
    client = nbclient.NotebookClient(made, timeout=60, resources={"metadata": {"path": str(lab.project)}})
    client.execute()
    shown = [each["text"] for each in made.cells[-1].outputs if each.get("name") == "stdout"]
    assert "".join(shown) == "[7.0, 13.0]\n"


def test_the_prompt_of_ipython(lab: Lab) -> None:
    typed = [
        "import xpm; from xpm import Task, Param, experiment",
        "class Say(Task):\n    word: Param[str]\n    def execute(self): return self.word * 2\n",
        "xpm.identifier(Say.C(word='a'))",
        "xpm.notebook('prompt')",
        "with experiment('prompt'): said = Say.C(word='ab').submit()\n",
        "print(said.result())",
    ]
    done = subprocess.run(
        [sys.executable, "-m", "IPython", "--simple-prompt", "--no-banner"],
        input="\n".join(typed) + "\n",
        env=lab.env,
        cwd=lab.project,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert "xpm: Say: this notebook has no name; call xpm.notebook(" in bare(done.stdout)
    assert "abab" in done.stdout


def test_what_is_saved_is_loaded_in_the_notebook_only(lab: Lab, book: Book) -> None:
    kernel = book("saved")
    assert kernel.run(*CELLS, "save(Net.C(size=5), 'net')", "load('net').size").out == "5"
    done = lab.python("-c", "import xpm\nxpm.load('studies/net')", check=False)
    assert done.stderr.splitlines()[-1].startswith(
        "xpm: studies/saved.ipynb is a notebook: its classes are there only"
    )
    assert not os.path.exists(lab.project / "studies" / "saved.ipynb.py")
