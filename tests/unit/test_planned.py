"""Plans that are written in YAML: their steps, references and mistakes."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sessions import Recorder

from xpm.core.retries import Retries
from xpm.describe.planned import Plan, is_plan
from xpm.errors import ConfigError, UsageError

LAB = """
types:
  Model:
    arguments:
      layers: {type: int, default: 2, ge: 1}
  Deep:
    extends: Model
    arguments:
      depth: int
tasks:
  Make:
    arguments:
      rows: int
      names: {type: "list[str]", default: []}
      table: {type: path, generator: table.txt}
      version: {type: str, default: "1", constant: true}
    command: seq {rows} > {table}
  Sum:
    arguments:
      made: Make
      model: Model | None
      others: {type: "list[Make]", default: []}
      named: {type: "dict[str, Model]", default: {}}
    command: [cat, "{made.table}"]
plan:
"""


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Path]:
    (tmp_path / "pyproject.toml").touch()
    yield tmp_path
    for name in [name for name in sys.modules if name.startswith("xpm_definitions_")]:
        del sys.modules[name]


def planned(project: Path, text: str) -> Plan:
    (project / "plan.yaml").write_text(LAB + "\n".join(f"  {line}" for line in text.strip().splitlines()))
    return Plan(project / "plan.yaml")


def submitted(project: Path, text: str) -> tuple[dict[str, Any], Recorder]:
    plan = planned(project, text)
    with Recorder() as session:
        return dict(plan.submit()), session


def test_steps_refer_to_those_before(project: Path) -> None:
    given, session = submitted(
        project,
        """
model: {type: Model, with: {layers: 3}}
a: {task: Make, with: {rows: 1, names: {value: x}}}
b: {task: Make, with: {rows: {values_list: [2, 3]}}}
sum:
  task: Sum
  with:
    made: a
    model: model
    others: [a, b]
    named: {x: model, y: {type: Deep, depth: 4}}
none: {task: Sum, with: {made: a, model: ~, others: b}}
""",
    )
    (total,), (none,) = given["sum"], given["none"]
    assert (total.made.rows, total.made.names, total.model.layers) == (1, ["x"], 3)
    assert [each.rows for each in total.others] == [1, 2, 3]
    assert (total.named["x"], total.named["y"].depth) == (total.model, 4)
    assert (none.model, [each.rows for each in none.others]) == (None, [2, 3])
    assert len(session.prepared) == 5


def test_what_varies_are_tags(project: Path) -> None:
    given, _ = submitted(
        project,
        """
a: {task: Make, with: {rows: {range: [1, 3]}, names: {grid_search: [[x], [y, z]]}}}
b: {task: Make, with: {rows: 9}, tags: [rows]}
models: {type: Model, with: {layers: {range_mult: [1, 2, 4]}}}
c: {task: Sum, with: {made: b, model: models}}
d: {task: Sum, with: {made: a, model: {layers: {values_list: [5, 6]}}}}
""",
    )
    assert [dict(each.tags) for each in given["a"]][1] == {"rows": 1, "names": "['y', 'z']"}
    assert [dict(each.tags) for each in given["b"]] == [{"rows": 9}]
    assert [dict(each.tags) for each in given["c"]] == [{"rows": 9, "layers": 1}, {"rows": 9, "layers": 4}]
    assert len(given["d"]) == 8 and dict(given["d"][-1].tags) == {
        "rows": 2,
        "names": "['y', 'z']",
        "layers": 6,
    }


def test_options_of_submission(project: Path) -> None:
    _, session = submitted(
        project,
        """
a:
  task: Make
  with: {rows: 1}
  submit: {queue: gpu, priority: 2, timeout: 1 h, retries: {times: 2, on: [exit:75, OSError], delay: 3 s}}
