"""RQ's commands and stock workers, on jobs that really run: what they mean is done, and nothing runs twice at once."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import psutil
import pytest
import rq.command
from farm import LEASE, Farm, farm
from redis.exceptions import TimeoutError as RedisTimeoutError
from servers import Server

from xpm import token
from xpm.broker import rq as rqnames
from xpm.broker.connect import open_client
from xpm.broker.keys import SHARED
from xpm.broker.silence import silent
from xpm.core.state import State
from xpm.errors import UsageError
from xpm_workers.sweeper import Sweeper, Turn
from xpm_workers.worker import Worker

pytestmark = pytest.mark.rq

CODE = '''
from __future__ import annotations
import os, time
from pathlib import Path
from xpm import Meta, Param, ResumableTask, Task

class Wait(Task):
    """Runs until a file is there; notes each start."""
    n: Param[int]
    folder: Meta[Path]
    def execute(self) -> int:
        with open(self.folder / "ledger", "a") as file:
            file.write(f"{self.n} {os.getpid()}\\n")
        while not (self.folder / "gate").exists():
            time.sleep(0.02)
        return self.n

class Steps(ResumableTask):
    n: Param[int]
    folder: Meta[Path]
    def execute(self) -> int:
        return Wait.execute(self)

class Fail(Task):
    n: Param[int]
    folder: Meta[Path]
    def execute(self) -> int:
        if not (self.folder / "gate").exists():
            raise ValueError("no gate")
        return self.n
'''

RQ = str(Path(sys.executable).with_name("rq"))

READER = "xpm.broker.rq.Serializer"


@pytest.fixture
def works(server: Server, tmp_path: Path) -> Iterator[Farm]:
    with farm(tmp_path, server.url, CODE) as made:
        yield made
    with server.client() as client:
        client.flushall()


class Stock:
    """Stock workers of RQ, as processes."""

    def __init__(self, works: Farm) -> None:
        self._works = works
        self._all: list[subprocess.Popen[bytes]] = []

    def start(self, *options: str, queue: str = "default") -> subprocess.Popen[bytes]:
        program = [RQ, "worker", "-u", self._works.url, "-S", READER]
        environ = {
            **os.environ,
            "XPM_WORKSPACE": str(self._works.workspace.path),
            "XPM_LEASE": str(LEASE),
            "XPM_GRACE": "5",
        }
        log = (self._works.workspace.path / f"pool-stock{len(self._all)}.log").open("wb")
        command = [*program, *options, rqnames.queue(self._works.workspace.namespace, queue)]
        self._all.append(
            subprocess.Popen(command, env=environ, stdout=log, stderr=log, start_new_session=True)
        )
        return self._all[-1]

    def close(self) -> None:
        for one in self._all:
            if one.poll() is None:
                family = [psutil.Process(one.pid), *psutil.Process(one.pid).children(recursive=True)]
                for process in family:
                    if process.is_running():
                        process.kill()
            one.wait(10)


@pytest.fixture
def stock(works: Farm) -> Iterator[Stock]:
    made = Stock(works)
    yield made
    made.close()


def starts(folder: Path) -> list[tuple[int, int]]:
    """The starts so far: number of the job, process."""
    path = folder / "ledger"
    lines = path.read_text().splitlines() if path.exists() else []
    return [(int(n), int(pid)) for n, pid in map(str.split, lines)]


def rq_id(works: Farm, label: str) -> str:
    return rqnames.job(works.workspace.namespace, works.job(label).id)


def running_worker(works: Farm, label: str) -> str:
    """RQ's name of the worker of a running job."""
    found = works.client.hget(f"rq:job:{rq_id(works, label)}", "worker_name")
    assert found
    return found.decode()


def stop_job(works: Farm, label: str) -> None:
    from rq.command import send_stop_job_command

    send_stop_job_command(works.client, rq_id(works, label), serializer=rqnames.Serializer)


def kill_horse(works: Farm, label: str) -> None:
    from rq.command import send_kill_horse_command

    send_kill_horse_command(works.client, running_worker(works, label))


def stop_execution(works: Farm, label: str) -> None:
    from rq.command import send_stop_execution_command

    # A stock worker notes one of its own beside that of the engine.
    (key,) = works.client.keys(f"rq:execution:{rq_id(works, label)}:{'[0-9]' * 26}")
    send_stop_execution_command(works.client, rq_id(works, label), key.decode().rpartition(":")[2])


