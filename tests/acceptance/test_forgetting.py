"""A broker that loses its memory under living workers: they come back, and serve what is submitted again."""

from __future__ import annotations

import shutil
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from farm import Farm, farm
from servers import Server

from xpm.broker import rq as rqnames
from xpm.core.state import State

CODE = '''
import os, time
from pathlib import Path
from xpm.core.config import Meta, Param, Task

class Wait(Task):
    """Runs until a file is there; notes each start and its fence."""
    n: Param[int]
    ledger: Meta[Path]
    until: Meta[Path]
    def execute(self) -> int:
        with open(self.ledger, "a") as file:
            file.write(os.environ["XPM_FENCE"] + "\\n")
        while not self.until.exists():
            time.sleep(0.02)
        return self.n
'''


@pytest.fixture
def works(server: Server, tmp_path: Path) -> Iterator[Farm]:
    with farm(tmp_path, server.url, CODE) as made:
        yield made
    with server.client() as client:
        client.flushall()


def facts(works: Farm) -> set[tuple[str, int, str, tuple[str, ...]]]:
    """What is known of each worker."""
    return {(one.host, one.pid, one.pool, one.slots) for one in works.views.workers() if one.born}


def shown(works: Farm) -> set[bytes]:
    """The workers that RQ's tools show, with what they need to show them."""
    names = works.client.smembers("rq:workers")
    queue = f"rq:workers:{rqnames.queue(works.workspace.namespace, 'default')}"
    names &= works.client.smembers(queue)  # a worker enters the two one after the other
    return {name for name in names if works.client.hget(name, "hostname") == socket.gethostname().encode()}


def start_two(works: Farm) -> set[tuple[str, int, str, tuple[str, ...]]]:
    """A pool of two workers that are at work; what is known of them."""
    pool = works.pool(slots=2)
    works.until(lambda: len(shown(works)) == len(facts(works)) == 2)
    before = facts(works)
    assert {host for host, *_ in before} == {socket.gethostname()}
    (name,) = {name for *_, name, _ in before}
    assert name.startswith(f"{socket.gethostname()}.{pool.pid}.")
    assert all("default:1" in slots for *_, slots in before)
    return before


def come_back(works: Farm, before: set[tuple[str, int, str, tuple[str, ...]]]) -> None:
    works.until(lambda: len(shown(works)) == 2)
    works.until(lambda: facts(works) == before)


def test_idle_workers_enrol_again(works: Farm, tmp_path: Path) -> None:
    before = start_two(works)
    works.client.flushall()
    come_back(works, before)
    ledger, until = tmp_path / "ledger", tmp_path / "until"
    works.send(works.run(), works.tasks.Wait.C(n=1, ledger=ledger, until=until))
    works.until(ledger.exists)
    job = works.job("Wait n=1")
    assert [one.pid for one in works.views.workers() if one.job] == [int(job.place[1])]
    member = rqnames.job(works.workspace.namespace, job.id).encode()
    assert works.client.hget(f"rq:worker:{job.worker}", "current_job") == member
    until.touch()
    works.until(works.in_state("Wait n=1", State.DONE))


def test_a_busy_worker_enrols_again_and_serves_what_is_submitted_again(works: Farm, tmp_path: Path) -> None:
    before = start_two(works)
    ledger, until = tmp_path / "ledger", tmp_path / "until"
    works.send(works.run(), works.tasks.Wait.C(n=1, ledger=ledger, until=until))
    works.until(ledger.exists)
    works.client.flushall()
    come_back(works, before)
    works.client.connection_pool.disconnect()  # as a script does that finds its run forgotten
    works.send(works.run("again"), works.tasks.Wait.C(n=1, ledger=ledger, until=until))
    works.until(lambda: len(ledger.read_text().split()) == 2)
    until.touch()
    done = works.until(works.in_state("Wait n=1", State.DONE))
    first, second = ledger.read_text().split()
    assert first < second == done.fence
    assert (done.attempt, done.crashes) == (1, 0)


def test_workers_enrol_with_a_fresh_server_at_the_same_address(
    tmp_path: Path, start_server: Callable[..., Server]
) -> None:
    own = start_server()
    with farm(tmp_path / "own", own.url, CODE) as works:
        before = start_two(works)
        own.kill()
        for each in own.directory.iterdir():
            if each.is_dir():
                shutil.rmtree(each)
        own.start()
        come_back(works, before)
        works.send(works.run(), works.tasks.Wait.C(n=1, ledger=tmp_path / "ledger", until=Path("/")))
        works.until(works.in_state("Wait n=1", State.DONE))