""",
    )
    (options,) = session.options
    assert (options.queue, options.priority, options.timeout) == ("gpu", 2, 3600.0)
    assert options.retries == Retries(2, on=("exit:75", "OSError"), delay="3 s")


def test_its_name(project: Path) -> None:
    assert planned(project, "a: {task: Make, with: {rows: 1}}").name == "plan"
    (project / "named.yaml").write_text("experiment: study\ndefinitions: plan.yaml\nplan: {}\n")
    assert Plan(project / "named.yaml").name == "study"


def test_what_is_a_plan(project: Path) -> None:
    (project / "a.yaml").write_text("plan: {}")
    (project / "b.yaml").write_text("file: a.py")
    (project / "c.yaml").write_text("[plan]")
    assert [is_plan(project / f"{name}.yaml") for name in "abc"] == [True, False, False]
    with pytest.raises(UsageError):
        is_plan(project / "d.yaml")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: {with: {rows: 1}}", "a: a step needs the name of its task, or of a type"),
        ("a: {task: Make, type: Model}", "a: a step needs the name of its task, or of a type"),
        ("a: {task: Mak}", "no task 'Mak'; did you mean 'Make'?"),
        ("a: {task: Model}", "Model is a type: write type:"),
        ("a: {type: Make}", "Make is a task: write task:"),
        ("a: {task: Make, wiht: {}}", "a step has no 'wiht'; did you mean 'with'?"),
        ("a: {task: Make}", "a: Make.rows: is missing"),
        ("a: {task: Make, with: {row: 1}}", "a: Make.row: no such parameter; did you mean 'rows'?"),
        ("a: {task: Make, with: {rows: x}}", "a.rows: expected int, got 'x'"),
        ("a: {task: Make, with: {rows: {range: [3, 3]}}}", "a.rows: range: gives no value"),
        ("a: {task: Make, with: {rows: 1, version: '2'}}", "Make.version: is a constant ('1')"),
        ("a: {task: Make, with: {rows: 1, table: x}}", "Make.table: is made at submission"),
        ("a: {type: Model, with: {layers: 0}}", "Model.layers: expected int >= 1, got 0"),
        ("a: {type: Model, with: {layers: {values_list: [1, 0]}}}", "Model.layers: expected int >= 1, got 0"),
        ("a: {task: Make, with: {rows: 1}, tags: [row]}", "a: row is given no value here that could be a tag"),
        ("a: {type: Model, submit: {queue: x}}", "a: only a task can be submitted, Model is a type"),
        ("a: {task: Make, with: {rows: 1}, submit: {queu: x}}", "submit has no 'queu'; did you mean 'queue'?"),
        ("a: {task: Make, with: {rows: 1}, submit: {priority: x}}", "submit: priority 'x': expected a whole number"),
        ("a: {task: Make, with: {rows: 1}, submit: {retries: {on: [oom]}}}", "retries: needs times: how many"),
        ("a: {task: Make, with: {rows: 1}, submit: {retries: {times: 1, on: [oo]}}}", "retries: on: 'oo'"),
        ("a: {task: Sum, with: {made: b, model: ~}}", "a.made: no step 'b' before this one"),
        ("a: {task: Sum, with: {made: {rows: 3}, model: ~}}", "a.made: expected the name of a step, got {'rows': 3}"),
        ("a: {type: Model}\nb: {task: Sum, with: {made: a, model: ~}}", "Sum.made: expected Make, got Model("),
        ("a: {type: Model, with: {layers: {range: [1, 3]}}}\n"
         "m: {task: Make, with: {rows: 1}}\nb: {task: Sum, with: {made: m, model: ~, named: {x: a}}}",
         "b.named.x: expected one Model, got 2"),
        ("m: {task: Make, with: {rows: 1}}\nb: {task: Sum, with: {made: m, model: 3}}",
         "b.model: expected a step, or the values of a Model, got 3"),
        ("m: {task: Make, with: {rows: 1}}\nb: {task: Sum, with: {made: m, model: {layer: 3}}}",
         "b.model: Model.layer: no such parameter; did you mean 'layers'?"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told_with_its_line_before_anything_is_submitted(
    project: Path, text: str, said: str
) -> None:
    with Recorder() as session, pytest.raises(ConfigError) as caught:
        planned(project, text)
    place, _, message = str(caught.value).partition(": ")
    assert place.startswith(f"{project}/plan.yaml:") and said in message and "\n" not in message
    assert not session.prepared
