"""Workspaces that share a server share its tokens: never more than there is, in turns, and nobody is forgotten."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hands import SLOTS, Hands, job
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from lossy import Lossy
from machines import run_machine
from servers import Server
from spaces import Overseer, Space, needing, there_is
from waiting import until

from xpm.broker.expiry import Expiry
from xpm.broker.ledger import Ledger
from xpm.broker.wire import unpack_raw
from xpm.core.state import State
from xpm.types import Namespace, short

HERE, THERE = Namespace("0123456789ab"), Namespace("ba9876543210")


@pytest.fixture
def spaces(server: Server, request: pytest.FixtureRequest) -> Iterator[tuple[Space, Space]]:
    """Two workspaces; the parameter is how long leases last, in seconds."""
    with server.client() as client:
        client.flushall()
        lease = getattr(request, "param", 30)
        found = Space(server, HERE, lease=lease), Space(server, THERE, lease=lease)
        found[0].broker.declare({"t.gpu": 2})
        yield found
        Overseer(client, HERE, THERE).check()
        for space in found:
            space.close()
        client.flushall()


def test_a_token_is_counted_over_all_workspaces(spaces: tuple[Space, Space]) -> None:
    here, there = spaces
    assert there.broker.declare({"t.gpu": 5}) == {"t.gpu": 2}
    here.submit(needing("a", "t.gpu=1"), needing("b", "t.gpu=1"))
    there.submit(needing("c", "t.gpu=1"))
    assert here.starts() == ["a", "b"]
    assert there.starts() == []
    here.finish("b")
    assert there.starts() == ["c"]


def test_a_lock_is_of_one_workspace(spaces: tuple[Space, Space]) -> None:
    here, there = spaces
    for space in spaces:
        space.broker.declare({"l.index": 1_000_000})
        space.submit(needing("writes", "l.index=1000000"))
    assert here.starts() == there.starts() == ["writes"]


def test_what_comes_free_wakes_who_waits_in_another_workspace(spaces: tuple[Space, Space]) -> None:
    here, there = spaces
    here.submit(needing("all", "t.gpu=2"))
    assert here.starts() == ["all"]
    there.submit(needing("c", "t.gpu=1"))
    assert there.claim("idle") is None
    assert not there.hands.woken()
    here.finish("all")
    assert there.hands.woken() == ["idle"]
    assert there.claim("idle") == "c"


def test_code_is_served_by_what_another_workspace_gives_back(spaces: tuple[Space, Space]) -> None:
    here, there = spaces
    assert here.broker.acquire("1", "t.gpu=2").fence
    assert not there.broker.acquire("2", "t.gpu=1").fence
    here.broker.free("1")
    assert there.broker.wait("@2", 1)
    assert there.broker.acquire("2", "t.gpu=1").fence


def test_a_request_for_all_is_served_while_another_workspace_keeps_asking(
    spaces: tuple[Space, Space],
) -> None:
    here, there = spaces
    here.submit(*(needing(f"small {n}", "t.gpu=1") for n in range(20)))
    assert here.starts() == ["small 0", "small 1"]
    there.submit(needing("all", "t.gpu=2"))
    assert there.claim("idle") is None
    here.finish("small 0")
    assert here.starts() == ["small 2"], "it stands in the line for longer"
    for name in ("small 1", "small 2"):
        here.finish(name)
        assert here.starts() == [], "one is kept for who comes first in the line"
    assert there.claim("idle") == "all"


def test_workspaces_take_turns(spaces: tuple[Space, Space]) -> None:
    here, there = spaces
    here.broker.resize("t.gpu", 1)
    for space in spaces:
        space.submit(*(needing(n, "t.gpu=1") for n in range(6)))
    served = [(here, here.claim("worker"))]
    assert there.claim("worker") is None
    while len(served) < 8:
        space, name = served[-1]
        assert name
        assert space.finish(name, SLOTS) is None, "the other is woken, and this is left to it"
        other = there if space is here else here
        assert space.claim("worker") is None
        served.append((other, other.claim("worker")))


@pytest.mark.parametrize("instead", ["ends", "gets another job"])
def test_what_is_kept_for_a_worker_that_was_called_goes_to_others_when_it(
    instead: str, spaces: tuple[Space, Space]
) -> None:
    here, there = spaces
    assert here.broker.acquire("holder", "t.gpu=2").fence
    for space in spaces:
        space.submit(needing("all", "t.gpu=2"))
        assert space.claim("worker") is None
    here.broker.free("holder")
    assert there.claim("worker") is None, "it is left to the worker here"
    if instead == "ends":
        here.broker.depart("worker")
    else:
        here.submit(needing("urgent", "", priority=1))
        assert here.claim("worker") == "urgent"
    assert there.hands.woken() == ["worker"]
    assert there.claim("worker") == "all"


def test_two_that_are_first_in_line_for_what_both_need_do_not_wait_for_each_other(
    spaces: tuple[Space, Space],
) -> None:
    here, there = spaces
    here.broker.declare({"t.a": 1, "t.b": 1})
    assert here.broker.acquire("holder", "t.a=1,t.b=1").fence
    for space, token in (here, "t.a=1"), (there, "t.b=1"):
        assert not space.broker.acquire("first", token).fence
    for space in spaces:
        assert not space.broker.acquire("both", "t.a=1,t.b=1").fence
    for space in spaces:
        space.broker.free("first")
    here.broker.free("holder")
    granted = [space for space in spaces if space.broker.acquire("both", "t.a=1,t.b=1").fence]
    assert len(granted) == 1
    granted[0].broker.free("both")
    for space in spaces:
        if space not in granted:
            assert space.broker.acquire("both", "t.a=1,t.b=1").fence


def test_nothing_is_kept_for_a_workspace_that_no_worker_serves(spaces: tuple[Space, Space]) -> None:
    here, there = spaces
    there.submit(needing("all", "t.gpu=2"))
    here.submit(*(needing(n, "t.gpu=1") for n in range(3)))
    assert here.starts() == ["0", "1"]
    here.finish("0")
    assert here.starts() == ["2"]


def test_a_capacity_is_that_of_all_workspaces(spaces: tuple[Space, Space]) -> None:
    here, there = spaces
    there.submit(needing("all", "t.gpu=2"))
    here.broker.resize("t.gpu", 1)
    here.broker.settle()
    held = there.views.job(job("all"))
    assert held and held.state is State.HOLD and "capacity" in held.holds
    assert Ledger(here.broker).held("t.gpu") == 1
    assert there.claim("idle") is None
    here.broker.resize("t.gpu", 3)
    assert there.hands.woken() == ["idle"]
    assert there.claim("idle") == "all"


def test_who_holds_and_who_waits_is_told_of_all_workspaces(spaces: tuple[Space, Space]) -> None:
    here, there = spaces
    here.submit(needing("all", "t.gpu=2"))
    assert here.starts() == ["all"]
    there.submit(needing("c", "t.gpu=1"))
    assert there.claim("idle") is None
    here.submit(needing("d", "t.gpu=1"))
    for asked in spaces:
        ledger = Ledger(asked.broker)
        (holder,) = ledger.holders("t.gpu")
        waiters = ledger.waiters("t.gpu")
        places = {"Task c": f"/runs/{THERE}", "Task d": f"/runs/{HERE}", "Task all": f"/runs/{HERE}"}
        mine = f"/runs/{asked.namespace}"
        assert [one.label for one in waiters] == ["Task c", "Task d"]
        for one in (holder, *waiters):
            assert one.workspace == ("" if places[one.label] == mine else places[one.label])


def test_what_a_deleted_workspace_held_is_free(spaces: tuple[Space, Space]) -> None:
    here, there = spaces
    there.submit(needing("all", "t.gpu=2"), needing("more", "t.gpu=2"))
    assert there.starts() == ["all"]
    here.submit(needing("c", "t.gpu=1"))
    assert here.claim("idle") is None
    there.client.delete(*there.client.keys(f"{there.broker.prefix}*"))
    assert here.broker.neglected() == {}
    assert here.hands.woken() == ["idle"]
    assert here.claim("idle") == "c"
    there.close()
    there.begin()


def test_what_a_workspace_held_before_it_began_anew_is_free(spaces: tuple[Space, Space]) -> None:
    here, there = spaces
    there.submit(needing("all", "t.gpu=2"), needing("more", "t.gpu=2"))
    assert there.starts() == ["all"]
    there.client.delete(*there.client.keys(f"{there.broker.prefix}*"))
    there.close()
    there.begin()
    there.broker.neglected()
    here.submit(needing("c", "t.gpu=2"))
    assert here.starts() == ["c"]


@pytest.mark.parametrize("spaces", [0.5], indirect=True)
def test_a_neighbour_looks_after_those_that_nobody_else_looks_after(spaces: tuple[Space, Space]) -> None:
    here, there = spaces
    there.submit(needing("dies", "t.gpu=1"))
    assert there.starts() == ["dies"]
    assert there.broker.acquire("code", "t.gpu=1").fence
    expiry = Expiry(here.broker)
    told = list[str]()

    def both() -> bool:
        told.extend(expiry.look())
        return len(told) == 2

    until(both)
    assert all(one.startswith(f"workspace {THERE}: ") for one in told)
    until(
        lambda: here.broker.acquire("all", "t.gpu=2").fence
    )  # one is left to the worker there that was called


# In whatever order

NAMES = (HERE, THERE, Namespace("00000000aaaa"))
WORKERS = {"h": ("h0", "h1"), "g": ("g0",)}
NEEDS = (
    "t.a=1",
    "t.a=1",
    "t.a=2",
    "t.b=1",
    "t.a=1,t.b=1",
    "h.d=1",
    "h.d=2",
    "h.d=1,t.a=1",
    "l.x=1000000,t.a=1",
    "",
)
CAPACITIES = {"t.a": 2, "t.b": 1, "h.d": 2, "l.x": 1_000_000}

which = st.integers(0, len(NAMES) - 1)
again = st.booleans()
"""Whether the replies to a rule's calls are lost, and each is made again."""
hosts = st.sampled_from(sorted(WORKERS))


