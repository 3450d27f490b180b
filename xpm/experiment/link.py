"""The way from a script to the broker: the workspace's own server and local workers, or a broker that is shared."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from functools import cached_property
from typing import TypeVar

from xpm.broker import dirs
from xpm.broker.broker import Broker
from xpm.broker.connect import check, open_client, safe
from xpm.broker.embedded import Embedded
from xpm.broker.expiry import Expiry
from xpm.broker.idle import BUSY, script_name
from xpm.broker.reader import Reader
from xpm.broker.views import Views
from xpm.core.lengths import duration
from xpm.errors import BrokerError, BrokerStalled, BrokerUnreachable
from xpm.experiment.commands import Commands
from xpm.experiment.localpool import LocalPool
from xpm.experiment.voice import Voice
from xpm.here import this_host
from xpm.settings import Settings, places
from xpm.workspace.layout import Workspace

T = TypeVar("T")

POOL_LOCK = "pool-{}.lock"
"""The file in the state directory of a namespace that its local pool holds locked."""

POOL_LOOK = 2.0
"""Seconds between two looks whether the local pool is there."""

TIMEOUT = 15.0
"""Seconds that an answer may take: more than a wait for events, and no lease hangs on it."""

PATIENCE = (0.2, 5.0)
"""The first and the longest pause, in seconds, before a shared broker that is away is asked again."""

REST = 1.0
"""Seconds between two tries while a broker takes no changes."""

ANEW = 60.0
"""Seconds after which it is told again that a broker takes no changes."""

GLANCE = 0.4
"""Seconds for which a broker that may not be there is tried."""


class Link:
    """A connection to the broker of a workspace; whoever finds it cut mends it by `mend()`.

    Args:
        workspace: the workspace.
        settings: which broker, which workers.
        voice: says what the user should know.
    """

    broker: Broker
    reader: Reader
    """The broker, for questions alone."""
    views: Views

    def __init__(self, workspace: Workspace, settings: Settings, voice: Voice) -> None:
        self.workspace = workspace
        self.settings = settings
        self._voice = voice
        self._url = ""
        self._looked = 0.0
        self._pause = PATIENCE[0]
        self._pools: dict[str, LocalPool] = {}
        self._given_up = False
        self._heard = time.monotonic()
        """When it was last heard, or asked anew; by the steady clock, as the next."""
        self._away: float | None = None
        """Since when a shared broker has not answered."""
        self._stalled = float("-inf")
        """When it last took no changes."""
        self._hung = False
        """The workspace's server is there, and did not answer when it was last looked at."""

    @property
    def embedded(self) -> bool:
        """Whether the broker is the workspace's own server."""
        return self.settings.broker is None

    @property
    def url(self) -> str:
        """The broker's URL, as it can be shown."""
        return safe(self._url)

    @property
    def open(self) -> bool:
        """Whether there is a connection."""
        return bool(self._url)

    @cached_property
    def commands(self) -> Commands:
        """What to tell people to type."""
        return Commands(self.workspace.path, self.settings)

    def connect(self) -> None:
        """Opens the connection; the workspace's own server is started if need be.

        Raises:
            BrokerUnreachable: nobody answers, or the workspace's server can't be started.
            BrokerUnsuitable: the broker must not be used.
        """
        if self.settings.broker is None:
            self._url = self._server().ensure()
        else:
            self._url = self.settings.broker
            self._check()  # before a script of ours runs there
        self._open()

    def find(self) -> bool:
        """Opens a connection to a broker that runs already; False when there is none.

        Starts nothing, and writes nothing there: only `reader` and `views` are to be had.

        Raises:
            BrokerUnsuitable: the broker must not be used.
        """
        if self.settings.broker is None:
            status = self._server().status()
            if not status.running:
                return False
            self._url = status.url
        else:
            self._url = self.settings.broker
        client = open_client(self._url, timeout=TIMEOUT, patience=GLANCE)
        reader = Reader(client, self.workspace.namespace, lease=self.settings.lease)
        self.reader, self.views = reader, Views(reader)
        try:
            if not self.embedded:
                self._check(patience=GLANCE)
            reader.hello()
        except BrokerUnreachable:
            return False
        return True

    @contextmanager
    def glance(self) -> Generator[Views]:
        """Questions to a broker that may not be there, each tried for a moment, on a connection of their own.

        Raises:
            BrokerError: it does not answer at once.
        """
        with open_client(self._url, timeout=GLANCE, patience=0.0) as client:
            yield Views(Reader(client, self.workspace.namespace, lease=self.settings.lease))

    def close(self) -> None:
        """Closes the connections."""
        if hasattr(self, "views"):  # else it was refused
            self.views.close()

    def mend(self, error: BrokerUnreachable) -> None:
        """Brings the broker back, or waits a while for one that isn't ours to start.

        Raises:
            BrokerUnreachable: the workspace's server can't be started, or nobody waits for it any more.
        """
        if self._given_up:
            raise error
        if isinstance(error, BrokerStalled):
            self._rest(error)
        elif self.embedded:
            self._revive(error)
        else:
            if self._away is None:
                self._away = self._heard  # the client has tried for a while before it gave up
                self._voice.say(f"{self.url} does not answer: waiting for it; no job is lost")
            time.sleep(self._pause)
            self._pause = min(self._pause * 2, PATIENCE[1])
        if self._given_up:
            raise error
        self.reopen()

    def _revive(self, error: BrokerUnreachable) -> None:
        """Starts the workspace's server, or waits a while for one that is there and hangs."""
        if not self._hung:
            self._voice.say(f"the workspace's server went away ({error}): starting it again")
        try:
            self._url = self._server().ensure()
        except BrokerUnreachable as silence:
            if not self._server().status().running:
                raise
            if not self._hung:
                self._voice.say(f"{silence}: waiting for it; no job is lost")
            self._hung = True
            return
        self._hung = False
        self._looked = 0.0
        self.serve()

    def _rest(self, error: BrokerStalled) -> None:
        """Waits a while for a broker that is to be helped; it may answer questions meanwhile."""
        if time.monotonic() - self._stalled > ANEW:
            self._voice.say(f"{error}: waiting for that to be mended; no job is lost")
        time.sleep(REST)  # nothing tells when it takes changes again
        self._stalled = time.monotonic()

    def answered(self) -> None:
        """The broker is there, as whoever calls this has just seen."""
        self._pause = PATIENCE[0]
        if self._away is not None:
            self._voice.say(f"{self.url} answers again, after {duration(time.monotonic() - self._away)}")
            self._away = None
        self._heard = time.monotonic()

    def give_up(self) -> None:
        """Whoever still waits for the broker, on another thread, hears that it is away."""
        self._given_up = True

    def reopen(self) -> None:
        """A new connection, to a broker that may have come back without its memory."""
        self.close()
        self._open()

    def ask(self, question: Callable[[], T], end: float | None = None) -> T:
        """Asks until the broker has answered: one that is away costs time, not work.

        Args:
            question: makes a call.
            end: it is not asked again after this moment of `time.monotonic()`, but for once if it is ours to start.

        Raises:
            BrokerUnreachable: it had not answered then.
        """
        startable = self.embedded
        if self._away is None:
            self._heard = time.monotonic()
        while True:
            try:
                answer = question()
            except BrokerUnreachable as error:
                if end is not None and time.monotonic() >= end and not startable:
                    raise
                startable = False
                self.mend(error)
            else:
                self.answered()
                return answer

    def _check(self, **more: float) -> None:
        with open_client(self._url, timeout=TIMEOUT, **more) as first:
            for warning in check(first, self._url):
                self._voice.once(warning)

    def _open(self) -> None:
        client = open_client(self._url, timeout=TIMEOUT)
        # By this name local workers know that somebody may still bring something.
        client.connection_pool.connection_kwargs["client_name"] = script_name(self.workspace.namespace)
        self.broker = Broker(client, self.workspace.namespace, lease=self.settings.lease)
        self.expiry = Expiry(self.broker)
        self.reader, self.views = self.broker, Views(self.broker)

    def _server(self) -> Embedded:
        workspace, seconds = self.workspace, self.settings.idle_stop
        return Embedded(
            workspace.path, workspace.namespace, places(), idle_stop=seconds, tell=self._voice.say
        )

    # Local workers

    def serve(self) -> None:
        """Sees that there are local workers, where there are to be any: called again and again."""
        if not self.wants_workers():
            return
        now = time.monotonic()
        if now - self._looked < POOL_LOOK and self._looked:
            return
        self._looked = now
        self._pool().ensure()

    def confirm(self) -> None:
        """Sees that what was just submitted has local workers, though this script may look no more.

        A pool that was ending when this script first looked has let its file go by now, or will see what was submitted.
        """
        if self.wants_workers() and not self._pool().started:
            self._pool().ensure()

    def fit(self) -> None:
        """Makes local workers that another script has started fit this one, before it submits."""
        if self.wants_workers():
            self._pool().fit(lambda: self.ask(self._unused))
        elif self.settings.workers == 0:  # said so, not only by default
            try:
                pool = self._pool()
            except BrokerError:  # where no directory for its file can be made, there is none
                return
            pool.dismiss(lambda: self.ask(self._unused))

    def wants_workers(self) -> bool:
        """Whether this script starts local workers when there are none."""
        workers = self.settings.workers
        return self.embedded if workers is None else workers > 0

    def _unused(self) -> bool:
        counts = self.views.counts()
        return not any(counts.get(state) for state in BUSY)

    def _pool(self) -> LocalPool:
        """The pool for the broker as it is now: the workspace's own server may come back elsewhere."""
        if self._url not in self._pools:
            self._pools[self._url] = self._make_pool()
        return self._pools[self._url]

    def _make_pool(self) -> LocalPool:
        # Another broker for the same workspace needs workers of its own.
        broker = "own" if self.embedded else hashlib.sha256(self._url.encode()).hexdigest()[:12]
        file = dirs.data(places(), self.workspace.namespace) / POOL_LOCK.format(broker)
        command = [
            *(
                "--workspace",
                str(self.workspace.path),
                "--queue",
                "*",
                "--idle",
                str(self.settings.idle_stop),
            ),
            *(["--embedded"] if self.embedded else []),
        ]
        environ = {**os.environ, "XPM_BROKER": self._url}  # not an argument: it may hold a password
        log = self.workspace.log_dir / f"{this_host()}.log"
        return LocalPool(file, log, command, self.settings, environ, self._voice)
