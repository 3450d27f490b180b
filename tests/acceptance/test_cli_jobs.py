"""Looking at jobs: lists, sheets, logs, selection; with the broker, and from the workspace alone."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from commands import XPM, Lab
from waiting import until

from xpm.cli.listing import Filter, window
from xpm.cli.logs import Log
from xpm.core.state import State
from xpm.workspace.layout import Workspace

DOCS = Path(__file__).parents[2] / "docs" / "cli.md"


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    """A finished experiment `demo`: five tasks, of which n=3 failed, and two that need some of them."""
    made = Lab()
    done = made.run("run", "plan.py", "demo", "5", "fail")
    assert done.returncode == 1, done.stderr
    yield made
    made.close()


@pytest.fixture
def own() -> Iterator[Lab]:
    made = Lab()
    yield made
    made.close()


def documented(command: str) -> set[str]:
    """The fields that the documentation names for a command."""
    section = DOCS.read_text().split(f"### `xpm {command}")[1].split("\n### ")[0]
    return set(re.findall(r"^\| `([^`]+)` \|", section, re.MULTILINE))


def fields(values: dict[str, object], many: str = "") -> set[str]:
    """The fields of an answer, and those of the things in its list `many`."""
    names = set(values) - {"version"}
    if many:
        names |= {f"{many}[].{name}" for one in values[many] for name in one}  # type: ignore[attr-defined, union-attr]
    return names


def test_jobs_in_a_pipe_are_plain_aligned_lines(lab: Lab):
    head, titles, *rows = lab.ok("jobs").splitlines()
    assert head == "7 jobs: 1 ERROR, 1 HOLD, 5 DONE"
    assert titles.split() == ["STATE", "ID", "JOB", "AGO", "NOTE"]
    assert re.fullmatch(r"ERROR  [0-9a-f]{8}  Slow n=3  +\w+  ValueError: 3 is too many", rows[0])
    assert re.fullmatch(r"HOLD   [0-9a-f]{8}  Total     +\w+  1 of 5 inputs failed or is held", rows[1])
    assert len(rows) == 7 and all(row.startswith("DONE   ") and "took " in row for row in rows[2:])
    assert all(ord(one) < 128 for row in rows for one in row)


def test_jobs_says_which_workspace_is_used(lab: Lab):
    assert lab.run("jobs").stderr == f"xpm: workspace {lab.workspace}\n"
    assert lab.run("jobs", "-q").stderr == ""


def test_jobs_by_state_task_experiment_and_limit(lab: Lab):
    def labels(*words: str) -> list[str]:
        return sorted(one["label"] for one in lab.json("jobs", *words)["jobs"])

    assert labels("--state", "error", "--state", "HOLD") == ["Slow n=3", "Total"]
    assert labels("--task", "Total") == ["Total", "Total"] == labels("--task", "plan.py:Total", "-e", "demo")
    assert labels("--task", "Nothing") == []
    assert len(labels("--limit", "3")) == 3
    assert "4 more: --limit N, -e, --state, --task, --where" in lab.ok("jobs", "--limit", "3")
    wrong = lab.run("jobs", "-e", "dmo")
    assert wrong.returncode == 2 and "no experiment 'dmo'; did you mean 'demo'?" in wrong.stderr


@pytest.mark.parametrize(
    ("filter", "labels"),
    [
        ("n = 3", ["Slow n=3"]),
        ("n >= 2 and state = done", ["Slow n=2", "Slow n=4"]),
        ("task = Total and experiment = demo", ["Total", "Total"]),
        ("state = error and seconds < 1h and started > 2020 and host ~ .", ["Slow n=3"]),
        ("n and n not in (0, 1, 2, 3)", ["Slow n=4"]),
        ("not n", ["Total", "Total"]),
        ("n > 7", []),
    ],
)
def test_jobs_by_a_filter(lab: Lab, filter: str, labels: list[str]):
    found = lab.json("jobs", "--where", filter)["jobs"]
    assert sorted(one["label"] for one in found) == labels
    assert all(one["tags"] == {"demo": {"n": int(one["label"][-1])}} for one in found if "=" in one["label"])
    assert len(lab.json("jobs", "--where", filter, "-e", "demo", "--limit", "1")["jobs"]) == bool(labels)
    kept = lab.json("jobs", "--where", filter, "--state", "done")["jobs"]
    assert [one["label"] for one in kept] == [one["label"] for one in found if one["state"] == "DONE"]


def test_all_that_choose_jobs_take_a_filter(lab: Lab):
    for verb, filter in (
        ("retry", "state = error"),
        ("rerun", "n < 2"),
        ("show", "n = 1"),
        ("logs", "n = 1"),
    ):
        more = ["--dry-run"] if verb in ("retry", "rerun") else []
        assert lab.run(verb, "--where", filter, *more).returncode == 0, verb
    for verb in ("kill", "hold", "release", "priority 3", "cancel"):
        said = lab.run(*verb.split(), "--where", "n = 1", "--dry-run")
        assert (said.returncode, said.stdout.startswith(("no job to", "nothing to cancel"))) == (0, True), (
            verb
        )
    assert lab.ok("rerun", "--where", "n in (0, 1)", "--dry-run").startswith("rerun 2 jobs: 2 DONE\n")


@pytest.mark.parametrize("verb", ["jobs", "show", "logs", "hold", "cancel", "cancel -e demo", "rerun"])
@pytest.mark.parametrize(
    ("filter", "said"),
    [
        ("not m = 3", "no job has a tag 'm'; there are n"),
        ("n =", "the filter 'n =': expected a value at its end"),
        ("state = dun", "no state 'dun'; did you mean 'DONE'?"),
    ],
)
def test_a_wrong_filter_chooses_nothing(lab: Lab, verb: str, filter: str, said: str):
    wrong = lab.run(*verb.split(), "-q", "--where", filter)
    assert (wrong.returncode, wrong.stdout, wrong.stderr) == (2, "", f"xpm: error: {said}\n")


def test_a_filter_that_leaves_no_job(lab: Lab):
    wrong = lab.run("show", "-q", "--where", "n = 7")
    assert (wrong.returncode, wrong.stderr) == (1, "xpm: error: no job fits: n = 7\n")


def test_a_small_window_has_some_of_each_state(lab: Lab):
    states = [one["state"] for one in lab.json("jobs", "--limit", "4")["jobs"]]
    assert states == ["ERROR", "HOLD", "DONE", "DONE"]


def test_json_has_the_documented_fields_and_no_others(lab: Lab):
    assert fields(lab.json("jobs"), "jobs") == documented("jobs --json")
    assert fields(lab.json("experiments"), "experiments") == documented("experiments --json")
    assert fields(lab.json("worker"), "workers") == documented("worker --json")
    failed = lab.job("Slow n=3")["id"]
    assert fields(lab.json("show", failed)) == documented("show JOB --json")
    assert fields(lab.json("logs", failed)) == documented("logs JOB --json")
    assert fields(lab.json("queue"), "queues") == documented("queue --json")
    assert fields(lab.json("why", failed)) == documented("why JOB --json")
    for verb in ("kill", "hold", "release", "retry", "rerun"):
        said = fields(lab.json(verb, "-e", "demo", "--dry-run"))
        assert said == documented("kill JOB... --yes --json") - {"priority"}, verb
    status = documented("broker status --json")
    shared = {"append_only_file", "warnings", "unfit"}
    assert fields(lab.json("broker", "status")) == status - shared
    doctor = fields(lab.json("doctor"), "findings")
    assert doctor == documented("doctor --json")


def test_show_tells_a_failure_with_the_users_lines(lab: Lab):
    text = lab.ok("show", lab.job("Slow n=3")["id"][:8])
    for part in (
        r"^Slow n=3  [0-9a-f]{8}$",
        r"state +ERROR: ValueError: 3 is too many$",
        r"task +plan.py:Slow$",
        r"experiment +demo  n=3$",
        r"size +Size\(layers=2\)$",
        r"^HOLD   [0-9a-f]{8}  Total$",
        r"^1  exception  .*  ValueError: 3 is too many$",
        r'^  File ".*plan.py", line \d+, in execute$',
        r"^ValueError: 3 is too many$",
        r"logs +stdout.log 8 B, stderr.log 14 B \(xpm logs [0-9a-f]{8}\)$",
    ):
        assert re.search(part, text, re.MULTILINE), (part, text)
    assert "xpm_workers" not in text, "the user's frames only"


def test_show_tells_a_result_with_its_inputs(lab: Lab):
    (total,) = [one for one in lab.json("jobs", "--state", "DONE")["jobs"] if one["label"] == "Total"]
    sheet = lab.json("show", f"Total/{total['id'][:4]}")
    assert sheet["result"] == 1 and sheet["state"] == "DONE"
    assert sorted(one["label"] for one in sheet["inputs"]) == ["Slow n=0", "Slow n=1"]
    assert {one["state"] for one in sheet["inputs"]} == {"DONE"}
    assert sheet["attempts"][0]["end"] == "done" and sheet["attempts"][0]["exit_code"] == 0
    assert sheet["experiments"] == {"demo": {}} or "demo" in sheet["experiments"]
    assert sheet["project"] == str(lab.project)
    assert "parts  [Slow " in lab.ok("show", total["id"])


def test_an_ambiguous_job_lists_the_candidates(lab: Lab):
    wrong = lab.run("show", "Slow/")
    assert wrong.returncode == 2 and "Slow/ names 5 jobs:" in wrong.stderr
    assert all(f"  Slow n={n}\n" in wrong.stderr for n in range(5))
    ids = [one["id"] for one in lab.json("jobs", "--task", "Slow")["jobs"]]
    digit = max("0123456789abcdef", key=lambda one: sum(job.startswith(one) for job in ids))
    fit = [job for job in ids if job.startswith(digit)]
    done = lab.run("show", f"Slow/{digit}")
    if len(fit) == 1:
        assert done.returncode == 0
    else:
        assert done.returncode == 2 and f"Slow/{digit} names {len(fit)} jobs:" in done.stderr
        assert all(f"  {job[:8]}  Slow n=" in done.stderr for job in fit)


@pytest.mark.parametrize(
    ("job", "said"),
    [
        ("ffffffff", "no job ffffffff in "),
        ("xyz1", "'xyz1' is no job"),
        ("abc", "'abc' is no job and no task with one: give the first digits"),
    ],
)
def test_an_unknown_job_is_said_so(lab: Lab, job: str, said: str):
    for command in ("show", "logs", "jobs"):
        done = lab.run(command, job)
        assert done.returncode == 2 and said in done.stderr


def test_a_task_s_name_alone_means_its_only_job(lab: Lab):
    script = lab.project / "alone.py"
    script.write_text(
        "from xpm import Task, experiment\nclass Face(Task):\n    def execute(self): return 3\n"
        "if __name__ == '__main__':\n    with experiment('alone'): Face.C().submit()\n"
    )
    lab.ok("run", "alone.py")
    gone = ("--broker", "unix:///nowhere.sock")
    for name in ("Face", "face.py:Face", "alone.py:Face"):
        assert (lab.run("show", name).returncode == 0) == (name != "face.py:Face")
    assert lab.json("show", "Face")["result"] == lab.json("show", "Face", *gone)["result"] == 3


def test_a_task_that_is_not_there_is_told_with_the_nearest(lab: Lab):
    done = lab.run("jobs", "--task", "Totel")
    assert done.returncode == 0 and "there is no task 'Totel'; did you mean 'Total'?" in done.stderr
    assert done.stdout.splitlines()[1:] == ["no job fits"]


def test_logs(lab: Lab):
    failed = lab.job("Slow n=3")["id"][:8]
    assert lab.ok("logs", failed) == "begin 3\n==> stderr.log <==\nabout to fail\n"
    assert lab.ok("logs", failed, "--stderr") == "about to fail\n"
    assert lab.ok("logs", failed, "--stdout") == "begin 3\n"
    followed = lab.run("logs", failed, "-f", "--stdout")
    assert followed.returncode == 1 and followed.stdout == "begin 3\n"
    assert "Slow n=3 is ERROR: ValueError: 3 is too many" in followed.stderr
    good = lab.run("logs", "-f", lab.job("Slow n=0")["id"])
    assert (good.returncode, good.stdout) == (0, "begin 0\nend 0\n")
    silent = lab.run(
        "logs", next(one["id"] for one in lab.json("jobs", "--task", "Total", "--state", "DONE")["jobs"])
    )
    assert silent.stdout == "" and "Total wrote no output" in silent.stderr


def test_show_and_logs_take_several_jobs_and_a_selection(lab: Lab):
    a, b = lab.job("Slow n=0")["id"], lab.job("Slow n=3")["id"]
    sheets = lab.ok("show", a[:8], f"Slow/{b[:8]}", a)
    assert re.findall(r"^Slow n=\d  [0-9a-f]{8}$", sheets, re.MULTILINE) == [
        f"Slow n=0  {a[:8]}",
        f"Slow n=3  {b[:8]}",
    ], "each once, in the order in which they were given"
    assert f"\n\nSlow n=3  {b[:8]}\n" in sheets
    both = lab.json("show", a, b)
    assert set(both) == documented("show JOB... --json") | {"version"}
    assert both["jobs"] == [
        {k: v for k, v in lab.json("show", one).items() if k != "version"} for one in (a, b)
    ]
    text = lab.ok("logs", a, b)
    assert text == (
        f"==> Slow n=0 {a[:8]} <==\nbegin 0\nend 0\n"
        f"==> Slow n=3 {b[:8]} <==\nbegin 3\n==> stderr.log <==\nabout to fail\n"
    )
    wrote = lab.json("logs", a, b, "--stdout")
    assert set(wrote) == documented("logs JOB... --json") | {"version"}
    assert [(one["id"], one["logs"]["stdout"]["text"]) for one in wrote["jobs"]] == [
        (a, "begin 0\nend 0\n"),
        (b, "begin 3\n"),
    ]


@pytest.mark.parametrize(
    ("words", "labels"),
    [
        (("-e", "demo", "--state", "error"), ["Slow n=3"]),
        (("--state", "ERROR", "--state", "HOLD"), ["Slow n=3", "Total"]),
        (("--task", "plan.py:Total"), ["Total", "Total"]),
    ],
)
def test_a_selection_is_what_jobs_lists(lab: Lab, words: tuple[str, ...], labels: list[str]):
    listed = lab.json("jobs", *words)["jobs"]
    assert [one["label"] for one in listed] == labels
    for command in ("show", "logs"):
        found = lab.json(command, *words)["jobs"]
        assert [one["id"] for one in found] == [one["id"] for one in listed], "a list, also of one"
    heads = [f"==> {one['label']} {one['id'][:8]} <==" for one in listed]
    assert [
        line for line in lab.ok("logs", *words).splitlines() if line.startswith("==> ") and ".log" not in line
    ] == heads


@pytest.mark.parametrize("command", ["show", "logs"])
def test_a_selection_that_is_none_is_said_so(lab: Lab, command: str):
    for words, status, said in (
        ((), 2, "which jobs? give the first digits of their identifiers, or -e, --state, --task, --where\n"),
        (("-e", "demo", "--state", "LOST"), 1, "no job in the experiment demo is LOST\n"),
        (("--task", "Totl"), 1, "there is no task 'Totl'; did you mean 'Total'?"),
        (("-e", "dmo"), 2, "no experiment 'dmo'; did you mean 'demo'?"),
        (("abcd", "-e", "demo"), 2, "give JOBs, or -e, --state, --task, --where; not both"),
        (("--state", "LOST", "--broker", "unix:///nowhere.sock"), 3, "no broker at unix:///nowhere.sock"),
    ):
        done = lab.run(command, *words)
        assert (done.returncode, done.stdout) == (status, ""), (words, done.stderr)
        assert done.stderr.startswith("xpm: error: ") and said in done.stderr and done.stderr.count("\n") == 1


def test_only_one_job_is_followed(lab: Lab):
    many = lab.run("logs", "-f", "-e", "demo")
    assert many.returncode == 2 and not many.stdout
    assert (
        many.stderr == "xpm: error: -f follows one job, and 7 are meant: name one, as xpm jobs lists them\n"
    )
    one = lab.run("logs", "-f", "-e", "demo", "--state", "ERROR", "--stdout")
    assert one.returncode == 1 and one.stdout.endswith("begin 3\n")


def test_following_a_log_survives_what_happens_to_the_file(lab: Lab, tmp_path: Path):
    path = tmp_path / "stdout.log"
    log = Log(path)
    assert log.read() == b""
    path.write_bytes(b"one\n")
    assert log.read() == b"one\n" and log.read() == b""
    path.write_bytes(b"2\n")  # cut, then written again
    assert log.read() == b"2\n"
    path.rename(tmp_path / "old")  # another attempt has a directory of its own
    assert log.read() == b""
    path.write_bytes(b"a new attempt\n")
    assert log.read() == b"a new attempt\n"


def test_what_the_workspace_knows_is_shown_without_the_broker(lab: Lab):
    ids = {one["label"]: one["id"] for one in lab.json("jobs", "--limit", "0")["jobs"]}
    gone = ("--broker", "unix:///nowhere.sock")
    done = lab.run("show", ids["Slow n=0"][:8], "--json", *gone)
    assert done.returncode == 0 and "this is what the workspace knows" in done.stderr
    assert '"state": "DONE"' in done.stdout and '"n": 0' in done.stdout
    failed = lab.run("show", ids["Slow n=3"][:8], *gone)
    assert failed.returncode == 0 and "its last attempt failed; the broker was not asked" in failed.stdout
    assert "ValueError: 3 is too many" in failed.stdout


def test_a_workspace_whose_broker_has_forgotten_all(lab: Lab, tmp_path: Path):
    """A tree that another host's server knew: the records tell."""
    copy = tmp_path / "runs"
    shutil.copytree(lab.workspace, copy)
    (copy / ".xpm" / "workspace.toml").unlink()
    (copy / ".xpm" / "broker.json").unlink()
    Workspace.open(copy)
    job = lab.job("Slow n=0")["id"]
    sheet = lab.json("show", job[:6], "-w", str(copy))
    assert (sheet["id"], sheet["state"], sheet["result"]) == (job, "DONE", lab.json("show", job)["result"])
    assert lab.run("jobs", job[:6], "-w", str(copy)).returncode == 2
    assert lab.ok("jobs", "-w", str(copy)).strip() == "no jobs"
    lab.ok("broker", "stop", "-w", str(copy))


