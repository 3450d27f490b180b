"""What all commands have in common: options, errors, exit statuses, speed; nothing here needs a broker."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from commands import XPM, Lab
from rq.cli import main as rq

from xpm.broker.standing import unserved
from xpm.cli.main import COMMANDS, xpm
from xpm.cli.words import ago
from xpm.core.lengths import duration
from xpm.extras import install_line

DOCS = Path(__file__).parents[2] / "docs"


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    made = Lab()
    yield made
    made.close()


def test_every_command_is_listed_as_it_describes_itself(lab: Lab):
    text = lab.ok("--help")
    for name, entry in COMMANDS.items():
        command = xpm.get_command(None, name)  # type: ignore[arg-type]
        assert command is not None and command.get_short_help_str(200) == entry.help
        assert f"  {name} " in text and entry.help in text


def options(command: click.Command) -> set[str]:
    """All options of a command and of its verbs."""
    own = {name for parameter in command.params for name in parameter.opts}
    context = click.Context(command)
    verbs = command.list_commands(context) if isinstance(command, click.Group) else []
    return own.union(*(options(command.get_command(context, verb)) for verb in verbs))  # type: ignore[union-attr]


def test_the_pages_name_no_option_that_there_is_not():
    known = {"--help", *options(xpm), *options(rq)}
    for page in ("settings", "cli", "experiments", "operations", "tutorial"):
        named = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", (DOCS / f"{page}.md").read_text()))
        assert named <= known, page


def test_help_loads_nothing_heavy(lab: Lab):
    code = (
        "import sys; from xpm.cli.main import invoke; from xpm.cli.options import Options\n"
        "invoke(['--help'], Options()); invoke(['jobs', '--help'], Options())\n"
        "heavy = {'redis', 'rq', 'rich', 'numpy', 'psutil', 'xpm.experiment', 'msgpack'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env=lab.env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["jbos"], "no command 'jbos'; did you mean 'jobs'?"),
        (["worker", "strat"], "no command 'strat'; did you mean 'start'?"),
        (["jobs", "--stat", "x"], "no option '--stat'; did you mean '--state'?"),
        (["jobs", "--state", "eror"], "no state 'eror'; did you mean 'ERROR'?"),
        (["jobs", "--limit", "many"], "'--limit': expected a whole number, 0 or more, got 'many'"),
        (["jobs", "--limit", "-1"], "'--limit': expected a whole number, 0 or more, got '-1'"),
        (["rq-dashboard", "--port", "70000"], "expected a whole number from 0 to 65535, got '70000'"),
        (["jobs", "--limit"], "option '--limit' requires an argument (see xpm jobs --help)"),
        (
            ["worker", "start", "--queue"],
            "option '--queue' requires an argument (see xpm worker start --help)",
        ),
        (["jobs", "-e", ""], "-e: expected a name, got ''"),
        (["show", "--task="], "--task: expected a name, got ''"),
        (["cancel", "-e", ""], "-e: expected a name, got ''"),
        (["show"], "which jobs? give the first digits of their identifiers"),
        (["cancel"], "which jobs? give the first digits"),
        (["cancel", "one", "-e", "two"], "give JOBs, or -e, --state, --task, --where; not both"),
        (["run"], "which script? xpm run [OPTIONS] SCRIPT [ARGS]"),
        (["run", "nothing.py"], "no script nothing.py"),
        (["run", "pyproject.toml"], "pyproject.toml is no Python script"),
        (["run", "."], "no script .: it is a directory"),
        (["run", ""], "no script ''"),
        (["run", "--json", "plan.py"], "xpm run shows what the script prints"),
        (["jobs"], "no workspace at "),
        (["attach", "x"], "no workspace at "),
        (["-w", "/nowhere/at/all", "jobs"], "no workspace at /nowhere/at/all (the command line)"),
        (["--broker", "http://x", "jobs"], "broker: expected one of redis://"),
    ],
)
def test_wrong_use_is_one_line_and_status_2(lab: Lab, words: list[str], said: str):
    done = lab.run(*words)
    assert done.returncode == 2 and not done.stdout
    assert said in done.stderr and done.stderr.startswith("xpm: error: ") and done.stderr.count("\n") == 1


def test_help_speaks_of_numbers_in_words(lab: Lab):
    for words in (["jobs"], ["run"], ["worker", "start"], ["rq-dashboard"]):
        assert "x>" not in (text := lab.ok(*words, "--help")) and "<x" not in text and "<=" not in text
    assert lab.ok("run", "--help").startswith("Usage: xpm run [OPTIONS] SCRIPT [ARGS]...\n")


def test_an_experiment_where_there_is_none(lab: Lab, tmp_path):
    where = ("-w", str(tmp_path / "w"))
    lab.ok("broker", "start", *where)
    for words in (["jobs", "-e", "x"], ["show", "-e", "x"], ["cancel", "x", "--yes"]):
        done = lab.run(*words, *where)
        assert done.returncode == 2 and "no experiment 'x': there is none yet\n" in done.stderr
    lab.ok("broker", "stop", *where)


def test_an_unknown_setting_names_the_nearest(lab: Lab):
    done = lab.run("jobs", env={"XPM_WORKSPCE": "x"})
    assert done.returncode == 2 and "did you mean 'XPM_WORKSPACE'?" in done.stderr


def test_a_broker_that_does_not_answer_is_status_3(lab: Lab, tmp_path):
    from xpm.workspace.layout import Workspace

    Workspace.open(tmp_path / "w")
    done = lab.run("-w", str(tmp_path / "w"), "--broker", f"unix://{tmp_path}/none.sock", "jobs")
    assert done.returncode == 3
    assert done.stderr.splitlines()[-1].startswith(
        f"xpm: error: no broker at unix://{tmp_path}/none.sock (the command"
    )


def test_a_broker_that_does_not_answer_is_told_within_a_second(lab: Lab, tmp_path):
    from xpm.workspace.layout import Workspace

    Workspace.open(tmp_path / "w")
    began = time.monotonic()
    lab.run("-w", str(tmp_path / "w"), "--broker", "redis://127.0.0.1:1", "jobs")
    assert time.monotonic() - began < 3, "1 s where nothing else runs; the engine's own patience is 4 s"


def test_an_error_of_ours_is_one_line_and_verbose_shows_where(
    lab: Lab, monkeypatch: pytest.MonkeyPatch, capsys
):
    from xpm.cli import reach
    from xpm.cli.main import invoke
    from xpm.cli.options import Options

    def fail(self: reach.Reach) -> None:
        raise RuntimeError("a\nb")

    monkeypatch.setattr(reach.Reach, "settings", property(fail))
    assert invoke(["jobs"], Options()) == 1
    assert (
        capsys.readouterr().err
        == "xpm: error: unexpected RuntimeError: a b (again with -v for the traceback)\n"
    )
    assert invoke(["jobs", "-v"], Options()) == 1
    assert "in fail" in capsys.readouterr().err


def test_global_options_stand_before_or_after_the_command(lab: Lab, tmp_path):
    for words in (["-w", str(tmp_path), "--json", "doctor"], ["doctor", "--json", "-w", str(tmp_path)]):
        done = lab.run(*words)
        assert f'"value": "{tmp_path}"' in done.stdout and '"source": "the command line"' in done.stdout


def test_nothing_is_made_by_looking(lab: Lab, tmp_path):
    for words in (
        ["jobs"],
        ["experiments"],
        ["worker"],
        ["broker", "status"],
        ["doctor"],
        ["cancel", "x", "--yes"],
    ):
        lab.run(*words, "-w", str(tmp_path / "w"))
    assert not (tmp_path / "w").exists()


def test_a_reader_that_has_seen_enough_is_no_error(lab: Lab):
    closed = "| true; exit ${PIPESTATUS[0]}"
    for words in ("--help", "doctor", "doctor --json", "doctor 2>&1", "nonsense 2>&1"):
        shell = f"{' '.join(XPM)} {words} {closed}"
        done = subprocess.run(
            ["bash", "-c", shell], cwd=lab.home, env=lab.env, capture_output=True, text=True
        )
        assert done.returncode == (2 if "nonsense" in words else 0) and not done.stderr, words


def test_version(lab: Lab):
    assert lab.ok("--version").startswith("xpm ")


def test_times_in_words():
    assert [duration(s) for s in (0, 9.94, 12, 192, 3661, 90000)] == [
        "0.0 s", "9.9 s", "12 s", "3 min 12 s", "1 h 01 min", "1 d 1 h",
    ]  # fmt: skip
    assert [ago(1000 - s, 1000) for s in (0, 5, 65, 7200, 200000)] == ["now", "5s", "1m", "2h", "2d"]
    assert ago(0) == ""


@pytest.mark.parametrize(
    ("queue", "version", "slots", "said"),
    [
        ("default", 1, {"default:1"}, ""),
        ("gpu", 1, {"default:1"}, "no worker serves queue gpu: xpm worker start --queue gpu"),
        ("default", 1, {"gpu:1"}, "no worker serves queue default: xpm worker start"),
        ("default", 1, set(), "no worker is there: xpm worker start"),
        ("default", 2, {"default:1"}, "needs a worker of a newer xpm: payload version 2, workers read 1"),
        (
            "default",
            1,
            {"default:2"},
            "needs a worker of an older xpm: payload version 1, workers read 2 and newer",
        ),
    ],
)
def test_why_no_worker_takes_a_ready_job(queue: str, version: int, slots: set[str], said: str):
    assert unserved(queue, version, slots) == said


def test_a_missing_extra_is_told_with_the_line_that_installs_it(lab: Lab, tmp_path):
    (tmp_path / "flask.py").write_text("raise ImportError('gone', name='flask')")
    path = f"{tmp_path}:{lab.env['PYTHONPATH']}"
    done = lab.run("rq-dashboard", env={"PYTHONPATH": path})
    assert done.returncode == 2 and f"flask is missing: {install_line('web')}\n" in done.stderr
