"""Failures with real workers: further attempts by cause, time limits, tasks that are resumed, and tasks that save."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import cgroups
import psutil
import pytest
from farm import Farm, farm
from servers import Server
from waiting import ended

from xpm.broker.broker import Broker
from xpm.broker.connect import open_client
from xpm.broker.jobview import JobView
from xpm.broker.views import Views
from xpm.core.retries import Retries
from xpm.core.state import State
from xpm.workspace.attempts import Attempt, read_attempts
from xpm.workspace.results import read_record

CODE = '''
from __future__ import annotations
import multiprocessing, os, signal, subprocess, sys, threading, time
from pathlib import Path
from xpm.core.config import Meta, Param, Task, field
from xpm.core.resumable import ResumableTask
from xpm.core.session import progress
from xpm.errors import GracefulTimeout, TaskCancelled

class Unlucky(ConnectionError):
    """A failure of the project's own."""

def note(ledger, text):
    with open(ledger, "a") as file:
        file.write(f"{text}\\n")

def starts(ledger):
    return len(ledger.read_text().split()) if ledger.exists() else 0

class Flaky(Task):
    """Fails a few times."""
    how: Param[str]
    ledger: Meta[Path]
    fails: Meta[int] = field(default=1)
    def execute(self) -> int:
        note(self.ledger, time.time())
        tries = starts(self.ledger)
        if tries > self.fails:
            return tries
        if self.how == "raise":
            raise Unlucky("no luck")
        if self.how == "exit":
            sys.exit(75)
        if self.how == "_exit":
            os._exit(75)
        if self.how == "memory":
            raise MemoryError("no room")
        if self.how == "abort":
            os.abort()
        if self.how == "sleep":
            time.sleep(600)
        raise ValueError(self.how)

class Stubborn(Task):
    """Outlives its time, with a child that ignores all that can be ignored."""
    ledger: Meta[Path]
    def execute(self) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        child = subprocess.Popen([sys.executable, "-c",
            "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(flush=True); time.sleep(600)"],
            start_new_session=True, stdout=subprocess.PIPE)
        child.stdout.read(1)
        note(self.ledger, child.pid)
        time.sleep(600)

class Count(ResumableTask):
    """Counts in a file of its own, one step for each that is allowed, and notes what each attempt found."""
    steps: Param[int]
    ledger: Meta[Path]
    allowed: Meta[Path]
    told: Meta[bool] = field(default=True)
    def execute(self) -> int:
        saved = Path("state/step")
        saved.parent.mkdir(exist_ok=True)
        done = int(saved.read_text()) if saved.exists() else 0
        note(self.ledger, f"{os.getpid()}:{done}")
        print("from", done)
        while done < self.steps:
            if int(self.allowed.read_text()) <= done:
                time.sleep(0.01)
                continue
            done += 1
            Path("state/draft").write_text(str(done))
            os.replace("state/draft", saved)
            if self.told:
                progress(done / self.steps)
        return done

class Turns(ResumableTask):
    """One step for each turn."""
    steps: Param[int]
    ledger: Meta[Path]
    def execute(self) -> int:
        saved = Path("step")
        done = int(saved.read_text()) if saved.exists() else 0
        note(self.ledger, f"{done}:{self.remaining_time() is not None}")
        if done == self.steps:
            return done
        saved.write_text(str(done + 1))
        raise GracefulTimeout("that is enough for once")

class Leaves(ResumableTask):
    """Works until its time is over, saves, and asks for more."""
    ledger: Meta[Path]
    def execute(self) -> str:
        note(self.ledger, "turn")
        if Path("saved").exists():
            return Path("saved").read_text()
        try:
            time.sleep(600)
        except TaskCancelled as cancelled:
            Path("saved").write_text(cancelled.message)
            raise GracefulTimeout("saved")

class Loop(ResumableTask):
    """Gets nowhere."""
    ledger: Meta[Path]
    def execute(self) -> None:
        note(self.ledger, "turn")
        raise GracefulTimeout("not today")

