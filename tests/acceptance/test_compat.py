"""Scripts and packages that import experimaestro, run on xpm by real workers."""

from __future__ import annotations

from commands import Lab

HELLO = """
import sys
from pathlib import Path
from typing import List
from experimaestro import Param, Task, experiment, progress

class Say(Task):
    word: Param[str]
    pause: Param[float]

    def execute(self):
        progress(0.5)
        print(self.word.upper())

class Concat(Task):
    strings: Param[List[Say]]
    pause: Param[float]

    def execute(self):
        says = []
        for string in self.strings:
            with open(string.__xpm_stdout__) as file:
                says.append(file.read().strip())
        print(" ".join(says), self.__tags__, self.__taskdir__ == Path.cwd())

if __name__ == "__main__":
    with experiment(Path(sys.argv[1]), "helloworld", port=0) as xp:
        hello = Say.C(word="hello", pause="0.1").submit()
        world = Say.C(word="world", pause=0.1).submit()
        both = Concat.C(strings=[hello, world], pause=0.1).tag("y", 1).submit()
        assert experiment.current() is xp and xp.workspace.path == xp.jobspath.parent
    print(both.stdout().read_text(), end="")
"""

LEARN = '''
from pathlib import Path
from experimaestro import (
    Config, Constant, LightweightTask, Meta, Param, PathGenerator, Task, field, tqdm,
)
from .data import Images

class Module:
    """What a framework's models are derived from."""

    def __init__(self):
        self.weights = None

    def load(self, path):
        self.weights = path.read_text()

class CNN(Config, Module):
    n_layers: Param[int] = 2
    hidden: Param[int] = 64

    def __post_init__(self):
        self.size = self.n_layers * self.hidden

class Loader(LightweightTask):
    model: Param[CNN]
    path: Meta[Path]

    def execute(self):
        self.model.load(self.path)

class Learn(Task):
    data: Param[Images]
    model: Param[CNN]
    epochs: Param[int] = 1
    parameters_path: Meta[Path] = field(default_factory=PathGenerator("parameters.pth"))
    version: Constant[str] = "3"

    def task_outputs(self, dep):
        return dep(Loader.C(model=self.model, path=self.parameters_path))

    def execute(self):
        for epoch in tqdm(range(self.epochs)):
            for batch in tqdm([1, 2, 3], desc=f"epoch {epoch}"):
                pass
        self.parameters_path.write_text(f"{self.data.kind}:{self.model.size}")

class Evaluate(Task):
    model: Param[CNN]
    data: Param[Images]
    batch_size: Meta[int] = 64
    results_path: Meta[Path] = field(default_factory=PathGenerator("results.csv"))

    def execute(self):
        self.results_path.write_text(f"{self.model.weights},{self.data.kind}")
'''

EXPERIMENT = """
import sys
from experimaestro import experiment, tag, tagspath
from experimaestro.launcherfinder import find_launcher
from .data import Images
from .learn import CNN, Evaluate, Learn

def run(workdir):
    launcher = find_launcher("duration=3h & cuda(mem=4G)*1")
    train, test = Images.C(kind="train"), Images.C(kind="test")
    with experiment(workdir, "study") as xp:
        gpus = xp.token("compat-gpus", 2)
        evaluations = []
        for hidden in (8, 16):
            model = CNN.C(hidden=tag(hidden), n_layers=tag(3))
            loader = gpus(1, Learn.C(data=train, model=model)).submit(launcher=launcher)
            evaluate = Evaluate.C(model=model, data=test)
            evaluate.submit(init_tasks=[loader])
            evaluations.append(evaluate)
        xp.wait()
        for each in evaluations:
            print(tagspath(each), each.results_path.read_text())

if __name__ == "__main__":
    run(sys.argv[1])
"""

DATA = """
from experimaestro import Config, Param

class Images(Config):
    kind: Param[str]
"""


STUDY = """
import logging
from experimaestro import RunMode, tag
from experimaestro.experiments import ExperimentHelper, configuration
from experimaestro.experiments.configuration import ConfigurationBase
from experimaestro.launcherfinder import find_launcher
from .data import Images
from .learn import CNN, Evaluate, Learn

@configuration
class Configuration(ConfigurationBase):
    n_layers: list[int] = [3]
    hidden: list[int] = [64]
    epochs: int = 5
    launcher: str = "duration=3h & cuda(mem=4G)*1"

def run(helper: ExperimentHelper, cfg: Configuration):
    launcher = find_launcher(cfg.launcher)
    if helper.xp.workspace.run_mode != RunMode.DRY_RUN:
        (helper.xp.resultspath / "title").write_text(cfg.title)
    for n_layers in cfg.n_layers:
        for hidden in cfg.hidden:
            model = CNN.C(hidden=tag(hidden), n_layers=tag(n_layers))
            learn = Learn.C(data=Images.C(kind="train"), epochs=cfg.epochs) @ model
            loader = learn.submit(launcher=launcher)
            Evaluate.C(model=model, data=Images.C(kind="test")).submit(init_tasks=[loader])
    helper.xp.wait()
    print("all done")
"""

PARAMS = """
id: MNIST
title: "Digits"
module: study.experiment
pythonpath: [.]
dirty_git: ignore
launcher: "duration=1h & gpu(mem=4G)*1"
hidden: [8, 16]
epochs: 2
"""

