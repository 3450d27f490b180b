"""Directories of the embedded server: private ones, short ones, never on a shared mount."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from xpm.broker import dirs
from xpm.errors import BrokerError
from xpm.settings import Places
from xpm.types import Namespace

NAMESPACE = Namespace("0123456789ab")


def at(path: Path, **changes: Path | None) -> Places:
    fields = {"config": path / "c", "state": path / "s", "runtime": path / "r", "temporary": path / "t"}
    return Places(**{**fields, **changes})


@pytest.fixture
def short(home: Path) -> Path:
    (home / "r").mkdir(mode=0o700)
    (home / "t").mkdir()
    return home


def test_the_runtime_directory_is_taken_when_it_is_the_users(short: Path):
    assert dirs.sockets(at(short), NAMESPACE) == short / "r/xpm" / NAMESPACE


@pytest.mark.parametrize("gone", [True, False])
def test_else_a_private_one_in_the_temporary_directory(short: Path, gone: bool):
    runtime = short / "nowhere" if gone else None
    path = dirs.sockets(at(short, runtime=runtime), NAMESPACE)
    assert path == short / f"t/xpm-{os.getuid()}" / NAMESPACE
    assert path.parent.stat().st_mode & 0o777 == 0o700


def test_a_long_runtime_directory_is_left_for_a_shorter(short: Path):
    long = short / ("x" * 90)
    long.mkdir()
    assert dirs.sockets(at(short, runtime=long), NAMESPACE).is_relative_to(short / "t")
    with pytest.raises(BrokerError, match="too long for a socket; set TMPDIR"):
        dirs.sockets(at(short, runtime=None, temporary=long), NAMESPACE)


def test_a_directory_of_somebody_else_is_refused(short: Path):
    trap = short / f"t/xpm-{os.getuid()}"
    trap.symlink_to(short / "r")
    with pytest.raises(BrokerError, match="not a directory that only this user can open"):
        dirs.sockets(at(short, runtime=None), NAMESPACE)
    trap.unlink()
    trap.mkdir()
    trap.chmod(0o777)
    with pytest.raises(BrokerError, match="not a directory that only this user can open"):
        dirs.sockets(at(short, runtime=None), NAMESPACE)


@pytest.mark.root
def test_a_runtime_directory_left_by_su_is_not_used(short: Path):
    os.chown(short / "r", 12345, 12345)
    assert dirs.sockets(at(short), NAMESPACE).is_relative_to(short / "t")


def test_data_leaves_a_shared_mount(short: Path, monkeypatch: pytest.MonkeyPatch):
    assert dirs.data(at(short), NAMESPACE).is_relative_to(short / "s/brokers")
    monkeypatch.setattr(dirs, "on_network", lambda path: True)
    monkeypatch.setattr(dirs, "_LASTING", short / "t")
    assert dirs.data(at(short), NAMESPACE).is_relative_to(short / f"t/xpm-{os.getuid()}")
