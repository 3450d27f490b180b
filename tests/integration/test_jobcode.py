"""The code that jobs run: modules and scripts from their snapshot, and what goes wrong in loading them."""

from __future__ import annotations

import importlib
import os
import pickle
import signal
import subprocess
import sys
from pathlib import Path

import pexpect
import psutil
import pytest
from jobs import HEAD, Lab
from waiting import until

from xpm.workspace.attempts import read_attempts
from xpm.workspace.code import read_code
from xpm.workspace.results import read_record
from xpm.workspace.values import decode_result

MODULE = """
from dataclasses import dataclass, field as part
import helper

@dataclass
class Score:
    value: float
    by: dict[str, float] = part(default_factory=dict)

class Model(Config):
    layers: Param[int]
    weights: Meta[Path] = field(default_factory=PathGenerator("weights.txt"))

class Prepare(Task):
    n: Param[int]
    data: Meta[Path] = field(default_factory=PathGenerator("data.txt"))
    def __init__(self):
        self.order = ["init"]
    def __post_init__(self):
        self.order += ["post", self.n, self.jobpath.name[:4], self.job.id[:4]]
    def execute(self):
        self.data.write_text(str(self.n))
        return self.order

class Train(Task):
    data: Param[Prepare]
    model: Param[Model]
    def execute(self):
        self.model.weights.parent.mkdir(parents=True, exist_ok=True)
        self.model.weights.write_text("w")
        return {"score": Score(0.5, {"a": 1.0}), "text": self.data.data.read_text(), "order": self.data.order,
                "where": self.data.jobpath, "state": str(self.data.job.state), "is": isinstance(self.data, Prepare),
                "weights": self.model.weights, "mark": helper.MARK}

class Scheme(Config):
    rate: Param[float]
    def __post_init__(self):
        self.made = [os.getpid(), os.environ["XPM_JOB"], os.getcwd()]

class Nested(Task):
    schemes: Param[dict[str, Scheme]]
    def execute(self):
        return [scheme.made for scheme in self.schemes.values()] + [[os.getpid(), os.environ["XPM_JOB"], os.getcwd()]]

class Link(Task):
    n: Param[int]
    before: Param["Link | None"] = None
    def execute(self):
        return self.n

class Look(Task):
    last: Param[Link]
    depth: Param[int]
    def execute(self):
        at = self.last
        for _ in range(self.depth):
            at = at.before
        return [at.n, at.result()]

class Nosy(Task):
    def execute(self):
        try:
            self.result()
        except Exception as error:
            first = str(error)
        try:
            Link.C(n=1).submit()
        except Exception as error:
            return [first, str(error)]

class Parallel(Task):
    how: Param[str]
    def execute(self):
        import multiprocessing
        with multiprocessing.get_context(self.how).Pool(2) as pool:
            return pool.map(square, [1, 2, 3])

def square(n):
    return n * n
"""


@pytest.fixture
def lab(tmp_path):
    made = Lab(tmp_path, MODULE, {"helper.py": "MARK = 'first'\n"})
    yield made
    made.close()


def run(lab, worker, task, **changes):
    """Runs a task; returns its result, or how it failed."""
    frames = {frame[0]: frame for frame in lab.run(worker, task, **changes)}
    if "failed" in frames:
        return frames["failed"][1]
    prepared = lab.prepare(task)
    return decode_result(lab.record(prepared).result, lab.path(prepared))


def test_a_live_task_is_built_with_its_hooks_paths_and_inputs(lab):
    worker, module = lab.worker(), lab.module
    first = module.Prepare.C(n=3)
    order = run(lab, worker, first)
    job = lab.prepare(first).id
    assert order == ["init", "post", 3, job[:4], job[:4]]
    second = module.Train.C(data=first, model=module.Model.C(layers=2))
    result = run(lab, worker, second)
    assert result["score"] == module.Score(0.5, {"a": 1.0})
    assert result["text"] == "3" and result["order"] == order and result["is"] is True
    assert result["where"] == lab.path(lab.prepare(first)) and result["state"] == "DONE"
    assert result["weights"].read_text() == "w"
    assert result["weights"].is_relative_to(lab.path(lab.prepare(second)))


def test_the_users_code_runs_in_the_jobs_process_only(lab):
    worker, module = lab.worker(), lab.module
    for n in range(2):  # at the second time its zygote has loaded all there is
        task = module.Nested.C(schemes={"a": module.Scheme.C(rate=0.1 * n), "b": module.Scheme.C(rate=1.0)})
        first, second, own = run(lab, worker, task)
        assert first == second == own
        assert own[1:] == [lab.prepare(task).id, str(lab.path(lab.prepare(task)))]


