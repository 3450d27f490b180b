"""Pools of real workers: every job ends once, whatever dies on the way."""

from __future__ import annotations

import json
import math
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from farm import Farm, farm
from servers import Server

from xpm.broker import rq as rqnames
from xpm.broker.poolfile import PoolFile
from xpm.cli.select import Found
from xpm.cli.sheet import read
from xpm.core.state import State
from xpm.workspace.attempts import read_attempts
from xpm.workspace.results import RECORD, read_record
from xpm_workers.cpus import cpus

CODE = '''
from __future__ import annotations
import os, shutil, signal, subprocess, sys, time
from pathlib import Path
from xpm.core.config import Config, Meta, Param, Task, field
from xpm.core.session import progress

class Note(Task):
    """Writes a line to a ledger each time it runs."""
    n: Param[int]
    ledger: Meta[Path]
    def execute(self) -> int:
        with open(self.ledger, "a") as file:
            file.write(f"{self.n}\\n")
        return self.n

class Share(Task):
    """Its share of the CPUs."""
    n: Param[int]
    def execute(self) -> str:
        return os.environ["OMP_NUM_THREADS"]

class Sum(Task):
    notes: Param[list[Note]]
    def execute(self) -> int:
        return sum(note.result() for note in self.notes)

class Wait(Task):
    """Runs until a file is there; notes each start."""
    n: Param[int]
    ledger: Meta[Path]
    until: Meta[Path]
    def execute(self) -> int:
        with open(self.ledger, "a") as file:
            file.write(f"{os.getpid()}\\n")
        progress(0.25, "waiting")
        while not self.until.exists():
            time.sleep(0.02)
        return self.n

class Parricide(Task):
    after: Meta[Path]
    def execute(self) -> None:
        while not self.after.exists() or not self.after.read_text():
            time.sleep(0.01)  # the job beside it says by a file that it has begun
        os.kill(os.getppid(), 9)
        signal.pause()

class Daemon(Task):
    """Leaves a grandchild in a session of its own."""
    ledger: Meta[Path]
    n: Param[int] = field(default=0)
    def execute(self) -> None:
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)
        self.ledger.write_text(str(child.pid))
        while True:
            time.sleep(1)

class Strange(Task):
    """Has parameters that JSON has not, and tasks that do not identify it."""
    scale: Param[float]
    limits: Param[list[float]]
    after: Param[dict[str, Note]]
    hints: Meta[list[Note]] = field(default_factory=list)
    def execute(self) -> list[int]:
        return [each.result() for each in (*self.after.values(), *self.hints)]

class Fail(Task):
    n: Param[int]
    flag: Meta[Path]
    def execute(self) -> int:
        if not self.flag.exists():
            raise ValueError(f"no flag for {self.n}")
        return self.n

class After(Task):
    fail: Param[Fail]
    def execute(self) -> int:
        return self.fail.result() + 1

class Clear(Task):
    """Starts clean, by its own idea of it."""
    how: Param[str]
    ledger: Meta[Path]
    def execute(self):
        with open(self.ledger, "a") as file:
            file.write("begun\\n")
        if self.how == "emptied":
            for each in self.jobpath.iterdir():
                shutil.rmtree(each) if each.is_dir() else each.unlink()
            return 1
        shutil.rmtree(self.jobpath)
        if self.how == "made again":
            self.jobpath.mkdir()
        return __import__("numpy").zeros(3) if self.how == "array" else 1

class Die(Task):
    how: Param[str]
    def execute(self) -> None:
        print("about to die", flush=True)
        if self.how == "exit":
            os._exit(7)
        if self.how == "pool":
            import psutil
            psutil.Process().parent().parent().kill()
            __import__("time").sleep(60)
        os.kill(os.getpid(), getattr(__import__("signal"), self.how))
'''


@pytest.fixture
def works(server: Server, tmp_path: Path) -> Iterator[Farm]:
    with farm(tmp_path, server.url, CODE) as made:
        yield made
    with server.client() as client:
        client.flushall()


def lines(path: Path) -> list[str]:
    return path.read_text().split() if path.exists() else []