class Short(Task):
    """Hopes to be continued."""
    def execute(self) -> None:
        raise GracefulTimeout("not today")

class Saves(Task):
    """Saves when it is to end, and returns as if all were well."""
    ledger: Meta[Path]
    def execute(self) -> str:
        note(self.ledger, os.getpid())
        try:
            time.sleep(600)
        except TaskCancelled as cancelled:
            time.sleep(1.6)  # longer than who doesn't save would have
            Path("saved").write_text(f"{cancelled.message}|{cancelled.remaining_time}")
        return "as if all were well"

class SavesAll(ResumableTask):
    """The same, and is resumed."""
    ledger: Meta[Path]
    until: Meta[Path]
    def execute(self) -> str:
        note(self.ledger, os.getpid())
        if Path("saved").exists():
            return Path("saved").read_text()
        try:
            while not self.until.exists():
                time.sleep(0.01)
        except TaskCancelled as cancelled:
            Path("saved").write_text(f"{cancelled.message}|{cancelled.remaining_time}")
            raise
        return "undisturbed"

class Careless(Task):
    """Has children and cleans up, and knows nothing of signals."""
    ledger: Meta[Path]
    def execute(self) -> None:
        children = [multiprocessing.get_context("fork").Process(target=time.sleep, args=(600,)) for _ in range(2)]
        for child in children:
            child.start()
        try:
            note(self.ledger, " ".join(str(child.pid) for child in children))
            threading.Event().wait()
        finally:
            Path("cleaned").touch()

class Hog(Task):
    """Takes more memory than its cgroup has."""
    group: Meta[Path]
    ledger: Meta[Path]
    def execute(self) -> int:
        note(self.ledger, os.getpid())
        (self.group / "cgroup.procs").write_text(str(os.getpid()))
        if starts(self.ledger) == 1:
            while not Path("go").exists():
                time.sleep(0.01)
            return len(bytearray(os.urandom(1 << 20) * 200))
        return 1
