"""Local workers that one script has started, and the next one finds: their number and their environment."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import leftovers
import psutil
import pytest
from commands import Lab
from servers import Server
from waiting import until

from xpm.broker.poolfile import PoolFile

SCRIPT = '''
import os, sys, time
from pathlib import Path
from xpm import Meta, Param, Task, experiment

class Show(Task):
    """Returns a variable; begins by noting its process, and ends when a file is there."""
    name: Param[str]
    n: Param[int]
    until: Meta[Path]
    def execute(self):
        with open(self.until.with_name("ledger"), "a") as file:
            file.write(f"{self.name} {os.getpid()}\\n")
        while not self.until.exists():
            time.sleep(0.02)
        return os.environ.get("COLOUR")

if __name__ == "__main__":
    name, count, until = sys.argv[1], int(sys.argv[2]), Path(sys.argv[3])
    with experiment(name) as xp:
        if "edited" in sys.argv:
            Path(__file__).with_name("pyproject.toml").write_text("[tool.xpm]\\nspeed = 1\\n")
        for n in range(count):
            Show.C(name=name, n=n, until=until).submit()
            if "slowly" in sys.argv:
                xp.failed  # so far it has gone out
                while not until.exists():
                    time.sleep(0.02)
    print(*sorted({str(row["result"]) for row in xp.rows()}))
'''


@pytest.fixture
def lab() -> Iterator[Lab]:
    made = Lab()
    (made.project / "show.py").write_text(SCRIPT)
    (made.project / "go").touch()
    yield made
    made.close()


def run(lab: Lab, name: str, count: int = 1, gate: str = "go", **env: str) -> Any:
    return lab.run("run", "show.py", name, str(count), str(lab.project / gate), env=env)


def start(lab: Lab, folder: Path, *words: str, **env: str) -> subprocess.Popen[str]:
    """`python show.py` from another folder."""
    command = [sys.executable, str(lab.project / "show.py"), *words]
    return subprocess.Popen(command, cwd=folder, env={**lab.env, **env}, stderr=subprocess.PIPE, text=True)


def pools(lab: Lab) -> set[str]:
    return {one["pool"] for one in workers(lab)}


def workers(lab: Lab) -> list[dict[str, Any]]:
    return lab.json("worker")["workers"]


def servers(lab: Lab) -> list[int]:
    return [one.pid for one in leftovers.processes(lab.home) if "server" in one.name()]


def begun(lab: Lab) -> list[list[str]]:
    """Experiment and process of each start of a job."""
    path = lab.project / "ledger"
    return [line.split() for line in path.read_text().splitlines()] if path.exists() else []


def logged(lab: Lab) -> str:
    (log,) = (lab.workspace / ".xpm" / "logs").iterdir()
    return log.read_text()


def test_idle_workers_make_room_for_another_number_of_them(lab: Lab) -> None:
    assert run(lab, "one").returncode == 0
    assert len(workers(lab)) == 2
    (first,) = pools(lab)
    assert run(lab, "again", **{"TERM": "other", "SHLVL": "7"}).returncode == 0
    assert pools(lab) == {first}  # nothing that matters is different
    done = run(lab, "two", XPM_WORKERS="3")
    assert (done.returncode, done.stderr.count("local workers")) == (0, 0)
    assert len(workers(lab)) == 3
    assert first not in pools(lab)


def test_idle_workers_make_room_for_those_of_another_environment(lab: Lab) -> None:
    assert run(lab, "one", COLOUR="red").stdout.split()[-1:] == ["red"]
    assert run(lab, "two", COLOUR="blue").stdout.split()[-1:] == ["blue"]
    assert run(lab, "three").stdout.split()[-1:] == ["None"]


def test_idle_workers_go_when_none_are_wanted_and_those_at_work_stay(lab: Lab) -> None:
    assert run(lab, "one").returncode == 0
    assert workers(lab)
    assert run(lab, "two", XPM_WORKERS="0", XPM_DETACH="1").returncode == 0
    assert not workers(lab)
    assert lab.json("jobs", "--state", "READY")["jobs"] and [name for name, _ in begun(lab)] == ["one"]

    assert run(lab, "three", 2, "gate", XPM_DETACH="1", XPM_WORKERS="1").returncode == 0
    until(lambda: "three" in [name for name, _ in begun(lab)])
    (pool,) = pools(lab)
    assert run(lab, "four", XPM_WORKERS="0", XPM_DETACH="1").returncode == 0
    assert pools(lab) == {pool} and len(workers(lab)) == 1


def test_workers_at_work_become_more_and_fewer_and_say_what_stays(lab: Lab) -> None:
    assert run(lab, "one", 3, "gate", XPM_WORKERS="1", XPM_DETACH="1", COLOUR="red").returncode == 0
    until(lambda: len(begun(lab)) == 1)
    (pool,) = pools(lab)

    more = run(lab, "two", 3, "gate", XPM_WORKERS="3", XPM_DETACH="1", COLOUR="blue")
    assert "local workers: 3 from now on (1 before)" in more.stderr
    assert "other there: COLOUR;" in more.stderr
    until(lambda: len(begun(lab)) == 3)
    assert pools(lab) == {pool} and len(workers(lab)) == 3

    fewer = run(lab, "three", 1, "gate", XPM_WORKERS="1", XPM_DETACH="1", COLOUR="red")
    assert "local workers: 1 from now on (3 before)" in fewer.stderr
    assert "other there" not in fewer.stderr
    assert all(psutil.pid_exists(int(process)) for _, process in begun(lab))
    assert len(workers(lab)) == 3  # each may end its job
    (lab.project / "gate").touch()
    until(lambda: len(begun(lab)) == 7 and len(workers(lab)) == 1)
    assert pools(lab) == {pool}
    until(lambda: {one["state"] for one in lab.json("jobs", "--limit", "0")["jobs"]} == {"DONE"})
    assert len(begun(lab)) == 7


def test_workers_have_the_settings_of_their_script_wherever_it_is_started(lab: Lab) -> None:
    elsewhere = lab.home / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "pyproject.toml").write_text("[tool.xpm]\nspeed = 1\n")
    (lab.project / "pyproject.toml").write_text("[tool.xpm]\ngrace = 0.5\n")
    script = start(lab, elsewhere, "one", "1", str(lab.project / "gate"), XPM_DETACH="1", XPM_WORKERS="1")
    told = script.communicate(timeout=30)[1]
    assert script.returncode == 0, told
    until(lambda: begun(lab))
    (worker,) = workers(lab)
    pool = psutil.Process(psutil.Process(worker["pid"]).ppid())
    pool.terminate()
    pool.wait(15)  # the default of `grace` is 30 s
    assert lab.json("jobs")["jobs"][0]["state"] == "READY"


def test_workers_that_cannot_be_started_are_told_once_with_the_reason_and_tried_again(lab: Lab) -> None:
    script = start(lab, lab.home, "one", "1", str(lab.project / "go"), "edited")
    assert script.stderr is not None
    told = ""
    while "cannot be started" not in told:
        line = script.stderr.readline()
        assert line, told
        told += line
    assert f"{lab.project / 'pyproject.toml'}: no setting 'speed'" in told
    assert str(lab.workspace / ".xpm" / "logs") in told and "no setting 'speed'" in logged(lab)
    (lab.project / "pyproject.toml").write_text("")
    told += script.communicate(timeout=60)[1]
    assert script.returncode == 0 and told.count("cannot be started") == 1, told


def test_workers_that_end_for_want_of_work_look_once_more_before_they_go(
    lab: Lab, start_server: Callable[..., Server]
) -> None:
    lab.env |= {"XPM_BROKER": start_server().url, "XPM_WORKERS": "1", "XPM_IDLE_STOP": "2"}
    script = start(lab, lab.project, "one", "1", str(lab.project / "gate"))
    until(lambda: begun(lab))
    (worker,) = workers(lab)
    (lab.project / "gate").touch()
    assert script.communicate(timeout=30) and script.returncode == 0
    os.kill(worker["pid"], signal.SIGSTOP)  # so that the end takes a while
    until(lambda: "nothing to do for 2 s: ending" in logged(lab))
    assert run(lab, "two", XPM_DETACH="1").returncode == 0
    os.kill(worker["pid"], signal.SIGCONT)
    until(lambda: "two" in [name for name, _ in begun(lab)])


def test_workers_end_while_others_are_connected_to_a_shared_broker(
    lab: Lab, start_server: Callable[..., Server]
) -> None:
    server = start_server()
    lab.env |= {"XPM_BROKER": server.url, "XPM_WORKERS": "1", "XPM_IDLE_STOP": "1"}
    with server.client() as foreign:
        foreign.ping()
        assert run(lab, "one").returncode == 0
        until(lambda: not workers(lab))
        assert foreign.ping()
    assert "nothing to do for 1 s: ending" in logged(lab)


def test_scripts_go_on_when_the_servers_data_are_removed(lab: Lab) -> None:
    first = start(lab, lab.project, "one", "3", str(lab.project / "gate"), XPM_WORKERS="1")
    until(lambda: begun(lab))
    found = lab.json("broker")
    shutil.rmtree(found["data"])
    status = lab.run("broker")
    assert status.returncode == 3 and f"(process {found['pid']}) has lost its data" in status.stdout

    second = run(lab, "two")
    assert second.returncode == 0, second.stderr
    assert second.stderr.count(f"its server (process {found['pid']}) was ended") == 1
    (lab.project / "gate").touch()
    told = first.communicate(timeout=60)[1]
    assert first.returncode == 0, told
    assert "Traceback" not in second.stderr + told
    assert servers(lab) == [lab.json("broker")["pid"]] != [found["pid"]]

    shutil.rmtree(found["data"])
    assert lab.ok("broker", "stop").strip() == "stopped"
    assert not servers(lab)


def test_a_script_that_detaches_sees_workers_off_that_ended_meanwhile(lab: Lab) -> None:
    assert run(lab, "one").returncode == 0
    pool = psutil.Process(psutil.Process(workers(lab)[0]["pid"]).ppid())
    pool.terminate()
    pool.wait(15)
    (lock,) = (lab.home / "state").rglob("pool-*.lock")
    held = PoolFile(lock)
    assert held.take()
    script = start(lab, lab.project, "two", "2", str(lab.project / "gate"), "slowly", XPM_DETACH="1")
    until(lambda: "READY" in [job["state"] for job in lab.json("jobs", "--limit", "0")["jobs"]])
    held.release()
    (lab.project / "gate").touch()
    assert script.communicate(timeout=30) and script.returncode == 0
    until(lambda: [name for name, _ in begun(lab)].count("two") == 2)