def test_a_graph_runs_each_job_once_and_hands_results_on(works: Farm, tmp_path: Path) -> None:
    ledger = tmp_path / "ledger"
    notes = [works.tasks.Note.C(n=n, ledger=ledger) for n in range(20)]
    works.send(works.run(), *notes, works.tasks.Sum.C(notes=notes))
    assert works.pool("--burst", slots=2).wait(60) == 0
    total = works.job("Sum")
    assert total.state is State.DONE
    assert sorted(map(int, lines(ledger))) == list(range(20))
    record = json.loads((works.workspace.jobpath(total.task, total.id) / ".xpm/result.json").read_text())
    assert record["result"] == sum(range(20))


def test_numbers_that_json_has_not_may_be_parameters(works: Farm, tmp_path: Path) -> None:
    note = works.tasks.Note.C(n=1, ledger=tmp_path / "ledger")
    values = {"scale": math.inf, "limits": [-math.inf, math.nan]}
    strange = works.tasks.Strange.C(**values, after={"a": note})
    works.send(works.run(), note, strange)
    works.pool()
    works.until(lambda: works.views.counts()[State.DONE] == 2)
    record = read_record(works.jobpath(strange))
    assert record and repr({name: record.parameters[name] for name in values}) == repr(values)


def test_inputs_may_change_between_runs_as_long_as_they_do_not_identify(works: Farm, tmp_path: Path) -> None:
    """Nothing ran yet; then the same jobs are submitted with their inputs in another order, and with others."""
    ledger = tmp_path / "ledger"

    def send(run: str, *plans: Callable[[Any, Any, Any], tuple[dict[str, Any], list[Any]]]) -> list[Any]:
        notes = [works.tasks.Note.C(n=n, ledger=ledger) for n in range(3)]
        made = [
            works.tasks.Strange.C(scale=float(number), limits=[], after=after, hints=hints)
            for number, (after, hints) in enumerate(plan(*notes) for plan in plans)
        ]
        assert len(works.send(works.run(run), *notes, *made)) == 6
        return made

    send(
        "first",
        lambda one, two, three: ({"a": one, "b": two}, []),
        lambda one, two, three: ({"a": one}, [two, three]),
        lambda one, two, three: ({}, [one]),
    )
    again = send(
        "second",
        lambda one, two, three: ({"b": two, "a": one}, []),
        lambda one, two, three: ({"a": one}, [three]),
        lambda one, two, three: ({}, [two, three, one]),
    )
    works.pool()
    works.until(lambda: works.views.counts()[State.DONE] == 6)
    results = [read_record(works.jobpath(each)) for each in again]
    assert [each and each.result for each in results] == [[1, 0], [0, 2], [1, 2, 0]]
    assert sorted(ledger.read_text().split()) == ["0", "1", "2"]


def test_a_silent_job_leaves_three_inodes(works: Farm, tmp_path: Path) -> None:
    works.send(works.run(), works.tasks.Note.C(n=1, ledger=tmp_path / "ledger"))
    assert works.pool("--burst").wait(60) == 0
    job = works.job("Note n=1")
    path = works.workspace.jobpath(job.task, job.id)
    assert sorted(str(each.relative_to(path)) for each in path.rglob("*")) == [".xpm", ".xpm/result.json"]


def test_a_failure_is_told_and_holds_only_what_depends_on_it(works: Farm, tmp_path: Path) -> None:
    flag = tmp_path / "flag"
    fail = works.tasks.Fail.C(n=1, flag=flag)
    works.send(
        works.run(), fail, works.tasks.After.C(fail=fail), works.tasks.Note.C(n=5, ledger=tmp_path / "l")
    )
    assert works.pool("--burst").wait(60) == 0
    assert works.job("Note n=5").state is State.DONE
    assert works.job("After").state is State.HOLD
    job = works.job("Fail n=1")
    assert job.state is State.ERROR
    failure = works.views.failure(job.id)
    assert failure is not None and failure.type == "ValueError" and failure.message == "no flag for 1"
    assert 'raise ValueError(f"no flag for {self.n}")' in failure.traceback
    assert "xpm_workers" not in failure.traceback

    flag.touch()
    fail = works.tasks.Fail.C(n=1, flag=flag)
    outcomes = works.send(works.run("again"), fail, works.tasks.After.C(fail=fail))
    assert [one.action for one in outcomes] == ["retried", "joined"]
    assert works.pool("--burst").wait(60) == 0
    assert works.job("After").state is State.DONE
    assert lines(tmp_path / "l") == ["5"]


