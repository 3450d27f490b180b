"""Running, watching and ending experiments; workers and the broker; each against real processes."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import redis
from commands import Lab
from servers import Server
from waiting import until

SOON = 30.0


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    made = Lab()
    yield made
    made.close()


@pytest.fixture
def own_lab() -> Iterator[Lab]:
    made = Lab()
    yield made
    made.close()


@pytest.fixture
def gate(lab: Lab) -> Iterator[Path]:
    """A file for which the tasks of a test wait."""
    path = lab.home / f"gate-{time.monotonic_ns()}"
    yield path
    path.touch()


def counts(lab: Lab, experiment: str) -> dict[str, int]:
    return lab.json("jobs", "-e", experiment)["counts"]


def test_options_stand_before_the_script_and_its_own_after_it(lab: Lab):
    script = lab.project / "args.py"
    script.write_text(
        "import os, sys; print(sys.argv, {k: v for k, v in os.environ.items() if k[:4] == 'XPM_'})"
    )
    said = lab.ok(
        "run", "--detach", "--workers", "3", "--no-color", "args.py", "--detach", "-w", "x", "--", "-v"
    )
    assert said.startswith("['args.py', '--detach', '-w', 'x', '--', '-v'] ")
    for part in ("'XPM_DETACH': '1'", "'XPM_WORKERS': '3'", "'XPM_NO_COLOR': '1'"):
        assert part in said
    script.write_text("import sys; sys.exit(7)")
    assert lab.run("run", "args.py").returncode == 7, "the script's own status"
    wrong = lab.run("run", "--broker", "nothing", "args.py")
    assert wrong.returncode == 2 and "broker: expected one of" in wrong.stderr, "before the script begins"


def test_quiet_leaves_of_a_run_its_results_and_errors(lab: Lab, gate: Path):
    def begun(*words: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "xpm.cli", *words]
        return subprocess.Popen(command, cwd=lab.project, env=lab.env, stderr=subprocess.PIPE, text=True)

    lab.ok("broker", "start")
    run = begun("run", "-q", "plan.py", "hush", "1", str(gate))
    until(lambda: any(one["name"] == "hush" for one in lab.json("experiments")["experiments"]))
    attach = begun("attach", "hush", "--quiet")
    until(lambda: counts(lab, "hush")["RUNNING"] == 1)
    with begun("run", "plan.py", "loud", "1", str(gate)) as loud:
        # What it says of its progress comes after that of the others would have come.
        assert loud.stderr is not None and "loud: 0 of 2 done, 1 running" in loud.stderr.readline()
        gate.touch()
        assert "loud: all 2 jobs done" in loud.stderr.read()
    for quiet in (run, attach):
        _, said = quiet.communicate(timeout=SOON)
        assert quiet.returncode == 0 and re.fullmatch(r"hush: all 2 jobs done \(\S+ s\)\n", said), said
    failed = lab.run("run", "-q", "plan.py", "wail", "4", "fail")
    assert failed.returncode == 1
    assert "ValueError: 3 is too many" in failed.stderr and " of 6 done" not in failed.stderr
    assert "hush: nothing to do" in lab.run("run", "-q", "plan.py", "hush", "1", str(gate)).stderr


def test_verbose_shows_where_an_error_of_a_script_was_raised(lab: Lab):
    (lab.project / "nameless.py").write_text(
        "from xpm import Task, experiment\n"
        "class One(Task):\n    def execute(self): pass\n"
        "if __name__ == '__main__':\n    with experiment('x') as xp: One.C().submit(queue='no name')\n"
    )
    plain = lab.run("run", "nameless.py")
    assert plain.returncode == 2 and "session.py" not in plain.stderr
    verbose = lab.run("run", "-v", "nameless.py")
    assert verbose.returncode == 2 and "session.py" in verbose.stderr
    assert verbose.stderr.splitlines()[-1] == plain.stderr.splitlines()[-1]


def test_what_the_environment_says_counts_for_commands_too(lab: Lab):
    assert lab.run("run", "plan.py", "env", "1").returncode == 0
    assert lab.run("jobs", env={"XPM_QUIET": "1"}).stderr == ""
    verbose = lab.run("show", "ffffffff", env={"XPM_VERBOSE": "1"})
    assert verbose.returncode == 2 and "in find" in verbose.stderr


def test_attach_tells_programs_how_it_ended(lab: Lab):
    assert lab.run("run", "plan.py", "told", "4", "fail").returncode == 1
    done = lab.run("attach", "told", "--json")
    assert done.returncode == 1 and "ValueError: 3 is too many" in done.stderr
    (listed,) = [one for one in lab.json("experiments")["experiments"] if one["name"] == "told"]
    assert json.loads(done.stdout) == {"version": 1, "workspace": str(lab.workspace), **listed}
    assert listed["state"] == "failed"


def test_run_again_and_dry_run(lab: Lab):
    planned = lab.run("run", "--dry-run", "plan.py", "again", "3")
    assert planned.returncode == 0 and "5 new" in planned.stderr.replace("new: 5", "5 new"), planned.stderr
    assert lab.run("run", "plan.py", "again", "3").returncode == 0
    second = lab.run("run", "plan.py", "again", "3")
    assert second.returncode == 0 and "nothing to do" in second.stderr
    assert counts(lab, "again")["DONE"] == 5


def test_detach_attach_and_what_others_see_meanwhile(lab: Lab, gate: Path):
    detached = lab.run("run", "--detach", "plan.py", "away", "4", "fail", str(gate))
    assert detached.returncode == 0 and "xpm attach away" in detached.stderr
    until(lambda: counts(lab, "away")["RUNNING"] == 2)
    assert " running " in lab.ok("experiments")
    running = lab.json("jobs", "-e", "away", "--state", "RUNNING")["jobs"]
    until(lambda: lab.json("jobs", running[0]["id"])["jobs"][0]["progress"])
    assert lab.json("jobs", running[0]["id"])["jobs"][0]["progress"] == {"value": 0.25, "desc": "under way"}
    busy = [one["job"]["id"] for one in lab.json("worker")["workers"] if one["job"]]
    assert sorted(busy) == sorted(one["id"] for one in running)
    gate.touch()
    attached = lab.run("attach", "away")
    assert attached.returncode == 1 and "ValueError: 3 is too many" in attached.stderr
    assert lab.run("attach", "nobody").returncode == 2


def test_cancel_shows_asks_stops_and_leaves_what_others_want(lab: Lab, gate: Path):
    lab.run("run", "--detach", "plan.py", "one", "3", str(gate))
    until(lambda: counts(lab, "one")["RUNNING"] == 2)
    refused = lab.run("cancel", "one")
    assert refused.returncode == 2 and "nobody to ask; say --yes" in refused.stderr
    assert "cancel one: 5 jobs: 2 RUNNING, 1 READY, 2 WAITING\n" in refused.stdout
    assert "0 done (they stay)" in refused.stdout
    assert counts(lab, "one")["CANCELLED"] == 0
    lab.run("run", "--detach", "plan.py", "two", "2", "as=one", str(gate))
    preview = lab.ok("cancel", "one", "--dry-run")
    assert "cancel one: 2 jobs: 1 READY, 1 WAITING\n" in preview
    assert "3 jobs kept, which other experiments want, too\n" in preview and "goes on hold" not in preview
    said = lab.json("cancel", "one", "--yes")
    # `two` wants n=0, n=1 and a Total of these: n=2 and the Total of all three were wanted by `one` alone.
    assert said == {"version": 1, "experiment": "one", "cancelled": 2, "stopped": 0, "kept": 3}
    assert counts(lab, "two")["RUNNING"] == 2
    left = lab.run("attach", "one")
    assert left.returncode == 4, "what goes on does so for another experiment"
    assert "\n3 jobs go on, for other experiments\n" in left.stderr and "2 cancelled" in left.stderr
    preview = lab.ok("cancel", "two", "--dry-run")
    assert "cancel two: 3 jobs: 2 RUNNING, 1 WAITING\n" in preview and "\nexperiment: two (3)\n" in preview
    last = lab.run("cancel", "two", "--yes")
    assert last.returncode == 0 and "2 stopped" in last.stdout
    assert counts(lab, "two")["RUNNING"] == 0 and counts(lab, "two")["CANCELLED"] == 3
    assert "nothing to cancel" in lab.ok("cancel", "two", "--yes")
    assert lab.ok("cancel", "-e", "two", "--yes") == lab.ok("cancel", "two", "--yes")
    assert lab.run("attach", "two").returncode == 4
    states = {one["name"]: one["state"] for one in lab.json("experiments")["experiments"]}
    assert states["two"] == "cancelled"


def test_the_end_offers_the_logs_of_jobs_that_have_some(lab: Lab):
    nobody = {"XPM_WORKSPACE": str(lab.home / "nobody"), "XPM_WORKERS": "0"}
    lab.run("run", "--detach", "plan.py", "idle", "2", env=nobody)
    lab.ok("cancel", "idle", "--yes", env=nobody)
    cancelled = lab.run("attach", "idle", env=nobody)
    assert cancelled.returncode == 4
    assert re.search(r"^  \S*xpm show \w+ +everything about it$", cancelled.stderr, re.MULTILINE)
    assert "what it printed" not in cancelled.stderr
    failed = lab.run("run", "plan.py", "wrong", "4", "fail")
    assert failed.returncode == 1
    assert re.search(r"^  \S*xpm logs \w+ +what it printed$", failed.stderr, re.MULTILINE)


def test_a_script_whose_remarks_nobody_reads_goes_on(lab: Lab):
    (lab.project / "unheard.py").write_text(
        "import sys; from pathlib import Path; from xpm import Param, Task, experiment\n"
        "class One(Task):\n    n: Param[int]\n    def execute(self): return self.n\n"
        "for n in (1, 2):\n    with experiment('unheard'): task = One.C(n=n).submit()\n"
        "Path('unheard').write_text(str(task.result()))\n"
    )
    shell = f"{sys.executable} unheard.py 2>&1 | true; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", shell], cwd=lab.project, env=lab.env, timeout=SOON)
    assert done.returncode == 0 and (lab.project / "unheard").read_text() == "2"


def test_logs_follow_a_job_to_its_end(lab: Lab, gate: Path):
    lab.run("run", "--detach", "plan.py", "long", "1", str(gate))
    until(lambda: counts(lab, "long")["RUNNING"] == 1)
    (job,) = [one["id"] for one in lab.json("jobs", "-e", "long", "--state", "RUNNING")["jobs"]]
    command = [sys.executable, "-m", "xpm.cli", "logs", "-f", job[:8]]
    with subprocess.Popen(
        command, cwd=lab.project, env=lab.env, stdout=subprocess.PIPE, text=True
    ) as follower:
        assert follower.stdout is not None
        assert follower.stdout.readline() == "begin 0\n"
        assert follower.poll() is None
        gate.touch()
        assert follower.stdout.readline() == "end 0\n"
        assert follower.wait(SOON) == 0


def test_a_queue_without_a_worker_is_told_and_served(lab: Lab, gate: Path):
    lab.run("broker", "stop", "--force")  # and the workers that earlier tests left
    script = lab.project / "queued.py"
    script.write_text(
        (lab.project / "plan.py")
        .read_text()
        .replace(".submit()", ".submit(queue='gpu')")
        .replace("n=tag(n)", "n=tag(n + 50)")
    )
    lab.run("run", "--detach", "queued.py", "queued", "1", env={"XPM_WORKERS": "0"})
    (job, *_) = lab.json("jobs", "-e", "queued", "--state", "READY")["jobs"]
    assert job["startable"] is False
    assert "no worker is there: xpm worker start --queue gpu" in lab.ok("jobs", "-e", "queued")
    problem = lab.run("doctor")
    assert problem.returncode == 1 and "ready in queue gpu that no worker takes" in problem.stdout
    started = lab.run("worker", "start", "--queue", "gpu", "--slots", "1", "--burst")
    assert started.returncode == 0, started.stderr
    assert counts(lab, "queued")["DONE"] == 2
    (noted,) = (lab.workspace / "experiments" / "queued").glob("*/jobs.jsonl")
    whole = noted.read_text()
    noted.write_text(whole.replace('"priority":0', '"priority":True', 1))
    for words in (["doctor"], ["attach", "queued"]):
        damaged = lab.run(*words)
        said = " ".join((damaged.stdout + damaged.stderr).split())
        assert damaged.returncode and "jobs.jsonl: damaged after line 0 (" in said and "Traceback" not in said
        assert "a new run of the script does without it" in said and "unexpected" not in said
    noted.write_text(whole)
    healthy = lab.run("doctor")
    assert healthy.returncode == 0 and healthy.stdout.rstrip().endswith("no problems")


def test_the_broker_is_started_asked_and_stopped(lab: Lab, gate: Path):
    lab.ok("broker", "start")
    url = lab.ok("broker", "url").strip()
    assert url.startswith("unix://")
    assert lab.json("broker")["running"] is True
    lab.run("run", "--detach", "plan.py", "busy", "1", str(gate))
    until(lambda: counts(lab, "busy")["RUNNING"] == 1)
    refused = lab.run("broker", "stop")
    assert refused.returncode == 1 and "in use: 1 RUNNING" in refused.stderr
    pid = lab.json("broker")["pid"]
    os.kill(pid, signal.SIGSTOP)
    hung, told = lab.run("broker"), lab.run("broker", "--json")
    os.kill(pid, signal.SIGCONT)
    assert hung.returncode == told.returncode == 3
    assert f"(process {pid}) does not answer, since somebody has stopped it: kill -CONT {pid}" in hung.stdout
    assert json.loads(told.stdout)["answers"] is False
    assert lab.ok("broker", "stop", "--force") == "stopped\n"
    off = lab.run("broker", "status")
    assert off.returncode == 3 and "does not run" in off.stdout
    assert lab.ok("broker", "stop") == "it did not run\n"
    # Whoever needs it starts it again, and the workers that there was work for.
    assert counts(lab, "busy")["DONE"] == 0
    gate.touch()
    assert lab.run("attach", "busy").returncode == 0
    assert lab.ok("broker", "stop") == "stopped\n", "idle workers do not keep it up"
    assert lab.run("broker", "status").returncode == 3


def test_doctor_finds_nothing_wrong_before_the_first_script(lab: Lab, server: Server, tmp_path: Path):
    fresh = ("-w", str(tmp_path / "w"), "doctor")
    for broker in ((), ("--broker", server.url)):
        done = lab.run(*broker, *fresh)
        assert done.returncode == 0 and "not there yet; the first script makes it" in done.stdout, done.stdout
    dead = lab.run("--broker", "redis://127.0.0.1:1", *fresh)
    assert dead.returncode == 1 and dead.stdout.count(" problem ") == 1 and "no workspace" not in dead.stdout


def test_doctor_finds_jobs_that_a_broker_has_lost(lab: Lab, gate: Path):
    alone = {"XPM_WORKSPACE": str(lab.home / "alone")}
    lab.run("run", "--detach", "--workers", "0", "plan.py", "lost", "2", str(gate), env=alone)
    with redis.Redis.from_url(lab.ok("broker", "url", env=alone).strip()) as client:
        client.flushall()
    sick = lab.run("doctor", env=alone)
    assert sick.returncode == 1 and "the broker has lost 3 jobs of the experiment lost" in sick.stdout
    assert "xpm attach lost submits them again" in sick.stdout
    empty = lab.run("experiments", env=alone)
    assert empty.stdout == "no experiments\n" and "the workspace has runs of lost" in empty.stderr
    gate.touch()
    assert lab.run("attach", "lost", env=alone).returncode == 0
    assert lab.run("doctor", env=alone).returncode == 0
    lab.ok("broker", "stop", env=alone)


def test_ctrl_c_while_workers_start_is_no_traceback(lab: Lab):
    command = [sys.executable, "-m", "xpm.cli", "worker", "start", "--slots", "1"]
    pool = subprocess.Popen(command, cwd=lab.project, env=lab.env, stderr=subprocess.PIPE, text=True)
    until(lambda: "xpm_workers.pool" in psutil.Process(pool.pid).cmdline())
    pool.send_signal(signal.SIGINT)
    _, told = pool.communicate(timeout=30)
    assert "Traceback" not in told and pool.returncode in (0, 130)


def killed_long_ago(lab: Lab, where: dict[str, str], queue: str, *, busy: bool) -> None:
    """Kills a pool that serves `queue` and its worker, and moves its last sign of life into the past."""
    command = [sys.executable, "-m", "xpm.cli", "worker", "start", "--slots", "1", "--queue", queue]
    pool = subprocess.Popen(command, cwd=lab.project, env={**lab.env, **where}, stderr=subprocess.DEVNULL)

    def mine() -> list[dict[str, Any]]:
        workers = lab.json("worker", env=where)["workers"]
        return [one for one in workers if one["queues"] == [queue] and bool(one["job"]) is busy]

    until(mine)
    (worker,) = mine()
    for pid in (pool.pid, worker["pid"]):
        os.kill(pid, signal.SIGKILL)
    pool.wait()
    with redis.Redis.from_url(lab.ok("broker", "url", env=where).strip()) as client:
        (key,) = client.keys(f"xpm:*:w:{worker['name']}")
        client.hset(key, "seen", int(worker["seen"] * 1000) - 100_000)


def test_workers_that_left_without_a_word(lab: Lab, gate: Path):
    where = {"XPM_WORKSPACE": str(lab.home / "ghosts"), "XPM_WORKERS": "0"}
    lab.ok("broker", "start", env=where)
    killed_long_ago(lab, where, "slow", busy=False)
    assert re.search(r" slow +\w+ +\d+m +silent$", lab.ok("worker", env=where), re.MULTILINE)
    assert [one["silent"] for one in lab.json("worker", env=where)["workers"]] == [True]
    healthy = lab.run("doctor", env=where)
    assert healthy.returncode == 0, healthy.stdout
    assert re.search(
        r"^workers +note +1 worker on \S+ left without a word, and without", healthy.stdout, re.MULTILINE
    )
    assert re.search(r"^workers +ok +none$", healthy.stdout, re.MULTILINE)

    lab.run("run", "--detach", "plan.py", "ghosts", "1", str(gate), env=where | {"XPM_QUEUE": "slow"})
    assert "no worker is there: xpm worker start --queue slow" in lab.ok("jobs", env=where), (
        "it serves nothing"
    )
    command = [sys.executable, "-m", "xpm.cli", "attach", "ghosts"]
    with subprocess.Popen(
        command, cwd=lab.project, env={**lab.env, **where}, stderr=subprocess.PIPE, text=True
    ) as one:
        assert one.stderr is not None
        said = next(line for line in one.stderr if "no worker" in line)
        assert said == "no worker serves the queue 'slow', in which 1 job waits: start one with\n"
        one.kill()
    killed_long_ago(lab, where, "slow", busy=True)
    sick = lab.run("doctor", env=where)
    assert sick.returncode == 1 and re.search(
        r"problem +worker \d+ on \S+ has been silent for 1m and has a job", sick.stdout
    )


@pytest.mark.rq
def test_rq_info_takes_the_url(lab: Lab):
    lab.run("run", "plan.py", "seen", "1")
    url = lab.ok("broker", "url").strip()
    code = "import sys; from rq.cli import main; sys.argv[0] = 'rq'; main()"
    done = subprocess.run(
        [sys.executable, "-c", code, "info", "-u", url],
        env=lab.env,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0 and "-default" in done.stdout and "2 workers" in done.stdout, (
        done.stdout + done.stderr
    )


def test_the_way_on_is_what_was_typed(lab: Lab):
    done = lab.run("run", "--workers", "1", "plan.py", "way", "4", "fail")
    assert done.returncode == 1
    assert re.search(r"^  \S*xpm run --workers 1 plan.py way 4 fail  goes on: ", done.stderr, re.MULTILINE)
    facts = json.loads(next((lab.workspace / "experiments" / "way").glob("*/run.json")).read_text())
    assert facts["command"] == ["xpm", "run", "--workers", "1", "plan.py", "way", "4", "fail"]


def test_a_shared_broker(lab: Lab, server: Server, tmp_path: Path):
    shared = ("--broker", server.url, "-w", str(tmp_path / "w"))
    assert lab.run("run", *shared, "--workers", "1", "plan.py", "shared", "1").returncode == 0
    assert lab.json("jobs", *shared)["counts"]["DONE"] == 2
    assert lab.ok("broker", "url", *shared).strip() == server.url
    status = lab.json("broker", *shared)
    assert status["kind"] == "shared" and status["append_only_file"] is True and status["unfit"] is None
    for verb in ("start", "stop", "takeover"):
        done = lab.run("broker", verb, *shared)
        assert done.returncode == 2 and "it is not xpm's to start or stop" in done.stderr
    with server.client() as client:
        client.flushall()


def test_pdb_runs_a_job_again_and_changes_nothing(lab: Lab):
    lab.run("run", "plan.py", "bug", "4", "fail")
    (job,) = [one["id"] for one in lab.json("jobs", "-e", "bug", "--state", "ERROR")["jobs"]]
    before = lab.json("show", job)
    command = [sys.executable, "-m", "xpm.cli", "run", "--pdb", f"Slow/{job[:8]}"]
    done = subprocess.run(
        command,
        input="p self.n * 100\nq\n",
        cwd=lab.project,
        env=lab.env,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1 and "300" in done.stdout and "ValueError: 3 is too many" in done.stderr
    assert lab.json("show", job) == before
    held = [one["id"] for one in lab.json("jobs", "-e", "bug", "--state", "HOLD")["jobs"]]
    refused = lab.run("run", "--pdb", held[0])
    assert refused.returncode == 2 and "is not done" in refused.stderr
    assert lab.run("run", "--pdb", job, "plan.py").returncode == 2


def test_without_a_copy_a_job_runs_what_stands_in_the_project_and_show_says_what_changed(own_lab: Lab):
    lab = own_lab
    lab.env |= {"XPM_SNAPSHOT": "false", "XPM_WORKERS": "1"}
    gate = lab.project / "gate"
    assert lab.run("run", "--detach", "plan.py", "free", "3", str(gate)).returncode == 0
    until(lambda: any(one["progress"] for one in lab.json("jobs", "-e", "free")["jobs"]))  # it has its code
    script = lab.project / "plan.py"
    before = script.read_text()
    script.write_text(before.replace('return {"n": self.n}', 'return {"n": 100 + self.n}'))
    gate.touch()
    assert lab.run("attach", "free").returncode == 0
    jobs = {one["label"]: one for one in lab.json("jobs", "-e", "free")["jobs"]}
    shown = {n: lab.json("show", jobs[f"Slow n={n}"]["id"]) for n in range(3)}
    assert sorted(one["result"]["n"] for one in shown.values()) == [0, 101, 102]
    assert sum("plan.py" in str(one["remarks"]) for one in shown.values()) == 2
    again = lab.run("run", "plan.py", "free", "3", str(gate))
    assert "1 of the 5 jobs done before was made by other code than today's" in again.stderr
    script.write_text(before)
    again = lab.run("run", "plan.py", "free", "3", str(gate))
    assert "4 of the 5 jobs done before were made by other code than today's" in again.stderr
