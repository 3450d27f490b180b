"""What must hold in the broker after every single call, read from the raw keys."""

from __future__ import annotations

import re
import time
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from redis import Redis

from xpm.broker.keys import (
    HOLDER_FIELDS,
    JOB_FIELDS,
    SHARED,
    SHARED_PATTERNS,
    WORKER_FIELDS,
    kind,
    prefix,
)  # fmt: skip
from xpm.broker.wire import unpack_raw
from xpm.core.state import State

MET, BLOCKED, OPEN, UNREGISTERED = b"2", b"3", b"1", b"0"
BLOCKS = {"ERROR", "CANCELLED", "HOLD", "LOST"}
STARTABLE = {"WAITING", "READY", "HOLD", "SCHEDULED"}
REGISTRY = {
    "WAITING": "deferred", "HOLD": "deferred", "SCHEDULED": "deferred", "RUNNING": "wip", "DONE": "finished",
    "ERROR": "failed", "CANCELLED": "canceled", "LOST": "failed",
}  # fmt: skip
STATUS = {**REGISTRY, "RUNNING": "started", "READY": "queued"}


def edge_state(state: str | None) -> bytes:
    return MET if state == "DONE" else BLOCKED if state in BLOCKS else OPEN


@dataclass
class Graph:
    """The raw keys of one namespace, at one moment."""

    namespace: str
    keys: dict[str, tuple[str, Any]] = field(default_factory=dict)
    """Name without the prefix, to type and value."""
    shared: dict[str, tuple[str, Any]] = field(default_factory=dict)
    """The same of what workspaces share."""
    neighbours: list[str] = field(default_factory=list)
    """Other workspaces' namespaces."""
    foreign: set[str] = field(default_factory=set)
    """Keys outside of the prefix."""
    mortal: set[str] = field(default_factory=set)
    """Keys with a time to live."""

    def hashes(self, start: str) -> dict[str, dict[str, str]]:
        return {
            name.removeprefix(start): {
                key.decode(): value.decode("utf-8", "replace") for key, value in values.items()
            }
            for name, (type, values) in self.keys.items()
            if type == "hash" and name.startswith(start)
        }

    @property
    def stocks(self) -> dict[str, dict[str, str]]:
        """Capacity and use of tokens and locks."""
        found = self.hashes("res:")
        for name, (_, values) in self.shared.items():
            if name.startswith("res:"):
                found[name[4:]] = {key.decode(): value.decode() for key, value in values.items()}
        return found

    def zset(self, name: str) -> dict[str, float]:
        if name not in self._zsets:
            found = self.keys.get(name, ("", []))[1]
            self._zsets[name] = {member.decode(): score for member, score in found}
        return self._zsets[name]

    def members(self, name: str) -> list[str]:
        return [member.decode() for member in self.keys.get(name, ("", []))[1]]

    @cached_property
    def _zsets(self) -> dict[str, dict[str, float]]:
        return {}

    @cached_property
    def jobs(self) -> dict[str, dict[str, str]]:
        return self.hashes("j:")

    @property
    def todo(self) -> list[str]:
        return self.members("todo")

    def inputs(self, job: str) -> tuple[list[bytes], list[str]]:
        data = self.keys.get(f"in:{job}", ("", b""))[1]
        count = len(data) // 17
        ids = [data[count + 16 * i : count + 16 * i + 16].hex() for i in range(count)]
        return [data[i : i + 1] for i in range(count)], ids

    def successors(self, job: str) -> list[tuple[str, int]]:
        data = self.keys.get(f"out:{job}", ("", b""))[1]
        return [
            (data[at : at + 32].decode(), int.from_bytes(data[at + 32 : at + 36], "big"))
            for at in range(0, len(data), 36)
        ]


_READ = {
    "hash": lambda pipe, key: pipe.hgetall(key),
    "string": lambda pipe, key: pipe.get(key),
    "zset": lambda pipe, key: pipe.zrange(key, 0, -1, withscores=True),
    "set": lambda pipe, key: pipe.smembers(key),
    "list": lambda pipe, key: pipe.lrange(key, 0, -1),
    "stream": lambda pipe, key: pipe.xlen(key),
}


def read(client: Redis, namespace: str) -> Graph:
    """All keys of the server, as a graph of the namespace."""
    return read_all(client, [namespace])[0]


def read_all(client: Redis, namespaces: Sequence[str]) -> list[Graph]:
    """All keys of the server, as graphs of workspaces that are neighbours."""
    values = _values(client)
    return [_graph(name, [one for one in namespaces if one != name], values) for name in namespaces]


