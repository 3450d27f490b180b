"""A submission in many calls, some of them on their way at any time, while the connection or the script is lost."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hands import entry
from servers import Server

from xpm.broker.broker import Broker, Entry, Run
from xpm.broker.connect import open_client
from xpm.broker.scripts import UNDER_WAY
from xpm.broker.views import Views
from xpm.core.state import State
from xpm.errors import BrokerError
from xpm.types import Namespace

JOBS = 100 * 5 * UNDER_WAY
"""Several times as many as are under way at once, in calls of 100."""


def plan(disturb: Callable[[], object], every: int = 0) -> Iterator[Entry]:
    """A chain at every tenth job, among others that depend on nothing; `disturb` is called in its middle."""
    for n in range(JOBS):
        if n == JOBS // 2 or (every and n % every == every - 1):
            disturb()
        yield entry(n, *([n - 10] if n % 10 == 0 and n else []))


def kill_others(client: Any) -> None:
    """Closes the connections of all other clients, whatever they are waiting for."""
    own = client.client_id()
    for one in client.client_list():
        if int(one["id"]) != own:
            client.client_kill_filter(_id=one["id"])


@pytest.fixture
def admin(server: Server) -> Iterator[Any]:
    with server.client() as client:
        yield client


@pytest.mark.parametrize("every", [0, 700])
@pytest.mark.parametrize("fault", ["connection", "script"])
def test_nothing_is_lost_or_doubled_when_what_is_under_way_is_lost(
    broker: Broker, run: Run, views: Views, admin: Any, fault: str, every: int
) -> None:
    disturb = (lambda: kill_others(admin)) if fault == "connection" else admin.script_flush
    outcomes = broker.submit(run, plan(disturb, every))
    assert [one.id for one in outcomes] == [each.id for each in plan(lambda: None)]
    assert {one.action for one in outcomes} <= {"new", "joined"}, "joined: the answer was lost, not the call"
    counts = views.counts()
    assert counts[State.READY] == JOBS - JOBS // 10 + 1 and counts[State.WAITING] == JOBS // 10 - 1


def test_an_error_in_the_making_of_entries_leaves_a_connection_that_can_be_used(
    broker: Broker, run: Run, views: Views
) -> None:
    def broken() -> None:
        raise OSError("the disk is full")

    heard: list[Entry] = []
    with pytest.raises(OSError, match="the disk is full"):
        broker.submit(run, plan(broken), told=lambda entries, _: heard.extend(entries))
    assert len(heard) == sum(views.counts().values()) >= JOBS // 2 - 100, "all that went out is heard of"
    for _ in range(5):
        outcomes = broker.submit(run, plan(lambda: None))
        assert len(outcomes) == JOBS
    assert sum(views.counts().values()) == JOBS


def test_types_are_told_before_the_jobs_that_name_them(broker: Broker, run: Run) -> None:
    types: dict[str, bytes] = {}

    def growing() -> Iterator[Entry]:
        for n in range(300):
            types[f"type {n // 100}"] = b"packed"
            yield entry(n)

    broker.submit(run, growing(), types)
    assert broker.types(list(types)) == types


def test_what_a_new_connection_is_refused_for_is_an_error_of_ours(
    start_server: Callable[..., Server],
) -> None:
    own = start_server()
    broker = Broker(open_client(own.url), Namespace("n"))
    run = broker.open("test", "run")
    with own.client() as admin:
        admin.execute_command("REPLICAOF", "127.0.0.1", "1")
        kill_others(admin)
        with pytest.raises(BrokerError):
            broker.submit(run, [entry(1)])
