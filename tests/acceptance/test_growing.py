"""Graphs that grow: running tasks submit further tasks to their experiments."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from commands import XPM, Lab
from waiting import until

from xpm.broker.connect import open_client

PLAN = """
import os, sys, time
from pathlib import Path
from xpm import JobError, Meta, Param, Task, experiment, field, tag, token

HERE = Path(__file__).parent

class Leaf(Task):
    n: Param[int]
    ledger: Meta[Path]
    def execute(self):
        with open(self.ledger / "leaves", "a") as file:
            file.write(f"{self.n} {os.environ['XPM_FENCE']}\\n")
        return 10 * self.n

class Sum(Task):
    leaves: Param[list[Leaf]]
    root: Param["Root"]
    def execute(self):
        return self.root.result()["told"] + sum(leaf.result() for leaf in self.leaves)

class Root(Task):
    width: Param[int]
    ledger: Meta[Path]
    wait: Meta[str] = ""
    def execute(self):
        leaves = [Leaf.C(n=tag(n), ledger=self.ledger).submit() for n in range(self.width)]
        total = Sum.C(leaves=leaves, root=self).submit()
        with open(self.ledger / "roots", "a") as file:
            file.write(f"{os.getpid()}\\n")
        while self.wait and not Path(self.wait).exists():
            time.sleep(0.01)
        try:
            leaves[0].result()
        except JobError as error:
            said = str(error)
        return {"told": 1, "said": said, "path": str(total.jobpath), "state": total.job.state.value}
