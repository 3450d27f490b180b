"""Submit hooks, of scripts and of jobs that submit, with real workers."""

from __future__ import annotations

from commands import Lab

PLAN = """
import os
from xpm import Config, Param, Task, experiment, lock, submit_hook

@submit_hook
def needs_java(submission):
    submission.setenv("JAVA_HOME", f"/opt/{type(submission.task).__name__}")
    submission.require(lock("index").read())

@needs_java
class Index(Config):
    n: Param[int]

class Search(Task):
    index: Param[Index]
    def execute(self):
        if self.index.n == 1:
            Look.C(index=Index.C(n=2)).submit()
        return os.environ.get("COLOUR"), os.environ.get("JAVA_HOME")

class Look(Task):
    index: Param[Index]
    def execute(self):
        return os.environ.get("COLOUR"), os.environ.get("JAVA_HOME")

class Plain(Task):
    def execute(self):
        return os.environ.get("COLOUR"), os.environ.get("JAVA_HOME")

if __name__ == "__main__":
    with experiment("hooks") as xp:
        xp.setenv("COLOUR", "red")
        xp.setenv("JAVA_HOME", "/none")
        Search.C(index=Index.C(n=1)).submit()
        Plain.C().submit()
    for task in (Search, Look, Plain):
        print(*[row['result'] for row in xp.rows(task)])
"""


def test_what_a_config_asks_for_its_jobs_get(lab: Lab) -> None:
    (lab.project / "plan.py").write_text(PLAN)
    assert lab.python("plan.py").stdout.splitlines() == [
        "('red', '/opt/Search')",
        "('red', '/opt/Look')",
        "('red', '/none')",
    ]
