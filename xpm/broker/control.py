"""What people do to jobs: the broker's verbs for it, one call of one script for each hundred of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from xpm.broker.resources import Resources
from xpm.broker.wire import pack
from xpm.types import short

CHUNK = 100
"""Jobs that one call changes at most."""

Tally = Mapping[str, int]
"""How many jobs became what: the words of a script's head; `unknown` are those that there are not."""


CHANGED = frozenset(
    {"cancelled", "kept", "stopping", "held", "released", "blocked", "retried", "rerun", "set"}
)
"""The words for jobs that a verb has changed."""


class Cancelled(NamedTuple):
    """What became of jobs that were given up."""

    cancelled: int
    stopping: int
    """Running, and asked to stop."""
    kept: int
    """Wanted by other experiments."""


class Control(Resources):
    """The verbs of people. `who` is told with what they changed; empty for nobody in particular.

    Args:
        client: a connection pool with `decode_responses=False`.
        namespace: the workspace's namespace.
        lease: how long a worker may be silent before its job runs elsewhere, in seconds.
        budget: edges that one call settles at most.
    """

    def cancel(self, serial: str, jobs: Sequence[str], who: str = "", *, running: bool = True) -> Cancelled:
        """An experiment gives up jobs; with an empty `serial` all do that want them. Without `running`, only jobs that have
        not started.
        """
        total = [0, 0, 0]
        only = () if running else ("unstarted",)
        for packed in _packed(jobs):
            for place, count in enumerate(self._scripts.run("cancel", who, packed, serial, *only)):
                total[place] += int(count)
        return Cancelled(*total)

    def call_off(self, experiment: str, who: str = "") -> int:
        """The runs that an experiment has begun take no more jobs from their scripts; returns how many did until now."""
        return int(self._scripts.run("call_off", experiment, who))

    def kill(self, jobs: Sequence[str], who: str = "") -> Tally:
        """End the execution of jobs: they become ERROR unless their result comes first. `stopping`, `idle`."""
        return self._each("kill", jobs, who)

    def hold(self, jobs: Sequence[str], who: str = "") -> Tally:
        """Keep jobs from starting. `held`, `before`, `running`, `ended`."""
        return self._each("hold", jobs, who)

    def release(self, jobs: Sequence[str], who: str = "") -> Tally:
        """Let jobs go that a person or the brake holds. `released`, `blocked`, `short`, `free`."""
        return self._each("release", jobs, who)

    def retry(self, jobs: Sequence[str], who: str = "") -> Tally:
        """Run jobs again that ended without a result. `retried`, `done`, `pending`."""
        return self._each("retry", jobs, who)

    def rerun(self, jobs: Sequence[str], who: str = "") -> Tally:
        """Run jobs again that are done, inputs before what needs them. `rerun`, `pending`, `ended`."""
        return self._each("rerun", jobs, who)

    def priority(self, jobs: Sequence[str], value: int, who: str = "") -> Tally:
        """Set the priority of jobs. `set`, `same`, `ended`."""
        return self._each("priority", jobs, who, value)

    def lift(self, tasks: Sequence[str]) -> list[str]:
        """Take the brake off tasks; returns those whose jobs it held. What it holds already is to be released."""
        return self._names("lift", *tasks)

    def pause(self, queues: Sequence[str], who: str = "") -> list[str]:
        """Grant no jobs of queues; returns those that were not paused before."""
        fresh = self._names("pause", who, *queues)
        self.revisit()  # what was kept for their jobs may go to others
        return fresh

    def resume(self, queues: Sequence[str]) -> list[str]:
        """Grant jobs of queues again; returns those that were paused."""
        return self._names("resume", pack(list(queues)))

    def dismiss(self, workers: Sequence[str]) -> list[str]:
        """Have workers end after their jobs; returns those that there are."""
        found = self._names("dismiss", *workers)
        self.revisit()  # what was kept for jobs that only these could take may go to others
        return found

    def _names(self, verb: str, *args: str | bytes) -> list[str]:
        return [name.decode() for name in self._scripts.run(verb, *args)]

    def _each(self, verb: str, jobs: Sequence[str], who: str, *more: int) -> Tally:
        tally: Counter[str] = Counter()
        for packed in _packed(jobs):
            tally.update(word.decode() for word in self._scripts.run(verb, who, packed, *more))
        return tally


def _packed(jobs: Sequence[str]) -> list[bytes]:
    return [pack([short(job) for job in jobs[at : at + CHUNK]]) for at in range(0, len(jobs), CHUNK)]