def test_editing_after_the_snapshot_changes_nothing_for_its_jobs(lab):
    code = lab.code
    (lab.root / "helper.py").write_text("MARK = 'second'\n")
    first = lab.module.Prepare.C(n=1)
    task = lab.module.Train.C(data=first, model=lab.module.Model.C(layers=1))
    worker = lab.worker()
    run(lab, worker, first)
    assert run(lab, worker, task)["mark"] == "first"
    assert read_code(lab.workspace.path, code.id) == code
    assert lab.snapshot().id != code.id
    other = lab.module.Train.C(data=first, model=lab.module.Model.C(layers=2))
    assert run(lab, lab.worker(lab.zygote()), other)["mark"] == "second"


def test_without_a_copy_each_job_runs_the_code_as_it_is_and_notes_what_has_changed(lab):
    lab.snapshot(copy=False)
    worker, module = lab.worker(), lab.module
    first = module.Prepare.C(n=1)
    tasks = [module.Train.C(data=first, model=module.Model.C(layers=n)) for n in range(3)]
    run(lab, worker, first)
    assert run(lab, worker, tasks[0])["mark"] == "first"
    assert lab.record(lab.prepare(tasks[0])).changed == ()
    (lab.root / "helper.py").write_text("MARK = 'second'\n")
    assert run(lab, worker, tasks[1])["mark"] == "second"
    assert lab.record(lab.prepare(tasks[1])).changed == ("helper.py",)
    (lab.root / "helper.py").write_text("raise ValueError('third')\n")
    assert run(lab, worker, tasks[2])["kind"] == "import"
    (attempt,) = read_attempts(lab.path(lab.prepare(tasks[2])))
    assert attempt.changed == ("helper.py",)
    assert sorted(path.name for path in lab.root.iterdir() if path.is_file()) == sorted(
        ["helper.py", "pyproject.toml", lab.file.name]
    )


def test_a_job_reads_of_a_chain_only_what_it_looks_at(lab):
    worker, module = lab.worker(), lab.module
    links = [module.Link.C(n=0)]
    run(lab, worker, links[0])
    for n in range(1, 6):
        links.append(module.Link.C(n=n, before=links[-1]))
        run(lab, worker, links[-1])
    (lab.path(lab.prepare(links[0])) / ".xpm" / "result.json").unlink()
    assert run(lab, worker, module.Look.C(last=links[-1], depth=4)) == [1, 1]
    failed = run(lab, worker, module.Look.C(last=links[-1], depth=5))
    assert failed["type"] == "JobError" and "was removed" in failed["message"]


def test_a_job_cannot_ask_for_its_own_result_or_submit_where_nobody_answers(lab):
    own, submit = run(lab, lab.worker(), lab.module.Nosy.C())
    assert "no result of its own" in own and "worker does not answer" in submit


@pytest.mark.parametrize("how", ["fork", "spawn"])
def test_a_task_may_use_several_processes(lab, how):
    assert run(lab, lab.worker(), lab.module.Parallel.C(how=how)) == [1, 4, 9]


SCRIPT = (
    HEAD
    + """
import argparse
from scripting import recording
arguments = argparse.ArgumentParser()
arguments.add_argument("--runs", required=True)
arguments.add_argument("--out", required=True)
runs, out = vars(arguments.parse_args()).values()

def double(n):
    return 2 * n

class Above(Task):
    n: Param[int]
    def execute(self):
        return [self.n, __name__, os.path.basename(__file__), os.getcwd() == os.path.abspath(".")]

class Spread(Task):
    def execute(self):
        import multiprocessing
        with multiprocessing.get_context("spawn").Pool(2) as pool:
            return pool.map(double, [1, 2])

if __name__ == "__main__":
    class Guarded(Task):
        def execute(self): ...

def main():
    with recording(runs, out):
        Above.C(n=4).submit()
        Spread.C().submit()
        if __name__ == "__main__":
            Guarded.C().submit()
        Below.C().submit()
    Path(out).with_suffix(".ended").touch()
"""
)
UNGUARDED = SCRIPT.replace("Below.C().submit()", "pass") + "\nmain()\n"
GUARDED = (
    SCRIPT
    + """
class Below(Task):
    def execute(self): return "below"

if __name__ == "__main__":
    main()
"""
)


