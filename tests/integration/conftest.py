"""A broker of the test's own, its graph checked at the test's end."""

from __future__ import annotations

from collections.abc import Iterator

import invariants
import pytest
from hands import Hands
from servers import Server

from xpm.broker.broker import Broker, Run
from xpm.broker.views import Views
from xpm.types import Namespace


@pytest.fixture
def broker(server: Server, namespace: str) -> Iterator[Broker]:
    client = server.client()
    yield Broker(client, Namespace(namespace))
    client.delete("rq:suspended")
    graph = invariants.read(client, Namespace(namespace))
    invariants.check(graph)
    client.close()


@pytest.fixture
def hands(broker: Broker) -> Hands:
    return Hands(broker)


@pytest.fixture
def run(broker: Broker) -> Run:
    return broker.open("digits", "1", "code")


@pytest.fixture
def views(broker: Broker) -> Views:
    return Views(broker)