def test_a_worker_killed_by_9_hands_its_job_to_the_next_at_once(works: Farm, tmp_path: Path) -> None:
    ledger, until = tmp_path / "ledger", tmp_path / "until"
    works.send(works.run(), works.tasks.Wait.C(n=1, ledger=ledger, until=until))
    pool = works.pool()
    works.until(lambda: lines(ledger))
    (worker,) = works.workers(pool)
    worker.kill()
    works.until(lambda: len(lines(ledger)) == 2)
    first, second = map(int, lines(ledger))
    assert not psutil.pid_exists(first) and psutil.pid_exists(second)
    until.touch()
    works.until(works.in_state("Wait n=1", State.DONE))
    job = works.job("Wait n=1")
    found = Found(job.id, job.task, job.label, job, works.workspace.jobpath(job.task, job.id))
    sheet = read(found, works.views, works.broker, works.workspace)
    assert [(one.number, one.end) for one in sheet.attempts] == [(2, "done")]
    assert sheet.remarks == ["no note of attempt 1: its worker was lost with it, or what it left was removed"]


@pytest.mark.parametrize("left", [0, 1])
def test_a_worker_that_cannot_be_started_now_is_started_later(works: Farm, tmp_path: Path, left: int) -> None:
    ledger, until = tmp_path / "ledger", tmp_path / "until"
    works.send(works.run(), *(works.tasks.Wait.C(n=n, ledger=ledger, until=until) for n in (1, 2)))
    pool = works.pool(slots=2)
    works.until(lambda: len(lines(ledger)) == 2)
    usual = resource.prlimit(pool.pid, resource.RLIMIT_NOFILE)
    # So many descriptors are left, and one more when the worker is gone: for the other end of its line, and to look at
    # processes, there is none.
    most = max(map(int, os.listdir(f"/proc/{pool.pid}/fd"))) + 1
    holes = most - len(os.listdir(f"/proc/{pool.pid}/fd"))
    resource.prlimit(pool.pid, resource.RLIMIT_NOFILE, (most - holes - 1 + left, usual[1]))
    works.workers(pool)[0].kill()
    works.until(lambda: "worker not started" in works.told())
    assert len(works.workers(pool)) == 1 and pool.poll() is None
    resource.prlimit(pool.pid, resource.RLIMIT_NOFILE, usual)
    works.until(lambda: len(lines(ledger)) == 3)
    until.touch()
    works.until(lambda: works.views.counts()[State.DONE] == 2)


def test_a_job_killed_by_9_runs_again(works: Farm, tmp_path: Path) -> None:
    ledger, until = tmp_path / "ledger", tmp_path / "until"
    works.send(works.run(), works.tasks.Wait.C(n=1, ledger=ledger, until=until))
    works.pool()
    works.until(lambda: lines(ledger))
    os.kill(int(lines(ledger)[0]), signal.SIGKILL)
    works.until(lambda: len(lines(ledger)) == 2)
    until.touch()
    job = works.until(works.in_state("Wait n=1", State.DONE))
    assert job.attempt == 2


def test_a_job_that_is_always_killed_ends_in_error(works: Farm) -> None:
    works.send(works.run(), works.tasks.Die.C(how="SIGKILL"))
    works.pool()
    job = works.until(works.in_state("Die how=SIGKILL", State.ERROR))
    failure = works.views.failure(job.id)
    assert job.attempt == 3
    assert job.reason == "ended 3 times without a word: its process was ended by SIGKILL"
    assert failure is not None and failure.type == "WorkerLost" and "SIGKILL" in failure.message
    attempts = read_attempts(works.workspace.jobpath(job.task, job.id))
    assert [one.n for one in attempts] == [1, 2, 3]
    assert {(one.failure.kind, one.failure.message) for one in attempts} == {
        ("lost", "its process was ended by SIGKILL")
    }


