"""A job whose worker can't renew stands still, and goes on, runs elsewhere, or is ended: never twice, never for nothing."""

from __future__ import annotations

import os
import resource
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
from farm import LEASE, Farm, farm
from servers import Server, faketime, redis_binary, valkey_binary
from waiting import ended, until

from xpm.core.state import State
from xpm.workspace.results import read_record

FAKETIME = faketime()
STILL = (psutil.STATUS_STOPPED, psutil.STATUS_ZOMBIE)

CODE = '''
import os, subprocess, sys, time
from pathlib import Path
from xpm.core.config import Meta, Param, Task, field

CHILD = """
import sys, time
from pathlib import Path
while True:
    Path(sys.argv[1]).write_text(str(time.monotonic_ns()))
    time.sleep(0.01)
"""

class Beat(Task):
    """Notes its start; it, and a grandchild in a session of its own, say all the time that they live."""
    n: Param[int]
    folder: Meta[Path]
    def execute(self) -> str:
        me = f"{os.getpid()}"
        child = subprocess.Popen([sys.executable, "-c", CHILD, str(self.folder / f"{me}.child")], start_new_session=True)
        with open(self.folder / "starts", "a") as file:
            file.write(f"{me} {child.pid}\\n")
        while not (self.folder / "until").exists():
            (self.folder / f"{me}.own").write_text(str(time.monotonic_ns()))
            time.sleep(0.01)
        child.kill()
        child.wait()
        with open(self.folder / "ends", "a") as file:
            file.write(f"{me} {os.environ['XPM_FENCE']}\\n")
        return me
'''


class Beating:
    """Jobs that beat."""

    def __init__(self, works: Farm, folder: Path, count: int = 1) -> None:
        self.works = works
        self.folder = folder
        folder.mkdir(exist_ok=True)
        self.tasks = [works.tasks.Beat.C(n=n, folder=folder) for n in range(count)]
        works.send(works.run(), *self.tasks)

    def lines(self, name: str) -> list[tuple[str, str]]:
        path = self.folder / name
        return (
            [(line.split()[0], line.split()[1]) for line in path.read_text().splitlines()]
            if path.exists()
            else []
        )

    @property
    def starts(self) -> list[tuple[int, int]]:
        """The processes of each start: the job's, and its grandchild's."""
        return [(int(job), int(child)) for job, child in self.lines("starts")]

    def started(self, times: int = 1, within: float = 30.0) -> tuple[int, int]:
        until(lambda: len(self.starts) >= times and self.beats(self.starts[times - 1]), within)
        assert len(self.starts) == times, self.works.told()
        return self.starts[-1]

    def _marks(self, of: tuple[int, int]) -> tuple[str, str]:
        with suppress(FileNotFoundError):
            return (self.folder / f"{of[0]}.own").read_text(), (self.folder / f"{of[0]}.child").read_text()
        return "", ""

    def beats(self, of: tuple[int, int]) -> bool:
        """Whether both have lived on since they were looked at first."""
        first = self._marks(of)
        until(lambda: all(a and a != b for a, b in zip(self._marks(of), first, strict=True)))
        return True

    def end(self) -> None:
        (self.folder / "until").touch()

    def ends_once_each(self, within: float = 30.0) -> None:
        """Every job is done, by the one execution that its record names, and nobody else came to its end."""
        self.end()
        for n in range(len(self.tasks)):
            until(self.works.in_state(f"Beat n={n}", State.DONE), within)
        records = [read_record(self.works.jobpath(task)) for task in self.tasks]
        assert sorted((str(one and one.result), str(one and one.fence)) for one in records) == sorted(
            self.lines("ends")
        )
        for n in range(len(self.tasks)):
            job = self.works.job(f"Beat n={n}")
            assert job.crashes == 0


def still(*pids: int) -> Callable[[], bool]:
    """Whether these processes are all stopped."""
    return lambda: all(psutil.Process(pid).status() in STILL for pid in pids)


def gone(*pids: int) -> Callable[[], bool]:
    return lambda: all(map(ended, pids))


def stop(*processes: psutil.Process) -> None:
    for process in processes:
        process.send_signal(signal.SIGSTOP)


def wake(*processes: psutil.Process) -> None:
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.send_signal(signal.SIGCONT)


def vanish(pool: int) -> None:
    """As when its host loses its power: all of it at once."""
    family = [psutil.Process(pool), *psutil.Process(pool).children(recursive=True)]
    stop(*family)
    for process in family:
        process.kill()


@pytest.fixture
def works(server: Server, tmp_path: Path) -> Iterator[Farm]:
    with farm(tmp_path, server.url, CODE) as made:
        yield made
    with server.client() as client:
        client.flushall()


