"""What a job has started ends with it, also when its zygote dies and the pool is asked for another one at once."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from farm import Farm, farm
from servers import Server
from waiting import until

from xpm.broker.embedded import Embedded
from xpm.settings import places
from xpm.workspace.layout import Workspace
from xpm_workers import tree

CODE = '''
from __future__ import annotations
import os, signal, subprocess, sys, time
from pathlib import Path
from xpm.core.config import Meta, Param, Task

class Daemon(Task):
    """Leaves a grandchild in a session of its own: another program, or a fork."""
    ledger: Meta[Path]
    forked: Param[bool] = False
    def execute(self) -> None:
        if not self.forked:
            child = subprocess.Popen(["sleep", "600"], start_new_session=True).pid
        elif (child := os.fork()) == 0:
            os.setsid()
            while True:
                signal.pause()
        with open(self.ledger, "a") as file:
            file.write(f"{os.environ['XPM_FENCE']} {child}\\n")
        time.sleep(600)
'''


@pytest.fixture
def works(server: Server, tmp_path: Path) -> Iterator[Farm]:
    with farm(tmp_path, server.url, CODE) as made:
        yield made
    with server.client() as client:
        client.flushall()


def test_a_zygote_that_a_worker_misses_first_leaves_nothing_behind(works: Farm, tmp_path: Path) -> None:
    ledger = tmp_path / "ledger"
    daemon = works.tasks.Daemon.C(ledger=ledger)
    works.send(works.run(), daemon)
    pool = works.pool()
    works.until(lambda: ledger.exists() and ledger.read_text().endswith("\n"))
    fence, grandchild = ledger.read_text().split()
    workers = {worker.pid for worker in works.workers(pool)}
    (zygote,) = set(tree.children(pool.pid)) - workers

    pool.send_signal(signal.SIGSTOP)
    os.kill(zygote, signal.SIGKILL)
    # The worker has claimed the job again, has its directory, and asks the pool for a zygote.
    drafts = works.jobpath(daemon) / ".xpm"
    works.until(lambda: any(draft.stem > fence for draft in drafts.glob("*.part")))
    pool.send_signal(signal.SIGCONT)
    works.until(lambda: len(ledger.read_text().splitlines()) == 2)
    until(lambda: not Path(f"/proc/{grandchild}").exists())


@pytest.fixture
def own(tmp_path: Path) -> Iterator[tuple[Embedded, Farm]]:
    """A workspace with a server of its own."""
    workspace = Workspace.open(tmp_path / "ws")
    embedded = Embedded(workspace.path, workspace.namespace, places())
    with farm(tmp_path, embedded.ensure(), CODE) as made:
        yield embedded, made
    embedded.stop(force=True)


def test_a_server_that_a_worker_has_started_again_is_no_stray(
    own: tuple[Embedded, Farm], tmp_path: Path
) -> None:
    embedded, works = own
    pool = works.pool("--embedded")
    works.until(lambda: works.views.workers())
    (worker,) = works.workers(pool)
    first = embedded.status().pid
    assert first
    os.kill(first, signal.SIGKILL)
    until(lambda: (status := embedded.status()).running and status.pid != first)
    server = embedded.status().pid
    assert server in tree.children(pool.pid), "its parents have ended, and the pool adopts orphans"

    ledger = tmp_path / "ledger"
    works.send(works.run(), works.tasks.Daemon.C(ledger=ledger))
    works.until(lambda: ledger.exists())
    named = (child for child in tree.children(pool.pid) if child not in (worker.pid, server))
    (zygote,) = [pid for pid in named if b"xpm_workers.zygote" in Path(f"/proc/{pid}/cmdline").read_bytes()]
    os.kill(zygote, signal.SIGKILL)
    works.until(lambda: len(ledger.read_text().splitlines()) == 2)
    assert embedded.status().pid == server


@pytest.mark.parametrize("forked", [False, True])
def test_what_a_pool_left_that_was_killed_with_all_its_processes_ends_with_the_next_pool(
    works: Farm, tmp_path: Path, forked: bool
) -> None:
    ledger = tmp_path / "ledger"
    works.send(works.run(), works.tasks.Daemon.C(ledger=ledger, forked=forked))
    pool = works.pool()
    works.until(lambda: ledger.exists() and ledger.read_text().endswith("\n"))
    left = psutil.Process(int(ledger.read_text().split()[1]))
    family = psutil.Process(pool.pid).children(recursive=True)
    daemon = ["sh", "-c", "sleep 600 >&- & echo $!"]
    environ = {**os.environ, "XPM_WORKSPACE": str(works.workspace.path)}
    bystander = psutil.Process(int(subprocess.check_output(daemon, env=environ)))
    killed = [each for each in (psutil.Process(pool.pid), *family) if each != left]
    for each in killed:
        each.suspend()  # or those that are left see to what the first leave behind, before they are killed themselves
    for each in killed:
        each.kill()
    pool.wait()
    psutil.wait_procs([each for each in family if each != left])
    assert left.is_running(), "nobody looks after it"

    works.pool()
    works.until(lambda: not left.is_running())
    works.until(lambda: len(ledger.read_text().split()) == 4)
    assert psutil.pid_exists(int(ledger.read_text().split()[3])), "the next execution has its own"
    assert bystander.is_running(), "no job has started it"
    bystander.kill()
