"""Workspaces that share a server and its tokens, and what must hold for all of them."""

from __future__ import annotations

from collections.abc import Sequence

import invariants
from hands import Hands, entry
from redis import Redis
from servers import Server

from xpm.broker.broker import Broker, Entry, Reply
from xpm.broker.views import Views
from xpm.types import Namespace


def needing(name: str | int, needs: str, **fields: object) -> Entry:
    return entry(name, wishes={"rs": needs} if needs else {}, **fields)


class Space:
    """One workspace, with its workers and one run."""

    def __init__(self, server: Server, namespace: Namespace, budget: int = 250, lease: float = 30) -> None:
        self.server, self.namespace, self.budget, self.lease = server, namespace, budget, lease
        self.begin()

    def begin(self) -> None:
        """As when it was just made."""
        self.client = self.server.client()
        self.broker = Broker(self.client, self.namespace, lease=self.lease, budget=self.budget)
        self.views = Views(self.broker)
        self.broker.hello()
        self.client.hset(f"{self.broker.prefix}meta", "grace", 0)
        self.hands = Hands(self.broker)
        self.run = self.broker.open("digits", "1", "code", {"workspace": f"/runs/{self.namespace}"})
        self.running: dict[str, Reply] = {}
        """By worker."""

    def submit(self, *entries: Entry) -> None:
        self.broker.submit(self.run, list(entries))

    def claim(self, worker: str) -> str | None:
        """What the worker gets, by the name in its label."""
        reply = self.hands.claim(worker)
        if reply.claim is None:
            return None
        self.running[worker] = reply
        return reply.claim.label.removeprefix("Task ")

    def starts(self) -> list[str]:
        """All that start at once, each with a worker of its own."""
        found: list[str] = []
        while name := self.claim(f"w{len(self.hands.numbers)}"):
            found.append(name)
        return found

    def finish(self, name: str, slots: str = "") -> str | None:
        """The worker's next job, if it asks for one."""
        worker = next(
            worker
            for worker, reply in self.running.items()
            if reply.claim and reply.claim.label == f"Task {name}"
        )
        reply = self.hands.finish(self.running.pop(worker), worker, slots)
        if reply.claim is None:
            return None
        self.running[worker] = reply
        return reply.claim.label.removeprefix("Task ")

    def graph(self) -> invariants.Graph:
        return invariants.read(self.client, self.namespace)

    def close(self) -> None:
        self.client.close()


class Overseer:
    """Looks at all workspaces of a server again and again."""

    def __init__(self, client: Redis, *namespaces: str) -> None:
        self.client, self.namespaces = client, namespaces
        self.used: dict[tuple[str, str], int] = {}
        """Of a token, at the last look."""

    def check(self) -> list[invariants.Graph]:
        """All that must hold after a call; returns the workspaces' graphs."""
        graphs = invariants.read_all(self.client, self.namespaces)
        for at, graph in enumerate(graphs):
            invariants.check(graph, *graphs[:at], *graphs[at + 1 :])
        self.nothing_over_capacity(graphs[0])
        nobody_sleeps(graphs)
        return graphs

    def nothing_over_capacity(self, graph: invariants.Graph) -> None:
        """What is above a smaller capacity was given out before it."""
        for token, fields in graph.stocks.items():
            for name, value in fields.items():
                if name[0] != "u":
                    continue
                capacity = int(fields.get(f"c{name[1:]}", fields.get("c", 0)))
                before = self.used.get((token, name), 0)
                assert int(value) <= max(capacity, before), f"{token}: {fields}"
                self.used[token, name] = int(value)


def nobody_sleeps(graphs: Sequence[invariants.Graph]) -> None:
    """While nothing is in use, whoever could have something is woken, or another that goes before it."""
    used = [v for fields in graphs[0].stocks.values() for name, v in fields.items() if name[0] == "u"]
    if any(value != "0" for value in used) or any(graph.todo for graph in graphs):
        return
    workers = [fields for graph in graphs for fields in graph.hashes("w:").values()]
    if any(fields.get("b") for fields in workers):
        return
    for graph in graphs:
        idle = {name: fields["host"] for name, fields in graph.hashes("w:").items() if fields.get("i")}
        ready = [fields for fields in graph.jobs.values() if fields["s"] == "READY"]
        for fields in ready:
            for worker, host in idle.items():
                assert not there_is(graph, fields.get("rs", ""), host), (
                    f"{graph.namespace}: {worker} sleeps, {fields} could start"
                )
        for name, one in graph.hashes("a:").items():
            assert not there_is(graph, one["needs"], one["host"]), (
                f"{graph.namespace}: {name} could have {one['needs']}"
            )


def there_is(graph: invariants.Graph, needs: str, host: str) -> bool:
    """Whether there ever is so much on the host."""
    for resource, amount in invariants.needs_of(needs).items() if needs else ():
        fields = graph.stocks[resource]
        if amount > int(fields.get(f"c@{host}", fields["c"])):
            return False
    return True
