"""How scripts end."""

from __future__ import annotations

import subprocess
import sys

import pytest

from xpm.core.state import State
from xpm.errors import BrokerUnreachable, ExperimentFailed, SettingsError, SubmissionError, WorkspaceError
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
        (WorkspaceError("x"), 2), (SubmissionError("x"), 1), (ValueError("x"), 1),
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
