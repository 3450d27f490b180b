"""`broker.json`: which host runs the server of a workspace, written so that only one can.

A workspace may lie on a file system that several hosts mount, so the file is created by `link()`, which
exactly one of them wins; it is replaced only by the host and user that it names, or by a takeover.
"""

from __future__ import annotations

import json
import os
import secrets
import time
from collections.abc import Generator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from xpm.errors import BrokerUnreachable, WorkspaceError
from xpm.here import this_host, this_user

FORMAT = 1


def _read_line(path: str) -> str:
    try:
        return Path(path).read_text().strip()
    except OSError:
        return ""


@dataclass(frozen=True, slots=True)
class Claim:
    """What `broker.json` says: where the server is, and who may use it."""

    namespace: str
    socket: str
    data: str
    host: str = field(default_factory=this_host)
    machine: str = field(default_factory=lambda: _read_line("/etc/machine-id"))
    boot: str = field(default_factory=lambda: _read_line("/proc/sys/kernel/random/boot_id"))
    uid: int = field(default_factory=os.getuid)
    user: str = field(default_factory=this_user)
    pid: int = 0
    """0 until the server has answered for the first time."""
    start: float = field(default_factory=time.time)
    server: str = ""
    format: int = FORMAT

    @property
    def here(self) -> bool:
        """Whether the server is of this user on this host; a host that was started again is the same."""
        return self.on_this_host and self.uid == os.getuid()

    @property
    def on_this_host(self) -> bool:
        """Whether the server is on this host, if maybe another user's."""
        mine = Claim("", "", "")
        return (self.host, self.machine) == (mine.host, mine.machine)

    def answered(self, pid: int, server: str) -> Claim:
        """The claim of a server that has come up."""
        return replace(self, pid=pid, server=server, start=time.time())


def read(path: Path) -> Claim | None:
    """The claim in `path`; None where there is none.

    Raises:
        WorkspaceError: The file is damaged, or a newer xpm wrote it.
    """
    try:
        content: Any = json.loads(path.read_text())
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise WorkspaceError(f"{path}: cannot be read ({error}); remove it if no server runs") from error
    try:
        if content["format"] == FORMAT:
            return Claim(**{one.name: content[one.name] for one in fields(Claim)})
    except (KeyError, TypeError, IndexError):
        pass
    raise WorkspaceError(f"{path}: of a format that this xpm doesn't know; remove it if no server runs")


def create(path: Path, claim: Claim) -> bool:
    """Writes the claim if there is none; False if somebody else was first."""
    with _written(path, claim) as written:
        try:
            os.link(written, path)
        except FileExistsError:
            return False
        return True


def overwrite(path: Path, claim: Claim) -> None:
    """Writes the claim over whatever is there."""
    with _written(path, claim) as written:
        os.replace(written, path)


@contextmanager
def _written(path: Path, claim: Claim) -> Generator[Path]:
    written = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
    try:
        written.write_text(json.dumps(asdict(claim)) + "\n")
        yield written
    except OSError as error:
        raise WorkspaceError(f"{path.parent}: not writable: {error.strerror}") from error
    finally:
        with suppress(OSError):  # what kept it from being written keeps it from being removed
            written.unlink(missing_ok=True)


def refuse_foreign(path: Path, claim: Claim) -> None:
    """Refuses to go on where the server is another host's or another user's.

    Raises:
        BrokerUnreachable: It is; the message names it and the two ways out.
    """
    if claim.here:
        return
    since = time.strftime("%Y-%m-%d %H:%M", time.localtime(claim.start))
    way = f"be {claim.user}" if claim.on_this_host else "go there"
    raise BrokerUnreachable(
        f"{path.parent.parent}: its server runs on host {claim.host} (user {claim.user}, since {since}): "
        f"{way}, or share one broker by XPM_BROKER=redis://..., or, if that server is gone for good, "
        "run 'xpm broker takeover' here"
    )
