"""What only looks changes nothing: no key of the broker, no file of the workspace or the home."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis
from commands import Lab
from servers import Server

LOOKS = (
    ("run", "--dry-run", "plan.py", "demo", "5"),
    ("jobs",),
    ("experiments",),
    ("show", "--task", "Slow"),
    ("logs", "--task", "Slow"),
    ("worker",),
    ("doctor",),
    ("broker", "status"),
)


@pytest.fixture
def lab() -> Iterator[Lab]:
    made = Lab()
    made.env["XPM_WORKERS"] = "0"
    yield made
    made.close()


def done(lab: Lab, *options: str) -> None:
    """An experiment with a failed job, and no worker left."""
    lab.ok("run", "--detach", *options, "plan.py", "demo", "4", "fail")
    lab.ok("worker", "start", "--burst", "--slots", "1", *options)
    counts = lab.json("jobs", *options)["counts"]
    assert counts["ERROR"] == 1 and counts["DONE"] == 4, counts


def keys(client: redis.Redis) -> dict[bytes, tuple[object, bool]]:
    """All that stands in a broker, and whether it stays."""
    return {key: (client.dump(key), client.ttl(key) < 0) for key in client.scan_iter(count=1000)}


def files(*roots: Path) -> dict[str, tuple[int, int, bytes]]:
    """All files and folders below these, with their times and contents; a server's own are its own to write."""
    found: dict[str, tuple[int, int, bytes]] = {}
    for root in roots:
        for path in sorted([root, *root.rglob("*")]):
            if "tmp" in path.relative_to(root).parts:
                continue  # Python itself tries whether it can write there
            facts = path.lstat()
            content = (
                path.read_bytes()
                if path.is_file()
                else os.fsencode(os.listdir(path).__repr__())
                if path.is_dir()
                else b""
            )
            found[str(path)] = (facts.st_mode, facts.st_mtime_ns, content)
    return found


def looked(lab: Lab, client: redis.Redis, *options: str) -> None:
    """Looks with each command, and compares."""
    for noun, *words in LOOKS:
        before = keys(client), files(lab.home)
        ran = lab.run(noun, *options, *words)
        assert ran.returncode in (0, 1) and "unexpected" not in ran.stderr, ran.stderr
        assert keys(client) == before[0], noun
        assert files(lab.home) == before[1], noun


def test_on_a_broker_that_knows_the_workspace(lab: Lab, start_server: Callable[..., Server]):
    server = start_server()
    shared = ("--broker", server.url)
    done(lab, *shared)
    with server.client() as client:
        looked(lab, client, *shared)
        planned = lab.run("run", *shared, "--dry-run", "plan.py", "demo", "4", "fail")
        assert "4 done already" in planned.stderr and "1 failed before" in planned.stderr
    server.kill()
    server.start()  # another life: who works there begins a new epoch
    with server.client() as client:
        looked(lab, client, *shared)


def test_on_a_broker_that_is_new_to_the_workspace(lab: Lab, start_server: Callable[..., Server]):
    known, fresh = start_server(), start_server()
    done(lab, "--broker", known.url)
    with fresh.client() as client:
        looked(lab, client, "--broker", fresh.url)
        assert not client.dbsize()
        planned = lab.run("run", "--broker", fresh.url, "--dry-run", "plan.py", "demo", "4")
        assert f"compared with {fresh.url}" in planned.stderr and "done already" in planned.stderr


def test_on_the_workspace_s_own_server(lab: Lab):
    done(lab)
    with redis.Redis.from_url(lab.ok("broker", "url").strip()) as client:
        looked(lab, client)


def test_a_dry_run_in_a_tree_that_was_moved(lab: Lab, start_server: Callable[..., Server]):
    server = start_server()
    shared = ("--broker", server.url)
    done(lab, *shared)
    moved = lab.home / "elsewhere"
    lab.workspace.rename(moved)
    with server.client() as client:
        looked(lab, client, *shared, "-w", str(moved))
    lab.ok("run", *shared, "-w", str(moved), "--workers", "1", "plan.py", "demo", "2")
    assert f'path = "{moved}"' in (moved / ".xpm" / "workspace.toml").read_text(), "who works there notes it"


def test_a_dry_run_refuses_a_broker_that_the_run_would_refuse(lab: Lab, start_server: Callable[..., Server]):
    server = start_server(options=("--maxmemory", "100mb", "--maxmemory-policy", "allkeys-lru"))
    lab.ok("broker", "start")  # makes the workspace
    lab.ok("broker", "stop")
    for words in (("--dry-run",), ()):
        refused = lab.run("run", *words, "--broker", server.url, "plan.py", "demo", "1")
        assert refused.returncode == 2 and "set maxmemory-policy noeviction" in refused.stderr
    with server.client() as client:
        assert not client.dbsize()