NAMED = [stop_job, *([stop_execution] if hasattr(rq.command, "send_stop_execution_command") else [])]
"""Commands that name a job; RQ 2 has but one."""


def killed(works: Farm, label: str, folder: Path) -> None:
    """The job ends in ERROR, said to be killed, and no process of it is left; nothing follows."""
    found = works.until(works.in_state(label, State.ERROR, State.DONE, State.CANCELLED))
    failure = works.views.failure(found.id)
    assert (found.state, failure and failure.kind) == (State.ERROR, "killed")
    assert failure and failure.message == "stopped by a tool of RQ"
    ((_, pid),) = starts(folder)
    works.until(lambda: not psutil.pid_exists(pid))
    assert works.job(label).attempt == 1


@pytest.mark.parametrize("command", [*NAMED, kill_horse])
@pytest.mark.parametrize("kind", ["Wait", "Steps"])
def test_a_command_to_stop_a_job_kills_it_for_good_whatever_its_policy_grants(
    works: Farm, tmp_path: Path, command: Any, kind: str
) -> None:
    task = getattr(works.tasks, kind).C(n=1, folder=tmp_path)
    works.send(works.run(), task, retries=3)
    works.pool()
    works.until(lambda: starts(tmp_path))
    works.until(works.in_state(f"{kind} n=1", State.RUNNING))
    command(works, f"{kind} n=1")
    killed(works, f"{kind} n=1", tmp_path)
    assert works.views.counts()[State.RUNNING] == 0
    # A new run tries it again, and so does a retry, as after any failure.
    works.broker.retry([works.job(f"{kind} n=1").id], "ada")
    (tmp_path / "gate").touch()
    works.until(works.in_state(f"{kind} n=1", State.DONE))


def test_a_job_that_stands_still_since_the_broker_takes_nothing_down_is_stopped_all_the_same(
    works: Farm, tmp_path: Path
) -> None:
    works.send(works.run(), works.tasks.Wait.C(n=1, folder=tmp_path), retries=3)
    works.pool()
    works.until(lambda: starts(tmp_path))
    ((_, pid),) = starts(tmp_path)
    works.client.config_set("min-replicas-to-write", 1)  # it is there, and refuses what writes
    try:
        works.until(lambda: psutil.Process(pid).status() == psutil.STATUS_STOPPED)
        stop_job(works, "Wait n=1")
        works.until(lambda: not psutil.pid_exists(pid))
    finally:
        works.client.config_set("min-replicas-to-write", 0)
    found = works.until(works.in_state("Wait n=1", State.ERROR, State.DONE, State.READY))
    failure = works.views.failure(found.id)
    assert (found.state, failure and failure.kind) == (State.ERROR, "killed")
    assert len(starts(tmp_path)) == 1


def test_a_job_that_a_command_was_to_stop_does_not_run_again_when_its_worker_dies_of_it(
    works: Farm, tmp_path: Path
) -> None:
    """The wish is the broker's from the moment on that the worker knows it."""
    works.send(works.run(), works.tasks.Wait.C(n=1, folder=tmp_path))
    pool = works.pool()
    works.until(lambda: starts(tmp_path))
    ((_, pid),) = starts(tmp_path)
    (worker,) = works.workers(pool)
    # A zygote that stands still can't end the job: the worker has told the broker before it waits for that.
    zygotes = [one for one in psutil.Process(pool.pid).children() if one.pid != worker.pid]
    for zygote in zygotes:
        zygote.suspend()
    stop_job(works, "Wait n=1")
    key = f"{works.broker.prefix}j:{works.job('Wait n=1').id[:32]}"
    works.until(lambda: works.client.hget(key, "st") == b"kill")
    worker.kill()
    for zygote in zygotes:
        if zygote.is_running():
            zygote.resume()
    killed(works, "Wait n=1", tmp_path)
    assert not psutil.pid_exists(pid)


def test_a_command_for_another_job_or_an_earlier_execution_stops_nothing(works: Farm, tmp_path: Path) -> None:
    from rq.command import send_command

    works.send(works.run(), works.tasks.Wait.C(n=1, folder=tmp_path))
    works.pool()
    works.until(lambda: starts(tmp_path))
    worker, other = running_worker(works, "Wait n=1"), f"{works.workspace.namespace}-{'0' * 32}"
    send_command(works.client, worker, "stop-job", job_id=other)
    old = {"job_id": rq_id(works, "Wait n=1"), "execution_id": "0" * 26}
    send_command(works.client, worker, "stop-execution", **old)
    (tmp_path / "gate").touch()
    assert works.until(works.in_state("Wait n=1", State.DONE, State.ERROR)).state is State.DONE