def test_a_job_that_kills_its_pools_ends_in_error(works: Farm) -> None:
    works.send(works.run(), works.tasks.Die.C(how="pool"))
    pools = 0
    while works.job("Die how=pool").state is not State.ERROR:
        works.pool().wait(20)
        pools += 1
        works.until(lambda: works.job("Die how=pool").state is not State.RUNNING)
    failure = works.views.failure(works.job("Die how=pool").id)
    assert pools == 10
    assert failure is not None and failure.type == "HostLost" and "its pool died" in failure.message


def test_workers_whose_pool_died_sign_off(works: Farm, tmp_path: Path) -> None:
    ledger, until = tmp_path / "ledger", tmp_path / "until"
    works.send(works.run(), works.tasks.Wait.C(n=1, ledger=ledger, until=until))
    pool = works.pool(slots=2)
    works.until(lambda: lines(ledger))
    works.until(lambda: len(works.views.workers()) == 2)
    pool.kill()
    # The idle one, and the one that had the job: lists would go on to show both for a day.
    works.until(lambda: not works.views.workers())
    assert works.job("Wait n=1").state is State.READY


def test_a_pool_on_which_three_jobs_die_in_a_row_gets_no_more_until_it_is_started_anew(
    works: Farm, tmp_path: Path
) -> None:
    dying = ["SIGKILL", "SIGTERM", "SIGQUIT"]
    run = works.run()
    works.send(run, *[works.tasks.Die.C(how=how) for how in dying])
    pool = works.pool(slots=3)
    until_logged(works, "this pool gets no more jobs")
    works.send(run, works.tasks.Note.C(n=1, ledger=tmp_path / "ledger"))
    assert works.job("Note n=1").state is State.READY
    told = ", ".join(job[:8] for job in works.views.workers()[0].suspects)
    assert sorted(told.split(", ")) == sorted(works.job(f"Die how={how}").id[:8] for how in dying)
    assert f"{told} died one after the other" in works.told()
    environ = {
        **os.environ,
        "XPM_BROKER": works.url,
        "XPM_WORKSPACE": str(works.workspace.path),
        "COLUMNS": "200",
    }
    xpm = str(Path(sys.executable).with_name("xpm"))
    listed = subprocess.run([xpm, "worker"], env=environ, capture_output=True, text=True)
    assert f"gets no jobs: {told} died there at once" in listed.stdout
    looked = subprocess.run([xpm, "doctor"], env=environ, capture_output=True, text=True)
    assert looked.returncode == 1
    assert "3 workers on" in looked.stdout and f"get no jobs: {told} died there" in looked.stdout
    assert "ready in queue default that no worker takes" in looked.stdout
    explained = subprocess.run(
        [xpm, "why", works.job("Note n=1").id[:8]], env=environ, capture_output=True, text=True
    )
    assert f"get no jobs, since {told} died there" in explained.stdout
    host = works.views.workers()[0].host
    assert f"xpm worker drain {host}, then start them anew" in explained.stdout
    drained = subprocess.run(
        [xpm, "worker", "drain", host, "--yes"], env=environ, capture_output=True, text=True
    )
    assert drained.returncode == 0, drained.stderr
    assert pool.wait(20) == 0
    works.broker.cancel(run.serial, [works.job(f"Die how={how}").id for how in dying])
    works.pool()
    works.until(works.in_state("Note n=1", State.DONE))


def test_a_job_that_kills_its_zygote_ends_no_job_beside_it(works: Farm, tmp_path: Path) -> None:
    """It has one of its own from the second time on, and so is found out."""
    run, ledger, gate = works.run(), tmp_path / "ledger", tmp_path / "gate"
    works.send(run, works.tasks.Wait.C(n=1, ledger=ledger, until=gate), works.tasks.Parricide.C(after=ledger))
    works.pool(slots=2)
    poison = works.until(works.in_state("Parricide", State.ERROR))
    assert poison.crashes == 3
    gate.touch()
    innocent = works.until(works.in_state("Wait n=1", State.DONE, State.ERROR))
    assert (innocent.state, innocent.attempt, innocent.crashes) == (State.DONE, 2, 0)


