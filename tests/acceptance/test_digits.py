"""The example, as `make demo` runs it: from nothing to a table and a plot, and a second time at once."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLE = Path(__file__).parents[2] / "examples" / "digits.py"

ABSENT = [name for name in ("sklearn", "matplotlib") if importlib.util.find_spec(name) is None]
"""Looked for and not imported: that takes seconds, in each process of a run of the tests."""

pytestmark = pytest.mark.skipif(bool(ABSENT), reason=f"not installed: {', '.join(ABSENT)}")


@pytest.mark.timeout(300)
def test_the_example_reads_digits_and_does_nothing_twice(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text("")
    shutil.copy(EXAMPLE, tmp_path)
    command = [sys.executable, "digits.py"]
    environ = {**os.environ, "COLUMNS": "120"}

    def run() -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command, cwd=tmp_path, env=environ, capture_output=True, text=True, check=False, timeout=240
        )

    first = run()
    assert first.returncode == 0, first.stderr
    assert "digits: all 66 jobs done" in first.stderr
    assert "svm: accuracy" in first.stdout and "network: accuracy" in first.stdout
    best = re.search(r"the best: .*?(\d+\.\d+)%", first.stdout)
    assert best and float(best[1]) > 97
    plot = re.search(r"its plot: +(\S+)", first.stdout)
    assert plot and Path(plot[1]).read_bytes().startswith(b"\x89PNG")
    again = run()
    assert (again.returncode, again.stdout) == (0, first.stdout)
    assert again.stderr == "digits: nothing to do: all 66 jobs were done before\n"
