"""What the directories of jobs tell a process that has nothing to do with their run."""

from __future__ import annotations

import shutil

from commands import Lab

TASKS = """
from enum import Enum
from pathlib import Path
from xpm import Config, LightweightTask, Meta, Param, PathGenerator, Task, field, task

class Kind(Enum):
    A = 1

class Net(Config):
    size: Param[int]
    kind: Param[Kind] = Kind.A
    file: Meta[Path] = field(default_factory=PathGenerator("net"))

class Init(LightweightTask):
    net: Param[Net]
    def execute(self):
        self.net.ready = True

class First(Task):
    net: Param[Net]
    def execute(self):
        self.net.file.parent.mkdir(parents=True)
        self.net.file.write_text("weights")
        return {"size": self.net.size}

class Second(Task):
    net: Param[Net]
    first: Param[First]
    def execute(self):
        return (self.net.ready, self.first.result(), self.first.net.file.read_text())
"""

PLAN = """
import sys
from tasks import *
from xpm import experiment, tag

if __name__ == "__main__":
    with experiment("past"):
        first = First.C(net=Net.C(size=tag(3))).submit()
        net = Net.C(size=4)
        second = Second.C(net=net, first=first).tag("who", "ada").submit(init_tasks=[Init.C(net=net)])
    print(first.jobpath)
    print(second.jobpath)
"""

LOOK = """
import sys
from pathlib import Path
from xpm import JobError, State, SubmissionError, experiment, identifier, load
from tasks import Init

folder = Path(sys.argv[1])
second = load(folder)
assert identifier(second) == folder.name and second.job.state is State.DONE
assert second.result() == (True, {"size": 3}, "weights")
assert dict(second.tags) == {"who": "ada", "size": 3}, second.tags
assert second.net.file == folder / "out/net/net"
assert second.first.result() == {"size": 3} and second.first.net.size == 3
copy = second.copy(net=second.net.copy(size=9))
assert identifier(copy) != folder.name
live = load(folder, as_instance=True)
assert live.execute() == (True, {"size": 3}, "weights") and live.first.net.size == 3
assert live.tags["who"] == "ada" and live.jobpath == folder
try:
    second.on_completed(print)
except JobError as error:
    print(error)
with experiment("again"):
    for wrong in (second.submit, copy.submit):
        try:
            wrong()
        except SubmissionError as error:
            print(error)
    copy.first = second.first.copy().submit()
    copied = copy.submit(init_tasks=[Init.C(net=copy.net)])
print(copied.result())
"""

PARTIAL = """
import sys
from xpm import ConfigError, load
try:
    load(sys.argv[1])
except ConfigError as error:
    print(error)
task = load(sys.argv[1], partial=True)
print(task, task.net.kind, task.result(), type(load(sys.argv[1], partial=True, as_instance=True)).__name__)
"""


def test_a_task_comes_back_from_its_directory(lab: Lab) -> None:
    for name, text in {"tasks": TASKS, "plan": PLAN, "look": LOOK, "part": PARTIAL}.items():
        (lab.project / f"{name}.py").write_text(text)
    first, second = lab.python("plan.py").stdout.split()
    assert lab.python("look.py", second).stdout.splitlines() == [
        "Second.on_completed: the task was loaded from the directory of its job, which is done",
        "Second.submit: it was loaded from the directory of its job; submit a .copy() of it",
        "Second.first: the task First was loaded from the directory of its job; give a .copy() of it, "
        "and submit that first",
        "(True, {'size': 3}, 'weights')",
    ]
    moved = shutil.move(first, lab.project / first.rpartition("/")[2])
    (lab.project / "tasks.py").unlink()
    done = lab.python("part.py", str(moved))
    assert done.stdout.splitlines() == [
        "tasks.First: there is no module 'tasks' here: is its folder on the path?",
        "First(net=Net(size=3, kind='A', file=PosixPath('out/net/net'))) A {'size': 3} First",
    ]