def submit(lab, text, *start):
    """Runs a script that submits; returns its requests by the names of their classes."""
    (lab.root / "sub").mkdir(exist_ok=True)
    (lab.root / "sub" / "__init__.py").touch()
    (lab.root / "sub" / "run.py").write_text(text)
    out = lab.root.parent / "submitted"
    command = [sys.executable, *start, "--runs", str(lab.workspace.path), "--out", str(out)]
    environ = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1] / "support")}
    subprocess.run(command, cwd=lab.root, env=environ, check=True)
    assert out.with_suffix(".ended").exists()
    out.with_suffix(".ended").unlink()
    requests = {}
    for number, submitted in enumerate(pickle.loads(out.read_bytes()), 1):
        common = {"fence": f"{number:026}", "attempt": 1}
        name = submitted["task"].rpartition(":")[2].rpartition(".")[2]
        requests[name] = {**submitted, **common, "workspace": str(lab.workspace.path)}
    lab._code = read_code(lab.workspace.path, requests["Above"]["code"])
    return requests


def outcome(lab, worker, request):
    """The result of a request, or how it failed."""
    worker.ask(request)
    frames = {frame[0]: frame for frame in worker.rest()}
    if "failed" in frames:
        return frames["failed"][1]
    return read_record(lab.workspace.jobpath(request["task"], request["job"])).result


def test_a_script_is_loaded_up_to_its_experiment_and_never_run(lab):
    requests = submit(lab, UNGUARDED, "sub/run.py")
    assert requests["Above"]["task"] == "sub/run.py:Above"
    worker = lab.worker()
    assert outcome(lab, worker, requests["Above"]) == [4, "__mp_main__", "run.py", True]
    assert not (lab.root.parent / "submitted.ended").exists()


def test_a_guarded_script_is_loaded_to_its_end(lab):
    requests = submit(lab, GUARDED, "sub/run.py")
    worker = lab.worker()
    assert outcome(lab, worker, requests["Above"])[0] == 4
    assert outcome(lab, worker, requests["Below"]) == "below"
    assert outcome(lab, worker, requests["Spread"]) == [2, 4]
    failed = outcome(lab, worker, requests["Guarded"])
    assert failed["kind"] == "import" and "defines no class Guarded" in failed["message"]


def test_a_module_started_by_name_is_loaded_as_itself(lab):
    requests = submit(lab, UNGUARDED, "-m", "sub.run")
    assert requests["Above"]["task"] == "sub.run.Above"
    assert outcome(lab, lab.worker(), requests["Above"])[:2] == [4, "sub.run"]


def test_a_script_and_its_module_have_different_jobs(lab):
    first = submit(lab, UNGUARDED, "sub/run.py")
    second = submit(lab, UNGUARDED, "-m", "sub.run")
    assert first["Above"]["job"] != second["Above"]["job"]


REAL = """
import json
from pathlib import Path
import xpm
from xpm import Param, Task, experiment
from xpm.experiment import experiment as same

class Early(Task):
    n: Param[int]
    def execute(self):
        import sys
        from xpm.experiment.block import Experiment
        try:
            with xpm.experiment("inner"):
                pass
        except xpm.UsageError as error:
            return [sorted({"threading", "redis", "random"} & loaded), str(error), same is experiment]

import sys
import time
loaded = set(sys.modules)
if "pytest" not in sys.modules:
    with experiment("outer", workspace="nowhere", workers=3) as xp:
        raise SystemExit("the experiment was opened")
"""


def test_a_script_that_opens_the_real_experiment_is_loaded_without_it(lab):
    (lab.root / "real.py").write_text(REAL)
    module = _imported(lab, "real")
    module.__xpm_script__ = "real.py"
    module.Early.__module__ = "real"
    prepared = lab.prepare(module.Early.C(n=1))
    lab.snapshot()
    assert prepared.task == "real.py:Early"
    loaded, told, same = outcome(lab, lab.worker(), lab.request(prepared))
    assert loaded == [] and "cannot open an experiment" in told and same


def _imported(lab, name):
    assert str(lab.root) in sys.path
    return __import__(name)


BROKEN = {
    "syntax": ("def f(:\n", "SyntaxError", "helper.py:1"),
    "missing": ("import not_there_at_all\n", "ModuleNotFoundError", "helper.py:1 in <module>"),
    "raises": ("def f():\n    raise ValueError('in f')\nf()\n", "ValueError", "helper.py:2 in f"),
    "leaves": ("import sys\nsys.exit(3)\n", "SystemExit", "helper.py:2 in <module>"),
    "gone": ("MARK = 1\n", "SubmissionError", ""),
}