def _values(client: Redis) -> list[tuple[str, str, bool, Any]]:
    """Name, type, whether there is an end to its life, and value, of each key."""
    keys = sorted(client.keys())
    pipe = client.pipeline(transaction=False)
    for key in keys:
        pipe.type(key)
        pipe.ttl(key)
    found = pipe.execute()
    there = [
        (key, type.decode(), ttl >= 0)
        for key, type, ttl in zip(keys, found[::2], found[1::2], strict=True)
        if type != b"none"  # it has expired since
    ]
    for key, type, _ in there:
        _READ[type](pipe, key)
    return [
        (key.decode(), type, mortal, value)
        for (key, type, mortal), value in zip(there, pipe.execute(), strict=True)
    ]


def _graph(namespace: str, neighbours: list[str], values: Sequence[tuple[str, str, bool, Any]]) -> Graph:
    graph = Graph(namespace, neighbours=neighbours)
    start = prefix(namespace)
    for name, type, mortal, value in values:
        if name.startswith(start):
            name = name.removeprefix(start)
            graph.keys[name] = (type, value)
        elif name.startswith(SHARED):
            graph.shared[name.removeprefix(SHARED)] = (type, value)
        else:
            graph.foreign.add(name)
        if mortal:
            graph.mortal.add(name)
    return graph


def check(graph: Graph, *others: Graph) -> None:
    """Everything that holds at every moment; `others`: other workspaces of the server."""
    check_keys(graph)
    check_places(graph)
    check_edges(graph)
    check_runs(graph)
    check_workers(graph)
    check_resources(graph)
    check_lines(graph)
    check_use(graph, others)


def check_lines(graph: Graph) -> None:
    """The workspace stands in the lines of the tokens that somebody there waits for."""
    mine = prefix(graph.namespace)
    waited = {
        name[6:] for name in graph.keys if name.startswith("wants:") and not name.startswith("wants:l.")
    }
    lines = {name[5:]: value for name, (_, value) in graph.shared.items() if name.startswith("line:")}
    assert {name for name, line in lines.items() if mine in [each.decode() for each, _ in line]} == waited


def check_use(graph: Graph, others: Sequence[Graph] = ()) -> None:
    """In use is what holders hold: of a token those of all workspaces, of a lock this one's."""
    used: dict[str, Counter[str]] = defaultdict(Counter)
    for each in (graph, *others):
        for resource, held in each.hashes("held:").items():
            for text in held.values() if each is graph or not resource.startswith("l.") else ():
                amount, _, host = text.split(" ")
                used[resource][f"u@{host}" if resource.startswith("h.") else "u"] += int(amount)
    for resource, fields in graph.stocks.items():
        found = {name: int(value) for name, value in fields.items() if name[0] == "u" and value != "0"}
        assert found == used[resource], f"{resource}: {found}, held are {used[resource]}"


def check_resources(graph: Graph) -> None:
    """What is held is what holders hold, and nobody else; the lines name who waits."""
    outside = graph.hashes("a:")
    unknown = {field for one in outside.values() for field in one} - HOLDER_FIELDS.keys()
    assert not unknown, f"fields {unknown} of a holder are in no table"
    holders: dict[str, dict[str, int]] = {
        id: needs_of(job["rs"]) for id, job in graph.jobs.items() if job["s"] == "RUNNING" and "rs" in job
    }
    holders |= {f"@{name}": needs_of(one["needs"]) for name, one in outside.items() if "f" in one}
    for resource, held in graph.hashes("held:").items():
        for holder, text in held.items():
            amount = text.split(" ")[0]
            assert holders.get(holder, {}).pop(resource, None) == int(amount), (
                f"{holder} holds {text} of {resource}"
            )
    assert not any(holders.values()), f"holders who hold nothing: {holders}"
    waiting = defaultdict[str, set[str]](set)
    for id, job in graph.jobs.items():
        if job["s"] == "READY" and "rs" in job:
            waiting[f"{job['q']}:{job['k']}:{job['rs']}"].add(id)
    for group in waiting:
        for resource in needs_of(group.rpartition(":")[2]):
            assert group in graph.zset(f"wants:{resource}"), f"{group} is not in the line of {resource}"
    for name, one in outside.items():
        for resource in needs_of(one["needs"]):
            assert (f"@{name}" in graph.zset(f"wants:{resource}")) == ("f" not in one), f"{name}: {one}"
    assert set(graph.members("groups")) == set(waiting)
    lines = {member for name in graph.keys if name.startswith("wants:") for member in graph.zset(name)}
    assert lines <= {*waiting, *(f"@{name}" for name in outside)}
    for name in graph.keys:
        if name.startswith("opened:"):
            slot, _, lane = name.removeprefix("opened:").rpartition(":")
            assert lane in graph.zset(f"open:{slot}"), f"nobody looks at {name}"
            for group in graph.zset(name):
                assert lane in graph.zset(f"lanes:{group}") and group.startswith(slot), f"{group} in {name}"
        elif name.startswith("open:"):
            empty = [lane for lane in graph.zset(name) if f"opened:{name[5:]}:{lane}" not in graph.keys]
            assert not empty, f"no groups in lanes {empty} of {name}"
    assert set(graph.zset("late")) <= {
        *(id for ids in waiting.values() for id in ids),
        *(f"@{name}" for name in outside),
    }