@pytest.fixture
def own(start_server: Callable[..., Server], tmp_path: Path) -> Iterator[tuple[Farm, Server]]:
    """A farm with a server that may be harmed."""
    broker = start_server()
    with farm(tmp_path / "own", broker.url, CODE) as made:
        yield made, broker


def renewals(works: Farm, n: int = 0) -> int:
    return int(works.client.hget(f"{works.broker.prefix}j:{works.job(f'Beat n={n}').id[:32]}", "ln"))


def server_process(server: Server) -> psutil.Process:
    assert server.process is not None
    return psutil.Process(server.process.pid)


# The broker is away


def test_a_broker_that_stands_still_for_three_leases_costs_no_job(
    own: tuple[Farm, Server], tmp_path: Path
) -> None:
    works, server = own
    beating = Beating(works, tmp_path / "beats", count=2)
    works.pool(slots=2)
    beating.started(2)
    stop(server_process(server))
    stopped = time.monotonic()
    family = [pid for start in beating.starts for pid in start]
    until(still(*family))
    until(lambda: time.monotonic() - stopped > 3 * LEASE)
    assert still(*family)()
    wake(server_process(server))
    assert all(beating.beats(start) for start in beating.starts)
    beating.ends_once_each()
    assert len(beating.starts) == 2


def test_a_broker_that_was_killed_and_comes_back_after_three_leases_costs_no_job(
    own: tuple[Farm, Server], tmp_path: Path
) -> None:
    works, server = own
    beating = Beating(works, tmp_path / "beats")
    works.pool(slots=2)
    start = beating.started()
    server.kill()
    killed = time.monotonic()
    until(still(*start))
    until(lambda: time.monotonic() - killed > 3 * LEASE)
    server.start()
    assert beating.beats(start)
    beating.ends_once_each()
    assert beating.starts == [start]
    log = works.workspace.path / "pool0.log"
    until(lambda: log.read_text().count("the broker answers again") == 2)
    told = log.read_text()
    assert told.count("does not answer") <= 2 * 3, f"not every try is worth a line:\n{told}"
    assert "retrying in" not in told


@pytest.mark.soak
@pytest.mark.timeout(900)
def test_a_broker_that_is_away_for_ten_minutes_costs_no_job(own: tuple[Farm, Server], tmp_path: Path) -> None:
    works, server = own
    beating = Beating(works, tmp_path / "beats", count=2)
    works.pool(slots=2)
    beating.started(2)
    server.kill()
    killed = time.monotonic()
    until(lambda: time.monotonic() - killed > 600, 700)
    server.start()
    assert all(beating.beats(start) for start in beating.starts)
    beating.ends_once_each()
    assert len(beating.starts) == 2


def test_a_broker_whose_disk_is_full_costs_no_job(
    start_server: Callable[..., Server], tmp_path: Path
) -> None:
    """It answers, and refuses whatever changes anything (MISCONF)."""
    binary = tmp_path / "server"  # one to which a file that is too large is an error, and not its end
    binary.write_text(f"#!/bin/sh\ntrap '' XFSZ\nexec {valkey_binary() or redis_binary()} \"$@\"\n")
    binary.chmod(0o755)
    server = start_server(str(binary))
    with farm(tmp_path / "own", server.url, CODE) as works:
        beating = Beating(works, tmp_path / "beats")
        works.pool(slots=2)
        start = beating.started()
        resource.prlimit(server_process(server).pid, resource.RLIMIT_FSIZE, (1, resource.RLIM_INFINITY))
        full = time.monotonic()
        until(still(*start))
        until(lambda: time.monotonic() - full > 3 * LEASE)
        assert still(*start)() and "MISCONF" in "".join(
            path.read_text() for path in works.workspace.path.glob("pool*.log")
        )
        everything = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
        resource.prlimit(server_process(server).pid, resource.RLIMIT_FSIZE, everything)
        assert beating.beats(start)
        beating.ends_once_each()
        assert beating.starts == [start]


def test_a_job_is_not_frozen_for_ever(own: tuple[Farm, Server], tmp_path: Path) -> None:
    works, server = own
    beating = Beating(works, tmp_path / "beats")
    works.pool(XPM_FREEZE_LIMIT="1")
    start = beating.started()
    server.kill()
    until(gone(*start))
    server.start()
    beating.started(2)
    job = works.job("Beat n=0")
    assert (job.attempt, job.crashes) == (1, 0)
    beating.ends_once_each()


