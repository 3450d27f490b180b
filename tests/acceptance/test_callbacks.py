"""Functions that are called when a task is done, and with each of its outputs, with and without the script."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pexpect
import pytest
from commands import Lab
from waiting import until

PLAN = """
import json, os, time
from pathlib import Path
from xpm import Config, Meta, Param, PathGenerator, ResumableTask, Task, experiment, field, tag

HERE = Path(os.environ["NOTES"])

def note(name, text):
    with open(HERE / name, "a") as file:
        file.write(f"{text}\\n")

def await_file(name):
    until = time.monotonic() + 30
    while not (HERE / name).exists():
        assert time.monotonic() < until, name
        time.sleep(0.01)  # a file rings no bell for a task

class Model(Config):
    layers: Param[int]

class Checkpoint(Config):
    model: Param[Model]
    step: Param[int]
    path: Meta[Path]

class Validation(Config):
    model: Param[Model]
    def at(self, dep, *, step: int, path: str) -> Checkpoint:
        return dep(Checkpoint.C(model=self.model, step=step, path=Path(path)))

class Train(ResumableTask):
    model: Param[Model]
    validation: Param[Validation]
    steps: Param[int]
    gate: Meta[str] = ""

    def latest(self, dep, step: int) -> Checkpoint:
        return dep(Checkpoint.C(model=self.model, step=step, path=self.jobpath / f"{step}.json"))

    def execute(self) -> int:
        note("attempts", os.getpid())
        first = len(list(Path.cwd().glob("*.json")))
        for step in range(first, self.steps):
            Path(f"{step}.json").write_text(json.dumps(10 * step))
            self.register_task_output(self.latest, step=step)
            self.validation.register_task_output(
                self.validation.at, step=step, path=str(self.jobpath / f"{step}.json")
            )
            if self.gate:
                await_file(self.gate.format(step=step))
        return self.steps

class Evaluate(Task):
    checkpoint: Param[Checkpoint]
    def execute(self) -> int:
        (HERE / f"seen-{self.checkpoint.step}").touch()
        note("evaluated", self.checkpoint.step)
        return json.loads(self.checkpoint.path.read_text()) + self.checkpoint.model.layers

class Report(Task):
    train: Param[Train]
    model: Param[Model]
    def execute(self) -> int:
        note("reported", 1)
        return self.train.result() + self.model.layers

def evaluate(checkpoint):
    Evaluate.C(checkpoint=checkpoint).submit()

def report(train):
    Report.C(train=train, model=train.model).submit()

def train(steps=3, gate=""):
    model = Model.C(layers=1)
    return Train.C(model=model, validation=Validation.C(model=model), steps=steps, gate=gate)
