"""Command tasks with real workers: programs of a shell, awk and perl, their progress, failures and ends."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from commands import Lab
from waiting import ended, until

PLAN = r"""
import os, sys
from pathlib import Path
from xpm import (
    Command, CommandTask, Meta, Param, PathGenerator, Retries, Shell, Task, each, experiment, field, flag, option,
    tag, verbatim,
)

class Write(Task):
    rows: Param[int]
    table: Meta[Path] = field(default_factory=PathGenerator("table file.txt"))
    def execute(self) -> None:
        self.table.write_text("".join(f"{n % 5} {n}\n" for n in range(self.rows)))

class Sort(CommandTask):
    data: Param[Write]
    key: Param[int] = 1
    reverse: Param[bool] = False
    sorted: Meta[Path] = field(default_factory=PathGenerator("sorted file.txt"))
    command = Command("sort", "-n", option("-k", "key"), flag("-r", "reverse"), "-o", "{sorted}", "{data.table}")

class Sum(CommandTask):
    # In awk, and its script is a file of the project.
    data: Param[Sort]
    column: Param[int]
    command = Command("awk", "-v", "column={column}", "-f", Path("sum.awk"), "{data.sorted}", returns="stdout")

class Count(CommandTask):
    # In perl.
    sums: Param[list[Sum]]
    texts: Param[list[str]]
    command = Command(
        "perl", "-CA", "-MJSON::PP", "-e", verbatim('''
            open(my $in, "<", $ENV{XPM_PARAMETERS}); local $/; my $given = decode_json(<$in>);
            print "said\n"; warn "warned\n";
            open(my $out, ">", "found.json");
            print $out encode_json({
                arguments => \@ARGV, columns => [map { $_->{column} } @{$given->{sums}}], texts => $given->{texts},
                job => $ENV{XPM_JOB},
            });
        '''), "--", each("texts"), parameters="parameters.json", returns="found.json",
    )

class Step(CommandTask):
    gate: Meta[str]
    command = Shell('''
        for part in 0.25 0.5; do echo "$part half way" > "$XPM_PROGRESS"; done
        echo nonsense > "$XPM_PROGRESS"
        until [ -e {gate} ]; do sleep 0.02; done
        i=0; while [ $i -lt 30000 ]; do echo "0.9 $i"; i=$((i + 1)); done > "$XPM_PROGRESS"
    ''')

class Fails(CommandTask):
    code: Param[int]
    ledger: Meta[Path]
    command = Shell("echo try >> {ledger}; echo no luck >&2; exit {code}", success=(0, 4))

class Crashes(CommandTask):
    ledger: Meta[Path]
    command = Shell("echo try >> {ledger}; kill -ABRT $$")

class Saves(CommandTask):
    note: Meta[Path]
    command = Shell('''
        note={note}
        trap 'echo saved >> "$note"; exit 0' TERM
        sleep 600 & echo $! > "$note"; wait
    ''')