class Farm(Space):
    """A workspace with workers on two hosts, and code that acquires; replies to its calls may be lost."""

    def begin(self) -> None:
        super().begin()
        self.scripts = self.broker._scripts = Lossy(self.client, self.broker.prefix, self.budget)
        self.broker.declare(CAPACITIES)
        self.on = {host: Hands(self.broker, host) for host in WORKERS}
        self.jobs = 0
        self.wishes: dict[str, tuple[str, str]] = {}
        """Needs and host of code that holds or waits, by name."""

    def host_of(self, worker: str) -> Hands:
        return self.on[worker[0]]

    def next(self, worker: str) -> bool:
        """The worker asks for a job, if it has none; whether it gets one."""
        if worker in self.running:
            return False
        reply = self.host_of(worker).claim(worker)
        if reply.claim:
            self.running[worker] = reply
        return reply.claim is not None

    def depart(self, worker: str) -> None:
        self.running.pop(worker, None)
        self.scripts.last.pop(worker, None)
        if self.host_of(worker).numbers.pop(worker, 0):
            self.broker.depart(worker)

    def end(self, worker: str, how: str, slots: str = "") -> None:
        reply = self.running.pop(worker)
        claim = reply.claim
        assert claim
        hands = self.host_of(worker)
        if how == "finish":
            reply = hands.finish(reply, worker, slots)
        elif how == "fail":
            reply = hands.fail(reply, worker, slots)
        else:
            reply = self.broker.hand_back(
                worker, hands.number(worker), slots, claim.id, claim.execution, "told to"
            )
        if reply.claim:
            self.running[worker] = reply

    def acquire(self, name: str) -> bool:
        needs, host = self.wishes[name]
        grant = self.broker.acquire(name, needs, host=host)
        if grant.resource:  # there is less than that, or none
            del self.wishes[name]
        return bool(grant.fence)

    def free(self, name: str) -> None:
        self.broker.free(name)
        del self.wishes[name]

    def replay(self, worker: str) -> None:
        """The reply to the worker's last call was lost, and much has happened since."""
        _, _, (_, grant, *_) = self.scripts.last[worker]
        job, _, execution, *_ = unpack_raw(grant) if grant else (b"", b"", b"")
        now = self.client.hmget(f"{self.broker.prefix}j:{short(job.decode())}", "s", "x")
        self.scripts.replay(worker, held=now == [b"RUNNING", str(execution).encode()])


