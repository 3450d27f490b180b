"""Types and tasks that are defined in YAML."""

from __future__ import annotations

import pickle
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sessions import Recorder

from xpm import definitions
from xpm.core.config import Config, Constant, Meta, Param, PathGenerator, Task
from xpm.core.fields import field
from xpm.core.identifier import identifier
from xpm.core.naming import FILES
from xpm.core.typeinfo import type_info
from xpm.describe.definitions import defined_in
from xpm.errors import ConfigError, UsageError
from xpm.workspace.layout import Workspace
from xpm.workspace.saving import deserialize, serialize
from xpm.workspace.snapshot import Entry, snapshot

LAB = """
types:
  Size:
    id: lab.Size
    help: How large.
    arguments:
      layers: {type: int, default: 2, ge: 1, help: so many}
      next: Size | None
  Model:
    id: lab.Model
    arguments:
      size: Size
      others: {type: "list[Size]", default: [], ignore_default: true}
      kind: {type: str, default: a, choices: [a, b]}
  Deep:
    extends: Model
    arguments:
      depth: int
tasks:
  Data:
    id: lab.Data
    arguments:
      rows: int
      table: {type: path, generator: table.txt}
    command: seq {rows} > {table}
  Train:
    id: lab.Train
    help: Trains.
    arguments:
      data: Data
      model: Model
      rate: {type: float, default: 1e-3}
      names: {type: "list[str]", default: [x]}
      pairs: {type: "dict[str, tuple[int, float]]", default: {}}
      limit: {type: int | None, default: null, ignore_default: true}
      threads: {type: int, default: 1, meta: true}
      version: {type: str, default: "1", constant: true}
    command:
      run: [wc, -l, {option: --rate, name: rate}, {flag: -v, name: limit}, {each: names}, "{data.table}", {verbatim: "{}"}]
      environment: {THREADS: "{threads}"}
      success: [0, 1]
"""


class Size(Config):
    __xpmid__ = "lab.Size"
    layers: Param[int] = 2
    next: Param[Size | None] = None


class Model(Config):
    __xpmid__ = "lab.Model"
    size: Param[Size]
    others: Param[list[Size]] = field(default_factory=list, ignore_default=True)
    kind: Param[str] = "a"


class Data(Task):
    __xpmid__ = "lab.Data"
    rows: Param[int]
    table: Meta[Path] = field(default_factory=PathGenerator("table.txt"))

    def execute(self) -> None: ...


class Train(Task):
    __xpmid__ = "lab.Train"
    data: Param[Data]
    model: Param[Model]
    rate: Param[float] = 1e-3
    names: Param[list[str]] = field(default_factory=lambda: ["x"])
    pairs: Param[dict[str, tuple[int, float]]] = field(default_factory=dict)
    limit: Param[int | None] = field(default=None, ignore_default=True)
    threads: Meta[int] = 1
    version: Constant[str] = "1"

    def execute(self) -> None: ...


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    (tmp_path / "pyproject.toml").touch()
    (tmp_path / "lab.yaml").write_text(LAB)
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    for name in [name for name in sys.modules if name.startswith("xpm_definitions_")]:
        del sys.modules[name]


def trained(lab: Any, **values: Any) -> tuple[str, str]:
    """The identifiers of a task and of its data."""
    with Recorder() as session:
        data = lab.Data.C(rows=3).submit()
        lab.Train.C(data=data, model=lab.Model.C(size=lab.Size.C(layers=3, next=None)), **values).submit()
    return session.prepared[0].id, session.last.id


def test_the_identifiers_are_those_of_twins_in_python(project: Path) -> None:
    lab = defined_in(project / "lab.yaml")
    twins = sys.modules[__name__]
    for values in ({}, {"rate": 1.0, "names": [], "threads": 3}, {"limit": 4, "pairs": {"a": (1, 2.0)}}):
        assert trained(lab, **values) == trained(twins, **values)


def test_its_classes_are_like_those_of_a_script(project: Path) -> None:
    lab = defined_in(project / "lab.yaml")
    assert defined_in(Path("lab.yaml")) is lab
    _, info = type_info(lab.Deep)
    assert (info.name, info.script, info.qualname) == ("lab.yaml:Deep", "lab.yaml", "Deep")
    assert lab.Train.__doc__ == "Trains."
    assert lab.Size.__doc__ == "How large.\n\nArgs:\n    layers: so many"
    deep = lab.Deep.C(size=lab.Size.C(next=lab.Size.C(next=None)), depth=3)
    assert repr(pickle.loads(pickle.dumps(deep))) == repr(deep)
    saved, digest = serialize([deep]), identifier(deep)
    del sys.modules[lab.__name__]
    again = deserialize(saved)[0]
    assert again.depth == 3 and identifier(again) == digest