def test_a_zygote_that_dies_with_three_jobs_stops_no_pool(works: Farm, tmp_path: Path) -> None:
    run, ledger, gate = works.run(), tmp_path / "ledger", tmp_path / "gate"
    works.send(run, *[works.tasks.Wait.C(n=n, ledger=ledger, until=gate) for n in range(3)])
    pool = works.pool(slots=3)
    works.until(lambda: len(lines(ledger)) == 3)
    workers = {worker.pid for worker in works.workers(pool)}
    (zygote,) = [child for child in psutil.Process(pool.pid).children() if child.pid not in workers]
    zygote.kill()
    works.until(lambda: len(lines(ledger)) == 6)  # all three run again, there
    assert not any(worker.suspects for worker in works.views.workers())
    gate.touch()
    for n in range(3):
        assert works.until(works.in_state(f"Wait n={n}", State.DONE)).attempt == 2


@pytest.mark.parametrize(("how", "told"), [("exit", "status 7"), ("SIGSEGV", "Segmentation fault")])
def test_a_job_that_dies_by_its_own_fault_fails_at_once(works: Farm, how: str, told: str) -> None:
    works.send(works.run(), works.tasks.Die.C(how=how))
    works.pool()
    job = works.until(works.in_state(f"Die how={how}", State.ERROR))
    failure = works.views.failure(job.id)
    assert job.attempt == 1
    assert failure is not None and told in failure.message
    assert (works.workspace.jobpath(job.task, job.id) / "stdout.log").read_text() == "about to die\n"


@pytest.mark.parametrize("how", ["removed", "made again", "emptied", "array"])
def test_a_task_that_removes_its_own_directory_fails_once_and_is_told_why(
    works: Farm, tmp_path: Path, how: str
) -> None:
    ledger = tmp_path / "ledger"
    works.send(works.run(), works.tasks.Clear.C(how=how, ledger=ledger))
    works.pool()
    ended = works.until(works.in_state(f"Clear how={how}", State.ERROR, State.DONE))
    assert ended.state is State.ERROR
    failure = works.views.failure(ended.id)
    assert "removed or replaced while it ran: a task must leave its own directory" in failure.message
    assert failure.kind == "disk"
    assert lines(ledger) == ["begun"]


def test_a_directory_that_somebody_removes_while_its_job_runs_ends_the_job_until_the_next_run(
    works: Farm, tmp_path: Path
) -> None:
    ledger, until = tmp_path / "ledger", tmp_path / "until"
    works.send(works.run(), works.tasks.Wait.C(n=1, ledger=ledger, until=until))
    works.pool()
    works.until(lambda: lines(ledger))
    job = works.job("Wait n=1")
    subprocess.run(["rm", "-r", str(works.workspace.jobpath(job.task, job.id))], check=True)
    until.touch()
    ended = works.until(works.in_state("Wait n=1", State.ERROR, State.DONE))
    assert ended.state is State.ERROR and "removed" in works.views.failure(ended.id).message
    works.send(works.run("again"), works.tasks.Wait.C(n=1, ledger=ledger, until=until))
    works.until(works.in_state("Wait n=1", State.DONE))
    assert len(lines(ledger)) == 2


def test_a_whole_pool_killed_by_9_takes_grandchildren_along_and_its_job_runs_elsewhere(
    works: Farm, tmp_path: Path
) -> None:
    ledger = tmp_path / "ledger"
    works.send(works.run(), works.tasks.Daemon.C(ledger=ledger))
    pool = works.pool()
    works.until(lambda: lines(ledger))
    grandchild = int(lines(ledger)[0])
    family = [psutil.Process(pool.pid), *psutil.Process(pool.pid).children(recursive=True)]
    pool.kill()
    _, alive = psutil.wait_procs(family, timeout=10)
    assert not alive, f"left over: {alive}"
    assert not psutil.pid_exists(grandchild)
    ledger.unlink()
    works.pool()
    works.until(lambda: lines(ledger))  # after two looks at its lease
    assert int(lines(ledger)[0]) != grandchild


