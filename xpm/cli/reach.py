"""From the options to the workspace and the broker that a command works with."""

from __future__ import annotations

import socket
import sys
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from xpm.cli.options import Options
from xpm.core.aligned import clean
from xpm.errors import BrokerStalled, BrokerUnreachable, WorkspaceError
from xpm.settings import MARKER, Settings, load, places

if TYPE_CHECKING:
    from xpm.broker.broker import Broker
    from xpm.broker.embedded import Embedded
    from xpm.broker.reader import Reader
    from xpm.broker.views import Views
    from xpm.workspace.layout import Workspace

R = TypeVar("R", bound="Reader")


PATIENCE = 0.4
"""Seconds for which a command tries a broker that does not answer: somebody sits before it."""


class Reach:
    """What a command can get at, each opened when it is first asked for.

    Args:
        options: what the command line says.
    """

    def __init__(self, options: Options) -> None:
        self.options = options

    @cached_property
    def settings(self) -> Settings:
        """The settings, with what the command line says."""
        said = self.options
        found = load(command=said.settings())
        # What the environment or a file says counts as much.
        said.quiet, said.verbose = found.quiet, found.verbose
        if found.verbose:
            import logging

            logging.basicConfig(format="%(name)s: %(message)s")
            logging.getLogger("xpm").setLevel(logging.DEBUG)
        return found

    @cached_property
    def workspace(self) -> Workspace:
        """The workspace, which must be there.

        Raises:
            WorkspaceError: There is none.
        """
        from xpm.workspace.layout import Workspace

        path = self.settings.workspace
        if path.exists() and not path.is_dir():
            raise WorkspaceError(f"{path} is no directory ({self.settings.source('workspace')})")
        if not (path / MARKER).is_file():
            raise WorkspaceError(
                f"no workspace at {path} ({self.settings.source('workspace')}): "
                "run a script first, or name one by -w PATH"
            )
        return Workspace.open(path, create=False)

    def make_workspace(self) -> Workspace:
        """The workspace, made if need be, and said so: for what may come before the first script."""
        from xpm.workspace.layout import Workspace

        there = (self.settings.workspace / MARKER).is_file()
        made = Workspace.open(self.settings.workspace)
        if not there and not self.options.json:
            self.say(f"there was no workspace at {made.path}: made a new one")
        self.__dict__["workspace"] = made
        return made

    @property
    def shared(self) -> bool:
        """Whether the broker is one that the settings name."""
        return self.settings.broker is not None

    @cached_property
    def embedded(self) -> Embedded:
        """The workspace's own server."""
        from xpm.broker.embedded import Embedded

        workspace, seconds = self.workspace, self.settings.idle_stop
        return Embedded(workspace.path, workspace.namespace, places(), idle_stop=seconds, tell=self.say)

    @cached_property
    def url(self) -> str:
        """The broker's URL; the workspace's own server is started if it does not run."""
        if self.settings.broker is not None:
            return self.settings.broker
        return self._running() or self._revived()

    def _revived(self) -> str:
        """Starts the workspace's server, and the local workers that died with it while there was work."""
        from xpm.broker.connect import open_client
        from xpm.broker.idle import BUSY
        from xpm.broker.reader import Reader
        from xpm.broker.views import Views

        url = self.embedded.ensure()
        with open_client(url) as client:
            counts = Views(Reader(client, self.workspace.namespace)).counts()
        if any(counts[state] for state in BUSY):
            from xpm.experiment.link import Link
            from xpm.experiment.voice import Voice

            link = Link(self.workspace, self.settings, Voice(plain=True, quiet=self.options.quiet))
            link.connect()
            link.serve()
            link.close()
        return url

    def _running(self) -> str | None:
        """The URL of the workspace's server if it answers: without what it takes to start one, which is slow to load."""
        from xpm.broker.claim import read

        claim = read(self.workspace.path / ".xpm" / "broker.json")
        if claim is None or not claim.here or not _answers(claim.socket):
            return None
        if not Path(claim.data, "running").exists():  # its data were removed: it must make room for another
            return None
        return f"unix://{claim.socket}"

    @cached_property
    def reader(self) -> Reader:
        """The broker, which answers, for questions.

        Raises:
            BrokerUnreachable: It does not.
        """
        from xpm.broker.reader import Reader

        return self._reached(Reader)

    @property
    def answered(self) -> bool:
        """Whether the broker was asked and has answered."""
        return "reader" in self.__dict__

    @cached_property
    def broker(self) -> Broker:
        """The same, to change something there."""
        from xpm.broker.broker import Broker

        return self._reached(Broker)

    def _reached(self, kind: type[R]) -> R:
        from xpm.broker.connect import check, open_client, safe

        url = self.url
        lease = self.settings.lease
        with open_client(url, timeout=lease / 6, patience=PATIENCE) as first:
            try:
                if self.shared:
                    check(first, url)  # before a script of ours runs there
                kind(first, self.workspace.namespace, lease=lease).hello()
            except BrokerStalled:
                raise
            except BrokerUnreachable as error:
                where = self.settings.source("broker") if self.shared else "the workspace's own"
                why = str(error).removeprefix(f"{safe(url)}: ").rstrip(".")
                raise BrokerUnreachable(f"no broker at {safe(url)} ({where}): {why}") from error
        # Once it has answered, it is given more time: a command that watches outlives a restart.
        return kind(open_client(url, timeout=lease / 6), self.workspace.namespace, lease=lease)

    @cached_property
    def views(self) -> Views:
        """The questions, over the broker."""
        from xpm.broker.views import Views

        return Views(self.reader)

    def say(self, text: str) -> None:
        """A remark, which is not what was asked for."""
        if not self.options.quiet:
            print(f"xpm: {clean(text, lines=True)}", file=sys.stderr)

    def say_where(self) -> None:
        """Says which workspace and broker are used."""
        if not self.options.json:
            shared = ""
            if self.settings.broker is not None:
                from xpm.broker.connect import safe

                shared = f", broker {safe(self.settings.broker)}"
            self.say(f"workspace {self.workspace.path}{shared}")


def _answers(path: str) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(2)
        try:
            probe.connect(path)
            probe.sendall(b"PING\r\n")
            return probe.recv(64).startswith((b"+PONG", b"-MISCONF"))  # the latter with a full disk
        except OSError:
            return False
