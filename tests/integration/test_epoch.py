"""A fence is given once, though servers die, come back, and take each other's places."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hands import SLOTS, Hands, entry
from servers import Server, free_port
from waiting import until

from xpm.broker.broker import Broker, Claim
from xpm.broker.connect import open_client
from xpm.errors import BrokerError
from xpm.types import Namespace

NAMESPACE = Namespace("0123456789ab")


def granted(hands: Hands, worker: str) -> Claim:
    claim = hands.claim(worker).claim
    assert claim is not None
    return claim


def test_each_life_of_a_server_gives_larger_fences(start_server: Callable[..., Server]) -> None:
    server = start_server()
    broker = Broker(open_client(server.url), NAMESPACE)
    hands = Hands(broker)
    broker.submit(broker.open("e", "1"), [entry(n) for n in range(3)])
    broker.declare({"t.gpu": 9})
    fences = []
    for n in range(3):
        fences.append(granted(hands, f"w{n}").fence)
        fences.append(broker.acquire(f"code-{n}", "t.gpu=1").fence)
        server.kill()
        server.start()
    assert fences == sorted(set(fences))
    assert len({fence[:10] for fence in fences}) == 3


def test_after_a_servers_new_life_nothing_expires_for_one_lease(start_server: Callable[..., Server]) -> None:
    server = start_server()
    broker = Broker(open_client(server.url), NAMESPACE, lease=60)
    hands = Hands(broker)
    broker.submit(broker.open("e", "1"), [entry("a")])
    claim = granted(hands, "w")
    server.kill()
    server.start()
    with server.client() as client:
        client.zadd(f"{broker.prefix}leases", {claim.id[:32]: 1})
        assert broker.overdue()[1] == []
        grace = int(client.hget(f"{broker.prefix}meta", "grace")) - broker.overdue()[0]
        assert 30_000 < grace <= 60_000
        client.hset(f"{broker.prefix}meta", "grace", 1)
        assert [job for job, *_ in broker.overdue()[1]] == [claim.id[:32]]


def test_a_connection_that_outlived_the_data_it_was_greeted_with_gets_no_fence_twice(
    start_server: Callable[..., Server],
) -> None:
    """A master becomes a replica and the master again, and nobody was disconnected; what the other master had given
    out since it was copied is lost, and would be given out again under the same number.
    """
    one, two = start_server(port=free_port()), start_server(port=free_port())
    with one.client() as first, two.client() as second:
        old = Broker(open_client(one.url), NAMESPACE)
        hands = Hands(old)
        old.submit(old.open("e", "1"), [entry(n) for n in range(9)])
        fences = [granted(hands, "a").fence]
        connection = old.client.client_id()
        follow(second, one)
        second.replicaof("NO", "ONE")

        new = Broker(open_client(two.url), NAMESPACE)
        fences.append(granted(Hands(new), "b").fence)
        follow(first, two)
        first.replicaof("NO", "ONE")
        fences.append(granted(Hands(new), "c").fence)  # nobody but the second server ever hears of it

        assert old.client.client_id() == connection
        fences.append(granted(hands, "d").fence)  # over what the first server greeted as its older self
        assert len(set(fences)) == 4, fences
        assert fences[3] > fences[2]


def test_code_that_outlived_the_data_it_was_greeted_with_gets_no_fence_twice(
    start_server: Callable[..., Server],
) -> None:
    one, two = start_server(port=free_port()), start_server(port=free_port())
    with one.client() as first, two.client() as second:
        old = Broker(open_client(one.url), NAMESPACE)
        old.declare({"t.gpu": 1})
        fences = [old.acquire("a", "t.gpu=1").fence]
        connection = old.client.client_id()
        follow(second, one)
        second.replicaof("NO", "ONE")

        new = Broker(open_client(two.url), NAMESPACE)
        assert new.acquire("b", "t.gpu=1").outcome == "waiting"
        follow(first, two)
        first.replicaof("NO", "ONE")
        new.free("a")
        fences.append(new.acquire("b", "t.gpu=1").fence)  # nobody but the second server ever hears of it

        assert old.client.client_id() == connection
        assert old.free("a")
        assert old.client.hget(f"{old.prefix}a:b", "f") is None, (
            "nothing is granted over data that nobody has greeted"
        )
        fences.append(old.acquire("b", "t.gpu=1").fence)
        assert len(set(fences)) == 3, fences
        assert fences[2] > fences[1]


def follow(replica: object, master: Server) -> None:
    client = replica
    with master.client() as source:
        source.config_set("repl-diskless-sync-delay", 0)
    client.replicaof("127.0.0.1", master.port)  # type: ignore[attr-defined]
    until(lambda: client.info("replication").get("master_link_status") == "up")  # type: ignore[attr-defined]
    with master.client() as source:
        until(lambda: source.wait(1, 100) == 1)


def test_a_refused_call_has_done_nothing(start_server: Callable[..., Server]) -> None:
    server = start_server()
    broker = Broker(open_client(server.url), NAMESPACE)
    hands = Hands(broker)
    broker.submit(broker.open("e", "1"), [entry("a"), entry("b")])
    claim = granted(hands, "w")
    meta = f"{broker.prefix}meta"
    with server.client() as other:
        other.hset(meta, mapping={"epoch": 99, "server": "another"})
        reply = broker.finish("w", hands.number("w"), SLOTS, claim.id, claim.execution, claim.fence)
        assert (reply.outcome, bool(reply.claim)) == ("done", True)
        assert int(other.hget(meta, "epoch")) > 99
        assert reply.claim and reply.claim.fence.startswith(f"{int(other.hget(meta, 'epoch')):010d}")


def test_a_connection_to_what_is_no_master_any_more_is_given_up(start_server: Callable[..., Server]) -> None:
    """By the same name there may be another server by then."""
    one, two = start_server(port=free_port()), start_server(port=free_port())
    broker = Broker(open_client(one.url, patience=0.0), NAMESPACE)
    hands = Hands(broker)
    broker.submit(broker.open("e", "1"), [entry("a"), entry("b")])
    first = granted(hands, "v").fence
    connection = broker.client.client_id()
    number = hands.number("w")
    with one.client() as client, two.client() as other:
        follow(other, one)
        other.replicaof("NO", "ONE")
        client.replicaof("127.0.0.1", two.port)
        with pytest.raises(BrokerError, match="read only replica"):
            broker.claim("w", number, SLOTS)
        client.replicaof("NO", "ONE")
    claim = broker.claim("w", number, SLOTS).claim
    assert claim is not None and claim.fence > first
    assert broker.client.client_id() != connection