def test_a_lease_outlives_itself_while_the_job_runs(works: Farm, tmp_path: Path) -> None:
    ledger, until = tmp_path / "ledger", tmp_path / "until"
    works.send(works.run(), works.tasks.Wait.C(n=1, ledger=ledger, until=until))
    works.pool(slots=2)
    job = works.until(works.in_state("Wait n=1", State.RUNNING))
    key = f"{works.broker.prefix}j:{job.id[:32]}"
    works.until(lambda: int(works.client.hget(key, "ln")) >= 4)  # a lease is over after three
    (progress,) = works.views.progress([job.id])
    assert progress is not None and (progress.value, progress.desc) == (0.25, "waiting")
    until.touch()
    works.until(works.in_state("Wait n=1", State.DONE))
    assert len(lines(ledger)) == 1


def test_cancel_stops_a_running_job(works: Farm, tmp_path: Path) -> None:
    ledger, until = tmp_path / "ledger", tmp_path / "until"
    run = works.run()
    works.send(run, works.tasks.Wait.C(n=1, ledger=ledger, until=until))
    works.pool()
    works.until(lambda: lines(ledger))
    assert works.broker.cancel(run.serial, [works.job("Wait n=1").id]) == (0, 1, 0)
    works.until(works.in_state("Wait n=1", State.CANCELLED))
    assert not psutil.pid_exists(int(lines(ledger)[0]))


def test_a_removed_result_is_made_again_when_it_is_needed(works: Farm, tmp_path: Path) -> None:
    ledger = tmp_path / "ledger"
    note = works.tasks.Note.C(n=3, ledger=ledger)
    run = works.run()
    works.send(run, note)
    assert works.pool("--burst").wait(60) == 0
    job = works.job("Note n=3")
    path = works.workspace.jobpath(job.task, job.id)
    subprocess.run(["rm", "-r", str(path)], check=True)
    works.send(run, works.tasks.Sum.C(notes=[note]))
    works.pool()
    works.until(works.in_state("Sum", State.DONE))
    assert lines(ledger) == ["3", "3"]


def test_a_result_that_cannot_be_read_fails_the_jobs_that_need_it_and_no_worker(
    works: Farm, tmp_path: Path
) -> None:
    ledger = tmp_path / "l"
    run = works.run()
    one = works.tasks.Note.C(n=1, ledger=ledger)
    works.send(run, one)
    pool = works.pool(slots=1)
    works.until(works.in_state("Note n=1", State.DONE))
    (worker,) = works.workers(pool)
    job = works.job("Note n=1")
    record = works.workspace.jobpath(job.task, job.id) / RECORD
    record.unlink()
    record.mkdir()  # as little to be read as another user's, or a broken disk's; for root, too
    works.send(run, works.tasks.Sum.C(notes=[one]), works.tasks.Note.C(n=2, ledger=ledger))
    works.until(works.in_state("Note n=2", State.DONE))
    failed = works.until(works.in_state("Sum", State.ERROR))
    assert f"the record of its input {job.id[:8]} cannot" in failed.reason and failed.attempt == 1
    assert works.workers(pool) == [worker]


def test_a_job_whose_record_is_there_is_not_run(works: Farm, tmp_path: Path) -> None:
    ledger = tmp_path / "ledger"
    run = works.run()
    works.send(run, works.tasks.Note.C(n=3, ledger=ledger))
    assert works.pool("--burst").wait(60) == 0
    works.client.flushall()
    works.send(works.run(), works.tasks.Note.C(n=3, ledger=ledger))
    assert works.job("Note n=3").state is State.READY
    assert works.pool("--burst").wait(60) == 0
    assert works.job("Note n=3").state is State.DONE
    assert lines(ledger) == ["3"]


def test_jobs_run_the_code_of_their_run(works: Farm, tmp_path: Path) -> None:
    note = works.tasks.Note.C(n=3, ledger=tmp_path / "ledger")
    works.send(works.run(), note)
    (works.project / "tasks.py").write_text("raise SystemError('edited while jobs wait')\n")
    assert works.pool("--burst").wait(60) == 0
    assert works.job("Note n=3").state is State.DONE