# Stock workers


def test_a_stock_worker_takes_what_may_have_its_token_and_never_more(
    works: Farm, tmp_path: Path, stock: Stock
) -> None:
    works.broker.declare({"t.gpu": 1})
    tasks = [works.tasks.Wait.C(n=n, folder=tmp_path) for n in range(3)]
    works.send(works.run(), *tasks, requires=[token("gpu")(1)])
    for _ in range(2):
        stock.start()
    works.until(lambda: starts(tmp_path))
    held = f"{works.broker.prefix}held:t.gpu"
    assert works.client.hlen(held) == 1
    assert works.views.counts()[State.READY] == 2
    (tmp_path / "gate").touch()
    works.until(lambda: works.views.counts()[State.DONE] == 3)
    assert sorted(n for n, _ in starts(tmp_path)) == [0, 1, 2]
    works.until(lambda: works.client.hlen(held) == 0)


def test_stock_workers_of_one_host_share_what_it_has(works: Farm, tmp_path: Path, stock: Stock) -> None:
    works.broker.declare({"h.disk": 1})
    tasks = [works.tasks.Wait.C(n=n, folder=tmp_path) for n in range(3)]
    works.send(works.run(), *tasks, requires=[token("disk", per="host")(1)])
    for _ in range(2):
        stock.start()
    works.until(lambda: starts(tmp_path))
    works.until(lambda: len(works.views.workers()) == 2)
    assert works.views.counts()[State.RUNNING] == 1
    host = works.views.workers()[0].host
    assert works.client.hget(f"{SHARED}res:h.disk", f"u@{host}") == b"1"
    (tmp_path / "gate").touch()
    works.until(lambda: works.views.counts()[State.DONE] == 3)
    assert works.client.hget(f"{SHARED}res:h.disk", f"u@{host}") == b"0"


def test_a_stock_worker_is_seen_once_idle_or_busy(works: Farm, tmp_path: Path, stock: Stock) -> None:
    tasks = [works.tasks.Wait.C(n=n, folder=tmp_path) for n in range(2)]
    works.send(works.run(), tasks[0])
    (tmp_path / "gate").touch()
    process = stock.start()
    works.until(lambda: works.views.counts()[State.DONE] == 1)
    works.until(lambda: not works.views.enrolled())
    (idle,) = works.views.workers()
    assert (idle.stock, idle.pid, idle.job) == (True, process.pid, None)
    assert idle.born <= idle.seen and idle.serves("default") and not idle.serves("other")
    assert not silent(idle, idle.seen + 1e6, LEASE), "RQ forgets it by itself"
    with pytest.raises(UsageError, match=f"{process.pid}: is RQ's own worker.*: kill {process.pid}, on "):
        works.views.named([str(process.pid)])
    (tmp_path / "gate").unlink()
    works.send(works.run(), tasks[1])
    works.until(lambda: len(starts(tmp_path)) == 2)
    (busy,) = works.views.workers()
    assert (busy.stock, busy.pid, busy.job) == (True, process.pid, works.job("Wait n=1").id[:32])
    (tmp_path / "gate").touch()
    process.terminate()
    works.until(lambda: not works.views.workers())


@pytest.mark.parametrize("command", NAMED)
def test_a_command_stops_the_job_of_a_stock_worker_too(
    works: Farm, tmp_path: Path, stock: Stock, command: Any
) -> None:
    works.send(works.run(), works.tasks.Wait.C(n=1, folder=tmp_path), retries=3)
    stock.start()
    works.until(lambda: starts(tmp_path))
    command(works, "Wait n=1")
    killed(works, "Wait n=1", tmp_path)


def test_a_job_outlives_the_stock_worker_that_is_killed_by_9(
    works: Farm, tmp_path: Path, stock: Stock
) -> None:
    """Its horse holds the lease, and ends it."""
    works.send(works.run(), works.tasks.Wait.C(n=1, folder=tmp_path))
    worker = stock.start()
    works.until(lambda: starts(tmp_path))
    running = works.job("Wait n=1").execution
    worker.kill()
    worker.wait(10)
    (tmp_path / "gate").touch()
    found = works.until(works.in_state("Wait n=1", State.DONE, State.ERROR))
    assert (found.state, found.execution, len(starts(tmp_path))) == (State.DONE, running, 1), works.told()