class Neighbours(RuleBasedStateMachine):
    """Three workspaces on one server. Each rule is a call of one of them; what holds for all is read from the raw keys."""

    server: Server

    def __init__(self) -> None:
        super().__init__()
        self.client = self.server.client()
        self.client.flushall()
        self.overseer = Overseer(self.client, *NAMES)

    @initialize(budget=st.sampled_from((1, 2, 250)))
    def begin(self, budget: int) -> None:
        self.farms = [Farm(self.server, name, budget) for name in NAMES]

    def farm(self, at: int, again: bool) -> Farm:
        """The workspace; the calls of this rule are made `again` or not."""
        for farm in self.farms:
            farm.scripts.losing = again
        return self.farms[at]

    @rule(
        at=which,
        needs=st.lists(st.sampled_from(NEEDS), min_size=1, max_size=4),
        priority=st.sampled_from((0, 0, 5)),
        again=again,
    )
    def submit(self, at: int, needs: list[str], priority: int, again: bool) -> None:
        farm = self.farm(at, again)
        farm.submit(*(needing(farm.jobs + n, one, priority=priority) for n, one in enumerate(needs)))
        farm.jobs += len(needs)

    @rule(at=which, worker=st.sampled_from(("h0", "h1", "g0")), again=again)
    def claim(self, at: int, worker: str, again: bool) -> None:
        self.farm(at, again).next(worker)

    @rule(
        at=which,
        how=st.sampled_from(("finish", "finish", "fail", "hand_back")),
        more=st.booleans(),
        again=again,
        data=st.data(),
    )
    def end(self, at: int, how: str, more: bool, again: bool, data: st.DataObject) -> None:
        farm = self.farm(at, again)
        if farm.running:
            farm.end(data.draw(st.sampled_from(sorted(farm.running))), how, SLOTS if more else "")

    @rule(at=which, worker=st.sampled_from(("h0", "h1", "g0")), again=again)
    def depart(self, at: int, worker: str, again: bool) -> None:
        self.farm(at, again).depart(worker)

    @rule(at=which, data=st.data())
    def replay(self, at: int, data: st.DataObject) -> None:
        """A worker's last call comes once more, after the calls of others."""
        farm = self.farm(at, False)
        if farm.scripts.last:
            farm.replay(data.draw(st.sampled_from(sorted(farm.scripts.last))))

    @rule(at=which, host=hosts, needs=st.sampled_from(NEEDS[:-1]), again=again, data=st.data())
    def acquire(self, at: int, host: str, needs: str, again: bool, data: st.DataObject) -> None:
        farm = self.farm(at, again)
        name = data.draw(st.sampled_from(("1", "2")))
        if name not in farm.wishes:
            farm.wishes[name] = needs, host
        farm.acquire(name)

    @rule(at=which, again=again, data=st.data())
    def free(self, at: int, again: bool, data: st.DataObject) -> None:
        farm = self.farm(at, again)
        if farm.wishes:
            farm.free(data.draw(st.sampled_from(sorted(farm.wishes))))

    @rule(
        at=which,
        token=st.sampled_from(("t.a", "t.b", "h.d")),
        capacity=st.integers(0, 3),
        again=again,
        data=st.data(),
    )
    def resize(self, at: int, token: str, capacity: int, again: bool, data: st.DataObject) -> None:
        host = data.draw(st.sampled_from(("", "h", "g"))) if token == "h.d" else ""
        self.farm(at, again).broker.resize(token, capacity, host)

    @rule(at=which, by=which, again=again)
    def lose(self, at: int, by: int, again: bool) -> None:
        """All of a workspace dies; another one looks."""
        lost, looks = self.farm(at, again), self.farms[by]
        if lost is looks:
            return
        prefix = lost.broker.prefix
        for leases in ("leases", "holds"):
            ends = self.client.zrange(f"{prefix}{leases}", 0, -1)
            if ends:
                self.client.zadd(f"{prefix}{leases}", dict.fromkeys(ends, 1))
        self.client.hset(f"{prefix}meta", "swept", 0)
        graph = lost.graph()
        uses = any(name.startswith(("held:", "wants:")) and ":l." not in name for name in graph.keys)
        mortal = {"leases", "holds"} & graph.keys.keys()
        assert (lost.namespace in looks.broker.neglected()) == bool(uses and mortal)
        _, found = lost.broker.overdue()
        assert lost.namespace not in looks.broker.neglected(), "somebody just looked"
        for holder, execution, renewals in found:
            if holder.startswith("@"):
                assert lost.broker.lapse(holder[1:], renewals, 0)
                lost.wishes.pop(holder[1:], None)
            else:
                assert lost.broker.expire(holder, execution, renewals, 0)
        lost.running.clear()

    @rule(at=which, by=which, late=st.booleans(), again=again)
    def delete(self, at: int, by: int, late: bool, again: bool) -> None:
        """A workspace's keys are deleted; another one looks, before or after it begins anew."""
        gone, looks = self.farm(at, again), self.farms[by]
        if gone is looks:
            return
        keys = [key for key in self.client.scan_iter() if gone.namespace.encode() in key]
        self.client.delete(*keys)
        gone.close()
        if late:
            gone.begin()
        looks.broker.neglected()
        if not late:
            gone.begin()

    @invariant()
    def all_holds(self) -> None:
        self.overseer.check()

    def teardown(self) -> None:
        if hasattr(self, "farms"):
            self.farm(0, again=False)
            self.everybody_is_served()
            for farm in self.farms:
                farm.close()
        self.client.close()

    def everybody_is_served(self) -> None:
        """When those that hold something end, all that could ever be had is had."""
        for _ in range(200):
            moved = False
            for farm in self.farms:
                while farm.broker.drain():
                    pass
                for worker in sorted(farm.running):
                    farm.end(worker, "finish")
                    moved = True
                for name in sorted(farm.wishes):
                    if farm.acquire(name):
                        farm.free(name)
                        moved = True
                for worker in ("h0", "h1", "g0"):
                    moved = farm.next(worker) or moved
            if not moved:
                break
        graphs = self.overseer.check()
        for farm, graph in zip(self.farms, graphs, strict=True):
            for fields in graph.jobs.values():
                on = [there_is(graph, fields.get("rs", ""), host) for host in WORKERS]
                assert fields["s"] in ("DONE", "ERROR") or not any(on), f"{farm.namespace}: {fields}"
            for name, (needs, host) in farm.wishes.items():
                assert not there_is(graph, needs, host), f"{farm.namespace}: {name} waits for {needs}"


def test_neighbours_share_what_there_is(server: Server) -> None:
    run_machine(Neighbours, server, 30, 40, random=False)


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_neighbours_share_what_there_is_for_long(server: Server) -> None:
    run_machine(Neighbours, server, 2000, 60, random=True)
