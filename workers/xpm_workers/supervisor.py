"""The supervisor of a host's workers and of the zygotes that fork their jobs.

It has no thread and, between its rare questions, no connection to the broker. When a worker dies it ends what is left
of the job, hands the job back, and starts another; when a worker doesn't renew its lease, whatever the reason, it
freezes the job before the lease ends; when it dies itself, workers and zygotes see their connection to it close and end.
"""

from __future__ import annotations

import logging
import os
import select
import signal
import socket
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field

import psutil

from xpm.broker.broker import Broker, End
from xpm.broker.connect import open_client
from xpm.broker.idle import BUSY, idle
from xpm.broker.names import WORKER
from xpm.broker.poolfile import PoolFile
from xpm.broker.reader import Reader
from xpm.broker.views import Views
from xpm.errors import XpmError
from xpm.moments import Moment
from xpm.workspace.fitness import hindrance
from xpm_workers import frames, tree
from xpm_workers.board import ASKED, Board, Wish
from xpm_workers.cpus import cpus
from xpm_workers.guard import AGAIN, Guard
from xpm_workers.nursery import Nursery
from xpm_workers.orphans import Orphans
from xpm_workers.serving import DISMISSED, UNFIT, UNREACHED, Duty
from xpm_workers.sweeper import Turn
from xpm_workers.worker import Worker, worker_name

log = logging.getLogger("xpm.pool")

HASTY = 5.0
"""A worker that lives shorter than this many seconds, and never had a job, died at birth."""
HASTY_LIMIT = 5
"""So many deaths at birth in a row end the pool."""

_STOPS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


@dataclass(slots=True)
class Slot:
    """One worker process and what the supervisor knows of it."""

    number: int
    pid: int
    control: socket.socket
    board: Board
    guard: Guard
    born: float = field(default_factory=time.monotonic)

    def ask(self, wish: Wish) -> None:
        """Tell the worker what is wanted of it.

        Not by SIGTERM: a service manager sends that to all processes of a pool, and from here it would come again.
        """
        self.board.wish = max(wish, self.board.wish)
        tree.send(self.pid, signal.SIGUSR1)


