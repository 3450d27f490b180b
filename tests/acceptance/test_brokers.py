"""Shared brokers as a user meets them: the wrong ones are refused in one line, each has workers of its own."""

from __future__ import annotations

import os
import subprocess
import sys
import venv
from collections.abc import Callable
from pathlib import Path

import pytest
from servers import Server

SCRIPT = """
import sys
from xpm import Param, Task, experiment

class Python(Task):
    n: Param[int]
    def execute(self) -> str:
        return sys.executable

if __name__ == "__main__":
    with experiment("e") as xp:
        task = Python.C(n=int(sys.argv[1])).submit()
    print(task.result())
"""


def run(folder: Path, *command: str, **environ: str) -> subprocess.CompletedProcess[str]:
    (folder / "plan.py").write_text(SCRIPT)
    return subprocess.run(
        command, cwd=folder, env={**os.environ, **environ}, capture_output=True, text=True, timeout=60
    )


@pytest.mark.redis_server
@pytest.mark.parametrize(
    ("options", "told"),
    [(("--maxmemory-policy", "allkeys-lru"), "noeviction"), (("--cluster-enabled", "yes"), "cluster")],
)
def test_an_unsuitable_broker_is_refused_by_script_and_command(
    tmp_path: Path, start_server: Callable[..., Server], options: tuple[str, ...], told: str
) -> None:
    server = start_server(binary="redis-server", options=options)
    xpm = [sys.executable, "-m", "xpm.cli"]
    for command in ([sys.executable, "plan.py", "1"], [*xpm, "jobs"], [*xpm, "worker", "start", "--burst"]):
        done = run(tmp_path, *command, XPM_BROKER=server.url)
        assert done.returncode == 2, (command, done.stderr)
        assert told in done.stderr and "Traceback" not in done.stderr and "script" not in done.stderr.lower()


def test_two_brokers_of_one_workspace_have_workers_each(
    tmp_path: Path, start_server: Callable[..., Server]
) -> None:
    for n in (1, 2):
        server = start_server()
        done = run(tmp_path, sys.executable, "plan.py", str(n), XPM_BROKER=server.url, XPM_WORKERS="1")
        assert done.returncode == 0, done.stderr


def test_a_job_runs_on_the_interpreter_of_its_script(tmp_path: Path) -> None:
    venv.create(tmp_path / "other", symlinks=True, system_site_packages=True)
    other = tmp_path / "other/bin/python"
    (site,) = (tmp_path / "other/lib").glob("python3*/site-packages")
    (site / "all.pth").write_text("\n".join(path for path in sys.path if path))
    for n, python in enumerate((sys.executable, str(other))):
        done = run(tmp_path, python, "plan.py", str(n))
        assert (done.returncode, done.stdout.strip()) == (0, python), done.stderr
