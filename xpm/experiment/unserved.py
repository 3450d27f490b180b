"""What jobs of a run wait for that nobody brings: a queue that nobody serves, or that somebody has stopped, more than any
host with workers has, and what the script itself holds while it waits for them. Each is told once.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence, Set
from functools import partial
from typing import NamedTuple

from xpm.broker.jobview import JobView
from xpm.broker.keys import slot_of
from xpm.broker.ledger import Ledger
from xpm.broker.reader import clock
from xpm.broker.silence import silent
from xpm.broker.views import WorkerView
from xpm.core.requirement import Need, needs_of
from xpm.core.stock import Lack, Supply, lack_of
from xpm.experiment.grasp import Grip
from xpm.experiment.holding import held_here
from xpm.experiment.link import Link
from xpm.experiment.tracking import Tracked
from xpm.experiment.voice import Voice, agree, jobs
from xpm.here import this_host

PATIENCE = 5.0
"""Seconds after which ready jobs that nobody serves are worth a word: workers take a while to start."""

LOOK = 1.0
"""Seconds between two looks while there are such jobs; `PATIENCE` while there are none."""

SUSPENDED = "suspended"

COUNTED = 1000
"""Jobs of a queue that are looked at, at most."""


class Stuck(NamedTuple):
    """What jobs wait for that nobody brings."""

    lines: list[str]
    """The slots, or groups, in which they wait."""
    tell: Callable[[int], None]
    """Tells of so many jobs of the run."""
    running: Sequence[str] = ()
    """Jobs whose code waits for it."""


class Unserved:
    """Watches over the queues of one run."""

    def __init__(self, run: Tracked, link: Link, voice: Voice) -> None:
        self._run = run
        self._link = link
        self._voice = voice
        self._since: dict[str, float] = {}
        self._told: set[str] = set()
        """Slots, pauses, pools that get no more, what no host has, what is held here, and `SUSPENDED`."""
        self._looked = float("-inf")

    @property
    def patience(self) -> float:
        """Seconds from one look to the next."""
        return LOOK if self._since else PATIENCE

    def forget(self) -> None:
        """No job is ready."""
        self._since.clear()

    def look(self) -> None:
        """Some job is ready, or runs while something is held here: tells of those that nobody will run, or let go on."""
        now = time.monotonic()
        if now - self._looked < self.patience:
            return
        self._looked = now
        self._tell_stopped()
        slots = self._link.broker.slots()
        workers = self._workers() if slots else []
        nobodys = [slot for slot in slots if not any(_serves(worker, slot) for worker in workers)]
        struck = {
            slot: those for slot in nobodys if (those := [one for one in workers if _struck(one, slot)])
        }
        for slot, those in struck.items():
            self._tell_struck(slot, those)
        # Their successors get as long to start as any worker.
        unserved = {
            slot: Stuck([slot], partial(self._tell, slot, workers)) for slot in nobodys if slot not in struck
        }
        self._await(unserved | self._lacking(workers) | self._withheld(workers), now)

    def _await(self, found: Mapping[str, Stuck], now: float) -> None:
        """Tells of what was so for a while, and for which jobs of the run wait."""
        counts = {
            name: count
            for name, stuck in found.items()
            if name not in self._told
            and (count := sum(map(self._count, stuck.lines)) + len(self._mine(stuck.running)))
        }
        self._since = {name: self._since.get(name, now) for name in counts}
        for name, count in counts.items():
            if now - self._since[name] >= PATIENCE:
                del self._since[name]
                self._told.add(name)
                found[name].tell(count)

    def _lacking(self, workers: Sequence[WorkerView]) -> dict[str, Stuck]:
        """What jobs need on one host, and no host with workers has."""
        wanted = {
            group: needs
            for group in self._link.views.groups()
            if (needs := [need for need in needs_of(group.split(":", 2)[2]) if need.kind == "h"])
        }
        if not wanted:
            return {}
        supplies = Ledger(self._link.broker).supplies(
            {one.resource for needs in wanted.values() for one in needs}
        )
        found: dict[str, Stuck] = {}
        for group, needs in wanted.items():
            hosts = {worker.host for worker in workers if _serves(worker, slot_of(group))}
            if lack := lack_of(needs, supplies, hosts):
                stuck = found.setdefault(lack.wanted, Stuck([], partial(self._tell_lack, lack)))
                stuck.lines.append(group)
        return found

    def _withheld(self, workers: Sequence[WorkerView]) -> dict[str, Stuck]:
        """What jobs need, and blocks hold that this thread leaves only after the wait for these jobs."""
        broker = self._link.broker
        held: dict[str, list[Need]] = {}
        for need, grip in held_here():
            if isinstance(grip, Grip) and grip.of(broker):
                held.setdefault(need.resource, []).append(need)
        if not held:
            return {}
        ledger = Ledger(broker)
        supplies = ledger.supplies(held)
        found: dict[str, Stuck] = {}
        for resource, mine in held.items():
            code = [
                one.job
                for one in ledger.waiters(resource)
                if one.id.startswith("@") and one.job and not one.workspace
                for need in needs_of(one.needs)
                if need.resource == resource and _all_taken(need, mine, supplies[resource], {one.host})
            ]
            if code:
                found[f"code {resource}"] = Stuck(
                    [], partial(self._tell_withheld, mine, "the code of "), code
                )
        for group in self._link.views.groups():
            hosts = {worker.host for worker in workers if _serves(worker, slot_of(group))}
            for need in needs_of(group.split(":", 2)[2]):
                mine = held.get(need.resource, [])
                if mine and _all_taken(need, mine, supplies[need.resource], hosts):
                    stuck = found.setdefault(need.resource, Stuck([], partial(self._tell_withheld, mine, "")))
                    stuck.lines.append(group)
        return found

    def _tell_stopped(self) -> None:
        """Tells of queues that are paused, and of workers that are suspended: people do that, and forget it."""
        views, commands = self._link.views, self._link.commands
        for queue, (since, who) in views.paused().items():
            pause = f"{queue} {since}"
            if pause in self._told:
                continue
            slots = [slot for slot in self._link.broker.slots() if slot.rpartition(":")[0] == queue]
            count = sum(self._count(slot) for slot in slots)
            if count:
                self._told.add(pause)
                self._voice.say(
                    f"{jobs(count)} {agree(count, 'wait')} in the queue '{queue}', which {who} has paused; to go on:\n"
                    f"    {commands.xpm('queue', 'resume', queue)}"
                )
        if not views.suspended():
            self._told.discard(SUSPENDED)
        elif SUSPENDED not in self._told:
            self._told.add(SUSPENDED)
            self._voice.say(
                "all workers are suspended by RQ's tools; to go on:\n"
                f'    rq resume -u "$({commands.xpm("broker", "url")})"'
            )

    def _count(self, slot: str) -> int:
        """How many jobs of the run are ready in a slot, 'queue:class', or in a group; `COUNTED` at most."""
        views = self._link.views
        return len(self._mine(views.ready(slot, COUNTED)))

    def _mine(self, ids: Sequence[str]) -> list[JobView]:
        """Those of the run."""
        found = self._link.views.jobs(ids) if ids else []
        return [job for job in found if job is not None and self._run.token in job.runs]

    def _workers(self) -> list[WorkerView]:
        """Those that are alive."""
        now, lease = clock(self._link.broker), self._link.settings.lease
        return [worker for worker in self._link.views.workers() if not silent(worker, now, lease)]

    def _tell(self, slot: str, workers: Sequence[WorkerView], count: int) -> None:
        queue, _, version = slot.rpartition(":")
        start = self._link.commands.xpm("worker", "start", "--queue", queue)
        waiting = _waiting(count)
        served = {one.rpartition(":")[0] for worker in workers for one in worker.slots}
        if served & {queue, "*"}:
            what = (
                f"no worker of the queue '{queue}', in which {waiting}, reads payloads of version {version}"
            )
        else:
            what = f"no worker serves the queue '{queue}', in which {waiting}"
        self._voice.say(f"{what}: start one with\n    {start}")

    def _tell_lack(self, lack: Lack, count: int) -> None:
        start = f"{lack.other_hosts}, or raise it" if lack.elsewhere else "to raise it"
        self._voice.say(
            f"{_counted(count)} {agree(count, 'need')} {lack.wanted}; of those that workers serve, {lack.most}; {start}:\n"
            f"    {self._link.commands.xpm(*lack.command)}"
        )

    def _tell_withheld(self, mine: Sequence[Need], whose: str, count: int) -> None:
        what = " and ".join(map(str, mine))
        it = "it" if count == 1 else "them"
        waits = f"{whose}{_counted(count)} waits" if whose else _waiting(count)
        # A job enters, as it loads the script, what stands there above its experiment, or around it.
        also = "; what the script enters above its experiment, each job does" if whose else ""
        self._voice.say(
            f"{waits} for {what}, which this script holds while it waits for {it}: "
            f"wait after that block, or let the jobs alone hold it{also}"
        )

    def _tell_struck(self, slot: str, struck: Sequence[WorkerView]) -> None:
        """Says once of each pool, by its jobs, that it gets no more."""
        queue = slot.rpartition(":")[0]
        told = f"{slot} {sorted({worker.suspects for worker in struck})}"
        if told in self._told or not (count := self._count(slot)):
            return
        self._told.add(told)
        hosts = sorted({worker.host for worker in struck})
        died = ", ".join(dict.fromkeys(job[:8] for worker in struck for job in worker.suspects))
        commands = [self._link.commands.xpm("worker", "drain", *hosts)]
        if self._link.wants_workers():
            cure = "end these workers, and this script starts others, with"
        else:
            cure = "end these workers, and start others, with"
            commands.append(self._link.commands.xpm("worker", "start", "--queue", queue))
        self._voice.say(
            f"{_waiting(count)} in the queue '{queue}', and the workers on {', '.join(hosts)} get no jobs, since {died} died "
            f"there as soon as they had begun: {cure}\n    " + "\n    ".join(commands)
        )


def _all_taken(need: Need, mine: Sequence[Need], supply: Supply, hosts: Set[str]) -> bool:
    """Whether what this script holds leaves too little for a job; it has enough of what each host has for itself elsewhere."""
    if need.kind == "h" and hosts - {this_host()}:
        return False
    capacity = supply.on(this_host()).capacity
    return need.amount <= capacity < need.amount + sum(one.amount for one in mine)


def _waiting(count: int) -> str:
    return f"{_counted(count)} {agree(count, 'wait')}"


def _counted(count: int) -> str:
    return f"{jobs(count)}{' or more' if count >= COUNTED else ''}"


def _struck(worker: WorkerView, slot: str) -> bool:
    """Whether it would serve a slot, had not too many jobs died on its host."""
    queue, _, version = slot.rpartition(":")
    return bool(worker.suspects) and worker.offers(queue, int(version))


def _serves(worker: WorkerView, slot: str) -> bool:
    queue, _, version = slot.rpartition(":")
    return worker.serves(queue, int(version))