"""

ROWS = "print(sorted((row['task'].split(':')[-1], row['result'] or 0) for row in xp.rows()))\n"


@pytest.fixture
def lab() -> Iterator[Lab]:
    made = Lab()
    made.env |= {"XPM_WORKERS": "3", "NOTES": str(made.project)}
    yield made
    made.close()


def write(lab: Lab, body: str, name: str = "plan.py") -> Path:
    path = lab.project / name
    path.write_text(PLAN + body)
    return path


def lines(lab: Lab, name: str) -> list[str]:
    path = lab.project / name
    return path.read_text().splitlines() if path.exists() else []


def block(*statements: str, name: str = "calls") -> str:
    return "\n    ".join([f"with experiment({name!r}) as xp:", *statements]) + "\n"


def test_a_function_is_called_by_a_worker_when_the_task_is_done(lab: Lab) -> None:
    write(lab, block("train().on_completed(report).submit()") + ROWS)
    rows = "[('Report', 4), ('Train', 3), ('xpm.OnCompleted', 0)]\n"
    assert lab.ok("run", "plan.py") == rows
    again = lab.run("run", "plan.py")
    assert again.stdout == rows and "nothing to do: all 3 jobs were done before" in again.stderr
    assert lines(lab, "reported") == ["1"]


def test_it_is_called_without_the_script(lab: Lab) -> None:
    write(lab, block("train(gate='go').on_completed(report).submit()"))
    lab.ok("run", "--detach", "plan.py")
    until(lambda: lines(lab, "attempts"))
    assert not lines(lab, "reported")
    (lab.project / "go").touch()
    lab.ok("attach", "calls")
    assert lines(lab, "reported") == ["1"]


def test_a_function_that_fails_is_a_job_that_failed(lab: Lab) -> None:
    write(
        lab, "def broken(): raise ValueError('a mistake')\n" + block("train().on_completed(broken).submit()")
    )
    done = lab.run("run", "plan.py")
    assert done.returncode == 1
    assert "ValueError: a mistake" in done.stderr and "broken" in done.stderr


def test_it_is_not_called_for_a_task_that_fails(lab: Lab) -> None:
    write(
        lab,
        "class Fails(Task):\n    def execute(self): raise ValueError('no')\n"
        "def never(): note('reported', 1)\n"
        + block(
            "Fails.C().submit().on_completed(never)", "xp.failed", "Fails.C().on_completed(lambda: never())"
        ),
    )
    assert lab.run("run", "plan.py").returncode == 1
    assert not lines(lab, "reported")


def test_each_output_is_evaluated_while_the_training_goes_on(lab: Lab) -> None:
    # The training waits for the evaluation of each checkpoint: it would never end otherwise.
    write(lab, block("t = train(gate='seen-{step}')", "t.watch_output(t.latest, evaluate).submit()") + ROWS)
    rows = lab.ok("run", "plan.py")
    assert rows == (
        "[('Evaluate', 1), ('Evaluate', 11), ('Evaluate', 21), ('Train', 3), "
        "('xpm.OnOutput', 0), ('xpm.OnOutput', 0), ('xpm.OnOutput', 0), ('xpm.Watch', 0)]\n"
    )
    assert sorted(lines(lab, "evaluated")) == ["0", "1", "2"]
    assert lab.ok("run", "plan.py") == rows
    assert len(lines(lab, "evaluated")) == 3


@pytest.mark.parametrize("dies", ["job", "worker"])
def test_a_training_that_is_killed_goes_on_and_nothing_is_evaluated_twice(lab: Lab, dies: str) -> None:
    write(lab, block("t = train(gate='go-{step}')", "t.watch_output(t.latest, evaluate).submit()") + ROWS)
    lab.ok("run", "--detach", "plan.py")
    until(lambda: lines(lab, "evaluated") == ["0"])
    pid = int(lines(lab, "attempts")[0])
    if dies == "worker":
        pid = next(each["pid"] for each in lab.json("worker")["workers"] if each["job"])
    os.kill(pid, signal.SIGKILL)
    until(lambda: len(lines(lab, "attempts")) == 2)
    for step in range(3):
        (lab.project / f"go-{step}").touch()
    assert "('Evaluate', 21)" in lab.ok("run", "plan.py")
    assert sorted(lines(lab, "evaluated")) == ["0", "1", "2"]


def test_who_watches_later_gets_what_was_registered_before(lab: Lab) -> None:
    (lab.project / "shared.py").write_text(PLAN)
    plan = "from shared import *\n" + block(
        "t = train(gate='go-{step}')", "t.watch_output(t.latest, evaluate).submit()"
    )
    (lab.project / "plan.py").write_text(plan)
    (lab.project / "start.py").write_text(
        "from shared import *\n" + block("train(gate='go-{step}').submit()", name="first")
    )
    lab.ok("run", "--detach", "start.py")
    until(lambda: lines(lab, "attempts"))
    lab.ok("run", "--detach", "plan.py")
    assert not lines(lab, "evaluated")
    (lab.project / "go-0").touch()
    until(lambda: sorted(lines(lab, "evaluated")) == ["0", "1"])
    (lab.project / "go-1").touch()
    (lab.project / "go-2").touch()
    lab.ok("attach", "calls")
    assert sorted(lines(lab, "evaluated")) == ["0", "1", "2"]
    # And when all is over, somebody else: what is the same evaluation is not done again.
    (lab.project / "plan.py").write_text(plan.replace("t.latest", "t.validation.at"))
    lab.ok("run", "plan.py")
    assert sorted(lines(lab, "evaluated")) == ["0", "1", "2"]
    assert len(lab.json("jobs", "--task", "xpm.OnOutput")["jobs"]) == 6


def test_a_lambda_is_called_by_the_script_in_each_of_its_runs(lab: Lab) -> None:
    write(
        lab,
        block(
            "t = train()",
            "t.on_completed(lambda: Report.C(train=t, model=Model.C(layers=5)).submit())",
            "t.on_completed(lambda task: print('done', task.result()))",
            "t.watch_output(t.latest, lambda checkpoint: print(checkpoint.step, checkpoint.path.name))",
            "t.submit()",
        )
        + ROWS,
    )
    told = "0 0.json\n1 1.json\n2 2.json\ndone 3\n[('Report', 8), ('Train', 3)]\n"
    first = lab.run("run", "plan.py")
    assert sorted(first.stdout.splitlines()) == sorted(told.splitlines()), first.stderr
    again = lab.run("run", "plan.py")
    assert sorted(again.stdout.splitlines()) == sorted(told.splitlines())
    assert "nothing to do: all 2 jobs were done before" in again.stderr


def test_a_function_of_the_block_is_called_by_the_script_since_no_worker_loads_it(lab: Lab) -> None:
    write(
        lab,
        block(
            "def late(task):",
            "    Report.C(train=task, model=Model.C(layers=6)).submit()",
            "train().on_completed(late).submit()",
        ),
    )
    lab.ok("run", "plan.py")
    assert lines(lab, "reported") == ["1"]
    assert lab.json("jobs", "--task", "xpm.OnCompleted")["jobs"] == []


def test_a_task_defined_in_the_block_is_refused_before_it_is_submitted(lab: Lab) -> None:
    write(
        lab,
        block(
            "class Late(Task):", "    def execute(self): return 1", "train().submit()", "Late.C().submit()"
        ),
    )
    done = lab.run("run", "plan.py")
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].startswith("xpm: Late: defined after the script opened an experiment")


def test_a_lambda_sees_outputs_while_the_training_goes_on(lab: Lab) -> None:
    write(
        lab,
        block(
            "t = train(gate='seen-{step}')",
            "t.watch_output(t.validation.at, lambda it: Evaluate.C(checkpoint=it).submit()).submit()",
        ),
    )
    lab.ok("run", "plan.py")
    assert sorted(lines(lab, "evaluated")) == ["0", "1", "2"]


def test_what_a_lambda_raises_ends_the_script_and_nothing_else(lab: Lab) -> None:
    write(
        lab,
        block(
            "train().on_completed(lambda: 1 / 0).submit()",
            "Report.C(train=train(steps=2, gate='go').submit(), model=Model.C(layers=2)).submit()",
        ),
    )
    done = lab.run("run", "plan.py")
    (lab.project / "go").touch()
    assert done.returncode == 1
    assert "ZeroDivisionError" in done.stderr and "to come back" in done.stderr
    assert [line for line in done.stderr.splitlines() if "File" in line and "plan.py" not in line] == []
    lab.ok("attach", "calls")
    assert lines(lab, "reported") == ["1"]


def test_what_was_called_and_raised_is_not_told_as_not_called(lab: Lab) -> None:
    write(
        lab,
        block(
            "t = train(gate='go')",
            "t.on_completed(lambda: None)",
            "t.watch_output(t.latest, lambda it: 1 / 0).submit()",
        ),
    )
    done = lab.run("run", "plan.py")
    (lab.project / "go").touch()
    assert done.returncode == 1 and "ZeroDivisionError" in done.stderr
    (told,) = [line for line in done.stderr.splitlines() if "not called" in line]
    assert told.endswith(f"plan.py:{len(PLAN.splitlines()) + 3})"), told
    lab.ok("attach", "calls")


@pytest.mark.parametrize("waits", ["pass", "xp.wait()", "t.result()"])
def test_a_script_that_is_detached_says_what_it_does_not_call(lab: Lab, waits: str) -> None:
    write(lab, block("t = train(gate='go')", "t.on_completed(lambda: None).submit()", waits))
    script = lab.begin("run", "plan.py")
    until(lambda: lines(lab, "attempts"))
    script.send_signal(signal.SIGINT)
    _, said = script.communicate(timeout=30)
    (lab.project / "go").touch()
    assert script.returncode == 130
    assert "detached: calls goes on" in said and said.count("not called, since the script leaves") == 1, said
    lab.ok("attach", "calls")


def test_what_a_lambda_prints_stays_on_the_terminal(lab: Lab) -> None:
    write(
        lab,
        block(
            "train(gate='go').on_completed(lambda: print('by the lambda')).submit()",
            "train(steps=4, gate='go-{step}').submit()",
        ),
    )
    child = lab.spawn("run", "plan.py")
    child.expect("1 running|2 running")  # the live display is there
    (lab.project / "go").touch()
    child.expect("by the lambda\r\n")
    for step in range(4):
        (lab.project / f"go-{step}").touch()
    child.expect("calls")
    assert "\x1b[1A" not in child.before, "a step upwards would erase it"
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 0


def test_a_script_that_is_cancelled_calls_nothing_more(lab: Lab) -> None:
    write(
        lab,
        block(
            "train(gate='first').on_completed(lambda: train(steps=1).submit()).submit()",
            "train(steps=4, gate='second').submit()",
        ),
    )
    script = lab.begin("run", "plan.py")
    assert script.stderr is not None
    until(lambda: len(lines(lab, "attempts")) == 2)
    script.send_signal(signal.SIGINT)
    while "Ctrl-C again" not in script.stderr.readline():
        assert script.poll() is None
    (lab.project / "first").touch()
    until(lambda: lab.json("jobs", "--state", "DONE")["jobs"])
    script.send_signal(signal.SIGINT)
    _, said = script.communicate(timeout=30)
    assert script.returncode == 4 and "not called, since the script leaves" in said, said
    assert len(lab.json("jobs")["jobs"]) == 2


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        (
            "train().on_completed(lambda: None).submit()",
            "(it is a lambda), and a detached run goes on without",
        ),
        ("t = train(); t.watch_output(t.latest, Report.C).submit()", "only this script can call it"),
        (
            "def late(): pass\n    train().on_completed(late).submit()",
            "(it is defined after the script opened an experiment)",
        ),
    ],
)
def test_a_detached_run_refuses_what_only_the_script_can_call(lab: Lab, statement: str, said: str) -> None:
    write(lab, block(statement))
    done = lab.run("run", "--detach", "plan.py")
    assert done.returncode == 2
    assert said in done.stderr.splitlines()[-1]
    assert lab.json("jobs")["jobs"] == []


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("train().on_completed(3)", "Train.on_completed: expected a function, got 3"),
        ("train().submit().on_completed(lambda a, b: 0)", "expected a function of the task, or of nothing"),
        (
            "t = train().submit(); t.watch_output(evaluate, evaluate)",
            "Train: expected a method like train.checkpoint",
        ),
        (
            "t = train().submit(); t.watch_output(train(steps=9).latest, evaluate)",
            "is a method of another Train",
        ),
        ("t = train().submit(); t.watch_output(t.latest, lambda: 0)", "expected a function of one argument"),
        ("import asyncio; train().on_completed(asyncio.sleep)", "expected a function that a call runs"),
        (
            "import asyncio; t = train().submit(); t.watch_output(t.latest, asyncio.sleep)",
            "expected a function that a call runs",
        ),
        ("Evaluate.C().watch_output(print, print)", "only a ResumableTask keeps its outputs"),
    ],
)
def test_wrong_use_is_told_in_a_line(lab: Lab, statement: str, said: str) -> None:
    write(lab, block(statement))
    done = lab.run("run", "plan.py")
    assert done.returncode == 2
    assert said in done.stderr.splitlines()[-1]


def test_a_job_registers_what_is_its_own_and_json(lab: Lab) -> None:
    write(
        lab,
        "class Wrong(ResumableTask):\n"
        "    how: Param[int]\n"
        "    def it(self, dep, what): return dep(Model.C(layers=what))\n"
        "    def execute(self):\n"
        "        if self.how == 0: self.register_task_output(self.it, what=Path())\n"
        "        if self.how == 1: self.register_task_output(note, what=1)\n"
        "        if self.how == 3: self.register_task_output(self.it, which=1)\n"
        "        if self.how == 2: Plain.C().submit().on_completed(lambda: 0)\n"
        "class Plain(Task):\n"
        "    def it(self, dep): ...\n"
        "    def execute(self): self.register_task_output(self.it)\n"
        + block("[Wrong.C(how=tag(how)).submit() for how in range(4)]", "Plain.C().submit()"),
    )
    told = lab.run("run", "plan.py").stderr
    for said in (
        "an argument is no JSON",
        "expected a method like wrong.checkpoint",
        "this job's process ends with the job",
        "register_task_output(it): missing a required argument: 'what'",
        "only a ResumableTask registers outputs",
    ):
        assert said in told
