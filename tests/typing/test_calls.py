"""What type checkers say of users' calls: wrong ones are errors, right ones are not."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

CALLS = Path(__file__).with_name("calls.py")
ROOT = Path(__file__).parents[2]
IGNORED = re.compile(r"  # pyright: ignore\[.*\]$")


def by_pyright(folder: Path) -> dict[int, list[str]]:
    """The messages of basedpyright, by line, for the calls without their ignore comments."""
    source = "\n".join(IGNORED.sub("", line) for line in CALLS.read_text().splitlines())
    source = source.replace(", reportUnnecessaryTypeIgnoreComment=true", "")
    (folder / "calls.py").write_text(source)
    config = {"include": ["calls.py"], "extraPaths": [str(ROOT)], "pythonVersion": "3.11"}
    (folder / "pyrightconfig.json").write_text(json.dumps(config))
    run = subprocess.run(
        [
            sys.executable,
            "-m",
            "basedpyright",
            "--outputjson",
            "--pythonpath",
            sys.executable,
            "-p",
            str(folder),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    found: dict[int, list[str]] = {}
    report: dict[str, Any] = json.loads(run.stdout)
    for each in report["generalDiagnostics"]:
        if each["severity"] == "error":
            found.setdefault(each["range"]["start"]["line"] + 1, []).append(each["message"])
    return found


def by_mypy(folder: Path) -> dict[int, list[str]]:
    """The messages of mypy, by line; it knows no ignore comments of pyright."""
    command = [sys.executable, "-m", "mypy", "--strict", "--output", "json", "--follow-imports", "silent"]
    command += ["--python-version", "3.11", "--cache-dir", str(folder), str(CALLS)]
    run = subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder)
    assert not run.stderr, run.stderr
    found: dict[int, list[str]] = {}
    for each in map(json.loads, run.stdout.splitlines()):
        if each["severity"] == "error":
            found.setdefault(each["line"], []).append(each["message"])
    return found


@pytest.mark.parametrize("check", [by_pyright, by_mypy])
def test_wrong_calls_are_errors_and_right_ones_are_not(
    tmp_path: Path, check: Callable[[Path], dict[int, list[str]]]
) -> None:
    lines = CALLS.read_text().splitlines()
    wrong = {number for number, line in enumerate(lines, 1) if IGNORED.search(line)}
    assert len(wrong) > 20
    found = check(tmp_path)
    assert set(found) == wrong, {
        "accepted": [lines[number - 1] for number in sorted(wrong - set(found))],
        "refused": {lines[number - 1]: found[number] for number in sorted(set(found) - wrong)},
    }
