"""What was done under a former name needs not be done again: real scripts, real workers."""

from __future__ import annotations

import pytest
from commands import Lab

BEFORE = """
from pathlib import Path
from xpm import Config, Dependent, Meta, Param, Task, deprecate, experiment

class Net(Config):
    size: Param[int]

class Fit(Task):
    net: Param[Net]
    def execute(self):
        Path("weights").write_text("abc" * self.net.size)
        print("fit", self.net.size)
        return Path("weights")

class Test(Task):
    fit: Param[Fit]
    def execute(self):
        return len(self.fit.result().read_text())

if __name__ == "__main__":
    with experiment("study"):
        fit = Fit.C(net=Net.C(size=3)).submit()
        test = Test.C(fit=fit).submit()
    print(test.result(), fit.result().parent == fit.jobpath, fit.jobpath.parents[1].name)
"""

RENAMED = (
    BEFORE.replace("class Net(", "class Network(")
    .replace("Param[Net]", "Param[Network]")
    .replace("class Fit(", "class Train(")
    .replace("Param[Fit]", "Param[Train]")
    .replace(
        "class Test(",
        "@deprecate\nclass Fit(Train): ...\n\n@deprecate\nclass Net(Network): ...\n\nclass Test(",
    )
)

CONVERTED = BEFORE.replace(
    "class Fit(Task):\n    net: Param[Net]\n",
    """
class Train(Task):
    sizes: Param[list[int]]
    def execute(self):
        print("train")

@deprecate(to=Train)
class Fit(Task):
    net: Param[Net]
    def __convert__(self):
        return Train.C(sizes=[self.net.size])
""",
)


def done_jobs(lab: Lab, task: str) -> int:
    """How many jobs of that task have a record."""
    return len(list(lab.workspace.glob(f"jobs/plan.{task}-*/*/*/.xpm/result.json")))


@pytest.mark.parametrize(
    ("after", "new"), [(RENAMED, "Train.C(net=Network.C(size=3))"), (CONVERTED, "Train.C(sizes=[3])")]
)
def test_what_was_done_by_the_old_class_is_done(lab: Lab, after: str, new: str) -> None:
    (lab.project / "plan.py").write_text(BEFORE)
    assert lab.python("plan.py").stdout.startswith("9 True plan.Fit-")
    (lab.project / "plan.py").write_text(after)
    done = lab.python("plan.py")
    assert done.stdout.startswith("9 True plan.Train-")
    assert "DeprecationWarning: Fit is deprecated; use Train\n" in done.stderr
    final = after.replace("= Fit.C(net=Net.C(size=3))", f"= {new}").replace("Param[Fit]", "Param[Train]")
    (lab.project / "plan.py").write_text(final)
    again = lab.python("plan.py")
    assert again.stdout == done.stdout
    for each in (done, again):
        assert "study: nothing to do: all 2 jobs were done before\n" in each.stderr
    assert (done_jobs(lab, "Fit"), done_jobs(lab, "Train"), done_jobs(lab, "Test")) == (1, 1, 2)
    assert lab.ok("logs", "--task", "Train").endswith("\nfit 3\n")
