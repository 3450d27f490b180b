"""In a pipe all is plain text: nothing for a terminal, no lines drawn, no letters but those of the user."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from commands import Lab

EXAMPLES = Path(__file__).parents[2] / "examples"

SHOW = """
import digits
digits.show([
    {"model": "svm", "penalty": 0.1, "gamma": 0.01, "result.accuracy": 0.9, "result.deviation": 0.01, "job": "0" * 64},
    {"model": "linear", "loss": "hinge", "alpha": 1e-5, "result.accuracy": 0.8, "result.deviation": 0.1, "job": "1" * 64},
])
"""


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    made = Lab()
    yield made
    made.close()


def plain(text: str) -> bool:
    return text.isascii() and all(one.isprintable() or one == "\n" for one in text)


def test_what_commands_and_scripts_print_is_plain(lab: Lab):
    for script in (("plan.py", "good", "3"), ("plan.py", "bad", "4", "fail")):
        ran = lab.run("run", *script)
        assert plain(ran.stdout + ran.stderr), ran.stderr
    failed = lab.job("Slow n=3")["id"][:8]
    for words in (
        *(["jobs"], ["experiments"], ["show", failed], ["logs", failed], ["worker"], ["broker"], ["doctor"]),
        *(
            ["attach", "bad"],
            ["cancel", "bad", "--yes"],
            ["run", "--dry-run", "plan.py", "bad", "5"],
            ["--help"],
        ),
    ):
        ran = lab.run(*words)
        assert ran.stdout + ran.stderr and plain(ran.stdout + ran.stderr), words


@pytest.mark.skipif(importlib.util.find_spec("sklearn") is None, reason="not installed: sklearn")
def test_what_the_example_prints_is_plain():
    done = subprocess.run(
        [sys.executable, "-c", SHOW], cwd=EXAMPLES, capture_output=True, text=True, check=True
    )
    assert plain(done.stdout) and "  0.1   0.01    90.00%      1.00%  00000000\n" in done.stdout
    assert all(line == line.rstrip() for line in done.stdout.splitlines())
