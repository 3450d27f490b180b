"""Peers: their environment, and calls of their sides of the cases."""

from __future__ import annotations

import importlib.metadata
import json
import subprocess
import sys
import tomllib
import venv
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from benchmarks.site import HERE, PATIENCE, WORKERS, Process, Site

VENV = HERE / "out" / "peers-venv"
_VERSIONS = """
import importlib.metadata as m, json
found = {}
for name in ("rq", "redis", "hiredis", "dask", "distributed", "hyperqueue", "numpy"):
    try:
        found[name] = m.version(name)
    except m.PackageNotFoundError:
        pass
print(json.dumps(found))
"""


class Peers:
    """The other systems.

    Args:
        python: the interpreter of their environment; None: there are none.
    """

    def __init__(self, python: Path | None) -> None:
        self.python = python
        self.versions: dict[str, str] = {}
        if python is not None:
            said = subprocess.run(
                [python, "-c", _VERSIONS], capture_output=True, text=True, check=True
            ).stdout
            self.versions = json.loads(said)

    def has(self, name: str) -> bool:
        """Whether a peer can be measured."""
        return name in self.versions

    def missing(self, *names: str) -> list[str]:
        """Notes about those that can't."""
        return [f"{name} is left out: it is not installed" for name in names if not self.has(name)]

    def ask(self, site: Site, side: str, *arguments: object) -> dict[str, Any]:
        """Calls a peer's side of a case."""
        done = subprocess.run(
            [str(self.python), str(HERE / "peers" / side), *map(str, arguments)],
            env={**site.environ, "PYTHONPATH": _path()},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
        )
        if done.returncode:
            raise SystemExit(f"{side} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
        return json.loads(done.stdout.splitlines()[-1])

    def rq(self, site: Site, verb: str, *arguments: object) -> dict[str, Any]:
        """RQ's side."""
        return self.ask(site, "rq_side.py", site.url, verb, *arguments)

    @contextmanager
    def rq_workers(self, site: Site, *options: str, count: int = WORKERS) -> Iterator[list[Process]]:
        """RQ's workers as they come: a fork for each job."""
        command = [str(self.python), "-m", "rq.cli", "worker", "-q", "-u", site.url, *options, "default"]
        with ExitStack() as stack:
            yield [stack.enter_context(site.running(command, {"PYTHONPATH": _path()})) for _ in range(count)]


def _path() -> str:
    return f"{HERE / 'peers'}:{HERE / 'plans'}"


def install() -> Path:
    """Makes the environment of the peers, unless it is there; returns its interpreter."""
    python = VENV / "bin" / "python"
    wanted = _wanted()
    stamp = VENV / "installed"
    if stamp.is_file() and stamp.read_text() == "\n".join(wanted):
        return python
    print(f"installing the peers into {VENV}", flush=True)
    venv.create(VENV, with_pip=True, clear=True)
    pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, wanted[0]], check=True)
    for one in wanted[1:]:  # one by one: what this index or platform doesn't have is left out
        if subprocess.run([*pip, one], check=False).returncode:
            print(f"  {one} cannot be installed here", flush=True)
    stamp.write_text("\n".join(wanted))
    return python


def _wanted() -> list[str]:
    """The dependency group `peers`, with RQ in the version that xpm itself runs on, first."""
    project: Any = tomllib.loads((HERE.parent / "pyproject.toml").read_text())
    group: list[str] = project["dependency-groups"]["peers"]
    return [f"rq=={importlib.metadata.version('rq')}", *(one for one in group if not one.startswith("rq"))]


def choose(wish: str) -> Peers:
    """The peers: `auto` (installed if need be), `none`, or the interpreter of an environment."""
    if wish == "none":
        return Peers(None)
    return Peers(install() if wish == "auto" else Path(sys.executable if wish == "here" else wish).absolute())