def test_a_pool_that_is_stopped_while_the_broker_is_away_counts_no_crash(
    own: tuple[Farm, Server], tmp_path: Path
) -> None:
    works, server = own
    beating = Beating(works, tmp_path / "beats")
    pool = works.pool(XPM_GRACE="0.1")
    start = beating.started()
    server.kill()
    until(still(*start))
    pool.terminate()
    assert pool.wait(30) == 0
    assert gone(*start)()
    server.start()
    works.pool()
    beating.started(2)
    beating.ends_once_each()


# A worker stands still


def test_a_worker_that_is_stopped_loses_its_job_and_cannot_harm_it_when_it_wakes(
    works: Farm, tmp_path: Path
) -> None:
    beating = Beating(works, tmp_path / "beats")
    pool = works.pool(slots=2)
    start = beating.started()
    (holder,) = [each for each in works.workers(pool) if works.job("Beat n=0").place[1] == str(each.pid)]
    stop(holder)
    stopped = time.monotonic()
    until(still(*start), LEASE)  # by the supervisor, before anybody else may have the job
    assert len(beating.starts) == 1
    again = beating.started(2, 3 * LEASE)
    took = time.monotonic() - stopped
    assert still(*start)()
    beating.end()
    until(works.in_state("Beat n=0", State.DONE))
    for pid in start:  # the stale execution wakes up, and then its worker
        with suppress(ProcessLookupError):  # the first has ended, and all of its job with it
            os.kill(pid, signal.SIGCONT)
    wake(holder)
    until(gone(*start))
    job = works.job("Beat n=0")
    record = read_record(works.jobpath(beating.tasks[0]))
    assert record is not None and (record.result, record.fence) == (str(again[0]), job.fence)
    assert (job.state, job.execution, job.crashes) == (State.DONE, 2, 0)
    assert took < 2.5 * LEASE, "the machine was busy; two leases are meant"


def test_a_worker_that_is_stopped_for_less_than_a_lease_goes_on_with_its_job(
    works: Farm, tmp_path: Path
) -> None:
    beating = Beating(works, tmp_path / "beats")
    pool = works.pool()
    start = beating.started()
    (holder,) = works.workers(pool)
    stop(holder)
    until(still(*start))
    wake(holder)
    assert beating.beats(start)
    beating.ends_once_each()
    assert beating.starts == [start]


def test_all_that_is_below_a_frozen_job_stands_still_though_more_comes_all_the_time(
    works: Farm, tmp_path: Path
) -> None:
    tasks = works.write(FORKING)
    forking = tasks.Fork.C(folder=tmp_path)
    works.send(works.run(), forking)
    pool = works.pool()
    until(lambda: (tmp_path / "root").exists() and (tmp_path / "root").read_text())
    root = psutil.Process(int((tmp_path / "root").read_text()))
    (holder,) = works.workers(pool)
    stop(holder)
    until(lambda: root.status() == psutil.STATUS_STOPPED)
    looks: list[dict[int, str]] = [{}]

    def frozen() -> bool:
        """No look sees all at one moment: but one that does not stand still has a child at the next."""
        looks.append(family(root))
        states = list(looks[-1].values())
        return looks[-1] == looks[-2] and set(states) <= set(STILL) and STILL[0] in states

    until(frozen)
    wake(holder)
    works.until(lambda: root.status() != psutil.STATUS_STOPPED)
    (tmp_path / "until").touch()
    works.until(works.in_state("Fork", State.DONE))


def family(root: psutil.Process) -> dict[int, str]:
    """All below a process, with their states; nothing while one of them comes or goes."""
    with suppress(psutil.NoSuchProcess):
        return {child.pid: child.status() for child in root.children(recursive=True)}
    return {}


FORKING = '''
import os, time
from pathlib import Path
from xpm.core.config import Meta, Param, Task

class Fork(Task):
    """Has children that fork all the time, and whose parents die."""
    folder: Meta[Path]
    def execute(self) -> None:
        (self.folder / "root").write_text(str(os.getpid()))
        last = time.monotonic() + 100
        for _ in range(3):
            if os.fork() == 0:
                while not (self.folder / "until").exists() and time.monotonic() < last:
                    if os.fork():
                        os._exit(0)
                    time.sleep(0.002)
                os._exit(0)
        while not (self.folder / "until").exists():
            try:
                os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                pass
            time.sleep(0.001)
'''


# Everything stands still


