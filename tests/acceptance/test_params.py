"""Experiments that YAML files describe, with real workers."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from commands import Lab

FILE = '''
"""Two functions away from a plan."""
from __future__ import annotations

import sys
from collections.abc import Sequence

from xpm import ExperimentHelper, Param, Task, configuration, experiment, field


@configuration
class Model:
    layers: int = 2


@configuration
class Params:
    model: Model = Model()
    lr: float = field(default=0.1, gt=0)
    name: str = ""


class Train(Task):
    layers: Param[int]
    lr: Param[float]

    def execute(self) -> float:
        return self.layers * self.lr


class Loud(ExperimentHelper):
    def run(self, args: Sequence[str], cfg: Params) -> None:
        print("loud", *args)
        super().run([], cfg)


def run(helper: Loud, cfg: Params) -> None:
    if cfg.name == "raise":
        raise KeyError("mine")
    trained = []
    for one, tags in helper.grid(cfg):
        task = Train.C(layers=one.model.layers, lr=one.lr)
        for name, value in tags.items():
            task.tag(name, value)
        trained.append(task.submit())
    if cfg.name != "later":
        helper.xp.wait()
        for task in trained:
            print(dict(task.tags), task.result())


if __name__ == "__main__":
    with experiment("script"):
        print(Train.C(layers=3, lr=0.5).submit().result())
'''

YAML = """\
id: yamled
file: experiment.py
model:
  layers: 3
grid_search:
  lr: [0.5, 1e-2]
"""


@pytest.fixture
def lab() -> Iterator[Lab]:
    made = Lab()
    (made.project / "experiment.py").write_text(FILE)
    (made.project / "params.yaml").write_text(YAML)
    yield made
    made.close()


def write(lab: Lab, name: str, text: str) -> None:
    path = lab.project / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def run_facts(lab: Lab, experiment: str) -> list[dict[str, object]]:
    folders = sorted((lab.workspace / "experiments" / experiment).iterdir())
    return [json.loads((folder / "run.json").read_text()) for folder in folders]


def refused(done: subprocess.CompletedProcess[str]) -> str:
    assert done.returncode == 2 and done.stdout == "", (done.stdout, done.stderr)
    (line,) = done.stderr.splitlines()
    return line.removeprefix("xpm: ").removeprefix("error: ")


def test_a_file_is_run_with_what_the_yaml_says_and_its_classes_are_those_of_the_script(lab: Lab) -> None:
    write(lab, "more.yaml", "model: {layers: 4}\n")
    done = lab.run("run", "params.yaml")
    assert done.returncode == 0, done.stderr
    assert done.stdout == "loud\n{'lr': 0.5} 1.5\n{'lr': 0.01} 0.03\n"
    assert "yamled: all 2 jobs done" in done.stderr
    script = lab.run("run", "experiment.py")
    assert script.returncode == 0 and script.stdout == "1.5\n"
    assert "script: nothing to do: the one job was done before" in script.stderr
    done = lab.run(
        "run", "-s", "lr=0.25", "params.yaml", "-s", "name=3", "more.yaml", "a", "--", "-b", "x.yaml"
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == "loud a -b x.yaml\n{} 1.0\n"
    facts = run_facts(lab, "yamled")[-1]
    assert facts["script"] == str((lab.project / "experiment.py").resolve())
    assert facts["command"][:5] == ["xpm", "run", "-s", "lr=0.25", "params.yaml"]


NAMED = """
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from xpm import ExperimentHelper, Meta, Param, Retries, Task, configuration, task


class Size(Enum):
    SMALL = 1


@configuration
class Params:
    size: Size


@dataclass
class Found:
    size: Size


class Shaky(Exception):
    pass


class Look(Task):
    size: Param[Size]
    flag: Meta[Path]

    def execute(self) -> Found:
        if not self.flag.exists():
            self.flag.touch()
            raise Shaky
        return Found(self.size)


@task
def judge(found: Look) -> str:
    return found.result().size.name


@task
def follow(found: Look) -> int:
    return found.size.value


def go_on(found: Look) -> None:
    follow(found).submit()


def run(helper: ExperimentHelper, cfg: Params) -> None:
    look = Look.C(size=cfg.size, flag=helper.xp.workspace / "flag")
    look.on_completed(go_on)
    look.submit(retries=Retries(1, on=Shaky, delay=0))
    print(look.result() == Found(Size.SMALL), judge(look).submit().result())