@pytest.mark.parametrize("how", BROKEN)
@pytest.mark.parametrize("options", [(), ("--no-preload",)])
def test_code_that_cannot_be_loaded_fails_the_job_with_the_users_lines(lab, how, options):
    text, kind, where = BROKEN[how]
    task = lab.module.Link.C(n=1)
    prepared = lab.prepare(task)
    (lab.root / "helper.py").write_text(text)
    if how == "gone":
        lab.file.write_text(HEAD)
    lab.snapshot()
    worker = lab.worker(lab.zygote(*options))
    for n in (1, 2):
        failed = run(lab, worker, task, attempt=n)
        assert (failed["kind"], failed["type"]) == ("import", kind)
        assert failed["where"] == (f"{lab.root}/{where}" if where else "")
        assert "xpm_workers" not in failed["traceback"] or how == "gone"
        assert "importlib" not in failed["traceback"] or how == "gone"
    assert [attempt.n for attempt in read_attempts(lab.path(prepared))] == [1, 2]
    assert outcome(lab, worker, {**lab.request(prepared), "types": {}})["type"] == "MessageError"


def test_code_that_kills_who_imports_it_is_survived_without_preloading(lab):
    prepared = lab.prepare(lab.module.Link.C(n=1))
    (lab.root / "helper.py").write_text("import os, signal\nos.kill(os.getpid(), signal.SIGSEGV)\n")
    lab.snapshot()
    preloading = lab.worker()
    preloading.ask(lab.request(prepared))
    assert preloading.frame() is None
    worker = lab.worker(lab.zygote("--no-preload"))
    worker.ask(lab.request(prepared))
    frames = worker.rest()
    assert [frame[0] for frame in frames] == ["started", "exit"]
    assert os.WTERMSIG(frames[-1][1]) == signal.SIGSEGV


THREADED = """
import os, signal, subprocess, sys, threading, time
threading.Thread(target=time.sleep, args=(1000,), daemon=True).start()
helper = subprocess.Popen(["sleep", "1000"])
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
signal.signal(signal.SIGTERM, lambda *_: None)
MARK = "threaded"
"""


def test_code_with_threads_runs_in_fresh_interpreters(lab):
    module = lab.module
    (lab.root / "helper.py").write_text(THREADED)
    lab.snapshot()
    worker = lab.worker()
    first = module.Prepare.C(n=1)
    assert run(lab, worker, first)[:2] == ["init", "post"]
    assert run(lab, worker, module.Train.C(data=first, model=module.Model.C(layers=1)))["mark"] == "threaded"
    zygote = psutil.Process(lab.zygotes[0].pid)
    assert [child.name() for child in zygote.children(recursive=True)] == ["sleep"]
    worker.close()
    lab.zygotes[0].stdin.close()
    assert lab.zygotes[0].wait(10) == 0
    assert not zygote.is_running()


def test_a_task_in_a_fresh_interpreter_is_told_of_its_end_too(tmp_path):
    source = """
import threading
from xpm.errors import TaskCancelled
threading.Thread(target=time.sleep, args=(1000,), daemon=True).start()
class Saves(Task):
    n: Param[int]
    def execute(self):
        try:
            Path("begun").touch()
            time.sleep(1000)
        except TaskCancelled as cancelled:
            Path("saved").write_text(cancelled.message)
            raise
"""
    lab = Lab(tmp_path, source)
    try:
        worker = lab.worker()
        prepared = lab.prepare(lab.module.Saves.C(n=1))
        worker.ask(lab.request(prepared))
        until(lambda: (lab.path(prepared) / "begun").exists())
        worker.signal(signal.SIGTERM)
        assert os.WTERMSIG(worker.until("exit")[1]) == signal.SIGTERM
        assert (lab.path(prepared) / "saved").read_text() == "ended by SIGTERM"
        assert not (lab.path(prepared) / "stderr.log").exists()
    finally:
        lab.close()


def test_numpy_is_imported_once_and_forked(tmp_path):
    source = """
import numpy
IMPORTER = os.getpid()
class Numbers(Task):
    n: Param[int]
    def execute(self):
        a = numpy.random.rand(200, 200)
        numpy.linalg.inv(a @ a)
        return {"array": numpy.arange(self.n), "forked by": os.getppid(), "imported by": IMPORTER}
"""
    lab = Lab(tmp_path, source)
    try:
        worker = lab.worker()
        for n in range(1, 4):
            result = run(lab, worker, lab.module.Numbers.C(n=n))
            assert result["forked by"] == result["imported by"] == lab.zygotes[0].pid
            assert result["array"].tolist() == list(range(n))
    finally:
        lab.close()


