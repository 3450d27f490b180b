"""What jobs know and give back beside plain values: descriptions as results, their tags."""

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


TAGS = """
import sys
from xpm import Config, Param, Task, experiment, tag, tagspath

class Model(Config):
    layers: Param[int]

class Train(Task):
    model: Param[Model]
    lr: Param[float]

    def execute(self):
        return [dict(self.tags), self.__tags__ == self.tags, tagspath(self)]

class Compare(Task):
    trained: Param[list[Train]]

    def execute(self):
        return [dict(self.tags), [dict(each.tags) for each in self.trained]]

if __name__ == "__main__":
    who = sys.argv[1]
    with experiment(who) as xp:
        trained = [
            Train.C(model=Model.C(layers=tag(n)), lr=tag(0.1)).tag("who", who).submit() for n in (1, 2)
        ]
        print(trained[0].result(), sorted(trained[0].instance().tags))
        compare = Compare.C(trained=trained).submit()
        print(compare.result())
"""


def test_tags_in_a_job(lab: Lab) -> None:
    (lab.project / "tagged.py").write_text(TAGS)
    one, two = lab.python("tagged.py", "ada").stdout.splitlines()
    tags = [{"layers": n, "lr": 0.1, "who": "ada"} for n in (1, 2)]
    assert one == f"[{tags[0]}, True, 'layers=1_lr=0.1_who=ada'] ['layers', 'lr', 'who']"
    assert eval(two) == [{"lr": 0.1, "who": "ada"}, tags]
    # Another experiment of the same jobs: a job that runs again has the newest tags of a name.
    lab.python("tagged.py", "bob")
    job = lab.json("jobs", "--where", "layers = 1")["jobs"][0]
    assert job["tags"] == {name: {"layers": 1, "lr": 0.1, "who": name} for name in ("ada", "bob")}
    assert lab.run("rerun", "--where", "layers = 1", "--yes").returncode == 0
    again = lab.python("tagged.py", "bob")
    assert "'who': 'bob'" in again.stdout.splitlines()[0]