def needs_of(text: str) -> dict[str, int]:
    """Resources and amounts of 'l.index=1,t.gpu=2'."""
    return {
        resource: int(amount) for resource, _, amount in (need.partition("=") for need in text.split(","))
    }


def check_keys(graph: Graph) -> None:
    """No key outside of the table, none of another type."""
    for name, (type, _) in graph.keys.items():
        assert kind(name) == type, f"{name} is a {type}, the table says {kind(name)}"
        if name.startswith(("w:", "bell:")):
            assert name in graph.mortal, f"{name} has no time to live"
    for name, (type, _) in graph.shared.items():
        assert kind(name, SHARED_PATTERNS) == type, f"{name} is a {type}, which all share"
    ns = f"(?:{'|'.join([graph.namespace, *graph.neighbours])})"
    ours = re.compile(
        rf"rq:(job|results):{ns}-[0-9a-f]{{32}}|rq:(queue|wip|deferred|finished|failed|canceled):xpm-{ns}-\S+"
        rf"|rq:execution:{ns}-[0-9a-f]{{32}}:\d{{26}}|rq:queues|rq:suspended|rq:worker:\S+|rq:workers(:\S+)?"
        rf"|xpm:{ns}:\S+"
    )
    for name in graph.foreign:
        assert ours.fullmatch(name), f"{name} is in no table"


def check_places(graph: Graph) -> None:
    """Every job is in exactly one index, the one of its state, and in the state that its counts say."""
    where: dict[str, list[str]] = defaultdict(list)
    for name in graph.keys:
        if name.startswith(("s:", "ready:")) or name == "leases":
            for job in graph.zset(name):
                where[job].append(name)
        if name.startswith("ready:"):
            group, _, lane = name.removeprefix("ready:").rpartition(":")
            assert lane in graph.zset(f"lanes:{group}"), f"lane {lane} of {group} is not listed"
        elif name.startswith("lanes:"):
            empty = [lane for lane in graph.zset(name) if f"ready:{name[6:]}:{lane}" not in graph.keys]
            assert not empty, f"no jobs in lanes {empty} of {name}"
    for id, job in graph.jobs.items():
        unknown = job.keys() - JOB_FIELDS
        assert not unknown, f"fields {unknown} are in no table"
        state, slot = job["s"], f"{job['q']}:{job['k']}"
        group = f"{slot}:{job['rs']}" if "rs" in job else slot
        lane = f"{job.get('p', 0)}.{job['v'].split()[0] if job['v'] else 0}"
        right = {"READY": f"ready:{group}:{lane}", "RUNNING": "leases"}.get(state, f"s:{state}")
        assert where.pop(id, []) == [right], f"{id} is {state}, and in {where}"
        assert slot.encode() in graph.keys["queues"][1], f"slot {slot} is not listed"
        if state == "READY":
            assert graph.zset(right)[id] == int(job["o"]) - int(job.get("ch", 0)) * 2**32
        if state in STARTABLE:
            w, b = int(job.get("w", 0)), int(job.get("b", 0))
            place = "HOLD" if b or job.get("h") else "WAITING" if w else "READY"
            found = "READY" if state == "SCHEDULED" else state  # which of the two, the clock says
            assert place == found, f"{id} is {state} with {w} unmet and {b} blocked inputs"
            assert state != "READY" or int(job.get("nb", 0)) <= 1000 * time.time() + 1000, f"{id} is early"
        assert (state in ("ERROR",)) <= (f"err:{id}" in graph.keys), f"{id} failed without a reason"
        assert f"p:{id}" in graph.keys
        assert state == "HOLD" or not job.get("h"), f"{id} is {state}, and held by {job['h']}"
        assert job["v"] or state not in STARTABLE, f"{id} is {state} and nobody wants it"
    assert not where, f"in an index, but no job: {where}"
    later = {id: float(job["nb"]) for id, job in graph.jobs.items() if job["s"] == "SCHEDULED"}
    assert graph.zset("due") == later