DEBUGGED = """
import pickle, sys
from pathlib import Path
from xpm_workers.debug import debug
from xpm_workers.frames import Request
sys.exit(debug(Request.of(pickle.loads(Path(sys.argv[1]).read_bytes()))))
"""


def test_a_job_is_debugged_in_a_copy_and_publishes_nothing(tmp_path):
    source = """
class Divide(Task):
    by: Param[int]
    def execute(self):
        seen = sorted(os.listdir("."))
        Path("more").touch()
        return [seen, 1 / self.by]
"""
    lab = Lab(tmp_path, source)
    try:
        prepared = lab.prepare(lab.module.Divide.C(by=0))
        lab.path(prepared).mkdir(parents=True)
        (lab.path(prepared) / "kept").touch()
        file = tmp_path / "request"
        file.write_bytes(pickle.dumps(lab.request(prepared)))
        child = pexpect.spawn(sys.executable, ["-c", DEBUGGED, str(file)], timeout=20, encoding="utf-8")
        child.expect("ZeroDivisionError: division by zero")
        child.expect(r"\(Pdb\) ")
        child.sendline("p seen, self.by, os.getcwd()")
        child.expect(r"\(\['kept'\], 0, '(.*)'\)")
        scratch = child.match[1]
        child.expect(r"\(Pdb\) ")
        child.sendline("q")
        child.expect(pexpect.EOF)
        child.wait()
        assert child.exitstatus == 1
        assert not os.path.exists(scratch)
        assert os.listdir(lab.path(prepared)) == ["kept"]
    finally:
        lab.close()


def test_a_debugged_job_says_why_it_can_tell_nobody_of_an_output(tmp_path):
    source = """
from xpm.core.config import Config
from xpm.core.resumable import ResumableTask
class Model(Config):
    step: Param[int]
class Learn(ResumableTask):
    steps: Param[int]
    def model(self, dep, step: int):
        return dep(Model.C(step=step))
    def execute(self):
        self.register_task_output(self.model, step=1)
"""
    lab = Lab(tmp_path, source)
    try:
        file = tmp_path / "request"
        file.write_bytes(pickle.dumps(lab.request(lab.prepare(lab.module.Learn.C(steps=2)))))
        child = pexpect.spawn(sys.executable, ["-c", DEBUGGED, str(file)], timeout=20, encoding="utf-8")
        child.expect("JobError: under the debugger a job has no worker")
        child.expect(r"\(Pdb\) ")
        child.sendline("q")
        child.expect(pexpect.EOF)
        child.wait()
    finally:
        lab.close()


STARTING = """
import subprocess, time
from pathlib import Path
from xpm.core.config import Param, Task
helper = subprocess.Popen(["sleep", "1000"])
Path({gate!r}).with_name("begun").touch()
while not Path({gate!r}).exists():
    time.sleep(0.01)

class Helped(Task):
    n: Param[int]
    def execute(self):
        return helper.pid
"""


def test_what_a_module_starts_is_kept_when_another_job_ends_during_the_import(tmp_path, monkeypatch):
    gate, over = tmp_path / "gate", tmp_path / "over"
    source = """
class Wait(Task):
    until: Param[Path]
    def execute(self):
        while not self.until.exists():
            time.sleep(0.01)
"""
    lab = Lab(tmp_path, source, {"helped.py": STARTING.format(gate=str(gate))})
    try:
        waiting = lab.prepare(lab.module.Wait.C(until=over))
        gate.touch()  # not for this process
        monkeypatch.syspath_prepend(str(lab.root))
        helped = importlib.import_module("helped")
        helped.helper.kill()
        gate.unlink()
        (tmp_path / "begun").unlink()
        task = lab.prepare(helped.Helped.C(n=1))
        path = lab.zygote()
        first, second = lab.worker(path), lab.worker(path)
        first.ask(lab.request(waiting))
        first.until("started")
        second.ask(lab.request(task))
        until((tmp_path / "begun").exists)
        over.touch()
        assert first.until("exit")[1] == 0
        gate.touch()
        assert second.until("exit")[1] == 0
        lab.worker(path).ask(lab.request(lab.prepare(lab.module.Wait.C(until=gate))))
        lab.workers[-1].rest()
        assert psutil.Process(lab.record(task).result).name() == "sleep"
    finally:
        sys.modules.pop("helped", None)
        lab.close()