def test_new_code_gets_a_new_zygote(works: Farm, tmp_path: Path) -> None:
    flag = tmp_path / "flag"
    works.send(works.run(), works.tasks.Fail.C(n=1, flag=flag))
    works.pool()
    works.until(works.in_state("Fail n=1", State.ERROR))
    works.write(CODE.replace("if not self.flag.exists():", "if False:"))
    works.send(works.run("mended"), works.tasks.Fail.C(n=1, flag=flag))
    works.until(works.in_state("Fail n=1", State.DONE))


def test_the_broker_killed_in_mid_job_costs_nothing(works: Farm, tmp_path: Path, start_server) -> None:
    own = start_server(options=("--appendonly", "yes"))
    ledger, until = tmp_path / "ledger", tmp_path / "until"
    with farm(tmp_path / "own", own.url, CODE) as mine:
        mine.send(
            mine.run(),
            mine.tasks.Wait.C(n=1, ledger=ledger, until=until),
            *[mine.tasks.Note.C(n=n, ledger=tmp_path / "notes") for n in range(5)],
        )
        mine.pool(slots=1)
        mine.until(lambda: lines(ledger))
        own.process.kill()
        own.process.wait()
        until.touch()  # the job ends while nobody can be told
        own.start()
        mine.until(mine.in_state("Wait n=1", State.DONE), 60)
        mine.until(mine.in_state("Note n=4", State.DONE), 60)
        assert len(lines(ledger)) == 1
        assert sorted(lines(tmp_path / "notes")) == list("01234")


@pytest.mark.rq
def test_a_worker_that_had_no_job_yet_is_idle_for_rq(works: Farm) -> None:
    works.pool()
    (worker,) = works.until(works.views.workers)
    assert works.client.hget(f"{rqnames.WORKER}{worker.name}", "state") == b"idle"


@pytest.mark.rq
def test_a_stock_worker_serves_our_queue(works: Farm, tmp_path: Path) -> None:
    ledger = tmp_path / "ledger"
    notes = [works.tasks.Note.C(n=n, ledger=ledger) for n in range(3)]
    works.send(
        works.run(), *notes, works.tasks.Sum.C(notes=notes), works.tasks.Fail.C(n=9, flag=tmp_path / "no")
    )
    queue = rqnames.queue(works.workspace.namespace, "default")
    command = [str(Path(sys.executable).with_name("rq")), "worker", "-u", works.url, "--burst"]
    command += ["-S", "xpm.broker.rq.Serializer", queue]
    environ = {**os.environ, "XPM_WORKSPACE": str(works.workspace.path)}
    done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=100)
    assert works.job("Sum").state is State.DONE, done.stderr
    assert works.job("Fail n=9").state is State.ERROR
    assert sorted(lines(ledger)) == ["0", "1", "2"]


@pytest.fixture
def bereft(tmp_path: Path, start_server: Callable[..., Server]) -> Iterator[psutil.Process]:
    """A pool of two workers whose broker is gone, as they have noticed."""
    own = start_server()
    with farm(tmp_path / "own", own.url, CODE) as mine:
        pool = mine.pool(slots=2)
        mine.until(lambda: len(mine.views.workers()) == 2)
        own.kill()
        until_logged(mine, "does not answer")
        yield psutil.Process(pool.pid)


def test_a_pool_whose_broker_is_gone_stops_at_the_first_word(bereft: psutil.Process) -> None:
    bereft.terminate()
    assert bereft.wait(20) == 0


def test_workers_that_wait_for_a_broker_end_with_their_pool(bereft: psutil.Process) -> None:
    family = bereft.children(recursive=True)
    bereft.kill()
    _, alive = psutil.wait_procs(family, timeout=20)
    assert not alive, f"left over: {alive}"


