"""What the threads of a task find of their job."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from farm import Farm, farm
from servers import Server

from xpm.core.state import State

CODE = '''
import threading, time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from xpm.core.config import Meta, Param, Task
from xpm.core.session import progress

class Report(Task):
    """Reports from a thread that `how` names."""
    how: Param[str]
    until: Meta[Path]
    def execute(self) -> None:
        if self.how == "pool":
            with ThreadPoolExecutor() as pool:
                pool.submit(progress, 0.5, self.how).result()
        else:
            thread = threading.Thread(target=progress, args=(0.5, self.how))
            thread.start()
            thread.join()
        while not self.until.exists():
            time.sleep(0.02)

class Chatter(Task):
    """Reports without a pause, also while its long result is told."""
    n: Param[int]
    def execute(self) -> str:
        def chatter():
            step = 0
            while True:
                progress(0.5, f"step {step}")  # another text each time, so that all of it is told
                step += 1
        threading.Thread(target=chatter, daemon=True).start()
        return "x" * 900_000

class Copy(Task):
    of: Param[Chatter]
    def execute(self) -> list[int]:
        with ThreadPoolExecutor() as pool:
            return [len(pool.submit(self.of.result).result())]
'''


@pytest.fixture
def works(server: Server, tmp_path: Path) -> Iterator[Farm]:
    with farm(tmp_path, server.url, CODE) as made:
        yield made
    with server.client() as client:
        client.flushall()


@pytest.mark.parametrize("how", ["thread", "pool"])
def test_progress_from_a_thread_is_seen(works: Farm, tmp_path: Path, how: str) -> None:
    works.send(works.run(), works.tasks.Report.C(how=how, until=tmp_path / "until"))
    works.pool()
    job = works.job(f"Report how={how}")
    works.until(lambda: works.views.progress([job.id])[0])
    (progress,) = works.views.progress([job.id])
    assert progress is not None and (progress.value, progress.desc) == (0.5, how)
    (tmp_path / "until").touch()
    works.until(works.in_state(f"Report how={how}", State.DONE))


def test_a_thread_that_reports_without_a_pause_does_not_garble_the_result(works: Farm) -> None:
    chatters = [works.tasks.Chatter.C(n=n) for n in range(8)]
    works.send(works.run(), *chatters, *[works.tasks.Copy.C(of=chatter) for chatter in chatters])
    assert works.pool("--burst").wait(60) == 0
    for n in range(8):
        job = works.job(f"Chatter n={n}")
        assert (job.state, job.execution) == (State.DONE, 1)
    job = works.job("Copy")
    record = json.loads((works.workspace.jobpath(job.task, job.id) / ".xpm/result.json").read_text())
    assert record["result"] == [900_000]
