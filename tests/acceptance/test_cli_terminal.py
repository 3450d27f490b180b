"""What a person sees and answers on a terminal."""

from __future__ import annotations

import re
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pexpect
import pytest
from commands import Lab, bare
from waiting import until


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    made = Lab()
    done = made.run("run", "plan.py", "demo", "4", "fail")
    assert done.returncode == 1, done.stderr
    yield made
    made.close()


@pytest.fixture
def gate(lab: Lab) -> Iterator[Path]:
    path = lab.home / f"gate-{time.monotonic_ns()}"
    yield path
    path.touch()


def screen(lab: Lab, *words: str, columns: int = 100, env: dict[str, str] | None = None) -> str:
    """All that a command shows on a terminal."""
    child = lab.spawn(*words, columns=columns, env=env)
    child.expect(pexpect.EOF)
    child.close()
    return child.before


def test_colours_are_for_terminals_that_want_them(lab: Lab):
    red, any_colour = "\x1b[1;31m", re.compile(r"\x1b\[[0-9;]*3[0-7]m")
    assert red + "ERROR" in screen(lab, "jobs")
    assert not any_colour.search(screen(lab, "jobs", "--no-color"))
    assert not any_colour.search(screen(lab, "jobs", env={"NO_COLOR": "1"}))
    assert not any_colour.search(screen(lab, "jobs", env={"XPM_NO_COLOR": "1"}))
    assert "\x1b" not in lab.ok("jobs")


@pytest.mark.parametrize("columns", [60, 80, 120])
def test_nothing_is_cut_and_nothing_is_wider_than_the_screen(lab: Lab, columns: int):
    # Of its own jobs: the label of another test's is longer than the broker keeps.
    for words in (["jobs", "-e", "demo"], ["experiments"], ["worker"], ["doctor"]):
        lines = bare(screen(lab, *words, columns=columns)).splitlines()
        assert all(len(line.rstrip()) <= columns for line in lines), words
        assert "…" not in "".join(lines)
    assert "EXPERIMENT" in bare(screen(lab, "experiments", columns=columns)), "a short name stays in one line"
    text = bare(screen(lab, "show", lab.job("Slow n=3")["id"], columns=columns))
    assert lab.json("show", lab.job("Slow n=3")["id"])["directory"] in text, "a path can be copied"


def test_a_terminal_is_not_steered_by_what_a_job_says(lab: Lab):
    script = lab.project / "evil.py"
    script.write_text(
        "from xpm import Param, Task, experiment, tag\n"
        "class Evil(Task):\n"
        "    text: Param[str]\n"
        "    def execute(self): raise ValueError(self.text)\n"
        "with experiment('evil', check=False):\n"
        "    Evil.C(text=tag('\\x1b[2J\\x07bell')).submit()\n"
    )
    lab.run("run", "evil.py")
    (job,) = [one["id"] for one in lab.json("jobs", "-e", "evil")["jobs"]]
    for words in (
        ["jobs"],
        ["show", job],
        ["show", "-e", "evil"],
        ["logs", job, job[:6]],
        ["logs", "-f", job],
    ):
        shown = screen(lab, *words)
        assert "\x1b[2J" not in shown and "\x07" not in shown and "bell" in shown
    assert "\x1b" not in lab.ok("show", job)


def test_cancel_asks_on_a_terminal(lab: Lab, gate: Path):
    lab.run("run", "--detach", "plan.py", "asked", "2", str(gate))
    until(lambda: lab.json("jobs", "-e", "asked")["counts"]["RUNNING"] == 2)
    no = lab.spawn("cancel", "asked")
    no.expect("cancel asked: 3 jobs: 2 RUNNING, 1 WAITING")
    no.expect(r"Cancel asked\? \[y/N\]")
    no.sendline("n")
    no.expect(pexpect.EOF)
    no.close()
    assert no.exitstatus == 1 and lab.json("jobs", "-e", "asked")["counts"]["RUNNING"] == 2
    yes = lab.spawn("cancel", "asked")
    yes.expect(r"\[y/N\]")
    yes.sendline("y")
    yes.expect("asked: 1 job cancelled, 2 stopped")
    yes.expect(pexpect.EOF)
    yes.close()
    assert yes.exitstatus == 0
    assert lab.json("jobs", "-e", "asked")["counts"]["CANCELLED"] == 3


def test_ctrl_c_detaches_from_run_and_from_attach(lab: Lab, gate: Path):
    run = lab.spawn("run", "plan.py", "away", "3", str(gate))
    run.expect("2 running")
    run.expect("Slow n=0")
    run.sendintr()
    run.expect("xpm attach away")
    run.expect(pexpect.EOF)
    run.close()
    assert run.exitstatus == 130
    attach = lab.spawn("attach", "away")
    attach.expect("2 running")
    gate.touch()
    attach.expect("all 5 jobs done")
    attach.expect(pexpect.EOF)
    attach.close()
    assert attach.exitstatus == 0


def test_a_quiet_run_draws_nothing(lab: Lab):
    shown = screen(lab, "run", "-q", "plan.py", "hush", "3")
    assert re.fullmatch(r"hush: all 5 jobs done \(\S+ s\)", bare(shown).strip()), shown
    assert "\x1b[2K" not in shown and "\x1b[1A" not in shown, "no display came and went"


def test_ctrl_c_ends_a_followed_log(lab: Lab, gate: Path):
    lab.run("run", "--detach", "plan.py", "followed", "1", str(gate))
    until(lambda: lab.json("jobs", "-e", "followed")["counts"]["RUNNING"] == 1)
    (job,) = [one["id"] for one in lab.json("jobs", "-e", "followed", "--state", "RUNNING")["jobs"]]
    child = lab.spawn("logs", "-f", job[:8])
    child.expect("begin 0")
    child.sendintr()
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 130 and "Traceback" not in child.before


def test_a_worker_in_the_foreground_ends_with_ctrl_c(lab: Lab):
    child = lab.spawn("worker", "start", "--slots", "1", "--queue", "other")
    child.expect("serve other")
    until(lambda: any(one["queues"] == ["other"] for one in lab.json("worker")["workers"]))
    child.sendintr()
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 0
    assert not any(one["queues"] == ["other"] for one in lab.json("worker")["workers"])


@pytest.mark.rq
def test_rq_dashboard_serves_until_ctrl_c(lab: Lab):
    child = lab.spawn("rq-dashboard", "--port", "0")
    child.expect(r"(http://127\.0\.0\.1:\d+/)")
    with urllib.request.urlopen(f"{child.match[1]}0/data/queues.json", timeout=10) as answer:
        assert b"-default" in answer.read()
    child.sendintr()
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 0


def test_a_long_message_is_told_whole_and_broken_between_words(lab: Lab):
    words = " ".join(f"word{n}" for n in range(40))
    (lab.project / "long.py").write_text(
        "from xpm import Task, experiment\n"
        f"class Long(Task):\n    def execute(self): raise ValueError('{words}')\n"
        "if __name__ == '__main__':\n    with experiment('long'): Long.C().submit()\n"
    )
    shown = bare(screen(lab, "run", "long.py", columns=60))
    said = shown[shown.index("Long  ") : shown.index("    Traceback")]
    assert " ".join(said.split()).endswith(f"ValueError: {words}")
    assert all(len(line) <= 60 for line in said.splitlines())
    assert f"ValueError: {words}\n" in lab.run("run", "long.py").stderr
