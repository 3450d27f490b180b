"""A plan that was edited and is run again: what it leaves out is wanted no more, and nothing else is touched."""

from __future__ import annotations

from commands import Lab
from waiting import until

PLAN = """
import sys
from plan import Size, Slow
from xpm import experiment, tag

with experiment("{experiment}"):
    for n in {numbers}:
        Slow.C(n=tag(n), size=Size.C(layers=2), kind="edited", until=sys.argv[1]).submit()
"""


def run(
    lab: Lab, numbers: str, *arguments: str, script: str = "edited.py", experiment: str = "edited"
) -> str:
    (lab.project / script).write_text(PLAN.format(numbers=numbers, experiment=experiment))
    done = lab.run("run", "--detach", script, str(lab.project / "gate"), *arguments)
    assert done.returncode == 0, done.stderr
    return done.stderr


def states(lab: Lab) -> dict[str, str]:
    return {job["label"].split()[-1]: job["state"] for job in lab.json("jobs")["jobs"]}


def test_what_a_newer_run_leaves_out_is_cancelled_unless_it_runs_or_others_want_it(lab: Lab) -> None:
    run(lab, "range(8)", experiment="edited")
    until(lambda: list(states(lab).values()).count("RUNNING") == 2)
    running = {label for label, state in states(lab).items() if state == "RUNNING"}
    assert running == {"n=0", "n=1"}
    run(lab, "[5]", script="other.py", experiment="other")
    said = run(lab, "[7]", "--more")
    assert "cancelled" not in said, "other arguments: it may be another part of the experiment"
    (lab.project / "edited.py").write_text(PLAN.format(numbers="[0, 2, 9]", experiment="edited"))
    dry = lab.run("run", "--dry-run", "edited.py", str(lab.project / "gate"))
    assert "would cancel 4 jobs of an earlier run, which this one leaves out\n" in dry.stderr
    assert "CANCELLED" not in states(lab).values()
    said = run(lab, "[0, 2, 9]")
    assert (
        "edited: 3 jobs of an earlier run cancelled, which this one leaves out, 1 job kept for other experiments\n"
    ) in said
    assert states(lab) == {
        "n=0": "RUNNING", "n=1": "RUNNING", "n=2": "READY", "n=3": "CANCELLED", "n=4": "CANCELLED",
        "n=5": "READY", "n=6": "CANCELLED", "n=7": "READY", "n=9": "READY",
    }  # fmt: skip
    (cancelled,) = (job for job in lab.json("jobs")["jobs"] if job["label"].endswith("n=3"))
    assert cancelled["note"] == "cancelled by a newer run"
    said = run(lab, "[0, 2, 3, 9]")
    assert "earlier run" not in said and states(lab)["n=3"] == "READY", "wanted again"
    (lab.project / "gate").touch()
    assert lab.run("attach", "edited").returncode == 0
