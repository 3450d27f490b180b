"""Whole experiments from real scripts, while what they stand on is taken away: each job is done once."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import redis
from servers import Server
from waiting import until

SCRIPT = """
import os, sys, time
from pathlib import Path
from xpm import Meta, Param, Task, experiment

class Make(Task):
    n: Param[int]
    ledger: Meta[Path]
    pause: Meta[float]

    def execute(self) -> int:
        with open(self.ledger, "a") as file:
            file.write(f"make{self.n}\\n")
        time.sleep(self.pause)
        return self.n

class Double(Task):
    made: Param[Make]
    ledger: Meta[Path]

    def execute(self) -> int:
        with open(self.ledger, "a") as file:
            file.write(f"double{self.made.n}\\n")
        return 2 * self.made.result()

if __name__ == "__main__":
    name, first, last, pause = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4])
    ledger = Path(__file__).parent / "ledger"
    with experiment(name) as xp:
        for n in range(first, last):
            made = Make.C(n=n, ledger=ledger, pause=pause).submit()
            Double.C(made=made, ledger=ledger).submit()
            if len(sys.argv) > 5 and n == int(sys.argv[5]):
                print("submitted so far", flush=True)
                time.sleep(600)
    print("sum", sum(row["result"] for row in xp.rows() if row["task"].endswith("Double")), flush=True)
