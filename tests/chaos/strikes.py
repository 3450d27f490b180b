"""Carries faults out, and takes back in time what ends by itself."""

from __future__ import annotations

import heapq
import itertools
import os
import random
import signal
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any, TypeVar

import psutil
from faults import Fault, Kind
from figures import PERSON
from grounds import Grounds, Pool
from redis.exceptions import RedisError
from shapes import CAPACITIES
from waiting import until

from xpm.broker import rq as rqnames
from xpm.errors import BrokerError
from xpm_workers import tree

T = TypeVar("T")

BUTTONS = (
    "/job/{job}/requeue",
    "/job/{job}/delete",
    "/requeue/{queue}",
    "/queue/{queue}/{registry}/empty",
    "/queue/{queue}/compact",
)
INSIST = 60.0
"""Seconds for which a person tries to reach the server."""

REGISTRIES = ("queued", "started", "deferred", "finished", "failed", "scheduled", "canceled")


class Strikes:
    """The hand that does it.

    Args:
        grounds: where.
        recent: identifiers of jobs that may have a button pressed.
        rerun: has users run jobs again, chosen by a number from 0 to 1; false when none is done.
    """

    def __init__(
        self, grounds: Grounds, recent: Callable[[], Sequence[str]], rerun: Callable[[float], bool]
    ) -> None:
        self._grounds = grounds
        self._recent = recent
        self._rerun = rerun
        self._due: list[tuple[float, int, Callable[[], None]]] = []
        self._order = itertools.count()
        self._aside = ThreadPoolExecutor(4)  # for what may have to wait for an answer
        self.counts: Counter[Kind] = Counter()
        """Those that met something."""
        self.answers: Counter[str] = Counter()
        """What dashboards said."""
        self._down = False

    def strike(self, fault: Fault) -> None:
        """Does it, if there is anything that it can meet."""
        if STRIKES[fault.kind](self, fault, self._grounds.pools[fault.pool]):
            self.counts[fault.kind] += 1
            self._grounds.note(f"fault {fault}")

    def mend(self, *, all: bool = False) -> None:
        """Takes back what is due, or all of it."""
        while self._due and (all or self._due[0][0] <= time.monotonic()):
            heapq.heappop(self._due)[2]()

    def close(self) -> None:
        """Takes all back; what was asked of others has been answered."""
        self.mend(all=True)
        self._aside.shutdown()

    def _after(self, seconds: float, mend: Callable[[], None]) -> None:
        heapq.heappush(self._due, (time.monotonic() + seconds, next(self._order), mend))

    # Processes

    def _kill(self, fault: Fault, found: Sequence[int]) -> bool:
        return bool(found) and _signal(_process(_chosen(fault, found)), signal.SIGKILL)

    def _stop(self, fault: Fault, pids: Iterable[int], then: Sequence[str] = ()) -> bool:
        """Stops processes for a while; `then` is noted before they go on."""
        stopped = [process for pid in pids if _signal(process := _process(pid), signal.SIGSTOP)]

        def go_on() -> None:
            for line in then:
                self._grounds.note(line)
            for process in stopped:
                _signal(process, signal.SIGCONT)

        if stopped:
            self._after(fault.seconds, go_on)
        return bool(stopped)

    def kill_job(self, fault: Fault, pool: Pool) -> bool:
        return self._kill(fault, self._grounds.jobs(pool))

    def kill_zygote(self, fault: Fault, pool: Pool) -> bool:
        return self._kill(fault, self._grounds.zygotes(pool))

    def kill_worker(self, fault: Fault, pool: Pool) -> bool:
        return self._kill(fault, self._grounds.workers(pool))

    def kill_pool(self, fault: Fault, pool: Pool) -> bool:
        if not pool.pid:
            return False
        self._grounds.note(f"killed {pool.name}")
        return self._kill(fault, [pool.pid])

    def kill_host(self, fault: Fault, pool: Pool) -> bool:
        self._grounds.note(f"killed {pool.name}")
        if pool.pid:
            tree.signal_tree(pool.pid, signal.SIGKILL)  # none gets to notice that another is gone
        return bool(pool.pid)

    def stop_job(self, fault: Fault, pool: Pool) -> bool:
        jobs = self._grounds.jobs(pool)
        if not jobs:
            return False
        job = _chosen(fault, jobs)
        return self._stop(fault, [job, *tree.descendants(job)], [f"woken {job}"])

    def stop_zygote(self, fault: Fault, pool: Pool) -> bool:
        zygotes = self._grounds.zygotes(pool)
        return bool(zygotes) and self._stop(fault, [_chosen(fault, zygotes)])

    def stop_worker(self, fault: Fault, pool: Pool) -> bool:
        workers = self._grounds.workers(pool)
        return bool(workers) and self._stop(fault, [_chosen(fault, workers)])

    def stop_supervisor(self, fault: Fault, pool: Pool) -> bool:
        self._grounds.note(f"stopped {pool.name}")
        return bool(pool.pid) and self._stop(fault, [pool.pid], [f"resumed {pool.name}"])

    def stop_pool(self, fault: Fault, pool: Pool) -> bool:
        self._grounds.note(f"stopped {pool.name}")
        return self._stop(fault, self._grounds.family(pool), [f"resumed {pool.name}"])

    def sleep(self, fault: Fault, pool: Pool) -> bool:
        """As a laptop does when it is closed."""
        grounds = self._grounds
        for each in grounds.pools:
            grounds.note(f"stopped {each.name}")
        server = grounds.server.process
        pids = [pid for each in grounds.pools for pid in grounds.family(each)]
        then = [f"resumed {each.name}" for each in grounds.pools]
        return self._stop(fault, [*([server.pid] if server else []), *pids], then)

    # Redis

    def kill_server(self, fault: Fault, pool: Pool) -> bool:
        if self._down:
            return False
        self._down = True
        self._grounds.server.kill()

        def start() -> None:
            self._down = False
            self._grounds.server.start()

        self._after(fault.seconds, start)
        return True

    def stop_server(self, fault: Fault, pool: Pool) -> bool:
        process = self._grounds.server.process
        return process is not None and self._stop(fault, [process.pid])

    def client_kill(self, fault: Fault, pool: Pool) -> bool:
        def kill() -> None:
            client = self._grounds.direct.client
            if fault.choice < 0.3:
                client.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
                client.execute_command("CLIENT", "KILL", "TYPE", "pubsub")
            else:
                number = _chosen(fault, client.client_list())["id"]
                client.execute_command("CLIENT", "KILL", "ID", number)

        return self._ask(kill)

    def forget(self, fault: Fault, pool: Pool) -> bool:
        def forget() -> None:
            client = self._grounds.direct.client
            found = sorted(client.scan_iter("rq:*", count=1000))
            if found:
                client.delete(*random.Random(fault.choice).sample(found, min(5, len(found))))

        return self._ask(forget)

    def _ask(self, question: Callable[[], None]) -> bool:
        def asked() -> None:
            with suppress(RedisError, IndexError):  # the server may be away just now, or have no clients
                question()

        self._aside.submit(asked)
        return True

    # Connections

    def _proxy(self, fault: Fault) -> Any:
        """A pool's, and now and then that of the scripts."""
        choices = [self._grounds.proxies[fault.pool]] * 3 + [self._grounds.scripts]
        return _chosen(fault, choices)

    def lose_reply(self, fault: Fault, pool: Pool) -> bool:
        self._proxy(fault).say("lose")
        return True

    def stall(self, fault: Fault, pool: Pool) -> bool:
        return self._between(fault, "stall", "flow")

    def cut(self, fault: Fault, pool: Pool) -> bool:
        return self._between(fault, "refuse", "accept")

    def _between(self, fault: Fault, begin: str, end: str) -> bool:
        proxy = self._proxy(fault)
        proxy.say(begin)
        self._after(fault.seconds, lambda: proxy.say(end) and None)
        return True

    def link(self, fault: Fault, pool: Pool) -> bool:
        hosts = self._grounds.hosts
        assert hosts is not None
        hosts.link(pool.number, "down")
        self._after(fault.seconds, lambda: hosts.link(pool.number, "up"))
        return True

    def clock(self, fault: Fault, pool: Pool) -> bool:
        self._grounds.clocks[pool.number].jump(round((2 * fault.choice - 1) * 3600))
        return True

    def rerun(self, fault: Fault, pool: Pool) -> bool:
        return self._rerun(fault.choice)

    # Dashboards

    def button(self, fault: Fault, pool: Pool) -> bool:
        chance = random.Random(fault.choice)
        namespace, jobs = self._grounds.direct.namespace, self._recent()
        if not jobs or not self._grounds.dashboards:
            return False
        button = chance.choice(BUTTONS)
        path = button.format(
            job=rqnames.job(namespace, chance.choice(jobs)),
            queue=rqnames.queue(namespace, "default"),
            registry=chance.choice(REGISTRIES),
        )
        number = chance.randrange(len(self._grounds.dashboards))

        def press() -> None:
            told = f"{('ours', 'stock')[number]} {button}"
            request = urllib.request.Request(self._grounds.dashboards[number] + path, method="POST")
            try:
                with urllib.request.urlopen(request, timeout=5) as answer:
                    self.answers[f"{told} {answer.status}"] += 1
            except urllib.error.HTTPError as error:
                self.answers[f"{told} {error.code}"] += 1
            except OSError:
                self.answers[f"{told} silent"] += 1

        self._aside.submit(press)
        return True

    # People

    def kill(self, fault: Fault, pool: Pool) -> bool:
        jobs = self._some(fault)
        self._aside.submit(self._insist, lambda: self._grounds.direct.kill(jobs, PERSON))
        return bool(jobs)

    def hold(self, fault: Fault, pool: Pool) -> bool:
        broker, jobs = self._grounds.direct, self._some(fault)
        return bool(jobs) and self._for_a_while(
            fault, lambda: broker.hold(jobs, PERSON), lambda: broker.release(jobs, PERSON)
        )

    def pause(self, fault: Fault, pool: Pool) -> bool:
        broker = self._grounds.direct
        return self._for_a_while(
            fault, lambda: broker.pause(["default"], PERSON), lambda: broker.resume(["default"])
        )

    def capacity(self, fault: Fault, pool: Pool) -> bool:
        broker, there = self._grounds.direct, CAPACITIES["t.gpu"]
        less = int(fault.choice * there)
        return self._for_a_while(
            fault, lambda: broker.resize("t.gpu", less), lambda: broker.resize("t.gpu", there)
        )

    def _some(self, fault: Fault) -> list[str]:
        jobs = self._recent()
        return random.Random(fault.choice).sample(jobs, min(5, len(jobs)))

    def _for_a_while(self, fault: Fault, begin: Callable[[], object], end: Callable[[], object]) -> bool:
        begun = self._aside.submit(self._insist, begin)

        def take_back() -> None:
            begun.result()
            self._insist(end)

        self._after(fault.seconds, lambda: self._aside.submit(take_back) and None)
        return True

    @staticmethod
    def _insist(verb: Callable[[], object]) -> None:
        """Says it until it is heard, as a person does while the server is away."""

        def heard() -> bool:
            try:
                verb()
            except BrokerError:
                return False
            return True

        until(heard, INSIST)