"""

AWK = "{ total += $column }\nEND { print total + 0 }\n"


@pytest.fixture
def lab() -> Iterator[Lab]:
    made = Lab()
    (made.project / "sum.awk").write_text(AWK)
    yield made
    made.close()


def run(lab: Lab, *statements: str, check: bool = True, words: tuple[str, ...] = ()) -> Any:
    body = "\n    ".join(["with experiment('commands') as xp:", *statements])
    (lab.project / "plan.py").write_text(f"{PLAN}\n{body}\n")
    done = lab.run("run", *words, "plan.py")
    assert not check or done.returncode == 0, done.stderr
    return done


def test_commands_of_several_languages(lab: Lab) -> None:
    texts = ["a b", "-n", "$(id)\n", "", "é'\""]
    done = run(
        lab,
        "data = Write.C(rows=20).submit()",
        "sorted = [Sort.C(data=data, reverse=tag(reverse)).submit() for reverse in (False, True)]",
        "sums = [Sum.C(data=sorted[0], column=column).submit() for column in (1, 2)]",
        f"texts = {texts!r}",
        "count = Count.C(sums=sums, texts=texts).submit()",
        "xp.wait()",
        "print([each.sorted.read_text().split()[0] for each in sorted], [each.result() for each in sums])",
        "found = count.result()",
        "print(found.pop('job') == count.job.id, found == dict(arguments=texts, columns=[1, 2], texts=texts))",
        "print(count.job.stdout.read_text(), count.job.stderr.read_text(), sorted[0].result())",
    )
    assert done.stdout == "['0', '4'] [40, 190]\nTrue True\nsaid\n warned\n None\n"


def test_the_script_of_a_command_is_part_of_the_code(lab: Lab) -> None:
    gate = lab.project / "gate"
    (lab.project / "first.py").write_text("")
    statements = (
        f"step = Step.C(gate={str(gate)!r}).submit()",
        "data = Write.C(rows=5).submit(priority=-1)",
        "Sum.C(data=Sort.C(data=data).submit(priority=-1), column=2).submit(priority=-1)",
    )
    lab.env["XPM_WORKERS"] = "1"
    run(lab, *statements, words=("--detach",))
    until(lambda: lab.job("Step")["state"] == "RUNNING")
    (lab.project / "sum.awk").write_text("syntax error")
    gate.touch()
    lab.ok("attach", "commands")
    (copy,) = (lab.workspace / ".xpm/code").glob("*/sum.awk")
    assert copy.read_text() == AWK


def test_progress_never_makes_a_command_wait(lab: Lab) -> None:
    gate = lab.project / "gate"
    run(lab, f"Step.C(gate={str(gate)!r}).submit()", words=("--detach",))
    until(lambda: (lab.job("Step")["progress"] or {}).get("value") == 0.5)
    shown = lab.ok("jobs", "--state", "running")
    assert "half way" in shown
    gate.touch()
    lab.ok("attach", "commands")
    assert not list(lab.workspace.glob("jobs/*/*/*/.xpm/progress"))


def test_an_exit_code_is_a_failure_with_the_last_words(lab: Lab) -> None:
    ledger = lab.project / "ledger"
    done = run(
        lab,
        f"Fails.C(code=75, ledger=Path({str(ledger)!r})).submit(retries=Retries(2, on='exit:75', delay=0))",
        check=False,
    )
    assert done.returncode == 1
    assert "CommandFailed: sh ended with exit code 75: no luck" in done.stderr
    assert ledger.read_text() == "try\n" * 3
    shown = lab.json("show", lab.job("Fails code=75")["id"])
    failure = shown["failure"]
    assert (failure["kind"], failure["exit_code"], len(shown["attempts"])) == ("exit", 75, 3)


def test_what_ends_a_command_decides_about_retries(lab: Lab) -> None:
    names = [str(lab.project / name) for name in ("exits", "crashes", "succeeds")]
    run(
        lab,
        f"one = Fails.C(code=3, ledger=Path({names[0]!r})).submit(retries=Retries(2, on='signal', delay=0))",
        f"two = Crashes.C(ledger=Path({names[1]!r})).submit(retries=Retries(1, on='signal', delay=0))",
        f"three = Fails.C(code=4, ledger=Path({names[2]!r})).submit()",
        check=False,
    )
    assert [Path(name).read_text().count("try") for name in names] == [1, 2, 1]
    states = {each["label"]: each["state"] for each in lab.json("jobs")["jobs"]}
    assert states == {"Fails code=3": "ERROR", "Crashes": "ERROR", "Fails code=4": "DONE"}


def test_an_output_that_is_not_made_fails_the_job(lab: Lab) -> None:
    (lab.project / "forgets.py").write_text(
        "from pathlib import Path\n"
        "from xpm import Command, CommandTask, Meta, PathGenerator, experiment, field\n"
        "class Forgets(CommandTask):\n"
        "    made: Meta[Path] = field(default_factory=PathGenerator('made.txt'))\n"
        "    command = Command('true')\n"
        "with experiment('forgets'):\n"
        "    Forgets.C().submit()\n"
    )
    done = lab.run("run", "forgets.py")
    assert done.returncode == 1
    assert "ResultError: Forgets.made: the command has ended well, and left no made.txt" in done.stderr


def test_a_cancelled_command_may_save_and_leaves_nothing(lab: Lab) -> None:
    note = lab.project / "note"
    run(lab, f"Saves.C(note=Path({str(note)!r})).submit()", words=("--detach",))
    until(lambda: note.exists() and note.read_text().endswith("\n"))
    sleeping = int(note.read_text())
    lab.ok("cancel", "commands", "--yes")
    until(lambda: lab.job("Saves")["state"] == "CANCELLED")
    until(lambda: ended(sleeping))
    assert note.read_text() == f"{sleeping}\nsaved\n"


def test_a_killed_command_is_gone_at_once(lab: Lab) -> None:
    note = lab.project / "note"
    run(lab, f"Saves.C(note=Path({str(note)!r})).submit()", words=("--detach",))
    until(lambda: note.exists() and note.read_text().endswith("\n"))
    sleeping = int(note.read_text())
    lab.ok("kill", "--yes", lab.job("Saves")["id"])
    until(lambda: ended(sleeping))
    until(lambda: lab.job("Saves")["state"] == "ERROR")


LAB = """
types:
  Model:
    arguments:
      layers: {type: int, default: 2}
tasks:
  Make:
    arguments:
      rows: int
      table: {type: path, generator: table.txt}
    command: seq {rows} > {table}
  Sum:
    arguments:
      made: Make
      model: Model
    command:
      run: [awk, -v, "column={model.layers}", -f, {file: sum.awk}, "{made.table}"]
      returns: stdout