def test_the_window_of_many_jobs_reads_few_of_them():
    asked: Counter[str] = Counter()
    chosen = window(_Full(asked), Filter(), 40)  # type: ignore[arg-type]
    assert asked["jobs"] <= 40 * len(State)
    assert len(chosen) == 40 and {job.state for job in chosen} == set(State)


class _Full:
    """A broker with 100,000 jobs in each state."""

    def __init__(self, asked: dict[str, int]) -> None:
        self.asked = asked

    def listing(self, state: object, limit: int, offset: int = 0) -> list[str]:
        return [f"{state}-{n}" for n in range(offset, min(offset + limit, 100_000))]

    def jobs(self, ids: list[str]) -> list[object]:
        self.asked["jobs"] += len(ids)
        return [SimpleNamespace(id=job, state=State(job.partition("-")[0]), task="m.T") for job in ids]


def test_what_was_removed_and_what_ran_before_is_told(own: Lab):
    (own.project / "die.py").write_text(
        """
import os, signal
from xpm import Param, Task, experiment
class Die(Task):
    n: Param[int]
    def execute(self):
        print("attempt", os.environ["XPM_ATTEMPT"], flush=True)
        if int(os.environ["XPM_ATTEMPT"]) < 3:
            os.kill(os.getpid(), signal.SIGKILL)
if __name__ == "__main__":
    with experiment("die"):
        Die.C(n=1).submit()
"""
    )
    assert own.run("run", "die.py").returncode == 0
    (job,) = own.json("jobs", "-e", "die")["jobs"]
    sheet = own.json("show", job["id"])
    ends = [(one["number"], one["end"], one["message"]) for one in sheet["attempts"]]
    killed = "its process was ended by SIGKILL"
    assert ends == [(1, "lost", killed), (2, "lost", killed), (3, "done", "")]
    assert [Path(path, "stdout.log").read_text() for path in sheet["earlier"]] == [
        "attempt 1\n",
        "attempt 2\n",
    ]
    assert "the files of 2 earlier attempts are in .xpm/stale" in own.ok("show", job["id"])
    shutil.rmtree(sheet["directory"])
    assert "directory   removed: the job runs again when it is submitted again" in own.ok("show", job["id"])
    gone = "Die n=1 is DONE, and its directory was removed: the job runs again when it is submitted again"
    for words in (("logs",), ("logs", "-f")):
        assert gone in own.run(*words, job["id"]).stderr, words


