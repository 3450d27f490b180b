"""The way of a script's tasks to the broker, on a thread of its own; no broker is dealt with where none is needed."""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING, Any

from xpm.core.state import State
from xpm.experiment.circumstances import Circumstances
from xpm.experiment.gathering import End, Gathering, Item, Submitted, read_end, runs
from xpm.experiment.inheritance import Inheritance
from xpm.experiment.outbox import Outbox
from xpm.types import JobId

if TYPE_CHECKING:
    from xpm.experiment.outlook import Outlook
    from xpm.experiment.remote import Remote


class Outgoing:
    """What an experiment has submitted, and how far it is out."""

    def __init__(self, under: Circumstances) -> None:
        self._under = under
        self._experiment = under.workspace.experiment_dir(under.experiment)
        self._gathering = Gathering(under.workspace)
        self._inheritance = Inheritance(self._experiment, self._gathering, under.voice.say)
        self._outbox: Outbox[Item] = Outbox(self._send)
        self._remote: Remote | None = None
        self._stuck = False

    def put(self, item: Item) -> None:
        """Takes a task; it goes out with others a few milliseconds later."""
        self._outbox.put(item)

    @property
    def jobs(self) -> Mapping[JobId, Submitted]:
        """The jobs that are out, on their way, or need not go."""
        return self._gathering.jobs

    @property
    def begun(self) -> Remote | None:
        """The dealings with the broker, if it was given jobs; a script may ask it something, and give it none."""
        return self._remote if self._remote is not None and self._remote.begun else None

    @property
    def idle(self) -> bool:
        """Whether nothing had to go out: all that was submitted was done before."""
        return self.begun is None and self.total == len(self._gathering.done)

    @property
    def remote(self) -> Remote:
        """The dealings with the broker.

        Loaded late: the clients of a broker cost more than all else of a run that has nothing to do.
        """
        if self._remote is None:
            module: Any = importlib.import_module("xpm.experiment.remote")
            made: Remote = module.Remote(self._under, self._gathering)
            self._remote = made
        return self._remote

    def states(self, ids: Sequence[JobId]) -> Mapping[JobId, State]:
        """The states of jobs, asked now."""
        if not ids:
            return {}
        if self._under.settings.dry_run:
            return dict.fromkeys(ids, State.WAITING)
        return self.remote.states(ids)

    # Going out

    def flush(self) -> None:
        """What was submitted is told to the broker, and what is done of it, if there is anything to run."""
        self._outbox.flush(self._settle_begun)
        if self._remote is not None:
            self._remote.look_for_children()

    def settle(self) -> None:
        """All of it is told to the broker, in any case."""
        self._outbox.flush(self._settle)

    def finish(self) -> End | None:
        """The same at the end of a script.

        Returns:
            How the last run ended, when it was the same as this one and nothing is left to do: then the
            broker is told nothing.
        """
        self._outbox.flush()
        besides = self._remote.folder if self._remote is not None else None
        inherited = self._inheritance.take(besides)
        if self.begun is None and all(
            child.entry.known == "recorded" for _, children in inherited for child in children
        ):
            last = next(map(read_end, runs(self._experiment, besides)), None)
            if not self._gathering.jobs:
                return End("", {})
            if last is not None and last.plan == self._gathering.plan:
                return last
        self.settle()
        for earlier, children in inherited:
            self._outbox.flush(partial(self.remote.inherit, children, earlier))
        if self._remote is not None:
            self._remote.rank()
            self._remote.replace()
            self._remote.note_whole()
        return None

    def _send(self, batch: list[Item]) -> None:
        """A batch goes out, on the outbox's thread; what has a record is told last."""
        if self._under.settings.dry_run:
            self._gathering.note(batch)
            return
        items = self._outbox.going(self._gathering.take(batch))
        first = next(items, None)
        if first is not None:
            self.remote.submit(chain([first], items))

    def _settle(self) -> None:
        """The broker is told what is done as well: it may not know, and other jobs wait for it."""
        if self._gathering.done:
            self.remote.settle()

    def _settle_begun(self) -> None:
        if self.begun is not None:
            self._settle()

    # Leaving

    def part(self, patience: float, rest: float) -> None:
        """Tells the broker what it can within `patience` seconds, and drops what is left then.

        Args:
            patience: seconds; with 0 nothing more goes out.
            rest: seconds for which what is on its way is waited for after that.

        Raises:
            KeyboardInterrupt: nothing more is waited for.
            XpmError: why it cannot go out.
        """
        try:
            if not patience or not self._outbox.flush(self._settle_begun, patience):
                self._outbox.drop()
                self._stuck = not self._outbox.flush(self._settle_begun, rest)
        except KeyboardInterrupt:
            self._outbox.drop()
            self._stuck = True
            raise

    def outlook(self) -> Outlook | None:
        """What becomes of what is out; None when the broker does not say so at once."""
        return None if self._stuck or self.begun is None else self.begun.outlook()

    @property
    def total(self) -> int:
        """How many jobs the script has submitted, out or not."""
        own = self.jobs.keys() - self._gathering.children
        return len(own | {item[0].id for item in self._outbox.left})

    def close(self) -> None:
        """Nothing more goes out; what the broker is asked later opens a connection again."""
        ended = self._outbox.close(0.0) if self._stuck else self._outbox.close()
        if self._remote is not None:
            if not ended:
                self._remote.give_up()
            self._remote.close()