@pytest.mark.parametrize("how", ["kill -9", "kill-horse"])
def test_a_job_whose_stock_horse_is_killed_runs_again_elsewhere_and_once(
    works: Farm, tmp_path: Path, stock: Stock, how: str
) -> None:
    from rq.command import send_kill_horse_command

    works.broker.declare({"t.gpu": 1})
    works.send(works.run(), works.tasks.Wait.C(n=1, folder=tmp_path), requires=[token("gpu")(1)])
    worker = stock.start()
    works.until(lambda: starts(tmp_path))
    ((_, first),) = starts(tmp_path)
    if how == "kill -9":
        (horse,) = psutil.Process(worker.pid).children()
        horse.kill()
    else:
        (name,) = [name.decode() for name in works.client.smembers("rq:workers")]
        send_kill_horse_command(works.client, name.removeprefix("rq:worker:"))
    works.until(lambda: not psutil.pid_exists(first))
    works.pool()  # whose sweeper takes the lease
    works.until(lambda: len(starts(tmp_path)) == 2)
    (tmp_path / "gate").touch()
    found = works.until(works.in_state("Wait n=1", State.DONE, State.ERROR))
    assert (found.state, found.execution) == (State.DONE, 2)
    works.until(lambda: not works.client.exists(f"{works.broker.prefix}held:t.gpu"))


def test_a_script_takes_the_lease_of_a_dead_job_where_only_stock_workers_serve(
    works: Farm, tmp_path: Path, stock: Stock
) -> None:
    script = works.project / "script.py"
    script.write_text(
        "import pathlib, tasks\nfrom xpm import experiment\n"
        f"with experiment('e', workspace={str(works.workspace.path)!r}):\n"
        f"    tasks.Wait.C(n=1, folder=pathlib.Path({str(tmp_path)!r})).submit()\n"
    )
    environ = {**os.environ, "XPM_BROKER": works.url, "XPM_LEASE": str(LEASE)}
    with subprocess.Popen([sys.executable, str(script)], env=environ) as waiting:
        worker = stock.start()
        works.until(lambda: starts(tmp_path))
        (horse,) = psutil.Process(worker.pid).children()
        horse.kill()
        works.until(lambda: len(starts(tmp_path)) == 2)
        (tmp_path / "gate").touch()
        assert waiting.wait(30) == 0


def test_a_stock_worker_gets_nothing_of_a_paused_queue_and_goes_on_when_it_is_resumed(
    works: Farm, tmp_path: Path, stock: Stock
) -> None:
    (tmp_path / "gate").touch()
    works.broker.pause(["default"], "ada")
    works.send(works.run(), works.tasks.Wait.C(n=1, folder=tmp_path))
    # The list may show what came since: it is taken, refused, and the list is empty again.
    assert stock.start("--burst").wait(60) == 0
    assert works.job("Wait n=1").state is State.READY and not starts(tmp_path)
    works.broker.resume(["default"])
    assert stock.start("--burst").wait(60) == 0
    assert works.job("Wait n=1").state is State.DONE


def test_a_stock_worker_with_a_scheduler_runs_a_job_that_waits_for_its_moment_not_before_it(
    works: Farm, tmp_path: Path, stock: Stock
) -> None:
    (tmp_path / "gate").touch()
    works.send(works.run(), works.tasks.Wait.C(n=1, folder=tmp_path), not_before="1 h")
    works.send(works.run(), works.tasks.Wait.C(n=2, folder=tmp_path))
    stock.start("--with-scheduler")
    works.until(works.in_state("Wait n=2", State.DONE))
    assert works.job("Wait n=1").state is State.SCHEDULED


