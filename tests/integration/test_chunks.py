"""A crash between two chunks of a promotion: what a job's end means for its many successors is told bit by bit."""

from __future__ import annotations

from collections.abc import Callable

import invariants
import pytest
from hands import Hands, entry
from redis import Redis
from servers import Server

from xpm.broker.broker import Broker
from xpm.core.state import State
from xpm.types import Namespace

NAMESPACE = Namespace("0123456789ab")
MANY = 60
CHUNK = 10


def broker_of(client: Redis) -> Broker:
    made = Broker(client, NAMESPACE, budget=CHUNK)
    made.hello()
    return made


@pytest.mark.parametrize("chunks", [0, 1, 4])
@pytest.mark.parametrize("verb", ["finish", "fail"])
@pytest.mark.parametrize("dies", ["server", "worker"])
def test_the_rest_is_told_by_whoever_comes_next(
    start_server: Callable[..., Server], dies: str, verb: str, chunks: int
) -> None:
    server = start_server(options=("--appendfsync", "always"))
    with server.client() as client:
        broker = broker_of(client)
        run = broker.open("fan", "1")
        broker.submit(run, [entry("a"), *(entry(n, "a") for n in range(MANY)), entry("z", *range(MANY))])
        hands = Hands(broker)
        getattr(hands, verb)(hands.claim())
        for _ in range(chunks):
            assert broker.drain()
        graph = invariants.read(client, NAMESPACE)
        assert graph.todo, "all was told already"
        invariants.check(graph)
    if dies == "server":
        server.kill()
        server.start()
    with server.client() as client:
        broker = broker_of(client)
        invariants.check(invariants.read(client, NAMESPACE))
        others = Hands(broker)
        if verb == "finish":
            ran = []
            while (reply := others.claim("other")).claim is not None:  # a claim tells a chunk first
                ran.append(reply.claim.id)
                others.finish(reply, "other")
            assert len(ran) == len(set(ran)) == MANY + 1, "each of the others, once"
        while broker.drain():
            pass
        graph = invariants.read(client, NAMESPACE)
        invariants.check(graph)
        invariants.check_settled(graph)
        states = [fields["s"] for fields in graph.jobs.values()]
        if verb == "finish":
            assert states.count(State.DONE) == MANY + 2
        else:
            assert (states.count(State.ERROR), states.count(State.HOLD)) == (1, MANY + 1)