def check_edges(graph: Graph) -> None:
    """Bytes, counts and successors agree; what an edge doesn't know yet stands on the continuation list."""
    jobs = graph.jobs
    news: dict[tuple[str, str], int] = {}
    for entry in graph.todo:
        if entry[0] not in "SURL":
            continue
        what, offset = entry.split(":")
        news[what[0], what[1:]] = min(int(offset), news.get((what[0], what[1:]), int(offset)))
    kinds = [entry[0] for entry in graph.todo]
    assert "U" not in kinds[kinds.count("U") :], f"what is done no more is not told first: {kinds}"
    places: dict[tuple[str, int], tuple[str, int]] = {}
    for parent in sorted(name[4:] for name in graph.keys if name.startswith("out:")):
        for at, (child, index) in enumerate(graph.successors(parent)):
            if "rw" in jobs[child] and graph.inputs(child)[1][index : index + 1] != [parent]:
                continue  # it had other inputs before
            assert "rw" in jobs[child] or (child, index) not in places
            places[child, index] = (parent, at)
    for id, job in jobs.items():
        states, inputs = graph.inputs(id)
        assert len(inputs) == int(job.get("n", 0))
        assert int(job.get("w", 0)) == sum(state != MET for state in states), id
        assert int(job.get("b", 0)) == sum(state == BLOCKED for state in states), id
        for index, (state, parent) in enumerate(zip(states, inputs, strict=True)):
            if state == UNREGISTERED:
                assert "rw" in job or (id, index) not in places
                places.pop((id, index), None)
                assert news.get(("R", id), index + 1) <= index, f"edge {index} of {id} is forgotten"
                continue
            linked, at = places.pop((id, index))
            assert linked == parent
            if state != edge_state(jobs.get(parent, {}).get("s")):
                what = (
                    f"edge {index} of {id} is {state}, {parent} is {jobs.get(parent, {}).get('s')}, no news"
                )
                told = [news.get((kind, parent), at + 1) <= at for kind in "SU"]
                assert any(told) or news.get(("L", id), index + 1) <= index, what
                assert state != MET or told[1], f"{what} that {parent} is to run again"
    assert not places, f"successors without an input: {places}"


def check_runs(graph: Graph) -> None:
    """The counts of every run are what a recount gives; an experiment has one run that lists a job."""
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for id, job in graph.jobs.items():
        runs = job["e"].split()
        assert len({run.partition(".")[0] for run in runs}) == len(runs) > 0, f"{id}: {runs}"
        for run in runs:
            counts[run][job["s"]] += 1
            counts[run]["held"] += bool({"person", "capacity"} & set(job.get("h", "").split()))
    for token, fields in graph.hashes("run:").items():
        names = (*State, "held")
        found = {name: int(fields.get(name, 0)) for name in names}
        assert found == {name: counts[token][name] for name in names}, token
        assert int(fields.get("total", 0)) == len(graph.keys.get(f"tags:{token}", ("", {}))[1]), token


def check_workers(graph: Graph) -> None:
    """Who is idle stands in the line of each of its slots; a bell in time wakes somebody for every ready slot."""
    workers = graph.hashes("w:")
    for name in [name for name in graph.keys if name.startswith("idle:")]:
        slot = name.removeprefix("idle:")
        for worker in graph.zset(name):
            assert slot in workers.get(worker, {}).get("i", "").split(), f"{worker} is idle for {slot}"
    holders = Counter(job["u"] for job in graph.jobs.values() if job["s"] == "RUNNING")
    for worker, fields in workers.items():
        unknown = fields.keys() - WORKER_FIELDS - {"host", "pid", "pool", "slots", "rq"}
        assert not unknown, f"fields {unknown} of a worker are in no table"
        for slot in fields.get("i", "").split():
            assert worker in graph.zset(f"idle:{slot}")
    assert all(count == 1 for count in holders.values()), f"workers with more than one job: {holders}"


def paused(graph: Graph) -> set[str]:
    """The queues whose jobs are not granted."""
    return {queue.decode() for queue in graph.keys.get("paused", ("", {}))[1]}