@pytest.mark.parametrize("order", ["server first", "server last", "jobs first"])
def test_a_host_that_sleeps_with_all_that_runs_there_loses_nothing(
    own: tuple[Farm, Server], tmp_path: Path, order: str
) -> None:
    works, server = own
    beating = Beating(works, tmp_path / "beats", count=2)
    pool = psutil.Process(works.pool(slots=2).pid)
    beating.started(2)
    # Also a second pool, which would take what the first one lost.
    other = psutil.Process(works.pool().pid)
    works.until(lambda: len(works.views.workers()) == 3)
    jobs = [psutil.Process(pid) for start in beating.starts for pid in start]
    pools = [
        each for one in (pool, other) for each in (one, *one.children(recursive=True)) if each not in jobs
    ]
    broker = server_process(server)
    stop(broker, *pools, *jobs)
    slept = time.monotonic()
    until(lambda: time.monotonic() - slept > 1.5 * LEASE)
    {
        "server first": lambda: wake(broker, *pools, *jobs),
        "server last": lambda: wake(*pools, *jobs, broker),
        "jobs first": lambda: wake(*jobs, *reversed(pools), broker),
    }[order]()
    assert all(beating.beats(start) for start in beating.starts)
    before = [renewals(works, n) for n in range(2)]
    works.until(lambda: all(renewals(works, n) > before[n] + 2 for n in range(2)))
    beating.ends_once_each()
    assert len(beating.starts) == 2


# The server's clock


class Stepping:
    """A server and its clock."""

    def __init__(self, start: Callable[..., Server], folder: Path) -> None:
        self._offset = folder / "offset"
        self._set(0)
        binary = folder / "server"
        binary.write_text(
            f"#!/bin/sh\nexport LD_PRELOAD={FAKETIME} FAKETIME_TIMESTAMP_FILE={self._offset}\n"
            "export FAKETIME_NO_CACHE=1 FAKETIME_DONT_FAKE_MONOTONIC=1\n"
            f'exec {valkey_binary() or redis_binary()} "$@"\n'
        )
        binary.chmod(0o755)
        self.server = start(str(binary))

    def _set(self, seconds: int) -> None:
        new = self._offset.with_suffix(".new")
        new.write_text(f"{seconds:+d}")
        new.replace(self._offset)

    def time(self) -> float:
        with self.server.client() as client:
            return client.time()[0]

    def step(self, seconds: int) -> None:
        before = self.time()
        self._set(seconds)
        until(lambda: abs(self.time() - before - seconds) < 60)


@pytest.mark.faketime
@pytest.mark.parametrize("step", [3600, -3600])
def test_a_server_whose_clock_steps_takes_no_lease_from_the_living_and_those_of_the_dead(
    start_server: Callable[..., Server], tmp_path: Path, step: int
) -> None:
    clock = Stepping(start_server, tmp_path)
    with farm(tmp_path / "own", clock.server.url, CODE) as works:
        beating = Beating(works, tmp_path / "beats", count=2)
        works.pool(slots=1)
        living = beating.started()
        dead = works.pool(slots=1)
        beating.started(2)
        vanish(dead.pid)
        before = renewals(works)
        clock.step(step)
        works.pool()
        beating.started(3)
        assert renewals(works) > before
        assert beating.beats(living)
        beating.end()
        for n in range(2):
            until(works.in_state(f"Beat n={n}", State.DONE))
        executions = sorted(works.job(f"Beat n={n}").execution for n in range(2))
        assert executions == [1, 2], works.told()
        assert [works.job(f"Beat n={n}").crashes for n in range(2)] == [0, 0]


# Before a job's process is known


SLOW = """
import os, time
from pathlib import Path
from xpm.core.config import Meta, Param, Task

FOLDER = Path({folder!r})
if "XPM_WORKSPACE" in os.environ:
    (FOLDER / "imports").touch()
    while not (FOLDER / "go on").exists():
        time.sleep(0.02)

class Slow(Task):
    n: Param[int]
    def execute(self) -> None:
        with open(FOLDER / "starts", "a") as file:
            file.write("once\\n")
"""


@pytest.mark.parametrize("number", [signal.SIGSTOP, signal.SIGKILL])
def test_a_job_does_not_begin_for_a_worker_that_stopped_or_died_before(
    works: Farm, tmp_path: Path, number: signal.Signals
) -> None:
    """Its zygote still imports its module; the job begins for another worker, once."""
    tasks = works.write(SLOW.format(folder=str(tmp_path)))
    works.send(works.run(), tasks.Slow.C(n=1))
    pool = works.pool()
    until((tmp_path / "imports").exists)
    (holder,) = works.workers(pool)
    holder.send_signal(number)
    until(lambda: not holder.is_running() or holder.status() == psutil.STATUS_ZOMBIE)
    works.until(lambda: (job := works.job("Slow n=1")).state is State.RUNNING and job.execution == 2)
    (tmp_path / "go on").touch()
    job = works.until(works.in_state("Slow n=1", State.DONE))
    assert (tmp_path / "starts").read_text() == "once\n"
    assert (job.execution, job.crashes) == (2, 0)
    assert job.attempt == (1 if number is signal.SIGSTOP else 2)