def test_a_requeue_by_rq_costs_a_stock_worker_a_refusal_and_a_retry_of_ours_runs(
    works: Farm, tmp_path: Path, stock: Stock
) -> None:
    works.send(works.run(), works.tasks.Fail.C(n=1, folder=tmp_path))
    assert stock.start("--burst").wait(60) == 0
    assert works.job("Fail n=1").state is State.ERROR
    (tmp_path / "gate").touch()
    queue = rqnames.queue(works.workspace.namespace, "default")
    requeue = [RQ, "requeue", "-u", works.url, "--queue", queue, "--all"]
    said = subprocess.run(requeue, capture_output=True, text=True, timeout=60, check=False)
    assert works.client.llen(f"rq:queue:{queue}") == 1, said.stderr
    assert stock.start("--burst").wait(60) == 0
    assert works.job("Fail n=1").state is State.ERROR, "RQ's requeue is no retry"
    short = works.job("Fail n=1").id[:8]
    told = f"job {short} was not started, and nothing is lost: it is ERROR: xpm why {short}\n"
    assert told in (works.workspace.path / "pool-stock1.log").read_text()
    Sweeper(works.broker, Turn()).project()
    assert works.client.zcard(f"rq:failed:{queue}") == 1
    works.broker.retry([works.job("Fail n=1").id])
    assert stock.start("--burst").wait(60) == 0
    assert works.job("Fail n=1").state is State.DONE


def test_stopped_stock_workers_let_their_jobs_end(works: Farm, tmp_path: Path, stock: Stock) -> None:
    works.send(works.run(), works.tasks.Wait.C(n=1, folder=tmp_path))
    worker = stock.start()
    works.until(lambda: starts(tmp_path))
    worker.send_signal(signal.SIGTERM)
    (tmp_path / "gate").touch()
    works.until(works.in_state("Wait n=1", State.DONE))
    worker.wait(30)


# Suspension, of real workers of ours


def test_rq_sees_workers_again_whose_keys_were_deleted(works: Farm, tmp_path: Path) -> None:
    """So it does after a server's clock was set forward, by which these keys expire."""
    from rq import Queue, Worker

    works.send(works.run(), works.tasks.Wait.C(n=1, folder=tmp_path))
    works.pool(slots=2)
    works.until(lambda: starts(tmp_path))
    works.until(lambda: Worker.count(connection=works.client) == 2)
    queue = Queue(rqnames.queue(works.workspace.namespace, "default"), connection=works.client)

    def seen() -> dict[str, tuple[Any, ...]]:
        workers = Worker.all(connection=works.client)
        return {
            one.name: (one.get_state() == "busy", one.pid, one.hostname, one.queue_names()) for one in workers
        }

    before = works.until(lambda: found if "True" in str(found := seen()) else None)
    works.client.delete(*works.client.keys("rq:worker*"))
    works.until(lambda: seen() == before)
    assert Worker.count(queue=queue) == 2
    (tmp_path / "gate").touch()
    works.until(works.in_state("Wait n=1", State.DONE))


def test_rq_suspend_and_resume_stop_and_start_real_workers(works: Farm, tmp_path: Path) -> None:
    (tmp_path / "gate").touch()
    subprocess.run([RQ, "suspend", "-u", works.url], check=True, capture_output=True, timeout=60)
    works.send(works.run(), works.tasks.Wait.C(n=1, folder=tmp_path))
    assert works.pool("--burst").wait(30) == 0
    assert works.job("Wait n=1").state is State.READY
    works.pool()
    works.until(lambda: works.views.workers())
    subprocess.run([RQ, "resume", "-u", works.url], check=True, capture_output=True, timeout=60)
    works.until(works.in_state("Wait n=1", State.DONE))


def test_the_thread_that_hears_commands_outlives_a_broker_that_is_late(
    works: Farm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """RQ's own ends with a traceback when a connection is not made in time, as over a link that was cut."""
    monkeypatch.setattr("xpm_workers.worker.RESUBSCRIBE", 0.01)
    heard, met = threading.Event(), list[type[BaseException]]()

    def meets(error: Exception, *more: Any) -> None:
        met.append(type(error))
        Worker._pubsub_exception_handler(cast(Worker, None), error, *more)

    commands: Any = open_client(works.url, timeout=0.2, patience=0.0).pubsub()
    commands.subscribe(**{rqnames.channel("w"): lambda _: heard.set()})
    thread = commands.run_in_thread(sleep_time=0.05, daemon=True, exception_handler=meets)
    with socket.socket(socket.AF_UNIX) as mute:
        mute.bind(str(tmp_path / "mute"))
        mute.listen()
        there, commands.connection.path = commands.connection.path, str(tmp_path / "mute")
        works.client.execute_command("CLIENT", "KILL", "TYPE", "pubsub")
        works.until(lambda: RedisTimeoutError in met)
        commands.connection.path = there
    works.until(lambda: works.client.publish(rqnames.channel("w"), "{}") and heard.wait(0.1))
    thread.stop()
    thread.join()