'''

LEASE = 3.0


@pytest.fixture
def works(server: Server, tmp_path: Path) -> Iterator[Farm]:
    with farm(tmp_path, server.url, CODE) as made:
        yield made
    with server.client() as client:
        client.flushall()


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    return tmp_path / "ledger"


def lines(ledger: Path) -> list[str]:
    return ledger.read_text().splitlines() if ledger.exists() else []


def attempts(works: Farm, label: str) -> list[Attempt]:
    job = works.job(label)
    return read_attempts(works.workspace.jobpath(job.task, job.id))


def path(works: Farm, label: str) -> Path:
    job = works.job(label)
    return works.workspace.jobpath(job.task, job.id)


# Further attempts


@pytest.mark.parametrize(
    ("how", "on", "kind", "type"),
    [
        ("raise", "OSError", "exception", "tasks.Unlucky"),
        ("raise", "tasks.Unlucky", "exception", "tasks.Unlucky"),
        ("raise", "exception", "exception", "tasks.Unlucky"),
        ("exit", "exit:75", "exit", "SystemExit"),
        ("_exit", "exit:75", "exit", "Exit"),
        ("memory", "oom", "exception", "MemoryError"),
        ("abort", "signal", "signal", "SIGABRT"),
    ],
)
def test_a_cause_that_is_named_is_retried(
    works: Farm, ledger: Path, how: str, on: str, kind: str, type: str
) -> None:
    works.send(works.run(), works.tasks.Flaky.C(how=how, ledger=ledger), retries=Retries(1, on=on, delay=0))
    works.pool("--burst").wait(60)
    job = works.job(f"Flaky how={how}")
    assert (job.state, job.attempt, job.retried) == (State.DONE, 2, 0)
    (first,) = attempts(works, job.label)
    assert (first.n, first.failure.kind, first.failure.type, first.again) == (1, kind, type, True)
    if kind == "exit":
        assert first.failure.exit_code == 75


@pytest.mark.parametrize(("how", "on"), [("raise", "ValueError"), ("exit", "exit:1"), ("abort", "exception")])
def test_a_cause_that_is_not_named_is_not_retried(works: Farm, ledger: Path, how: str, on: str) -> None:
    works.send(works.run(), works.tasks.Flaky.C(how=how, ledger=ledger), retries=Retries(3, on=on, delay=0))
    works.pool("--burst").wait(60)
    job = works.job(f"Flaky how={how}")
    assert (job.state, job.attempt) == (State.ERROR, 1)
    assert not attempts(works, job.label)[0].again


def test_a_budget_ends(works: Farm, ledger: Path) -> None:
    task = works.tasks.Flaky.C(how="raise", ledger=ledger, fails=9)
    works.send(works.run(), task, retries=Retries(2, delay=0))
    works.pool("--burst").wait(60)
    assert (works.job("Flaky how=raise").state, len(lines(ledger))) == (State.ERROR, 3)
    assert [one.again for one in attempts(works, "Flaky how=raise")] == [True, True, False]


def test_back_off_and_budget_outlive_a_restart_of_the_server(
    start_server: Callable[..., Server], tmp_path: Path, ledger: Path
) -> None:
    server = start_server(options=("--appendfsync", "always"))
    with farm(tmp_path, server.url, CODE) as works:
        task = works.tasks.Flaky.C(how="raise", ledger=ledger, fails=9)
        works.send(works.run(), task, retries=Retries(2, delay=3600, jitter=0))
        works.pool()
        before = works.until(works.in_state("Flaky how=raise", State.SCHEDULED))
        server.kill()
        server.start()
        works.client = open_client(server.url)
        works.broker = Broker(works.client, works.workspace.namespace, lease=LEASE)
        works.views = Views(works.broker)
        after = works.job("Flaky how=raise")
        assert (after.state, after.retried, after.due) == (State.SCHEDULED, 1, before.due)
        name, short = works.broker.prefix, after.id[:32]
        for outcome in (State.SCHEDULED, State.ERROR):  # the second failure, and the third
            begun = works.job("Flaky how=raise").attempt
            works.client.hset(f"{name}j:{short}", "nb", 1)
            works.client.zadd(f"{name}due", {short: 1}, xx=True)
            works.until(lambda begun=begun: works.job("Flaky how=raise").attempt > begun)
            works.until(works.in_state("Flaky how=raise", outcome))
        assert len(lines(ledger)) == 3


def test_a_job_is_started_when_its_moment_comes_and_no_sooner(works: Farm, ledger: Path) -> None:
    works.pool(XPM_LEASE="60")  # whose idle workers ask again after ten seconds, unless they are told
    works.until(lambda: works.client.keys(f"{works.broker.prefix}idle:*"))
    task = works.tasks.Flaky.C(how="none", ledger=ledger, fails=0)
    works.send(works.run(), task, not_before=0.7)
    assert works.job("Flaky how=none").state is State.SCHEDULED
    due = works.job("Flaky how=none").due
    works.until(works.in_state("Flaky how=none", State.DONE))
    assert float(lines(ledger)[0]) >= due - 0.001


# Time limits


def test_what_takes_too_long_is_ended_with_all_that_it_started(works: Farm, ledger: Path) -> None:
    works.send(works.run(), works.tasks.Stubborn.C(ledger=ledger), timeout=1)
    works.pool(XPM_GRACE="0.5")
    works.until(works.in_state("Stubborn", State.ERROR))
    failure = works.views.failure(works.job("Stubborn").id)
    assert failure and (failure.kind, failure.line) == (
        "timeout",
        "TimeLimit: its time limit of 1.0 s is over",
    )
    assert ended(int(lines(ledger)[0]))
    assert attempts(works, "Stubborn")[0].failure.kind == "timeout"


def test_a_time_limit_can_be_retried(works: Farm, ledger: Path) -> None:
    task = works.tasks.Flaky.C(how="sleep", ledger=ledger)
    works.send(works.run(), task, timeout=0.5, retries=Retries(1, on="timeout", delay=0))
    works.pool("--burst").wait(60)
    assert (works.job("Flaky how=sleep").state, len(lines(ledger))) == (State.DONE, 2)


def test_a_job_that_keeps_its_time_is_left_alone(works: Farm, ledger: Path) -> None:
    works.send(works.run(), works.tasks.Flaky.C(how="none", ledger=ledger, fails=0), timeout=3600)
    works.pool("--burst").wait(60)
    assert works.job("Flaky how=none").state is State.DONE


# Tasks that are resumed


class Counting:
    """A task that counts as far as it is allowed."""

    def __init__(self, works: Farm, folder: Path, limit: float | None = None, **how: object) -> None:
        self.works, self.ledger, self.allowed = works, folder / "ledger", folder / "allowed"
        self.allow(0)
        task = works.tasks.Count.C(steps=5, ledger=self.ledger, allowed=self.allowed, **how)
        works.send(works.run(), task, timeout=limit)

    def allow(self, steps: int) -> None:
        draft = self.allowed.with_suffix(".draft")
        draft.write_text(str(steps))
        draft.replace(self.allowed)

    @property
    def starts(self) -> list[tuple[int, int]]:
        """Process and first step of each attempt."""
        return [(int(pid), int(done)) for pid, done in (line.split(":") for line in lines(self.ledger))]

    @property
    def job(self) -> JobView:
        return self.works.job("Count steps=5")

    @property
    def path(self) -> Path:
        return path(self.works, "Count steps=5")

    def reached(self, step: int) -> bool:
        saved = self.path / "state" / "step"
        return saved.exists() and saved.read_text() == str(step)

    def heard_of(self, step: int) -> bool:
        said = self.works.client.hget(f"{self.works.broker.prefix}j:{self.job.id[:32]}", "pg")
        return said is not None and int(said) >= step * 200_000


def test_a_task_that_is_killed_goes_on_where_it_was_and_progress_forgives(
    works: Farm, tmp_path: Path
) -> None:
    counting = Counting(works, tmp_path)
    works.pool()
    for step in range(1, 5):  # more crashes than any job may have
        works.until(lambda step=step: len(counting.starts) == step)
        counting.allow(step)
        works.until(lambda step=step: counting.reached(step) and counting.heard_of(step))
        os.kill(counting.starts[-1][0], signal.SIGKILL)
        works.until(lambda step=step: counting.job.execution == step + 1)
        assert counting.job.crashes == 1
    counting.allow(5)
    works.until(works.in_state("Count steps=5", State.DONE))
    assert [done for _, done in counting.starts] == [0, 1, 2, 3, 4]
    record = read_record(str(counting.path))
    assert record and record.result == 5
    assert (counting.path / "stdout.log").read_text() == "from 4\n", "logs are an attempt's own"
    assert sorted(one.name for one in (counting.path / ".xpm/stale").iterdir()) == ["1", "2", "3", "4"]


def test_without_progress_even_a_resumable_task_runs_out_of_crashes(works: Farm, tmp_path: Path) -> None:
    counting = Counting(works, tmp_path, told=False)
    works.pool()
    for number in range(1, 4):
        works.until(lambda number=number: len(counting.starts) == number)
        os.kill(counting.starts[-1][0], signal.SIGKILL)
        works.until(
            lambda number=number: counting.job.execution > number or counting.job.state is State.ERROR
        )
    assert counting.job.state is State.ERROR


def test_a_task_whose_whole_pool_is_killed_goes_on_elsewhere(works: Farm, tmp_path: Path) -> None:
    counting = Counting(works, tmp_path)
    pool = works.pool()
    counting.allow(3)
    works.until(lambda: counting.reached(3))
    for each in (psutil.Process(pool.pid), *psutil.Process(pool.pid).children(recursive=True)):
        with suppress(psutil.NoSuchProcess):  # it has ended with those before it
            each.kill()
    pool.wait(10)
    before = (counting.path / "state" / "step").stat().st_ino
    works.pool()
    counting.allow(5)
    works.until(works.in_state("Count steps=5", State.DONE))
    assert [done for _, done in counting.starts] == [0, 3]
    stale = counting.path / ".xpm/stale/1/state/step"
    assert (stale.stat().st_ino, stale.read_text()) == (before, "3"), (
        "nobody saw its end: it keeps its own files"
    )


def test_a_stale_execution_cannot_touch_what_was_carried_over(works: Farm, tmp_path: Path) -> None:
    counting = Counting(works, tmp_path)
    pool = works.pool()
    counting.allow(2)
    works.until(lambda: counting.reached(2))
    stopped = [psutil.Process(pool.pid), *psutil.Process(pool.pid).children(recursive=True)]
    for each in stopped:
        each.suspend()
    works.pool()
    works.until(lambda: len(counting.starts) == 2)
    os.kill(counting.starts[0][0], signal.SIGCONT)  # the job alone: nobody there can tell it that it is stale
    counting.allow(4)
    works.until(lambda: (counting.path / ".xpm/stale/1/state/step").read_text() == "4")
    works.until(lambda: counting.reached(4))
    for each in stopped:
        each.kill()
    counting.allow(5)
    works.until(works.in_state("Count steps=5", State.DONE))
    assert [done for _, done in counting.starts] == [0, 2]


def test_a_task_that_ends_itself_is_continued_at_once_and_uncounted(works: Farm, ledger: Path) -> None:
    works.send(works.run(), works.tasks.Turns.C(steps=3, ledger=ledger), timeout=3600)
    works.pool("--burst").wait(60)
    job = works.job("Turns steps=3")
    assert (job.state, job.attempt, job.execution) == (State.DONE, 1, 4)
    assert lines(ledger) == [f"{step}:True" for step in range(4)]
    assert not attempts(works, "Turns steps=3")


def test_a_task_may_ask_for_more_when_its_time_is_over(works: Farm, ledger: Path) -> None:
    works.send(works.run(), works.tasks.Leaves.C(ledger=ledger), timeout=0.5)
    works.pool("--burst").wait(60)
    assert (works.job("Leaves").state, works.job("Leaves").attempt, len(lines(ledger))) == (State.DONE, 1, 2)
    record = read_record(str(path(works, "Leaves")))
    assert record and record.result == "its time limit of 0.5 s is over"


def test_a_resumable_task_goes_on_after_its_time_limit(works: Farm, tmp_path: Path) -> None:
    counting = Counting(works, tmp_path, limit=3)
    counting.allow(2)
    works.pool(XPM_GRACE="0.5")
    works.until(lambda: counting.starts and counting.starts[-1][1] == 2)
    counting.allow(5)
    works.until(works.in_state("Count steps=5", State.DONE))
    assert counting.job.attempt == len(counting.starts) >= 2


def test_a_task_that_ends_itself_and_gets_nowhere_is_an_error(works: Farm, ledger: Path) -> None:
    works.send(works.run(), works.tasks.Loop.C(ledger=ledger))
    works.pool("--burst").wait(60)
    assert (works.job("Loop").state, len(lines(ledger))) == (State.ERROR, 10)
    failure = works.views.failure(works.job("Loop").id)
    assert failure and "10 times in a row" in failure.message


def test_a_task_that_is_not_resumable_and_wants_to_be_continued_is_told_why_it_is_not(works: Farm) -> None:
    works.send(works.run(), works.tasks.Short.C())
    works.pool("--burst").wait(60)
    failure = works.views.failure(works.job("Short").id)
    assert failure and failure.traceback.splitlines()[-1] == (
        "only a ResumableTask is continued: derive the task from it"
    )


def test_a_worker_that_stops_leaves_a_resumable_task_the_time_to_save(
    works: Farm, tmp_path: Path, ledger: Path
) -> None:
    works.send(works.run(), works.tasks.SavesAll.C(ledger=ledger, until=tmp_path / "never"))
    pool = works.pool(XPM_GRACE="20")
    works.until(lambda: lines(ledger))
    pool.terminate()
    assert pool.wait(15) == 0, "it had not to wait until the grace was over"
    job = works.job("SavesAll")
    assert (job.state, job.attempt, job.crashes) == (State.READY, 0, 0)
    works.pool("--burst").wait(60)
    record = read_record(str(path(works, "SavesAll")))
    assert record and record.result == "its worker was stopped|20.0"


# Being told to end


def test_a_cancelled_task_may_save_and_its_return_is_no_result(works: Farm, ledger: Path) -> None:
    run = works.run()
    works.send(run, works.tasks.Saves.C(ledger=ledger))
    works.pool(XPM_GRACE="30")
    works.until(lambda: lines(ledger))
    works.broker.cancel(run.serial, [works.job("Saves").id])
    works.until(works.in_state("Saves", State.CANCELLED))
    assert (path(works, "Saves") / "saved").read_text() == "cancelled|30.0"
    assert read_record(str(path(works, "Saves"))) is None
    assert not (path(works, "Saves") / ".xpm/stop").exists()


def test_a_time_limit_leaves_the_time_to_save(works: Farm, ledger: Path) -> None:
    works.send(works.run(), works.tasks.Saves.C(ledger=ledger), timeout=0.5)
    works.pool(XPM_GRACE="30")
    works.until(works.in_state("Saves", State.ERROR))
    assert (path(works, "Saves") / "saved").read_text() == "its time limit of 0.5 s is over|30.0"


def test_who_does_not_care_ends_at_once_and_without_a_word(works: Farm, ledger: Path) -> None:
    run = works.run()
    works.send(run, works.tasks.Careless.C(ledger=ledger))
    works.pool(XPM_GRACE="600")
    works.until(lambda: lines(ledger))
    works.broker.cancel(run.serial, [works.job("Careless").id])
    works.until(works.in_state("Careless", State.CANCELLED))
    home = path(works, "Careless")
    assert (home / "cleaned").exists()
    assert not (home / "stderr.log").exists(), (home / "stderr.log").read_text()
    assert all(ended(int(pid)) for pid in lines(ledger)[0].split())


def test_sigterm_from_nobody_known_lets_a_task_save_too_and_counts(works: Farm, ledger: Path) -> None:
    works.send(works.run(), works.tasks.Saves.C(ledger=ledger))
    works.pool()
    works.until(lambda: lines(ledger))
    os.kill(int(lines(ledger)[0]), signal.SIGTERM)
    works.until(lambda: len(lines(ledger)) == 2)
    assert works.job("Saves").crashes == 1
    (stale,) = (path(works, "Saves") / ".xpm/stale").iterdir()
    assert (stale / "saved").read_text() == "ended by SIGTERM|None"


# Out of memory


@pytest.fixture
def group(tmp_path: Path) -> Iterator[Path]:
    with cgroups.limited(tmp_path.name, 100 << 20) as made:
        yield made


@pytest.mark.root
@pytest.mark.parametrize("again", [False, True])
def test_out_of_memory_is_told_from_other_kills(works: Farm, ledger: Path, group: Path, again: bool) -> None:
    policy = Retries(1, on="oom", delay=0) if again else None
    works.send(works.run(), works.tasks.Hog.C(group=group, ledger=ledger), retries=policy)
    works.pool()
    works.until(lambda: lines(ledger))
    renewals = f"{works.broker.prefix}j:{works.job('Hog').id[:32]}"
    works.until(lambda: int(works.client.hget(renewals, "ln") or 0) >= 2)  # its worker has seen where it is
    (path(works, "Hog") / "go").touch()
    works.until(works.in_state("Hog", State.DONE if again else State.ERROR))
    (first,) = attempts(works, "Hog")
    assert (first.failure.kind, first.again) == ("oom", again)