class Pool:
    """Keeps `slots` workers alive.

    Args:
        duty: what the workers are to do.
        slots: how many there are; 0: as many as there are CPUs.
        revive: starts an embedded server again; called in workers.
        idle_stop: end when nothing was to do for so many seconds; 0: never.
        file: that of a pool that scripts of this host share, by which they ask it for more workers or fewer.
        shared: the broker is not the workspace's own server, and others may be connected to it.
        share: the variables that limit a library's threads and are the pool's to set.
    """

    def __init__(
        self,
        duty: Duty,
        slots: int,
        revive: Callable[[], None],
        idle_stop: float = 0.0,
        *,
        file: PoolFile | None = None,
        shared: bool = False,
        share: Collection[str] = (),
    ) -> None:
        self._duty = duty
        self._asked = slots
        self._count = slots or cpus()
        self._file = file
        self._shared = shared
        self._share = share
        self._revive = revive
        self._idle_stop = idle_stop
        self._slots: dict[int, Slot] = {}
        self._nursery = Nursery(duty.workspace, local=file is not None)
        # A question to the broker must not keep this process from the leases of its workers for long.
        self._brief = {"timeout": min(2.0, duty.lease / 12), "patience": 0.0}
        self._turn = Turn()
        self._farewells: dict[str, End] = {}
        """Workers that have died and could not be signed off yet, and what that is to their jobs."""
        self._asked_at = Moment.now()
        self._orphans: Orphans | None = Orphans(duty.workspace, self._serves)
        self._orphans_at = Moment(0, 0)
        self._late: set[int] = set()
        """The numbers of workers that the system had no room for."""
        self._late_at = Moment(0, 0)
        self._strays_left = False
        """The system had no room to look for strays."""
        self._stops = 0
        self._hasty = 0
        self._failed = ""
        """Why it has ended, if not as it may."""
        self._idle = False
        self._wake, self._signalled = os.pipe()
        os.set_blocking(self._wake, False)
        os.set_blocking(self._signalled, False)
        self._used = time.monotonic()

    @property
    def asked(self) -> int:
        """The number of workers that was asked for last."""
        return self._asked

    @property
    def idled(self) -> bool:
        """Whether it ended for want of anything to do, and by nobody's word."""
        return self._idle and self._stops == 1

    def run(self) -> int:
        """Serve until told to stop; returns the exit status."""
        tree.adopt_orphans()
        signal.set_wakeup_fd(self._signalled, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, _ignore)
        # Also for a worker, just forked, that has no handler of its own yet.
        signal.signal(signal.SIGUSR1, _ignore)
        for number in _STOPS:
            if number != signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN:  # else: by nohup
                signal.signal(number, self._on_stop)
        signal.signal(signal.SIGTSTP, self._stay)
        if self._file is not None:
            self._file.tell(self._asked)
        self._start_missing()
        log.info("%d workers serve %s", self._count, ", ".join(self._duty.queues))
        while self._slots or self._late:
            self._wait(self._watch())
            self._reap()
            self._start_late()
            self._say_farewells()
            self._end_orphans()
            self._resize()
            self._look_idle()
        self._nursery.close()
        self._kill_strays()
        signal.set_wakeup_fd(-1)
        os.close(self._wake)
        os.close(self._signalled)
        if self._failed:
            log.error("%s", self._failed)  # last: it is what a script tells of it
        return 1 if self._failed else 0

    # Workers

    def _start_missing(self) -> None:
        for name in self._share:
            os.environ[name] = str(max(1, cpus() // self._count))  # zygotes, and so jobs, have it from here
        for number in sorted(
            set(range(self._count)) - {slot.number for slot in self._slots.values()} - self._late
        ):
            self._start(number)

    def _resize(self) -> None:
        """As many workers as a script has asked for; those that are too many end with their jobs."""
        wanted = self._file.wanted() if self._file and not (self._stops or self._failed) else None
        if self._file is None or wanted is None or wanted == self._asked:
            return
        log.info("%d workers are wanted", wanted)
        self._asked = wanted
        self._count = wanted or cpus()
        for slot in self._slots.values():
            if slot.number >= self._count:
                slot.ask(Wish.LEAVE)
        self._start_missing()
        self._file.tell(self._asked)

    def _start(self, number: int) -> None:
        with ExitStack() as made:
            try:
                mine, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
                made.callback(mine.close)
                made.callback(theirs.close)
                board = Board()
                made.callback(board.close)
                pid = os.fork()
            except OSError as error:  # of processes, descriptors or memory there may be enough in a while
                log.warning("worker not started: %s; it is tried again", error)
                self._late.add(number)
                self._late_at = Moment.now()
                return
            made.pop_all()
        if pid == 0:
            self._become_worker(mine, theirs, board)
        theirs.close()
        slot = self._slots[pid] = Slot(
            number, pid, mine, board, Guard(pid, board, self._duty.lease, self._owns)
        )
        if self._stops:  # told between the fork and here
            slot.ask(self._wish)

    def _start_late(self) -> None:
        if self._stops or self._failed:
            self._late.clear()
        if not self._late or self._late_at.age < self._pause:
            return
        late, self._late = self._late, set()
        for number in sorted(late & set(range(self._count))):
            self._start(number)

    def _become_worker(self, mine: socket.socket, theirs: socket.socket, board: Board) -> None:
        status = 1
        try:
            signal.set_wakeup_fd(-1)
            for each in (*_STOPS, signal.SIGCHLD):
                signal.signal(each, signal.SIG_DFL)
            signal.signal(signal.SIGTSTP, signal.SIG_IGN)
            mine.close()
            for slot in self._slots.values():
                slot.control.close()
            self._nursery.abandon()
            Worker(self._duty, theirs, board, self._revive, turn=self._turn).work()
            status = 0
        except SystemExit as end:
            status = end.code if isinstance(end.code, int) else 1
        except BaseException:  # the process ends here: whatever it was must be seen in the log
            log.exception("a worker died")
        finally:
            logging.shutdown()
            os._exit(status)

    @property
    def _wish(self) -> Wish:
        """What is wanted of all workers."""
        return (Wish.GO_ON, Wish.STOP, Wish.STOP_NOW)[min(self._stops, 2)]

    def _on_stop(self, *_: object) -> None:
        self._stops += 1
        log.info("stopping: %s", "jobs may end" if self._stops == 1 else "jobs are handed back")
        self._ask_all()

    def _stay(self, *_: object) -> None:
        """Ctrl-Z would stop those who renew the leases, and not the jobs: others would run them a second time."""
        log.warning("not suspended: the jobs' leases would end; Ctrl-C ends the pool")

    def _ask_all(self) -> None:
        for slot in self._slots.values():
            slot.ask(self._wish)

    def _watch(self) -> float:
        """Looks after the leases of all workers; returns the seconds after which it must do so again."""
        return min((self._look(slot.guard) for slot in self._slots.values()), default=self._pause)

    def _look(self, guard: Guard) -> float:
        try:
            return guard.look()
        except OSError as error:  # no descriptor is left to look at the job's processes with
            log.warning("a job can't be looked at: %s; it is tried again", error)
            return self._duty.lease * AGAIN

    def _owns(self, job: int) -> bool:
        """Whether the process is that of a job: a zygote's child, or for a moment this one's if the zygote has died."""
        return tree.is_child(job, of={os.getpid(), *self._nursery.pids})

    def _wait(self, patience: float) -> None:
        controls = {slot.control: slot for slot in self._slots.values()}
        if self._idle_stop:
            patience = min(patience, max(1.0, self._idle_stop / 10))
        if self._farewells or self._late or self._strays_left or self._orphans is not None:
            patience = min(patience, self._pause)
        readable, _, _ = select.select([self._wake, *controls], [], [], patience)
        for source in readable:
            if isinstance(source, int):
                os.read(source, 4096)
            else:
                self._answer(controls[source])

    def _answer(self, slot: Slot) -> None:
        try:
            frame = frames.receive(slot.control)
        except OSError:
            frame = None
        if frame is None:
            return  # it is ending; its exit says the rest
        try:
            answer = ["zygote", frame[1], self._nursery.path(str(frame[1]))]
        except (XpmError, OSError) as error:
            answer = ["failed", str(error)]
        try:
            frames.send(slot.control, answer)
        except OSError as error:
            log.debug("worker %d left before the answer: %s", slot.pid, error)

    def _reap(self) -> None:
        for pid, status in _ended_children():
            slot = self._slots.pop(pid, None)
            if slot is not None:
                self._bury(slot, status)
            else:
                self._nursery.forget(pid, os.waitstatus_to_exitcode(status))
        try:
            self._kill_strays()  # also those of a zygote that the nursery has buried, and of strays
        except OSError as error:
            log.warning("what zygotes have left can't be looked for: %s; it is tried again", error)
            self._strays_left = True
        else:
            self._strays_left = False

    def _kill_strays(self) -> None:
        """What a zygote's jobs had started comes here when the zygote dies: it ends too."""
        known = {*self._slots, *self._nursery.pids}
        strays = set(tree.children(os.getpid())) - known
        tree.kill_trees({pid for pid in strays if not self._serves(pid)})

    def _end_orphans(self) -> None:
        """What an earlier pool has left on this host ends, too, as soon as its leases are over; then there is none."""
        if self._orphans is None or self._orphans_at.age < self._pause:
            return
        self._orphans_at = Moment.now()
        try:
            with open_client(self._duty.url, **self._brief) as client:
                if not self._orphans.end(Views(Reader(client, self._duty.namespace))):
                    self._orphans = None
        except (XpmError, OSError) as error:
            log.debug("orphans: %s", error)

    def _serves(self, pid: int) -> bool:
        """Whether a process is the embedded server or sees to it: orphans of a worker that started them again.

        All of them name the server's socket.
        """
        scheme, _, socket = self._duty.url.partition("?")[0].partition("://")
        try:
            return scheme == "unix" and socket in " ".join(psutil.Process(pid).cmdline())
        except psutil.Error:
            return False

    def _bury(self, slot: Slot, status: int) -> None:
        slot.control.close()
        job = slot.board.job
        died = os.waitstatus_to_exitcode(status)
        if died == DISMISSED:
            log.info("worker %d was dismissed", slot.pid)
            slot.board.close()
            return
        if died == UNFIT:
            slot.board.close()
            self._fail(
                f"{hindrance(self._duty.workspace) or 'the workspace could not be used'}: this pool ends"
            )
            return
        if died:
            log.warning("worker %d ended with %d", slot.pid, died)
            if job > ASKED and self._owns(job):
                tree.signal_tree(job, signal.SIGKILL)
            self._farewells[worker_name(self._duty, slot.pid)] = _end(slot, job, died)
            self._asked_at = Moment(0, 0)  # at once
        at_birth = died and not slot.board.served and time.monotonic() - slot.born < HASTY
        slot.board.close()
        if self._stops or self._failed or (died == 0 and self._duty.burst) or slot.number >= self._count:
            return
        self._hasty = self._hasty + 1 if at_birth else 0
        if self._hasty >= HASTY_LIMIT:
            self._fail(f"{self._hasty} workers in a row died at birth")
            return
        self._start(slot.number)

    def _fail(self, reason: str) -> None:
        """Ends with its jobs, and begins no other: all of its workers are in the same trouble."""
        self._failed = reason
        for slot in self._slots.values():
            slot.ask(Wish.LEAVE)

    @property
    def _pause(self) -> float:
        """Seconds between two tries to sign workers off, or to end what is left over."""
        return self._duty.lease / 6

    def _say_farewells(self) -> None:
        """The job of a worker that died runs again at once: its processes are gone.

        Where the broker is away, it is told later; what it is never told, the lease's end tells it.
        """
        if not self._farewells or self._asked_at.age < self._pause:
            return
        self._asked_at = Moment.now()
        try:
            with open_client(self._duty.url, **self._brief) as client:
                broker = Broker(client, self._duty.namespace, lease=self._duty.lease)
                for name, end in list(self._farewells.items()):
                    broker.depart(name, end=end)
                    del self._farewells[name]
        except (XpmError, OSError) as error:
            log.warning("%d workers not signed off yet: %s", len(self._farewells), error)

    # The end of an idle pool

    def _look_idle(self) -> None:
        if not self._idle_stop or self._stops:
            return
        if self.busy():
            self._used = time.monotonic()
        elif time.monotonic() - self._used >= self._idle_stop:
            log.info("nothing to do for %d s: ending", self._idle_stop)
            self._idle = True
            self._on_stop()

    def busy(self) -> bool:
        """Whether there is anything to do, or anybody who may bring something."""
        try:
            with open_client(self._duty.url, **self._brief) as client:
                broker = Broker(client, self._duty.namespace, lease=self._duty.lease)
                return not idle(broker, WORKER, shared=self._shared)
        except (
            XpmError,
            OSError,
        ):  # nobody answers: workers revive a server of ours; what runs must end first
            return any(slot.board.job for slot in self._slots.values())

    def needed(self) -> bool:
        """Whether some job is ready or runs."""
        try:
            with open_client(self._duty.url, **self._brief) as client:
                counts = Views(Reader(client, self._duty.namespace)).counts()
        except (XpmError, OSError):
            return False
        return any(counts[state] for state in BUSY)


def _end(slot: Slot, job: int, died: int) -> End:
    """What the death of a worker is to its job.

    Args:
        slot: the worker's.
        job: the process of its job, as `Board` has it.
        died: the worker's exit status.
    """
    if died == UNREACHED or slot.guard.withdrawn or (job and slot.board.frozen == job):
        return "returned"
    return "crashed" if job > ASKED else "lost"


def _ended_children() -> Iterator[tuple[int, int]]:
    """Buries all that have ended; their numbers, and `waitpid`'s status of each."""
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid == 0:
            return
        yield pid, status


def _ignore(*_: object) -> None:
    """Only so that the signal wakes the loop, or does no harm."""