def test_a_closed_output_is_nothing_to_stumble_over(own: Lab):
    for closed in (">&-", "2>&-", "<&-", "<&- >&- 2>&-"):
        for words in ("run plan.py closed 2", "jobs", "experiments --json", "show nothing-there"):
            done = own.shell(f"{words} {closed}")
            assert done.returncode == (2 if words.startswith("show") else 0), (words, closed, done.stderr)
            assert "Traceback" not in done.stderr and "unexpected" not in done.stderr


def test_a_job_that_runs_again_has_not_failed_for_those_who_see_the_workspace_alone(own: Lab, tmp_path: Path):
    gate = tmp_path / "gate"
    (own.project / "again.py").write_text(
        f"""
import os, signal, time
from pathlib import Path
from xpm import Param, Task, experiment
class Again(Task):
    n: Param[int]
    def execute(self):
        if os.environ["XPM_ATTEMPT"] == "1":
            os.kill(os.getpid(), signal.SIGKILL)
        print("once more", flush=True)
        while not Path({str(gate)!r}).exists():
            time.sleep(0.02)
if __name__ == "__main__":
    with experiment("again"):
        Again.C(n=1).submit()
"""
    )
    assert own.run("run", "--detach", "again.py").returncode == 0
    until(lambda: own.job("Again n=1")["attempt"] == 2 and own.job("Again n=1")["state"] == "RUNNING")
    job, away = own.job("Again n=1")["id"], ("--broker", "redis://127.0.0.1:1")
    sheet = own.json(*away, "show", job)
    assert [one["end"] for one in sheet["attempts"]] == ["lost"] and sheet["failure"] is None
    assert (sheet["state"], sheet["note"]) == (
        "unknown",
        "its last attempt was lost, and it may run again; the broker was not asked",
    )
    with subprocess.Popen(
        [*XPM, *away, "logs", "-f", job], env=own.env, cwd=own.project, stdout=subprocess.PIPE, text=True
    ) as follower:
        assert follower.stdout is not None and follower.stdout.readline() == "once more\n"
        gate.touch()
        assert follower.wait(60) == 0
