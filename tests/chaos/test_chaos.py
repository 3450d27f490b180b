"""Real processes while all of them are killed, stopped and cut off at random: each job is done once.

`CHAOS_SEED` repeats a run, `CHAOS_SECONDS` makes it longer.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from driver import storm
from faults import WITH_HOSTS, Kind, plan
from grounds import LEASE, POOLS, grounds
from servers import Server

CALM = 300
"""Seconds beside those of the faults: to come to rest on a busy machine, and to judge."""


def _run(
    folder: Path, start_server: Callable[..., Server], seed: int, seconds: float, *, apart: bool
) -> None:
    seed = int(os.environ.get("CHAOS_SEED", seed))
    seconds = float(os.environ.get("CHAOS_SECONDS", seconds))
    kinds = set(Kind) - (set() if apart else WITH_HOSTS)
    sys.stdout.write(f"CHAOS_SEED={seed} CHAOS_SECONDS={seconds}\n")  # shown when it fails, and with -s
    faults = list(plan(seed, seconds, kinds, POOLS, 3 * LEASE))
    with grounds(folder, start_server, apart=apart, dashboards=True) as made:
        sys.stdout.write(f"{storm(made, faults, seed)}\n")


@pytest.mark.rq
@pytest.mark.timeout(60 + CALM)
def test_each_job_is_done_once_whatever_fails(tmp_path: Path, start_server: Callable[..., Server]) -> None:
    """For a minute, of which the next test has one half where it can run."""
    _run(tmp_path, start_server, 1, 30 if os.geteuid() == 0 else 60, apart=False)


@pytest.mark.root
@pytest.mark.namespaces
@pytest.mark.compiler
@pytest.mark.timeout(30 + CALM)
def test_each_job_is_done_once_whatever_fails_between_hosts(
    tmp_path: Path, start_server: Callable[..., Server]
) -> None:
    _run(tmp_path, start_server, 2, 30, apart=True)


@pytest.mark.soak
@pytest.mark.root
@pytest.mark.namespaces
@pytest.mark.compiler
@pytest.mark.timeout(2 * 3600)
def test_each_job_is_done_once_whatever_fails_for_an_hour(
    tmp_path: Path, start_server: Callable[..., Server], capsys: pytest.CaptureFixture[str]
) -> None:
    with capsys.disabled():
        _run(tmp_path, start_server, int(time.time()), 3600, apart=True)