"""


def test_definitions_are_found_by_workers_in_the_copied_code(lab: Lab) -> None:
    (lab.project / "parts").mkdir()
    (lab.project / "parts/lab.yaml").write_text(LAB)
    (lab.project / "parts/sum.awk").write_text(AWK)
    (lab.project / "held.py").write_text(
        "from xpm import definitions\nlab = definitions('parts/lab.yaml')\n"
        "def follow(task):\n    lab.Make.C(rows=7).submit()\n"
    )
    (lab.project / "plan.py").write_text(
        "from xpm import Param, Task, experiment\n"
        "from held import follow, lab\n"
        "class Twice(Task):\n"
        "    sum: Param[lab.Sum]\n"
        "    def execute(self):\n"
        "        return 2 * self.sum.result() + self.sum.model.layers\n"
        "with experiment('defined') as xp:\n"
        "    made = lab.Make.C(rows=4).on_completed(follow).submit()\n"
        "    twice = Twice.C(sum=lab.Sum.C(made=made, model=lab.Model.C(layers=1)).submit()).submit()\n"
        "    xp.wait()\n"
        "    print(twice.result(), sorted(row['task'] for row in xp.rows()))\n"
    )
    names = [
        "parts/lab.yaml:Make",
        "parts/lab.yaml:Make",
        "parts/lab.yaml:Sum",
        "plan.py:Twice",
        "xpm.OnCompleted",
    ]
    assert lab.ok("run", "plan.py") == f"21 {names}\n"
    again = lab.run("run", "plan.py")
    assert "all 5 jobs were done before" in again.stderr and "other code" not in again.stderr
    (lab.project / "parts/lab.yaml").write_text(LAB.replace("seq {rows}", "seq 1 {rows}"))
    assert "were made by other code than today's" in lab.run("run", "plan.py").stderr
    uncopied = lab.run(
        "run", "plan.py", env={"XPM_SNAPSHOT": "false", "XPM_WORKSPACE": str(lab.home / "other")}
    )
    assert uncopied.returncode == 0 and uncopied.stdout.startswith("21 ["), uncopied.stderr


STUDY = """
experiment: study
definitions: parts/lab.yaml
types:
  Wide:
    extends: Model
    arguments:
      width: {type: int, default: 1}
tasks:
  Lines:
    arguments:
      made: {type: "list[Make]"}
      sums: {type: "dict[str, Sum]", default: {}}
    command: [wc, -l, {each: made.table}]
plan:
  small: {type: Wide, with: {layers: 1, width: {values_list: [3, 4]}}}
  made:
    task: Make
    with:
      rows: {range: [2, 4]}
    submit: {priority: 3, retries: {times: 2, on: [exit:75, signal]}, timeout: 1 h}
  one: {task: Make, with: {rows: 9}, tags: rows}
  sums:
    task: Sum
    with: {made: made, model: small}
  last:
    task: Sum
    with: {made: one, model: {type: Wide, layers: 1}}
  lines:
    task: Lines
    with: {made: [made, one], sums: {a: last}}
"""


def test_a_plan_is_run(lab: Lab) -> None:
    (lab.project / "parts").mkdir()
    (lab.project / "parts/lab.yaml").write_text(LAB)
    (lab.project / "parts/sum.awk").write_text(AWK)
    (lab.project / "study.yaml").write_text(STUDY)
    dry = lab.run("run", "--dry-run", "study.yaml")
    assert "9 new: parts/lab.yaml:Make 3, parts/lab.yaml:Sum 5" in dry.stdout + dry.stderr
    done = lab.run("run", "study.yaml")
    assert done.returncode == 0, done.stderr
    assert "study: all 9 jobs done" in done.stderr
    labels = sorted(each["label"] for each in lab.json("jobs", "-e", "study")["jobs"])
    assert labels == [
        "Lines rows=9", "Make rows=2", "Make rows=3", "Make rows=9", "Sum rows=2 width=3", "Sum rows=2 width=4",
        "Sum rows=3 width=3", "Sum rows=3 width=4", "Sum rows=9",
    ]  # fmt: skip
    shown = lab.json("show", lab.job("Sum rows=3 width=4")["id"])
    assert (shown["result"], shown["parameters"]["model"]["width"]) == (6, 4)
    text = (lab.project / "study.yaml").read_text()
    (lab.project / "study.yaml").write_text(text.replace("[2, 4]", "[2, 5]"))
    assert "all 12 jobs done, 8 of them before" in lab.run("run", "study.yaml").stderr
    (lab.project / "study.yaml").write_text(text.replace("rows: 9", "rows: many"))
    wrong = lab.run("run", "study.yaml")
    assert (wrong.returncode, wrong.stderr) == (2, "xpm: study.yaml:22: one.rows: expected int, got 'many'\n")
    behind = lab.run("run", "study.yaml", "more")
    assert behind.returncode == 2 and "study.yaml is a plan, and takes nothing behind it" in behind.stderr