def check_bells(graph: Graph) -> None:
    """No lost wake-up: where a job is ready and a worker idle, some worker was woken for the slot."""
    woken = Counter(fields["b"] for fields in graph.hashes("w:").values() if fields.get("b"))
    for name in graph.keys:
        slot = name.removeprefix("lanes:")
        all_queues = f"*:{slot.rpartition(':')[2]}"
        if slot.rpartition(":")[0] in paused(graph):
            continue
        # What avoids a host may be left to workers that are busy.
        lanes = [f"ready:{slot}:{lane}" for lane in graph.zset(name)] if name.startswith("lanes:") else []
        if all(graph.jobs[job].get("ah") for lane in lanes for job in graph.zset(lane)):
            continue
        if (
            name.startswith("lanes:")
            and slot.count(":") == 1
            and (graph.zset(f"idle:{slot}") or graph.zset(f"idle:{all_queues}"))
        ):
            assert woken[slot] > 0, f"jobs are ready in {slot}, workers idle, and nobody was woken"


def check_settled(graph: Graph) -> None:
    """What holds when the continuation list is empty: every edge says what its parent's state means."""
    assert not graph.todo
    jobs = graph.jobs
    for id in jobs:
        states, inputs = graph.inputs(id)
        assert states == [edge_state(jobs.get(parent, {}).get("s")) for parent in inputs], id


class History:
    """The event stream, read on: each transition of a job is one event, with the next revision."""

    def __init__(self, client: Redis, namespace: str) -> None:
        self._client = client
        self._stream = f"{prefix(namespace)}events"
        self._cursor = "0-0"
        self.states: dict[str, tuple[int, str]] = {}
        self.steps: list[tuple[str | None, str]] = []
        """From and to of the transitions since the last look."""

    def follow(self, graph: Graph) -> None:
        """Read on, and compare with the jobs."""
        self.steps = []
        for cursor, fields in self._client.xrange(self._stream, f"({self._cursor}"):
            self._cursor = cursor.decode()
            for job, state, revision, runs, _ in unpack_raw(fields[b"t"]):
                id, to = job.decode(), state.decode()
                before, was = self.states.get(id, (0, None))
                assert revision == before + 1, f"{id}: event {revision} after {before}"
                assert was != to
                assert runs
                self.states[id] = (revision, to)
                self.steps.append((was, to))
        found = {id: (int(job["r"]), job["s"]) for id, job in graph.jobs.items()}
        assert found == self.states


def check_projection(client: Redis, graph: Graph, window: int = 1000) -> None:
    """RQ shows every job once, where its state says, and its queues show the first ready jobs, in order."""
    ns = graph.namespace
    queues = {slot.decode().rpartition(":")[0] for slot in graph.keys.get("queues", ("", set()))[1]}
    shown: dict[str, list[str]] = defaultdict(list)
    for queue in queues:
        for registry in {*REGISTRY.values()}:
            for member in client.zrange(f"rq:{registry}:xpm-{ns}-{queue}", 0, -1):
                shown[member.decode().partition(":")[0].removeprefix(f"{ns}-")].append(f"{registry} {queue}")
        assert client.sismember("rq:queues", f"rq:queue:xpm-{ns}-{queue}")
        listed = client.lrange(f"rq:queue:xpm-{ns}-{queue}", 0, -1)
        ready = [
            (-int(job.get("p", 0)), int(job["o"]) - int(job.get("ch", 0)) * 2**32, id)
            for id, job in graph.jobs.items()
            if job["s"] == "READY" and job["q"] == queue and "rs" not in job and queue not in paused(graph)
        ]
        first = [f"{ns}-{id}".encode() for *_, id in sorted(ready)[:window]]
        assert listed[: len(first)] == first
        offered = [graph.jobs[member.decode().removeprefix(f"{ns}-")] for member in listed[len(first) :]]
        assert all(job["s"] == "READY" and "rs" in job for job in offered)
        for member in listed:
            shown[member.decode().removeprefix(f"{ns}-")].append(f"queue {queue}")
    for id, job in graph.jobs.items():
        hidden = job["s"] == "READY" and job["q"] in paused(graph)
        place = f"{REGISTRY.get(job['s'], 'queue')} {job['q']}"
        if hidden:
            assert shown.pop(id, []) in ([], [f"deferred {job['q']}"])
            continue
        status = STATUS[job["s"]]
        if job["s"] == "READY" and "rs" in job and shown[id] != [place]:
            place, status = f"deferred {job['q']}", "deferred"  # it waits for tokens
        assert shown.pop(id, []) == [place], f"{id} is {job['s']}, RQ shows {shown[id]}"
        values = client.hmget(f"rq:job:{ns}-{id}", "status", "origin", "data", "description", "created_at")
        assert values[0] == status.encode()
        assert values[1] == f"xpm-{ns}-{job['q']}".encode()
        assert None not in values, f"{id}: {values}"
    assert not shown, f"RQ shows what is not there: {dict(shown)}"