def _chosen(fault: Fault, found: Sequence[T]) -> T:
    return found[int(fault.choice * len(found))]


def _process(pid: int) -> psutil.Process | None:
    with suppress(psutil.NoSuchProcess):
        return psutil.Process(pid)
    return None


def _signal(process: psutil.Process | None, number: int) -> bool:
    """Sends a signal, unless the process is gone or its number has passed to another."""
    if process is None or process.pid == os.getpid():
        return False
    try:
        process.send_signal(number)
    except (psutil.NoSuchProcess, ProcessLookupError):
        return False
    return True


STRIKES: dict[Kind, Callable[[Strikes, Fault, Pool], bool]] = {
    Kind.KILL_JOB: Strikes.kill_job,
    Kind.KILL_ZYGOTE: Strikes.kill_zygote,
    Kind.KILL_WORKER: Strikes.kill_worker,
    Kind.KILL_POOL: Strikes.kill_pool,
    Kind.KILL_HOST: Strikes.kill_host,
    Kind.SLEEP: Strikes.sleep,
    Kind.KILL_SERVER: Strikes.kill_server,
    Kind.STOP_JOB: Strikes.stop_job,
    Kind.STOP_ZYGOTE: Strikes.stop_zygote,
    Kind.STOP_WORKER: Strikes.stop_worker,
    Kind.STOP_SUPERVISOR: Strikes.stop_supervisor,
    Kind.STOP_POOL: Strikes.stop_pool,
    Kind.STOP_SERVER: Strikes.stop_server,
    Kind.LOSE_REPLY: Strikes.lose_reply,
    Kind.STALL: Strikes.stall,
    Kind.CUT: Strikes.cut,
    Kind.CLIENT_KILL: Strikes.client_kill,
    Kind.FORGET: Strikes.forget,
    Kind.BUTTON: Strikes.button,
    Kind.KILL: Strikes.kill,
    Kind.HOLD: Strikes.hold,
    Kind.PAUSE: Strikes.pause,
    Kind.CAPACITY: Strikes.capacity,
    Kind.LINK: Strikes.link,
    Kind.CLOCK: Strikes.clock,
    Kind.RERUN: Strikes.rerun,
}
"""How each kind of fault is done; false when there was nothing that it could meet."""
