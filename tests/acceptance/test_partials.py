"""Jobs that share a directory: real workers, one job at a time."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from commands import Lab

PLAN = """
import time
from pathlib import Path
from xpm import Meta, Param, PathGenerator, Task, acquire, experiment, field, lock, param_group, partial

length = param_group("length")

class Train(Task):
    lr: Param[float]
    epochs: Param[int] = field(groups=[length])
    further: Param[bool] = field(default=False, groups=[length])
    whatever_length = partial(exclude_groups=[length])
    shared: Meta[Path] = field(default_factory=PathGenerator(partial=whatever_length))

    def execute(self):
        self.shared.mkdir(parents=True, exist_ok=True)
        busy = self.shared / "busy"
        busy.touch(exist_ok=False)
        with acquire(lock("a").read()), (self.shared / "log").open("a") as log:
            log.write(f"{self.epochs}\\n")
        if self.further:
            Train.C(lr=self.lr, epochs=10 * self.epochs).submit()
        time.sleep(0.1)  # another that ran meanwhile would come upon the file
        busy.unlink()

if __name__ == "__main__":
    with experiment("study"):
        trains = [Train.C(lr=0.5, epochs=n, further=n == 2).submit() for n in (1, 2, 3)]
        other = Train.C(lr=0.1, epochs=1).submit()
    print(sorted((trains[0].shared / "log").read_text().split()), (other.shared / "log").read_text().split())
    print(trains[0].shared.relative_to(Path("runs").resolve()).parts[::2])
"""


@pytest.fixture
def lab() -> Iterator[Lab]:
    made = Lab()
    made.env["XPM_WORKERS"] = "4"
    yield made
    made.close()


def test_jobs_that_share_a_directory_run_one_after_the_other(lab: Lab) -> None:
    (lab.project / "plan.py").write_text(PLAN)
    lines = lab.python("plan.py").stdout.splitlines()
    assert lines == ["['1', '2', '20', '3'] ['1']", "('partials', 'whatever_length')"]
