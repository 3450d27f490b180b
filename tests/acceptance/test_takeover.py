"""A workspace whose server is another host's: what that host's neighbours are told, and how one takes it over."""

from __future__ import annotations

import os
from socket import gethostname
from typing import Any

import leftovers
import pytest
from commands import Lab

from xpm.broker.claim import Claim, overwrite
from xpm.workspace.layout import Workspace


def moved_away(lab: Lab, **said: Any) -> None:
    """From now on the workspace's server is that of a neighbour, who has another state directory."""
    lab.ok("broker", "stop", "--force")
    (lab.home / "state").rename(lab.home / "the state of node7")
    namespace = Workspace.open(lab.workspace).namespace
    overwrite(lab.workspace / ".xpm/broker.json", Claim(namespace, "/s", "/d", user="ada", **said))


def test_another_host_is_told_whose_server_it_is_and_takes_it_over(lab: Lab) -> None:
    assert lab.run("run", "plan.py", "done", "1").returncode == 0
    lab.ok("run", "--detach", "--workers", "0", "plan.py", "left", "2")
    moved_away(lab, host="node7")
    ways = f"xpm: error: {lab.workspace}: its server runs on host node7 (user ada, since "
    for words in (["jobs"], ["worker", "start"], ["attach", "left"], ["broker", "stop"], ["broker", "url"]):
        done = lab.run(*words, "-q")
        assert done.returncode == 3 and done.stderr.startswith(ways), (words, done.stderr)
        assert done.stderr.endswith(
            "XPM_BROKER=redis://..., or, if that server is gone for good, run 'xpm broker takeover' here\n"
        )
        assert done.stderr.count("\n") == 1 and not done.stdout
    script = lab.run("run", "plan.py", "new", "3")
    assert script.returncode == 3 and script.stderr == lab.run("jobs", "-q").stderr.replace("error: ", "")
    status = lab.run("broker", "status", "-q")
    assert status.returncode == 3 and "runs on host node7" in status.stdout
    assert "the workspace's server runs on host node7" in lab.run("doctor").stdout
    assert not [one for one in leftovers.processes(lab.home) if "server" in one.name()]

    refused = lab.run("broker", "takeover", "-q")
    assert refused.returncode == 2 and "nobody to ask; say --yes" in refused.stderr
    assert lab.json("broker", "takeover", "--yes") == {"version": 1, "host": gethostname()}
    again = lab.run("broker", "takeover", "--yes", "-q")
    assert again.returncode == 2 and "is this host's already" in again.stderr
    # This host's server knows nothing; what was done is found by its records, what was not is submitted again.
    assert lab.run("attach", "left").returncode == 0
    assert lab.run("run", "plan.py", "done", "1").stderr.endswith("all 2 jobs were done before\n")


def test_a_takeover_is_asked_for(lab: Lab) -> None:
    lab.ok("broker", "start")
    moved_away(lab, host="node7")
    asked = lab.spawn("broker", "takeover")
    asked.expect(r"Take the server over from host node7 \(user ada\)\? .* \[y/N\]")
    asked.sendline("n")
    asked.expect("nothing was changed")
    asked.wait()
    assert asked.exitstatus == 1 and lab.run("jobs").returncode == 3


@pytest.mark.parametrize(
    ("said", "way"),
    [
        ({"host": "node7"}, "go there, or share"),
        (
            {"machine": "another"},
            "go there, or share",
        ),  # a clone of a virtual machine has the name of the first
        ({"uid": os.getuid() + 1}, "be ada, or share"),
    ],
)
def test_somebody_else_has_another_name_machine_id_or_user(lab: Lab, said: dict[str, Any], way: str) -> None:
    lab.ok("broker", "start")
    moved_away(lab, **said)
    done = lab.run("jobs")
    assert done.returncode == 3 and f"): {way} one broker by XPM_BROKER=" in done.stderr
