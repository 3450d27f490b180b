"""What a job asks of its worker while it runs: tokens and locks held by its code."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from farm import Farm, farm
from servers import Server

from xpm.broker.keys import SHARED
from xpm.broker.ledger import Ledger
from xpm.core.state import State
from xpm.workspace.results import read_record
from xpm.workspace.values import decode_result

CODE = '''
from __future__ import annotations
import os, subprocess, sys, threading, time
from concurrent.futures import ThreadPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from xpm import Meta, Param, SubmissionError, Task, WouldDeadlock, lock, token

gpu = token("gpu", 2)

class Alone(Task):
    """Several threads at once are as many as one job with one."""
    n: Param[int]
    ledger: Meta[Path]
    def enter(self, _):
        with lock("book").write() as held:
            mine = self.ledger / "inside"
            mine.mkdir()
            with open(self.ledger / "fences", "a") as file:
                file.write(held.fence + "\\n")
            time.sleep(0.01)
            mine.rmdir()
    def execute(self) -> None:
        with ThreadPoolExecutor(3) as pool:
            list(pool.map(self.enter, range(6)))

class Again(Task):
    n: Param[int]
    def execute(self) -> list:
        said = []
        with lock("z").write() as outer, lock("z").read() as inner:
            said.append(outer.fence == inner.fence)
        with lock("mine").write() as held:
            said.append(held.fence == os.environ["XPM_FENCE"])
        for wanted in (gpu.acquire(1), lock("a").write().acquire()):
            try:
                with wanted:
                    said.append("granted")
            except WouldDeadlock as error:
                said.append(str(error).split(":")[0])
        return said

class Refused(Task):
    n: Param[int]
    def execute(self) -> list:
        said = []
        with lock("a").write():
            for each in (token("none").acquire(1), token("gpu").acquire(3)):
                try:
                    each.__enter__()
                except SubmissionError as error:
                    said.append(str(error).split(";")[0])
            def late():
                try:
                    lock("a").read().acquire(timeout=0.1).__enter__()
                except TimeoutError as error:
                    said.append(str(error))
            thread = threading.Thread(target=late)
            thread.start()
            thread.join()
        with gpu.acquire(2, timeout=20), token("gpu", 5).acquire(1, timeout=0) if self.n < 0 else lock("z").read():
            said.append("held")
        with token("gpu", 5).acquire(1):
            return said

class Holder(Task):
    """Holds all of it until a file is there, from this process or another."""
    how: Param[str]
    pids: Meta[Path]
    until: Meta[Path]
    def execute(self) -> str:
        if self.how == "forked":
            other = get_context("fork").Process(target=self.hold)
            other.start()
            other.join()
            return str(other.exitcode)
        if self.how == "spawned":
            code = f"import tasks, pathlib; tasks.hold(*map(pathlib.Path, {[str(self.pids), str(self.until)]!r}))"
            subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parent)
            return "0"
        self.hold()
        return "0"
    def hold(self) -> None:
        hold(self.pids, self.until)

class Starts(Task):
    """A process that it starts wants what the job holds."""
    n: Param[int]
    def execute(self) -> str:
        code = "from tasks import gpu, lock\\nwith {}: print('held')"
        wanted = ("gpu.acquire(1)", "lock('mine').read()", "gpu.acquire(2)", "lock('mine').write()")
        said = []
        for each in wanted:
            done = subprocess.run(
                [sys.executable, "-c", code.format(each)], capture_output=True, text=True, cwd=Path(__file__).parent
            )
            said.append(done.stdout.strip() or done.stderr.splitlines()[-1])
        return said

def hold(pids, until) -> None:
    with gpu.acquire(2):
        (pids / str(os.getpid())).touch()
        while not until.exists():
            time.sleep(0.01)
'''


@pytest.fixture
def lab(tmp_path: Path, server: Server) -> Iterator[Farm]:
    with farm(tmp_path, server.url, CODE) as made:
        yield made


def result(lab: Farm, label: str) -> object:
    job = lab.until(lab.in_state(label, State.DONE, State.ERROR))
    failure = lab.views.failure(job.id)
    assert job.state is State.DONE, failure and failure.traceback
    path = lab.workspace.jobpath(job.task, job.id)
    record = read_record(path)
    assert record is not None
    return decode_result(record.result, path)


def used(lab: Farm) -> int:
    return int(lab.client.hget(f"{SHARED}res:t.gpu", "u@") or lab.client.hget(f"{SHARED}res:t.gpu", "u") or 0)


def test_jobs_and_threads_exclude_each_other_by_a_lock(lab: Farm, tmp_path: Path) -> None:
    lab.pool(slots=2)
    lab.send(lab.run(), *(lab.tasks.Alone.C(n=n, ledger=tmp_path) for n in range(2)))
    for n in range(2):
        result(lab, f"Alone n={n}")
    fences = (tmp_path / "fences").read_text().split()
    assert len(fences) == 12 and fences == sorted(set(fences))


def test_what_the_job_requires_is_held_already(lab: Farm) -> None:
    lab.pool()
    lab.broker.declare({"t.gpu": 2, "l.mine": 1_000_000})
    lab.send(lab.run(), lab.tasks.Again.C(n=0), requires=[lab.tasks.gpu(1), lab.tasks.lock("mine").write()])
    assert result(lab, "Again n=0") == [
        True,
        True,
        "gpu(1) is wanted while lock('mine').write() is held",
        "lock('a').write() is wanted while lock('mine').write() is held",
    ]


def test_a_process_that_the_job_starts_cannot_wait_for_what_the_job_holds(lab: Farm, server: Server) -> None:
    lab.pool(XPM_BROKER=server.url)
    lab.broker.declare({"t.gpu": 2, "l.mine": 1_000_000})
    lab.send(lab.run(), lab.tasks.Starts.C(n=0), requires=[lab.tasks.gpu(1), lab.tasks.lock("mine").read()])
    held = "is wanted by a process of the job Starts n=0, which holds"
    free, read, both, write = result(lab, "Starts n=0")
    assert free == read == "held"
    assert f"gpu(2) {held} gpu(1) to its end" in both
    assert f"lock('mine').write() {held} lock('mine').read() to its end" in write


def test_wrong_wishes_are_refused_and_a_wait_ends_with_its_time(lab: Farm) -> None:
    lab.pool()
    lab.broker.declare({"t.gpu": 2})
    lab.send(lab.run(), lab.tasks.Refused.C(n=0))
    assert result(lab, "Refused n=0") == [
        "there is no token 'none': token('none', N) or 'xpm token set none N' makes one of capacity N",
        "needs gpu(3), there are 2",
        "lock('a').read(): not free within 0.1 s",
        "held",
    ]
    job = lab.job("Refused n=0")
    said = (lab.workspace.jobpath(job.task, job.id) / "stderr.log").read_text()
    assert "token gpu: the script gives it 5, it has 2" in said
    assert used(lab) == 0 and not lab.client.keys(f"{lab.broker.prefix}a:*")


@pytest.mark.parametrize("how", ["own", "forked", "spawned"])
@pytest.mark.parametrize("dies", ["nobody", "job", "worker"])
def test_what_is_held_comes_back(lab: Farm, tmp_path: Path, how: str, dies: str) -> None:
    pids, until = tmp_path / "pids", tmp_path / "until"
    pids.mkdir()
    pool = lab.pool(XPM_BROKER=lab.url, PYTHONPATH=str(lab.project))
    lab.send(lab.run(), lab.tasks.Holder.C(how=how, pids=pids, until=until))
    lab.until(lambda: list(pids.iterdir()))
    assert used(lab) == 2
    if how != "spawned":
        assert [one.label for one in Ledger(lab.broker).holders("t.gpu")] == [f"Holder how={how}"]
    (first,) = (int(path.name) for path in pids.iterdir())
    if dies == "job":
        os.kill(first, signal.SIGKILL)
    elif dies == "worker":
        (worker,) = lab.workers(pool)
        worker.kill()
    if dies == "nobody" or (how != "own" and dies == "job"):
        until.touch()
    else:
        lab.until(lambda: len(list(pids.iterdir())) == 2)
        assert used(lab) == 2
        until.touch()
    lab.until(lab.in_state(f"Holder how={how}", State.DONE, State.ERROR))
    lab.until(lambda: used(lab) == 0)