"""


def test_all_that_the_file_defines_is_found_by_workers(lab: Lab) -> None:
    write(lab, "named.py", NAMED)
    write(lab, "named.yaml", "id: named\nfile: named.py\nsize: SMALL\n")
    done = lab.run("run", "named.yaml")
    assert (done.returncode, done.stdout) == (0, "True SMALL\n"), done.stderr
    tasks = {each["task"] for each in lab.json("jobs", "-e", "named")["jobs"]}
    assert tasks >= {"named.py:Look", "named.py:judge", "named.py:follow"}


def test_dry_runs_and_leaving(lab: Lab) -> None:
    dry = lab.run("run", "--dry-run", "params.yaml", "-s", "name=later")
    assert dry.returncode == 0 and "2 new: experiment.py:Train 2" in dry.stderr
    left = lab.run("run", "--detach", "params.yaml", "-s", "name=later")
    assert left.returncode == 0 and "yamled: 2 jobs submitted" in left.stderr
    attached = lab.run("attach", "yamled")
    assert attached.returncode == 0 and "yamled: all 2 jobs done" in attached.stderr
    again = lab.run("run", "params.yaml", "-s", "name=later")
    assert again.returncode == 0 and "yamled: nothing to do: all 2 jobs were done before" in again.stderr
    assert "other code" not in again.stderr
    write(lab, "experiment.py", FILE + "\n# changed\n")
    again = lab.run("run", "params.yaml", "-s", "name=later")
    assert "2 of the 2 jobs done before were made by other code than today's" in again.stderr


def test_a_module_is_found_beside_the_yaml_and_on_its_pythonpath(lab: Lab) -> None:
    module = FILE.partition("if __name__")[0].replace(
        "class Train(Task):", "class Train(Task):\n    size: Param[Size]"
    )
    module = module.replace("layers=one.model.layers", "size=Size.C(), layers=one.model.layers")
    write(lab, "src/lab/__init__.py", "")
    write(
        lab, "src/lab/sizes.py", "from xpm import Config, Param\nclass Size(Config):\n    n: Param[int] = 1\n"
    )
    write(lab, "src/lab/study.py", module.replace("import sys", "from lab.sizes import Size"))
    write(
        lab,
        "conf/params.yaml",
        YAML.replace("file: experiment.py", "module: lab.study\npythonpath: [../src]"),
    )
    done = lab.run("run", "../project/conf/params.yaml", cwd=lab.home / "tmp")
    assert done.returncode == 0, done.stderr
    assert done.stdout == "loud\n{'lr': 0.5} 1.5\n{'lr': 0.01} 0.03\n"
    assert {each["task"] for each in lab.json("jobs", "-e", "yamled")["jobs"]} == {"lab.study.Train"}
    (facts,) = run_facts(lab, "yamled")
    assert facts["script"] == str((lab.project / "conf/params.yaml").resolve())
    write(
        lab,
        "src/lab/params.yaml",
        YAML.replace("file: experiment.py", "module: study").replace("yamled", "beside"),
    )
    write(lab, "src/lab/study.py", module.replace("import sys", "from sizes import Size"))
    done = lab.run("run", "src/lab/params.yaml")
    assert done.returncode == 0, done.stderr
    assert {each["task"] for each in lab.json("jobs", "-e", "beside")["jobs"]} == {"study.Train"}


def test_what_the_users_code_raises_is_shown_without_our_lines(lab: Lab) -> None:
    done = lab.run("run", "params.yaml", "-s", "name=raise")
    assert done.returncode == 1
    assert 'raise KeyError("mine")' in done.stderr and done.stderr.rstrip().endswith("KeyError: 'mine'")
    assert "runpy" not in done.stderr and "sheets.py" not in done.stderr
    write(lab, "experiment.py", "from nowhere import x\n")
    done = lab.run("run", "params.yaml")
    assert done.returncode == 1 and done.stderr.splitlines() == [
        "Traceback (most recent call last):",
        f'  File "{lab.project.resolve()}/experiment.py", line 1, in <module>',
        "    from nowhere import x",
        "ModuleNotFoundError: No module named 'nowhere'",
    ]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["params.yaml", "-s", "lrr=3"], "-s lrr=3: lrr: no such parameter; did you mean 'lr'?"),
        (["params.yaml", "-s"], "option '-s' requires an argument (see xpm run --help)"),
        (
            ["params.yaml", "--dry-run"],
            "no option '--dry-run' behind params.yaml: options of xpm run stand before it, "
            "and what is for run(helper, cfg) after --",
        ),
        (["-s", "lr=3", "experiment.py"], "-s sets parameters of a YAML file; what is for experiment.py stands behind it"),
        (["params.yaml", "no.yaml"], "no.yaml: can't be read: No such file or directory"),
        (["plain.yaml"], "plain.yaml: needs one of 'file: experiment.py' and 'module: package.experiment', which defines run(helper, cfg)"),
        (["params.yaml", "-s", "file=no.py"], "params.yaml: file: no script no.py"),
        (["params.yaml", "-s", "file=plan.py"], "plan.py: defines no run(helper, cfg), which params.yaml is for"),
        (["params.yaml", "-s", "pre_experiment=no.py"], "params.yaml: pre_experiment: no file no.py"),
        (["module.yaml"], "module.yaml: module: there is no module 'nowhere': name its folder in pythonpath"),
        (["wrong.yaml", "-s", "file=one.py"], "one.py: run needs two parameters: run(helper, cfg)"),
        (["wrong.yaml", "-s", "file=two.py"], "two.py: run: cfg needs its class, one with @configuration, as in run(helper, cfg: Params)"),
        (["wrong.yaml", "-s", "file=three.py"], "Params.module: a YAML file says something else by it; choose another name"),
        (["wrong.yaml", "-s", "file=four.py"], "four.py: the types of run can't be resolved: name 'Nothing' is not defined"),
        (["wrong.yaml", "-s", "file=five.py"], "five.py: run: helper is an ExperimentHelper, not <class 'int'>"),
        (["wrong.yaml", "-s", "file=six.py", "a", "b"], "six.py: run(helper, cfg) can't be called with a b: too many positional arguments"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_one_line(shared: Lab, words: list[str], message: str) -> None:
    assert refused(shared.run("run", *words)) == message


def test_verbose_shows_where_it_was_found(shared: Lab) -> None:
    said = shared.run("run", "-v", "params.yaml", "-s", "lr=x").stderr.splitlines()
    assert said[0].startswith("Traceback") and said[-1] == "xpm: -s lr=x: lr: expected float, got 'x'"


@pytest.fixture(scope="module")
def shared() -> Iterator[Lab]:
    """For what submits nothing."""
    made = Lab()
    write(made, "experiment.py", FILE)
    write(made, "params.yaml", YAML)
    write(made, "plain.yaml", "id: x\n")
    write(made, "module.yaml", "id: x\nmodule: nowhere.study\n")
    write(made, "wrong.yaml", "id: wrong\n")
    write(made, "one.py", "def run(helper): pass\n")
    write(made, "two.py", "def run(helper, cfg): pass\n")
    params = "from xpm import configuration\n@configuration\nclass Params:\n    {}: str = ''\n"
    write(made, "three.py", params.format("module") + "def run(helper, cfg: Params): pass\n")
    write(made, "four.py", "def run(helper, cfg: 'Nothing'): pass\n")
    write(made, "five.py", params.format("x") + "def run(helper: int, cfg: Params): pass\n")
    write(made, "six.py", params.format("x") + "def run(helper, cfg: Params): pass\n")
    yield made
    made.close()


def test_what_runs_before_and_what_git_knows(lab: Lab) -> None:
    write(lab, "pre.py", "import os\nos.environ['SAID_BEFORE'] = 'yes'\n")
    write(
        lab,
        "experiment.py",
        "import os\nfrom xpm import configuration\nsaid = os.environ['SAID_BEFORE']\n"
        "@configuration\nclass Params:\n    id: str\n    title: str\n"
        "def run(helper, cfg: Params, *words):\n    print(said, cfg.id, cfg.title, helper.title, words)\n",
    )
    write(lab, "params.yaml", "id: quiet\ntitle: T\nfile: experiment.py\npre_experiment: pre.py\n")
    done = lab.run("run", "params.yaml", "a")
    assert (done.returncode, done.stdout) == (0, "yes quiet T T ('a',)\n"), done.stderr
    assert lab.run("run", "params.yaml", "-s", "dirty_git=error").returncode == 0, "there is no git"
    subprocess.run(["git", "init", "-q", str(lab.project)], check=True)
    said = f"params.yaml: dirty_git: {Path(lab.project).resolve()} has changes that are not committed"
    assert refused(lab.run("run", "params.yaml", "-s", "dirty_git=error")) == (
        f"{said}: commit them, or set dirty_git to warn"
    )
    assert said in lab.run("run", "params.yaml", "-s", "dirty_git=warn").stderr.splitlines()