def test_the_file_is_code(project: Path) -> None:
    (project / "sum.awk").touch()
    (project / "more.yaml").write_text(
        "definitions: lab.yaml\ntasks:\n  Sum:\n    extends: Train\n    command: [awk, {file: sum.awk}]\n"
    )
    lab = defined_in(project / "more.yaml")
    assert lab.Sum.C(rate=3).rate == 3.0 and lab.Size.__module__ != lab.__name__
    assert lab.__dict__[FILES] == [str(project / "more.yaml"), str(project / "sum.awk")]
    workspace = Workspace.open(project / "runs")
    code = snapshot(project, workspace, Entry(None, None, ()))
    copied = code.folder(workspace.path)
    assert {"lab.yaml", "more.yaml", "sum.awk"} <= {each.name for each in copied.iterdir()}


def test_a_module_asks_for_the_file_beside_it(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir("/")
    scope: dict[str, Any] = {"__file__": str(project / "tasks.py"), "definitions": definitions}
    exec("lab = definitions('lab.yaml')", scope)
    assert scope["lab"].Size.C(next=None).layers == 2


def test_a_file_elsewhere(project: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    with pytest.raises(UsageError, match=r"nowhere.yaml: can't be read: No such file"):
        defined_in(project / "nowhere.yaml")


def task(arguments: str = "{}", command: str = "'true'") -> str:
    return f"tasks:\n  T:\n    arguments: {arguments}\n    command: {command}\n"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("type: {}", "1: a file of definitions has no 'type'; did you mean 'types'?"),
        ("types:\n  a b: {}", "2: 'a b' can't be the name of a class"),
        ("types:\n  A: {}\ntasks:\n  A: {command: x}", "4: A is defined twice"),
        ("types:\n  A: {extend: B}", "2: a type has no 'extend'; did you mean 'extends'?"),
        ("types:\n  A:\n    extends: Bb\n  B: {}", "3: no type 'Bb'; did you mean 'B'?"),
        ("types:\n  A: {extends: A}", "2: A extends itself"),
        (
            "types:\n  A: {extends: T}\ntasks:\n  T: {command: x}",
            "2: A: a task extends a task, and a type a type",
        ),
        ("tasks:\n  T: {}", "2: T: a task needs its command"),
        (task("{a: flaot}"), "3: T.a: no type 'flaot'; did you mean 'float'?"),
        (task("{a: 'list[int'}"), "3: T.a: 'list[int' is no type, as int, list[float] or Model | None are"),
        (task("{a: {default: 3}}"), "3: T.a: needs its type, as in a: {type: float}"),
        (task("{a: {type: int, default: x}}"), "3: T.a: expected int, got 'x'"),
        (task("{a: {type: int, default: {range: [1, 3]}}}"), "3: T.a: expected one value as the default"),
        (
            task("{a: {type: T | None, default: 3}}"),
            "3: T.a: a default that is a type, or of types, can only be null or empty",
        ),
        (task("{a: {type: int, meta: yes}}"), "3: meta: expected true or false, got 'yes'"),
        (task("{a: {type: int, constant: true}}"), "3: T.a: a constant needs its value"),
        (task("{a: {type: int, constant: true, meta: true}}"), "3: T.a: is meta or constant, not both"),
        (
            task("{a: {type: path, generator: ../x}}"),
            "3: PathGenerator: expected a path below the job's directory",
        ),
        (task("{a: {type: int, ignore_default: true}}"), "3: field: ignore_default needs a default"),
        (task("{a: {type: int, choices: 3}}"), "3: T.a: expected a list of choices, got 3"),
        (task("{a: {type: int, dflt: 3}}"), "3: an argument has no 'dflt'; did you mean 'default'?"),
        (task("{tags: int}"), "T.tags: the name is reserved"),
        (task("{a b: int}"), "3: T.a b: can't be the name of a parameter"),
        (task("{ab: int}", "echo {aa}"), "4: T.command: no parameter 'aa'; did you mean 'ab'?"),
        (task("{}", "[]"), "4: command: names no program"),
        (task("{}", "3"), "4: expected a list of words, or a text for the shell, got 3"),
        (task("{}", "{returns: stdout}"), "4: a command needs run"),
        (task("{}", "{run: x, sucess: [1]}"), "4: a command has no 'sucess'; did you mean 'success'?"),
        (task("{}", "{run: x, success: 1}"), "4: expected a list of exit codes, got 1"),
        (
            task("{}", "[a, {opt: -x}]"),
            "4: expected a text, or a word with one of option, flag, each, verbatim, file",
        ),
        (task("{}", "[a, {option: -x}]"), "4: a word with option needs the name of a parameter"),
        (task("{}", "[a, {flag: -x, nam: b}]"), "4: a word with flag has no 'nam'; did you mean 'name'?"),
        (task("{}", "[a, [b]]"), "4: expected a text, got ['b']"),
    ],
)
def test_what_is_wrong_is_told_with_its_line(project: Path, text: str, said: str) -> None:
    (project / "wrong.yaml").write_text(text)
    with pytest.raises(ConfigError) as caught:
        defined_in(project / "wrong.yaml")
    assert str(caught.value).startswith("wrong.yaml:") and said in str(caught.value)
    assert not [name for name in sys.modules if name.startswith("xpm_definitions_")]