"""


@pytest.fixture
def lab() -> Iterator[Lab]:
    made = Lab()
    made.env["XPM_WORKERS"] = "2"
    yield made
    made.close()


def write(lab: Lab, body: str, name: str = "grow.py") -> Path:
    path = lab.project / name
    path.write_text(PLAN.replace('Param["Root"]', "Param[Task]") + body)
    return path


def lines(lab: Lab, name: str) -> list[str]:
    path = lab.project / name
    return path.read_text().splitlines() if path.exists() else []


ROWS = "print(sorted((row['task'].split(':')[-1], row.get('width', ''), row.get('n', ''), row.get('result') or '') for row in xp.rows()))\n"

GROWN = (
    "[('Leaf', 3, 0, ''), ('Leaf', 3, 1, 10), ('Leaf', 3, 2, 20), ('Root', 3, '', ''), ('Sum', 3, '', 31)]\n"
)


def test_a_script_waits_for_what_its_tasks_submit_and_shows_it(lab: Lab) -> None:
    write(
        lab,
        "with experiment('grow') as xp:\n    root = Root.C(width=tag(3), ledger=HERE).submit()\n"
        + ROWS
        + "print(root.result()['said'])\nprint(root.result()['state'])\nprint(root.result()['path'])\n",
    )
    rows, said, state, path = lab.ok("run", "grow.py").splitlines(keepends=True)
    assert rows == GROWN
    assert ": a job cannot wait for a job that it has submitted" in said
    assert state == "WAITING\n"
    assert (Path(path.strip()) / ".xpm" / "result.json").exists()
    # Once more: nothing is done twice, and what the tasks have submitted is a part of it still.
    again = lab.run("run", "grow.py")
    assert again.stdout.splitlines(keepends=True)[0] == GROWN, again.stderr
    assert "nothing to do" in again.stderr
    assert len(lines(lab, "leaves")) == 3 and len(lines(lab, "roots")) == 1
    # A result that is gone is made again, that of a task's task too.
    (leaf,) = (lab.workspace / "jobs").glob(f"*Leaf*/*/{lab.json('jobs', '--task', 'Leaf')['jobs'][0]['id']}")
    shutil.rmtree(leaf)
    assert lab.ok("run", "grow.py").splitlines(keepends=True)[0] == GROWN
    assert len(lines(lab, "leaves")) == 4 and len(lines(lab, "roots")) == 1


@pytest.mark.parametrize("dies", ["job", "worker"])
def test_a_parent_that_is_killed_submits_again_and_doubles_nothing(lab: Lab, dies: str) -> None:
    go = lab.project / "go"
    write(
        lab,
        f"with experiment('grow') as xp:\n    Root.C(width=tag(3), ledger=HERE, wait={str(go)!r}).submit()\n"
        + ROWS,
    )
    lab.ok("run", "--detach", "grow.py")
    until(lambda: len(lines(lab, "roots")) == 1)
    pid = int(lines(lab, "roots")[0])
    if dies == "worker":
        busy = {each["job"]["label"]: each["pid"] for each in lab.json("worker")["workers"] if each["job"]}
        pid = busy["Root width=3"]
    os.kill(pid, signal.SIGKILL)
    until(lambda: len(lines(lab, "roots")) == 2)
    go.touch()
    lab.ok("attach", "grow")
    assert len(lines(lab, "leaves")) == 3
    assert len(lab.json("jobs")["jobs"]) == 5
    assert lab.ok("run", "grow.py") == GROWN


@contextmanager
def under_way(lab: Lab, *words: str) -> Iterator[subprocess.Popen[bytes]]:
    """`xpm` with these words, killed at the end."""
    process = subprocess.Popen([*XPM, *words], env=lab.env, cwd=lab.project, stdin=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def test_a_broker_that_lost_its_memory_is_told_again_what_tasks_have_submitted(lab: Lab) -> None:
    write(
        lab,
        "class After(Task):\n    leaf: Param[Leaf]\n    def execute(self): return 5\n"
        "class Late(Task):\n    ledger: Meta[Path]\n"
        "    def execute(self):\n"
        "        After.C(leaf=Leaf.C(n=7, ledger=self.ledger).submit(not_before=3600)).submit()\n"
        "with experiment('grow') as xp:\n    Late.C(ledger=HERE).submit()\n",
    )

    def states() -> list[str]:
        return sorted(job["state"] for job in lab.json("jobs")["jobs"])

    whole = ["DONE", "SCHEDULED", "WAITING"]
    lab.ok("run", "--detach", "grow.py")
    until(lambda: states() == whole)
    for words in (["attach", "grow"], ["run", "grow.py"]):
        client = open_client(lab.ok("broker", "url").strip())
        client.flushall()
        client.close()
        with under_way(lab, *words):
            until(lambda: states() == whole)


def test_children_are_like_their_parent_unless_they_say_otherwise(lab: Lab) -> None:
    """Queue, priority and tags are the parent's; a job that two experiments want has children in both."""
    go, begun = lab.project / "go", lab.project / "begun"
    body = f"""
class Child(Task):
    parent: Param[Task]
    before: Param[Task]
    n: Param[int]
    def execute(self):
        return [self.before.result(), self.parent.result(), self.parent.a]

class Parent(Task):
    before: Param[Leaf]
    a: Param[str]
    def execute(self):
        Path({str(begun)!r}).touch()
        while not Path({str(go)!r}).exists():
            time.sleep(0.01)
        said = []
        for options in (dict(queue="a b"), dict(priority=10**6), dict(requires=[token("none")(1)])):
            try:
                Child.C(parent=self, before=self.before, n=0).submit(**options)
            except Exception as error:
                said.append(str(error))
        Child.C(parent=self, before=self.before, n=tag(1)).submit(requires=[token("few", 1)(1)])
        Child.C(parent=self, before=self.before, n=tag(2)).submit(queue="default", priority=1, retries=2)
        return said

with experiment(sys.argv[1], queue="other", priority=3) as xp:
    parent = Parent.C(before=Leaf.C(n=4, ledger=HERE).submit(), a=tag("x")).submit()
if __name__ == "__main__":
    for row in sorted(xp.rows(Child), key=lambda row: row["n"]):
        print(row["a"], row["n"], row["result"][0], row["result"][2])
    print(*parent.result(), sep="\\n")
"""
    write(lab, body)
    lab.ok("run", "--detach", "grow.py", "one")
    until(begun.exists)
    lab.ok("run", "--detach", "grow.py", "two")
    go.touch()
    said = lab.ok("run", "grow.py", "one").splitlines()
    assert said[:2] == ["x 1 40 x", "x 2 40 x"]
    assert said[2].startswith("queue 'a b': ")
    assert said[3].startswith("Child.submit: priority 1000000: expected a whole number")
    assert said[4].startswith("Child n=0: there is no token 'none'")
    assert lab.ok("run", "grow.py", "two").splitlines() == said
    first, second = sorted(lab.json("jobs", "--task", "Child")["jobs"], key=lambda job: job["label"])
    assert (first["queue"], second["queue"]) == ("other", "default")
    assert (first["priority"], second["priority"]) == (3, 1)
    for name in ("one", "two"):
        assert len(lab.json("jobs", "-e", name)["jobs"]) == 4


def test_a_child_that_the_broker_refuses_is_the_task_s_error_and_no_wait_without_end(lab: Lab) -> None:
    write(
        lab,
        "class Parent(Task):\n    ledger: Meta[Path]\n    def execute(self):\n"
        "        (self.ledger / 'roots').write_text('here\\n')\n"
        "        while not (self.ledger / 'go').exists():\n"
        "            time.sleep(0.01)  # a file rings no bell for a task\n"
        "        try: Leaf.C(n=1, ledger=self.ledger).submit()\n"
        "        finally: (self.ledger / 'ends').write_text('over\\n')\n"
        "with experiment('grow'): Parent.C(ledger=HERE).submit()\n",
    )
    with under_way(lab, "run", "grow.py"):
        until(lambda: lines(lab, "roots"))
        with open_client(lab.ok("broker", "url").strip()) as client:
            client.acl_setuser("default", enabled=True, nopass=True, commands=["-evalsha", "-eval"])
            try:
                (lab.project / "go").touch()
                until(lambda: lines(lab, "ends"))
            finally:
                client.acl_setuser("default", enabled=True, nopass=True, commands=["+evalsha", "+eval"])
        until(lambda: lab.job("Parent")["state"] == "ERROR")
    assert "BrokerError: the broker refused" in lab.ok("show", "Parent")


