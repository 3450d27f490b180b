"""What users do meanwhile: submit graphs, look, and submit again what has failed or was given up."""

from __future__ import annotations

import queue
import random
import threading

from figures import PERSON, Watch
from grounds import Grounds
from person import LOOK, Person
from sessions import Recorder
from shapes import CAPACITIES, Node, crowd, graph

from xpm.broker.broker import Entry, Run
from xpm.broker.scripts import BUDGET
from xpm.core.state import State
from xpm.types import JobId

BACKLOG = 30
"""Jobs that are to wait or run at any time while the faults go on."""

AGAIN = 3.0
"""Seconds between two submissions of what has ended without a result."""

CROWDS, FIRST = 40, 2
"""One graph in so many has a job with more successors than one call tells; the first of these is early."""

RERUN = 8
"""Jobs that are run again at once, at most."""

ENDED = (State.ERROR, State.CANCELLED)


class Scripts(Person):
    """The users, in a thread of their own: they wait for a broker that is away.

    Args:
        grounds: where.
        seed: makes the graphs.
    """

    def __init__(self, grounds: Grounds, seed: int) -> None:
        super().__init__("scripts")
        self._grounds = grounds
        self._chance = random.Random(f"graphs {seed}")
        self._full = threading.Event()
        self._run: Run | None = None
        self.nodes: dict[JobId, Node] = {}
        self.watch = Watch(grounds.direct)
        self.graphs = 0
        self.again = 0
        """Jobs that were submitted again."""
        self._entries: dict[JobId, Entry] = {}
        self._ids: dict[str, JobId] = {}
        self._tasks: dict[str, object] = {}
        self._types: dict[str, bytes] = {}
        self._wishes: queue.SimpleQueue[float] = queue.SimpleQueue()
        self._reran: list[JobId] = []
        self._under_way = False

    def recent(self) -> list[JobId]:
        """The newest jobs, and those that were to run again last."""
        return list(dict.fromkeys([*list(self.nodes)[-40:], *self._reran]))

    def rerun(self, choice: float) -> bool:
        """Has jobs run again that are done; false when there are none yet."""
        if not self.watch.counts[State.DONE]:
            return False
        self._wishes.put(choice)
        return True

    @property
    def idle(self) -> bool:
        """Whether all that was to run again has been said to."""
        return self._wishes.empty() and not self._under_way

    def enough(self) -> None:
        """No new graphs from here on."""
        self._full.set()

    def _live(self) -> None:
        self._patiently(lambda: self._grounds.broker.declare(CAPACITIES))
        rounds = 0
        while not self._ending.wait(LOOK):
            self._under_way = True
            self._patiently(self.watch.look)
            while not self._wishes.empty():
                self._rerun(random.Random(self._wishes.get()))
                self._patiently(self.watch.look)
            self._under_way = False
            rounds += 1
            if rounds % int(AGAIN / LOOK) == 0:
                self._submit_again()
            if not self._full.is_set() and self.watch.open < BACKLOG:
                self._submit(self._new_graph())

    def _open(self, name: str) -> Run | None:
        return self._patiently(lambda: self._grounds.farm.run(name))

    def _new_graph(self) -> list[Entry]:
        name = f"g{self.graphs}"
        wide = self.graphs % CROWDS == FIRST
        nodes = crowd(name, BUDGET + self._chance.randint(1, 50)) if wide else graph(self._chance, name)
        self.graphs += 1
        return [self._entry(node) for node in nodes]

    def _entry(self, node: Node) -> Entry:
        after = [self._tasks[name] for name in node.after]
        task = self._grounds.farm.tasks.Node.C(
            name=node.name, how=node.how, after=after, ledger=self._grounds.ledger
        )
        with Recorder() as recorder:
            task.submit()
        one = recorder.last
        self._types.update({key: info.pack() for key, info in one.types.items()})
        self._tasks[node.name], self._ids[node.name] = task, one.id
        inputs = tuple(ref.id for ref in one.dependencies)
        wishes = {"rs": node.needs} if node.needs else {}
        entry = Entry(one.id, one.task, one.label, one.payload, inputs, wishes=wishes)
        self._entries[one.id] = entry
        self.nodes[one.id] = node
        return entry

    def _submit(self, entries: list[Entry]) -> None:
        run = self._run = self._run or self._open("first")
        if run is not None:
            self._patiently(lambda: self._grounds.broker.submit(run, entries, self._types))

    def _submit_again(self) -> None:
        """A new run for what has ended in ERROR or CANCELLED, and what the broker has lost; what is held behind it follows."""
        ended = [id for id in self.nodes if self.watch.state(id) in (None, *ENDED)]
        if not ended:
            return
        self._run = self._open(f"again{self.again}")
        self.again += len(ended)
        self._submit([self._entries[id] for id in ended])

    def _rerun(self, chance: random.Random) -> None:
        """What is noted comes first: whatever runs beyond a result without such a line before it runs unasked."""
        done = [id for id in self.nodes if self.watch.state(id) is State.DONE]
        longer = [id for id in done if self.nodes[id].how != "quick"]  # more can happen to them
        among = chance.choice((done, longer, longer))
        chosen = set(chance.sample(among, min(RERUN, len(among))))
        jobs = [id for id in self.nodes if id in chosen]  # inputs before what needs them

        def again() -> None:
            done = [view for view in self._grounds.views.jobs(jobs) if view and view.state is State.DONE]
            for view in done:
                self._grounds.note(f"rerun {self.nodes[view.id].name} {view.fence}")
            self._grounds.direct.rerun([view.id for view in done], PERSON)

        self._patiently(again)
        self._reran = jobs
