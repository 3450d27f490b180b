"""Every order in which the calls of two or three clients can reach the server, on small graphs."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from races import Race, play_all, race
from redis import Redis
from servers import Server

RACES = [
    race(
        "a submission races the completion of its input",
        "s: submit a; w: claim",
        ["s: submit b c, submit d", "w: finish, claim"],
        ["a:DONE b:READY c:READY d:WAITING", "a:DONE b:RUNNING c:READY d:WAITING"],
    ),
    race(
        "a submission races the completion of its input, edge by edge",
        "s: submit a; w: claim",
        ["s: submit b c, submit d", "w: finish, claim", "x: drain"],
        ["a:DONE b:READY c:READY d:WAITING", "a:DONE b:RUNNING c:READY d:WAITING"],
        budget=1,
    ),
    race(
        "a submission by a later run races a failure",
        "s: submit a b; w: claim",
        ["t: submit a b, submit c", "w: fail, claim"],
        ["a:ERROR b:HOLD c:HOLD", "a:READY b:WAITING c:WAITING", "a:RUNNING b:WAITING c:WAITING"],
    ),
    race(
        "two submitters, and a worker",
        "",
        ["s: submit a b", "t: submit a c, submit b c d", "w: claim, finish"],
        ["a:READY b:WAITING c:WAITING d:WAITING", "a:DONE b:READY c:READY d:WAITING"],
    ),
    race(
        "two submitters, edge by edge",
        "s: submit a; w: claim, finish",
        ["s: submit b c d, drain", "t: submit b c, submit d"],
        ["a:DONE b:READY c:READY d:WAITING"],
        budget=1,
    ),
    race(
        "two workers",
        "s: submit a b c d; w: claim, finish",
        ["w: claim, next, finish", "wb: claim, next"],
        [
            "a:DONE b:DONE c:DONE d:DONE",
            "a:DONE b:DONE c:DONE d:READY",
            "a:DONE b:DONE c:DONE d:RUNNING",
            "a:DONE b:DONE c:RUNNING d:WAITING",
        ],
    ),
    race(
        "an expiry races a completion",
        "s: submit a b; w: claim, overdue a",
        ["w: finish, claim", "x: look, expire", "wb: claim"],
        ["a:DONE b:RUNNING", "a:RUNNING b:WAITING"],
    ),
    race(
        "an expiry races a renewal and a completion",
        "s: submit a b; w: claim, overdue a",
        ["w: renew, finish", "x: look, expire", "wb: claim"],
        ["a:DONE b:READY", "a:DONE b:RUNNING", "a:READY b:WAITING", "a:RUNNING b:WAITING"],
    ),
    race(
        "an expiry races a renewal that runs out too",
        "s: submit a b; w: claim, overdue a",
        ["w: renew, overdue a, finish", "x: look, expire, look"],
        ["a:DONE b:READY", "a:READY b:WAITING"],
    ),
    race(
        "an expiry races another one",
        "s: submit a b; w: claim, overdue a",
        ["x: look, expire", "y: look, expire", "wb: claim"],
        ["a:READY b:WAITING", "a:RUNNING b:WAITING"],
    ),
    race(
        "an expiry races a new life of the server",
        "s: submit a b; w: claim, overdue a",
        ["w: finish", "x: look, expire", "h: restart"],
        ["a:DONE b:READY", "a:READY b:WAITING"],
    ),
    race(
        "the end of a worker races its report",
        "s: submit a b; w: claim",
        ["w: next, finish", "p: depart w", "wb: claim, finish"],
        ["a:DONE b:DONE", "a:DONE b:READY", "a:READY b:WAITING"],
    ),
    race(
        "a crash races an expiry",
        "s: submit a b; w: claim, overdue a",
        ["w: crash, claim", "x: look, expire", "wb: claim"],
        ["a:RUNNING b:WAITING"],
    ),
    race(
        "a cancellation races a completion",
        "s: submit a b; w: claim",
        ["w: obey, claim", "k: cancel s a b", "t: submit a b"],
        ["a:DONE b:READY", "a:DONE b:RUNNING", "a:READY b:WAITING", "a:RUNNING b:WAITING"],
    ),
    race(
        "a cancellation races a claim",
        "s: submit a b",
        ["w: claim, obey", "k: cancel s a b", "wb: claim, hand_back"],
        ["a:CANCELLED b:CANCELLED", "a:DONE b:CANCELLED"],
    ),
    race(
        "two jobs and a script want one token",
        "s: declare, submit g h",
        ["w: claim, finish", "y: acquire t.gpu=1, free", "wb: claim"],
        ["g:DONE h:READY", "g:DONE h:RUNNING", "g:READY h:READY", "g:RUNNING h:READY"],
    ),
    race(
        "readers and a writer",
        "s: declare, submit h i",
        ["w: claim, finish", "y: acquire l.index=1, free", "wb: claim"],
        ["h:DONE i:READY", "h:DONE i:RUNNING", "h:RUNNING i:READY"],
    ),
    race(
        "a token comes free once, by its job's end or by the lease's",
        "s: declare, submit g; w: claim; s: submit h; w: overdue g",
        ["w: finish", "x: look, expire", "wb: claim, next"],
        ["g:DONE h:DONE", "g:DONE h:READY", "g:DONE h:RUNNING", "g:READY h:READY", "g:RUNNING h:READY"],
    ),
    race(
        "a token comes free once, by its job's end or by the end of its worker",
        "s: declare, submit g; w: claim; s: submit h",
        ["w: next", "p: depart w", "wb: claim, finish"],
        ["g:DONE h:DONE", "g:DONE h:READY", "g:READY h:READY"],
    ),
    race(
        "a cancellation races the grant of a token",
        "s: declare, submit g h",
        ["w: claim, obey", "k: cancel s g", "wb: claim"],
        [
            "g:CANCELLED h:DONE",
            "g:CANCELLED h:READY",
            "g:CANCELLED h:RUNNING",
            "g:DONE h:READY",
            "g:DONE h:RUNNING",
            "g:RUNNING h:READY",
        ],
    ),
    race(
        "a cancellation races an expiry",
        "s: submit a b; w: claim, overdue a",
        ["w: obey", "x: look, expire", "k: cancel s a, cancel s b"],
        ["a:CANCELLED b:CANCELLED", "a:DONE b:CANCELLED"],
    ),
    race(
        "a kill races a completion",
        "s: submit a b; w: claim",
        ["w: renew, finish", "k: kill a", "wb: claim"],
        ["a:DONE b:READY", "a:DONE b:RUNNING"],
    ),
    race(
        "a kill races the worker that obeys, and a retry",
        "s: submit a b; w: claim",
        ["w: obey, claim", "k: kill a, retry a"],
        ["a:DONE b:RUNNING", "a:ERROR b:HOLD", "a:READY b:WAITING", "a:RUNNING b:WAITING"],
    ),
    race(
        "a kill races an expiry and a late completion",
        "s: submit a b; w: claim, overdue a",
        ["x: look, expire", "k: kill a", "w: finish"],
        ["a:DONE b:READY", "a:ERROR b:HOLD", "a:READY b:WAITING"],
    ),
    race(
        "a kill races a claim and a submission",
        "s: submit a b",
        ["w: claim, finish", "k: kill a", "t: submit a c"],
        ["a:DONE b:READY c:READY"],
    ),
    race(
        "a hold and its release race a claim",
        "s: submit a b",
        ["w: claim, finish", "k: hold a, release a", "wb: claim"],
        ["a:DONE b:READY", "a:DONE b:RUNNING", "a:READY b:WAITING", "a:RUNNING b:WAITING"],
    ),
    race(
        "a hold of what waits races the completion of its input",
        "s: submit a b; w: claim",
        ["w: finish", "k: hold b, release b", "wb: claim"],
        ["a:DONE b:READY", "a:DONE b:RUNNING"],
    ),
    race(
        "a retry races a submission and another failure",
        "s: submit a b; w: claim, fail",
        ["k: retry a", "t: submit a b", "w: claim, fail"],
        ["a:ERROR b:HOLD", "a:READY b:WAITING"],
    ),
]


NEIGHBOURS = [
    race(
        "two workspaces claim the last unit while a third gives it back",
        "c.s: declare, submit g; c.w: claim; s: submit g; b.s: submit g; b.w: claim",
        ["w: claim", "b.w: claim", "c.w: next"],
        [
            "g:READY / b g:READY / c g:DONE",
            "g:RUNNING / b g:READY / c g:DONE",
            "g:READY / b g:RUNNING / c g:DONE",
        ],
    ),
    race(
        "code acquires while a job elsewhere gives back, and somebody waits in both",
        "b.s: declare, submit g; b.w: claim; s: submit g; w: claim; b.z: acquire t.gpu=1",
        ["y: acquire t.gpu=1, free", "b.w: next", "w: claim"],
        ["g:READY / b g:DONE", "g:RUNNING / b g:DONE"],
    ),
    race(
        "a capacity goes to nothing and comes back while two workspaces claim",
        "s: declare, submit g; b.s: submit g",
        ["k: resize t.gpu 0, resize t.gpu 2", "w: claim", "b.w: claim"],
        [
            "g:READY / b g:READY",
            "g:READY / b g:RUNNING",
            "g:RUNNING / b g:READY",
            "g:RUNNING / b g:RUNNING",
        ],
    ),
    race(
        "one token less races a claim and code elsewhere",
        "s: declare; k: resize t.gpu 2; s: submit g j; b.s: submit g; b.w: claim",
        ["b.k: resize t.gpu 1", "w: claim", "b.y: acquire t.gpu=1"],
        ["g:READY j:HOLD / b g:RUNNING", "g:RUNNING j:HOLD / b g:RUNNING"],
    ),
    race(
        "one token more races a claim and the end of a job elsewhere",
        "s: declare, submit g; w: claim; b.s: submit g; b.w: claim; c.y: acquire t.gpu=1",
        ["k: resize t.gpu 2", "w: next", "b.w: claim"],
        ["g:DONE / b g:READY / c", "g:DONE / b g:RUNNING / c"],
    ),
    race(
        "a neighbour looks after a job's dead worker, which comes back",
        "s: declare, submit g; w: claim; b.s: submit g; b.w: claim; s: die",
        ["w: next", "b.x: neglected, look, expire"],
        ["g:DONE / b g:READY", "g:READY / b g:READY"],
    ),
    race(
        "a neighbour looks after a job's dead worker, which renews",
        "s: declare, submit g; w: claim; b.s: submit g; b.w: claim; s: die; b.x: neglected",
        ["w: renew", "b.x: look, expire"],
        ["g:READY / b g:READY", "g:RUNNING / b g:READY"],
    ),
    race(
        "a neighbour looks after a job's dead worker, and somebody there, too",
        "s: declare, submit g; w: claim; b.s: submit g; b.w: claim; s: die; b.x: neglected; x: look",
        ["w: next", "b.x: look, expire", "x: expire"],
        ["g:DONE / b g:READY", "g:READY / b g:READY"],
    ),
    race(
        "a neighbour looks after code that died, and comes back",
        "s: declare; y: acquire t.gpu=1; b.y: acquire t.gpu=1; b.s: submit g; b.w: claim; s: die",
        ["y: keep", "b.x: neglected, look, expire"],
        [" / b g:READY"],
    ),
    race(
        "a neighbour looks after code that died, and asks again",
        "c.s: declare; c.z: acquire t.gpu=1; y: acquire t.gpu=1; b.s: submit g; b.w: claim; s: die; b.x: neglected",
        ["y: acquire t.gpu=1", "b.x: look, expire"],
        [" / b g:READY / c"],
    ),
    race(
        "who a token is kept for wants it no more",
        "c.s: declare; c.k: resize t.gpu 2; c.y: acquire t.gpu=1; s: submit j; w: claim; b.s: submit g; b.w: claim",
        ["k: cancel s j", "b.w: claim"],
        ["j:CANCELLED / b g:READY / c", "j:CANCELLED / b g:RUNNING / c"],
    ),
    race(
        "who a token is kept for is held and released",
        "c.s: declare; c.k: resize t.gpu 2; c.y: acquire t.gpu=1; s: submit j; w: claim; b.s: submit g; b.w: claim",
        ["k: hold j, release j", "b.w: claim"],
        ["j:READY / b g:READY / c", "j:READY / b g:RUNNING / c"],
    ),
    race(
        "the worker that was called for a token ends",
        "c.s: declare, submit g; c.w: claim; s: submit g; w: claim; b.s: submit g; b.w: claim",
        ["p: depart w", "c.w: next", "b.w: claim"],
        ["g:READY / b g:READY / c g:DONE", "g:READY / b g:RUNNING / c g:DONE"],
    ),
    race(
        "the worker that was called for a token gets another job",
        "c.s: declare; c.y: acquire t.gpu=1; s: submit g; w: claim; b.s: submit g; b.w: claim; c.y: free",
        ["s: urge a", "w: claim", "b.w: claim"],
        [
            "a:READY g:RUNNING / b g:READY / c",
            "a:RUNNING g:READY / b g:READY / c",
            "a:RUNNING g:READY / b g:RUNNING / c",
        ],
    ),
]


@pytest.fixture
def client(server: Server) -> Iterator[Redis]:
    with server.client() as connected:
        yield connected
        connected.flushall()


@pytest.mark.parametrize("race", RACES, ids=lambda race: race.name)
def test_every_order_of_calls_ends_well(client: Redis, race: Race) -> None:
    play_all(client, race)


@pytest.mark.parametrize("race", NEIGHBOURS, ids=lambda race: race.name)
def test_every_order_of_neighbours_calls_ends_well(client: Redis, race: Race) -> None:
    play_all(client, race)
