"""Who keeps the local workers of a shared broker."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from servers import Server

from xpm.broker.broker import Broker
from xpm.broker.idle import idle
from xpm.experiment.link import Link
from xpm.experiment.voice import Voice
from xpm.settings import Settings
from xpm.workspace.layout import Workspace


def test_of_a_shared_brokers_clients_only_scripts_of_the_namespace_count(
    start_server: Callable[..., Server], tmp_path: Path
) -> None:
    server = start_server()
    mine = Workspace.open(tmp_path / "mine")
    with server.client() as foreign, server.client() as client:
        foreign.ping()
        broker = Broker(client, mine.namespace)
        assert idle(broker, shared=True) and not idle(broker)
        for workspace, kept in ((Workspace.open(tmp_path / "other"), False), (mine, True)):
            link = Link(workspace, Settings(broker=server.url), Voice(quiet=True))
            link.connect()
            link.broker.hello()
            assert idle(broker, shared=True) is not kept
            link.close()
        assert idle(broker, shared=True)