ANALYSIS = """
import sys
from pathlib import Path
from experimaestro import tags
from experimaestro.scheduler.workspace_state_provider import WorkspaceStateProvider

provider = WorkspaceStateProvider(Path(sys.argv[1]))
info = provider.load_xp_info("MNIST")
rows = []
for evaluation in info.jobs.values():
    path = getattr(evaluation, "results_path", None)
    if path is not None and path.exists():
        rows.append((*tags(evaluation).items(), path.read_text()))
print(sorted(rows))
print(len(provider.get_tags_map("MNIST")), sum(map(len, provider.get_dependencies_map("MNIST").values())))
"""


def test_a_script_runs_and_reruns_with_nothing_to_do(lab: Lab) -> None:
    (lab.project / "hello.py").write_text(HELLO)
    done = lab.python("-m", "xpm.compat", "hello.py", "ws")
    assert done.stdout == "HELLO WORLD {'y': 1} True\n" and "all 3 jobs done" in done.stderr
    again = lab.python("-m", "xpm.compat", "hello.py", "ws")
    assert "nothing to do" in again.stderr and again.stdout == done.stdout


def test_a_script_that_installs_it_itself_needs_no_other_command(lab: Lab) -> None:
    (lab.project / "hello.py").write_text(f"import xpm.compat\nxpm.compat.install()\n{HELLO}")
    assert lab.python("hello.py", "ws").stdout == "HELLO WORLD {'y': 1} True\n"


def test_only_the_import_changed(lab: Lab) -> None:
    (lab.project / "hello.py").write_text(
        HELLO.replace("from experimaestro", "from xpm.compat.experimaestro")
    )
    assert lab.python("hello.py", "ws").stdout == "HELLO WORLD {'y': 1} True\n"


def test_a_package_with_models_that_init_tasks_load(lab: Lab) -> None:
    package = lab.project / "study"
    package.mkdir()
    for name, text in {"__init__": "", "data": DATA, "learn": LEARN, "experiment": EXPERIMENT}.items():
        (package / f"{name}.py").write_text(text)
    done = lab.python("-m", "xpm.compat", "-m", "study.experiment", "ws")
    assert done.stdout.splitlines() == [
        "hidden=8_n_layers=3 train:24,test",
        "hidden=16_n_layers=3 train:48,test",
    ]


def test_an_experiment_of_a_yaml_file_and_its_analysis(lab: Lab) -> None:
    package = lab.project / "study"
    package.mkdir()
    for name, text in {"__init__": "", "data": DATA, "learn": LEARN, "experiment": STUDY}.items():
        (package / f"{name}.py").write_text(text)
    (lab.project / "params.yaml").write_text(PARAMS)
    (lab.project / "analyze.py").write_text(ANALYSIS)
    done = lab.run("run", "--compat", "params.yaml", "-s", "n_layers=[1]")
    assert (done.returncode, done.stdout) == (0, "all done\n"), done.stderr
    assert "MNIST: all 4 jobs done" in done.stderr
    assert (lab.workspace / "experiments" / "MNIST" / "results" / "title").read_text() == "Digits"
    rows, counts = lab.python("-m", "xpm.compat", "analyze.py", str(lab.workspace)).stdout.splitlines()
    assert rows == str(
        [
            (("hidden", 8), ("n_layers", 1), "train:8,test"),
            (("hidden", 16), ("n_layers", 1), "train:16,test"),
        ]
    )
    assert counts == "4 2"
    again = lab.run("run", "--compat", "params.yaml", "-s", "n_layers=[1]")
    assert "MNIST: nothing to do: all 4 jobs were done before" in again.stderr


def test_what_no_run_has_is_told(lab: Lab) -> None:
    (lab.project / "analyze.py").write_text(ANALYSIS)
    lab.ok("run", "plan.py", "plain", "1")
    done = lab.python("-m", "xpm.compat", "analyze.py", str(lab.workspace), check=False)
    assert done.returncode != 0 and done.stderr.endswith("MNIST has no run\n")


def test_mistakes_are_told_in_a_line(lab: Lab) -> None:
    assert "usage: python -m xpm.compat" in lab.python("-m", "xpm.compat", check=False).stderr
    done = lab.python("-m", "xpm.compat", "none.py", check=False)
    assert (done.returncode, done.stderr) == (2, "xpm: error: no script none.py\n")
    (lab.project / "early.py").write_text(f"{HELLO.partition('if __name__')[0]}\nSay.C(word=3)\n")
    done = lab.python("-m", "xpm.compat", "early.py", check=False)
    assert done.returncode == 2 and done.stderr.endswith("\nxpm: Say.word: expected str, got 3\n")
    assert done.stderr.count("\n") <= 5, done.stderr
    (lab.project / "bad.py").write_text(HELLO.replace('pause="0.1"', 'pause="slow"'))
    done = lab.python("-m", "xpm.compat", "bad.py", "ws", check=False)
    assert done.returncode == 2 and done.stderr.count("\n") <= 8
    assert "Say.pause: expected float, got 'slow'" in done.stderr, done.stderr


def test_a_block_can_be_left_without_waiting(lab: Lab) -> None:
    text = HELLO.replace(
        "        assert experiment", "        raise GracefulExperimentExit()\n        assert experiment"
    )
    text = text.replace("import Param,", "import GracefulExperimentExit, Param,")
    (lab.project / "hello.py").write_text(
        text.replace('    print(both.stdout().read_text(), end="")', "    print('on')")
    )
    done = lab.python("-m", "xpm.compat", "hello.py", "ws")
    assert done.stdout == "on\n" and "helloworld: 3 jobs submitted" in done.stderr
    lab.ok("-w", "ws", "attach", "helloworld")