def test_a_child_that_fails_fails_the_experiment(lab: Lab) -> None:
    write(
        lab,
        "class Bad(Task):\n    def execute(self): raise ValueError('no good')\n"
        "class Parent(Task):\n    def execute(self): Bad.C().submit()\n"
        "with experiment('grow') as xp:\n    Parent.C().submit()\n",
    )
    done = lab.run("run", "grow.py")
    assert done.returncode == 1 and "ValueError: no good" in done.stderr
    assert "ValueError: no good" in lab.run("attach", "grow").stderr


WIDTHS = """
with experiment('grow') as xp:
    for width in map(int, sys.argv[1].split(',')):
        if width < 0: raise SystemExit(3)
        Root.C(width=tag(width), ledger=HERE, wait=sys.argv[2] if len(sys.argv) > 2 else "").submit()
"""


def test_what_tasks_have_submitted_is_taken_over_from_the_last_run_that_had_them(lab: Lab) -> None:
    write(lab, WIDTHS + ROWS)

    def rows(widths: str) -> int:
        return lab.ok("run", "grow.py", widths).count("(")

    # Each root has its leaves, some shared with the other, and a sum.
    assert [rows(widths) for widths in ("2", "3", "2", "2,3", "3", "2,3")] == [4, 5, 4, 7, 5, 7]
    # Runs that broke off before they looked, with and without the root, take nothing away.
    for widths in ("2,-1", "4,-1"):
        assert lab.run("run", "grow.py", widths).returncode == 3
    assert rows("2,3") == 7 and "nothing to do" in lab.run("run", "grow.py", "2,3").stderr
    assert len(lines(lab, "roots")) == 3


@pytest.mark.parametrize("kind", ["jobs", "types"])
def test_a_damaged_file_of_an_earlier_run_keeps_no_later_one_from_its_end(lab: Lab, kind: str) -> None:
    write(lab, WIDTHS)
    lab.ok("run", "grow.py", "2")
    (noted,) = (lab.workspace / "experiments").glob(f"*/*/{kind}-*.jsonl")
    noted.write_text(noted.read_text() + '{"damaged": }\n')
    script = lab.run("run", "grow.py", "2,3")
    assert script.returncode == 0, script.stderr
    assert f"warning: {noted}: damaged after line" in script.stderr
    script = lab.run("run", "grow.py", "2,3")
    assert script.returncode == 0 and "warning" not in script.stderr


def test_a_script_waits_for_what_an_older_run_s_task_has_submitted_and_still_runs(lab: Lab) -> None:
    write(
        lab,
        "class Slow(Task):\n    gate: Meta[str]\n"
        "    def execute(self):\n"
        "        while not Path(self.gate).exists():\n"
        "            time.sleep(0.01)  # a file rings no bell for a task\n"
        "class Parent(Task):\n    gate: Meta[str]\n    def execute(self): Slow.C(gate=self.gate).submit()\n"
        "class Other(Task):\n    def execute(self): return 1\n"
        "with experiment('grow') as xp:\n"
        "    if 'other' in sys.argv: Other.C().submit()\n"
        "    else: Parent.C(gate=str(HERE / 'gate')).submit()\n" + ROWS,
    )
    lab.ok("run", "--detach", "grow.py")
    until(lambda: [job["state"] for job in lab.json("jobs", "--task", "Slow")["jobs"]] == ["RUNNING"])
    lab.ok("run", "grow.py", "other")
    with under_way(lab, "run", "grow.py") as script:
        until(lambda: len(lab.json("jobs", "-e", "grow")["jobs"]) == 2)
        assert script.poll() is None
        (lab.project / "gate").touch()
        assert script.wait(30) == 0
    assert len(lab.json("jobs", "-e", "grow", "--state", "DONE")["jobs"]) == 2


def test_a_script_that_is_left_counts_its_own_jobs_alone(lab: Lab) -> None:
    write(
        lab,
        "with experiment('grow') as xp:\n    Root.C(width=3, ledger=HERE).submit()\n    xp.wait()\n    raise OSError('mine')\n",
    )
    for _ in range(2):
        told = lab.run("run", "grow.py").stderr
        assert "OSError: mine" in told and "went out" not in told
