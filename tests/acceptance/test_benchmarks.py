"""The cases of the benchmarks run, at a tiny size, and write what they found. Nothing here is timed."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from benchmarks.run import CASES as ALL_CASES

ROOT = Path(__file__).parents[2]
CASES = {
    "t1": ("no-op", "no-op, numpy imported"),
    "t3": ("submission",),
    "t4": ("fan-in of 8", "1 to 40 to 1", "10 layers of 4, 3 edges each", "chain of 8"),
    "t7": ("8 jobs", "8 jobs, broker emptied"),
    "t8": ("p50", "p99"),
    "t9": ("import", "--help", "xpm jobs, 8 jobs"),
    "t13": ("a worker under a living pool", "a pool, lease 2 s"),
}


def bench(case: str, out: Path, *options: str) -> dict[str, Any]:
    command = [sys.executable, "benchmarks/run.py", case, "--jobs", "8", "--runs", "1", "--out", str(out)]
    done = subprocess.run([*command, "--lease", "2", *options], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode in (0, 1), done.stdout + done.stderr
    assert "Traceback" not in done.stderr, done.stderr
    return json.loads((out / f"{case}.json").read_text())


@pytest.mark.parametrize("case", CASES)
def test_case(case: str, tmp_path: Path) -> None:
    found = bench(case, tmp_path, "--peers", "here" if case == "t3" else "none")
    rows = {(row["what"], row["system"]): row for row in found["rows"]}
    assert {what for what, system in rows if system == "xpm"} >= set(CASES[case])
    for row in found["rows"]:
        assert len(row["runs"]) == 1
        assert row["median"] > 0
        assert row["unit"] in ("/s", "s", "ms")
    for target in found["targets"]:
        assert target["met"] in (True, False, None)
        assert (target["found"] is None) == (target["met"] is None)
    assert found["machine"]["python_pass_ms"] > 0
    assert found["versions"]["server"]
    assert found["title"] in (tmp_path / f"{case}.md").read_text()


def test_the_documentation_has_a_place_for_each_case() -> None:
    text = (ROOT / "docs" / "benchmarks.md").read_text()
    places = re.findall(r"<!-- (\w+) -->\n.*?<!-- /(\w+) -->", text, re.DOTALL)
    assert places == [(case, case) for case in ALL_CASES]
