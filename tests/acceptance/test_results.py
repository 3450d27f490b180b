"""Results that are descriptions, from a worker to the script, to another task, to lists and to another process."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from commands import Lab

SCRIPT = """
from xpm import Config, Param, Task, experiment, tag

class Size(Config):
    n: Param[int]

class Model(Config):
    size: Param[Size]
    layers: Param[int] = 2

class Grow(Task):
    size: Param[Size]
    by: Param[int]

    def execute(self):
        size = Size.C(n=self.size.n + self.by)
        return {"model": Model.C(size=size, layers=self.by), "same": size, "before": self.size}

class Measure(Task):
    model: Param[Model]
    grow: Param[Grow]

    def execute(self):
        again = self.grow.result()
        assert again["model"].size is again["same"]
        return [self.model.size.n, again["model"].layers, again["before"].instance().n]

if __name__ == "__main__":
    with experiment("grown") as xp:
        grow = Grow.C(size=Size.C(n=3), by=tag(4)).submit()
        found = grow.result()
        assert found["model"].size is found["same"]
        measure = Measure.C(model=found["model"], grow=grow).submit()
        print(measure.result(), len(measure.job.why()))
        print([row["result.same"].n for row in xp.rows(Grow)])
"""


@pytest.fixture
def lab() -> Iterator[Lab]:
    made = Lab()
    (made.project / "grown.py").write_text(SCRIPT)
    yield made
    made.close()


def test_descriptions_as_results(lab: Lab) -> None:
    done = lab.python("grown.py")
    assert done.stdout.splitlines()[1] == "[7]"
    assert done.stdout.startswith("[7, 4, 3] ")
    measured, grown = (lab.json("jobs", "--task", name)["jobs"][0] for name in ("Measure", "Grow"))
    assert measured["inputs"] == 1
    sheet = lab.json("show", grown["id"])
    assert sheet["result"]["model"]["size"] == {"$type": "grown.py:Size", "n": 7}
    again = lab.python("grown.py")
    assert again.stdout == done.stdout and "nothing to do" in again.stderr