@pytest.mark.soak
def test_a_pool_that_may_end_when_idle_ends_without_its_broker(
    tmp_path: Path, start_server: Callable[..., Server]
) -> None:
    own = start_server()
    with farm(tmp_path / "own", own.url, CODE) as mine:
        pool = mine.pool("--idle", "1")
        mine.until(lambda: mine.views.workers())
        own.process.kill()
        own.process.wait()
        assert pool.wait(40) == 0


def until_logged(farm: Farm, text: str, within: float = 20.0) -> None:
    """Wait for a line in a pool's log, when there is no broker to hear from."""
    deadline = time.monotonic() + within
    while not any(text in path.read_text() for path in farm.workspace.path.glob("pool*.log")):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_pool_of_all_queues_takes_a_queue_that_comes_later_at_once(works: Farm, tmp_path: Path) -> None:
    pool = works.pool("--queue", "*")
    works.until(lambda: works.views.workers())
    ledger = tmp_path / "ledger"
    works.send(works.run(), works.tasks.Note.C(n=1, ledger=ledger), queue="gpu")
    started = time.monotonic()
    works.until(works.in_state("Note n=1", State.DONE))
    assert time.monotonic() - started < 8  # a worker that nobody rings asks after ten seconds
    (worker,) = works.views.workers()
    assert worker.serves("gpu") and not worker.serves("gpu", 99)
    assert pool.poll() is None


def test_a_zygote_that_died_between_two_jobs_costs_the_next_one_nothing(works: Farm, tmp_path: Path) -> None:
    run, ledger = works.run(), tmp_path / "ledger"
    works.send(run, works.tasks.Note.C(n=1, ledger=ledger))
    pool = works.pool()
    works.until(works.in_state("Note n=1", State.DONE))
    workers = {worker.pid for worker in works.workers(pool)}
    (zygote,) = [child for child in psutil.Process(pool.pid).children() if child.pid not in workers]
    zygote.kill()
    works.until(lambda: not zygote.is_running())  # the pool has noticed
    works.send(run, works.tasks.Note.C(n=2, ledger=ledger))
    job = works.until(works.in_state("Note n=2", State.DONE))
    assert (job.execution, job.attempt) == (1, 1)


def test_a_pool_that_is_asked_for_another_number_of_workers_shares_the_cpus_anew(
    works: Farm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    file = PoolFile(tmp_path / "pool.lock")

    def share(n: int) -> str:
        works.send(works.run(str(n)), works.tasks.Share.C(n=n))
        job = works.until(works.in_state(f"Share n={n}", State.DONE))
        return json.loads((works.workspace.jobpath(job.task, job.id) / ".xpm/result.json").read_text())[
            "result"
        ]

    works.pool("--lock", str(file.path), slots=1)
    assert share(1) == str(cpus())
    holder = file.holder()
    assert holder is not None and holder.asked == 1
    file.want(holder, 2)
    works.until(lambda: len(works.views.workers()) == 2)
    works.write(CODE + "# other code has a zygote of its own\n")
    assert share(2) == str(max(1, cpus() // 2))
    works.until(lambda: (found := file.holder()) is not None and found.asked == 2)


@pytest.mark.namespaces
def test_workers_of_containers_with_one_host_name_and_the_same_process_ids(
    works: Farm, tmp_path: Path
) -> None:
    """As with replicas of a compose service that share the host's network."""
    apart = ("unshare", "--pid", "--fork", "--mount-proc", "--kill-child")
    pools = [works.pool(slots=2, under=apart) for _ in range(2)]
    works.until(lambda: len(works.views.workers()) == 4)
    workers = works.views.workers()
    assert len({one.pid for one in workers}) < 4, "they would be told apart by their process ids"
    assert len({one.name for one in workers}) == 4
    ledger = tmp_path / "ledger"
    notes = [works.tasks.Note.C(n=n, ledger=ledger) for n in range(20)]
    works.send(works.run(), *notes, works.tasks.Sum.C(notes=notes))
    works.until(works.in_state("Sum", State.DONE))
    assert sorted(map(int, ledger.read_text().split())) == list(range(20))
    assert {works.job(f"Note n={n}").attempt for n in range(20)} == {1}, "a pool looks after its own zygotes"
    for pool in pools:
        pool.kill()
