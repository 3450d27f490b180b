"""Variables that a script sets for its jobs, in real workers."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from commands import Lab

SCRIPT = """
import os, sys
from xpm import Param, Task, experiment

AT_IMPORT = os.environ.get("COLOUR")

class Look(Task):
    n: Param[int]

    def execute(self):
        return [AT_IMPORT, os.environ.get("COLOUR"), sys.flags.hash_randomization, os.environ.get("SHAPE")]

class Parent(Task):
    n: Param[int]

    def execute(self):
        Look.C(n=10 + self.n).submit()

if __name__ == "__main__":
    with experiment("env") as xp:
        plain = Look.C(n=0).submit()
        xp.setenv("COLOUR", "red '!?~ ü")
        xp.setenv("COLOUR", "blue", override=False)
        xp.setenv("PYTHONHASHSEED", "0")
        red = Look.C(n=1).submit()
        Parent.C(n=1).submit()
        xp.setenv("COLOUR", None)
        xp.setenv("SHAPE", "round")
        round = Look.C(n=2).submit()
    for row in xp.rows(Look):
        print(row["job"][:8], row["result"])
    print([task.result() for task in (plain, red, round)])
"""


@pytest.fixture
def lab() -> Iterator[Lab]:
    made = Lab()
    (made.project / "plan.py").write_text(SCRIPT)
    made.env.pop("PYTHONHASHSEED", None)
    yield made
    made.close()


def test_jobs_start_with_the_variables_of_their_submission(lab: Lab) -> None:
    out = lab.python("plan.py").stdout
    red = ["red '!?~ ü", "red '!?~ ü", 0, None]
    assert out.splitlines()[-1] == str([[None, None, 1, None], red, [None, None, 0, "round"]])
    assert out.count(str(red)) == 3, "what a job submits has those of the job"
    (job,) = [one["id"] for one in lab.json("jobs")["jobs"] if one["label"] == "Look n=1"]
    assert lab.json("show", job)["environ"] == {"COLOUR": "red '!?~ ü", "PYTHONHASHSEED": "0"}
    assert "environment  COLOUR=red '!?~ ü PYTHONHASHSEED=0" in lab.ok("show", job)


def test_another_submission_gives_a_job_that_waits_its_own_variables(lab: Lab) -> None:
    text = SCRIPT.replace("plain = Look.C(n=0)", 'xp.setenv("COLOUR", sys.argv[1]); plain = Look.C(n=0)')
    (lab.project / "plan.py").write_text(text)
    lab.ok("run", "--detach", "plan.py", "green", env={"XPM_WORKERS": "0"})
    lab.ok("run", "plan.py", "grey")
    results = [
        json.loads(path.read_text())["result"]
        for path in lab.workspace.glob("jobs/*Look*/*/*/.xpm/result.json")
    ]
    assert ["grey", "grey", 1, None] in results and all(each[1] != "green" for each in results)
