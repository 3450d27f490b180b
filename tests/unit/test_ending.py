"""How scripts end."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from xpm.core.state import State
from xpm.errors import (
    BrokerUnreachable,
    ConfigError,
    ExperimentFailed,
    JobCancelled,
    JobFailed,
    SettingsError,
    SubmissionError,
    WorkspaceError,
)
from xpm.experiment.ending import NotAllDone, exit_status, status_of


@pytest.mark.parametrize(
    ("counts", "status"),
    [
        ({State.DONE: 3}, 0), ({}, 0), ({State.DONE: 3, State.ERROR: 1}, 1), ({State.HOLD: 1}, 1),
        ({State.CANCELLED: 1, State.DONE: 1}, 4), ({State.CANCELLED: 1, State.HOLD: 1}, 4),
        ({State.CANCELLED: 1, State.ERROR: 1}, 1), ({State.ERROR: 0}, 0),
    ],
)  # fmt: skip
def test_the_status_of_a_run(counts: dict[State, int], status: int):
    assert status_of(counts) == status


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (NotAllDone("x", 4), 4), (ExperimentFailed("x"), 1), (BrokerUnreachable("x"), 3), (SettingsError("x"), 2),
        (WorkspaceError("x"), 2), (SubmissionError("x"), 2), (ConfigError("x"), 2), (JobFailed("x"), 1), (JobCancelled("x"), 4), (ValueError("x"), 1),
    ],
)  # fmt: skip
def test_the_status_of_an_error(error: Exception, status: int):
    assert exit_status(error) == status


@pytest.mark.parametrize(
    ("error", "status", "said"),
    [
        ("NotAllDone('told already', 4)", 4, ""),
        ("BrokerUnreachable('gone')", 3, "xpm: gone\n"),
        ("ValueError('mine')", 1, "ValueError: mine\n"),
    ],
)
def test_errors_that_say_all_have_no_traceback(error: str, status: int, said: str):
    code = (
        f"from xpm.experiment.ending import *; from xpm.errors import *\nplainly()\nplainly()\nraise {error}"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == status
    assert done.stderr.endswith(said) and ("Traceback" in done.stderr) == (status == 1)


def test_a_refused_description_is_told_with_the_script_s_lines_and_none_of_ours(tmp_path):
    script = tmp_path / "plan.py"
    script.write_text(
        "from xpm import Param, Task, experiment\n"
        "class One(Task):\n    n: Param[int]\n    def execute(self): pass\n"
        "def plan():\n    return One.C(n='three').submit()\n"
        "with experiment('e'):\n    plan()\n"
    )
    done = subprocess.run(
        [sys.executable, "plan.py"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert re.sub(r" *[~^]+\n", "", done.stderr) == (
        "Traceback (most recent call last):\n"
        f'  File "{script}", line 8, in <module>\n    plan()\n'
        f"  File \"{script}\", line 6, in plan\n    return One.C(n='three').submit()\n"
        "xpm: One.n: expected int, got 'three'\n"
    )


OUTSIDE = """
from xpm import Config, Param

class Optimiser(Config):
    lr: Param[float]

def made(lr):
    return Optimiser.C(lr=lr)

{}
"""


@pytest.mark.parametrize(
    ("line", "status", "last"),
    [
        ("made('x')", 2, "xpm: Optimiser.lr: expected float, got 'x'"),
        (
            "made(0.1).seal().lr = 3",
            2,
            "xpm: Optimiser.lr: the description is sealed; change a .copy() of it",
        ),
        ("1 / 0", 1, "ZeroDivisionError: division by zero"),
    ],
)
def test_an_error_outside_of_an_experiment_is_one_line_below_the_script_s(
    line: str, status: int, last: str, tmp_path: Path
) -> None:
    (tmp_path / "script.py").write_text(OUTSIDE.format(line))
    done = subprocess.run(
        [sys.executable, "script.py"],
        cwd=tmp_path,
        env={"PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True,
        text=True,
    )
    *lines, told = done.stderr.splitlines()
    assert (done.returncode, told) == (status, last)
    assert [each for each in lines if "File " in each] and not any("/xpm/" in each for each in lines)