"""


class Project:
    """A folder with the script above, and what ran it."""

    def __init__(self, folder: Path, **environ: str) -> None:
        self.folder = folder
        folder.mkdir(parents=True)
        (folder / "pyproject.toml").write_text("")
        (folder / "plan.py").write_text(SCRIPT)
        self.environ = {**os.environ, "XPM_LEASE": "3", **environ}
        self.started: list[subprocess.Popen[str]] = []

    def start(self, *arguments: Any) -> subprocess.Popen[str]:
        command = [sys.executable, "plan.py", *map(str, arguments)]
        self.started.append(
            subprocess.Popen(
                command,
                cwd=self.folder,
                env=self.environ,
                text=True,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
            )
        )
        return self.started[-1]

    def run(self, *arguments: Any) -> subprocess.CompletedProcess[str]:
        process = self.start(*arguments)
        out, err = process.communicate(timeout=100)
        return subprocess.CompletedProcess(process.args, process.returncode, out, err)

    @property
    def ledger(self) -> Counter[str]:
        path = self.folder / "ledger"
        return Counter(path.read_text().split() if path.exists() else [])

    def server(self) -> psutil.Process:
        """The embedded server."""
        claim = json.loads((self.folder / "runs/.xpm/broker.json").read_text())
        return psutil.Process(claim["pid"])

    def close(self) -> None:
        for process in self.started:
            if process.poll() is None:
                process.kill()
                process.communicate()


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    made = Project(tmp_path / "project", XPM_WORKERS="2")
    yield made
    made.close()


def each_once(first: int, last: int) -> Counter[str]:
    return Counter([f"{kind}{n}" for n in range(first, last) for kind in ("make", "double")])


def test_the_embedded_server_killed_in_mid_experiment_is_started_again_with_its_state(
    project: Project,
) -> None:
    script = project.start("e", 0, 12, 0.3)
    until(lambda: len(project.ledger) >= 3)
    killed = project.server()
    killed.kill()
    out, err = script.communicate(timeout=100)
    assert script.returncode == 0, err
    assert out.split()[-1] == str(2 * sum(range(12)))
    assert project.ledger == each_once(0, 12)
    assert project.server().pid != killed.pid


def test_a_script_waits_for_the_embedded_server_while_that_hangs(project: Project) -> None:
    script = project.start("e", 0, 6, 0.3)
    until(lambda: len(project.ledger) >= 2)
    server = project.server()
    server.suspend()
    assert script.stderr is not None
    try:
        while "waiting for it; no job is lost" not in (line := script.stderr.readline()):
            assert line, "it has ended"
    finally:
        server.resume()
    assert f"the server (process {server.pid}) does not answer, since somebody has stopped it" in line
    _, err = script.communicate(timeout=100)
    assert script.returncode == 0, err
    assert project.ledger == each_once(0, 6) and project.server().pid == server.pid


def test_a_script_killed_while_it_submits_leaves_what_it_submitted_and_run_again_submits_the_rest(
    project: Project,
) -> None:
    script = project.start("e", 0, 40, 0, 19)
    assert script.stdout is not None
    assert script.stdout.readline() == "submitted so far\n"
    until(lambda: project.ledger["make0"])
    script.kill()
    until(lambda: project.ledger == each_once(0, 20))
    again = project.run("e", 0, 40, 0)
    assert again.returncode == 0, again.stderr
    assert again.stdout.split()[-1] == str(2 * sum(range(40)))
    assert project.ledger == each_once(0, 40)


def test_two_scripts_at_once_share_their_jobs(project: Project) -> None:
    scripts = [project.start("one", 0, 12, 0.05), project.start("two", 6, 18, 0.05)]
    outs = [script.communicate(timeout=100) for script in scripts]
    assert [script.returncode for script in scripts] == [0, 0], outs
    assert project.ledger == each_once(0, 18)
    assert outs[0][0].split()[-1] == str(2 * sum(range(12)))
    assert outs[1][0].split()[-1] == str(2 * sum(range(6, 18)))


def test_a_finished_plan_is_recognised_from_the_workspace_when_the_broker_has_lost_all(
    project: Project,
) -> None:
    assert project.run("e", 0, 6, 0).returncode == 0
    server = project.server()
    claim = json.loads((project.folder / "runs/.xpm/broker.json").read_text())
    client = redis.Redis(unix_socket_path=claim["socket"])
    client.flushall()
    client.close()
    again = project.run("e", 0, 8, 0)
    assert again.returncode == 0, again.stderr
    assert project.ledger == each_once(0, 8)
    assert server.is_running()


def test_a_detached_experiment_goes_on_without_its_script(project: Project) -> None:
    project.environ["XPM_DETACH"] = "1"
    script = project.run("e", 0, 6, 0.2)
    assert script.returncode == 0, script.stderr
    assert "xpm attach e" in script.stderr + script.stdout
    until(lambda: project.ledger == each_once(0, 6))


@pytest.mark.rq
def test_two_workspaces_and_a_foreign_application_on_one_server(
    tmp_path: Path, start_server: Callable[..., Server]
) -> None:
    server = start_server(options=("--appendonly", "yes"))
    projects = [Project(tmp_path / name, XPM_BROKER=server.url, XPM_WORKERS="1") for name in ("a", "b")]
    folder = tmp_path / "foreign"
    folder.mkdir()
    (folder / "foreign.py").write_text("def add(a, b):\n    return a + b\n")
    enqueue = (
        "import redis, rq, foreign, sys\n"
        f"queue = rq.Queue('default', connection=redis.Redis(unix_socket_path={str(server.socket)!r}))\n"
        "print(*[queue.enqueue(foreign.add, n, 1, result_ttl=-1).id for n in range(10)])\n"
    )
    try:
        scripts = [project.start("e", 0, 8, 0.05) for project in projects]
        jobs = subprocess.run(
            [sys.executable, "-c", enqueue], cwd=folder, capture_output=True, text=True, check=True
        ).stdout.split()
        rq = str(Path(sys.executable).with_name("rq"))
        subprocess.run(
            [rq, "worker", "-u", server.url, "--burst"], cwd=folder, check=True, capture_output=True
        )
        for script in scripts:
            assert script.wait(100) == 0, script.communicate()
        for project in projects:
            assert project.ledger == each_once(0, 8)
        with server.client() as client:
            states = {client.hget(f"rq:job:{job}", "status") for job in jobs}
        assert states == {b"finished"}
    finally:
        for project in projects:
            project.close()
            for process in psutil.process_iter(["cmdline"]):
                if str(project.folder) in " ".join(process.info["cmdline"] or []):
                    process.send_signal(signal.SIGTERM)
