"""Which of the broker's jobs a filter keeps: what `xpm.core.filter` asks for, looked up here."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from itertools import repeat
from typing import TYPE_CHECKING

from xpm.broker.jobview import JobView
from xpm.core.filter import FIELDS, TAG, Filter, refuse_unknown
from xpm.core.naming import last_name
from xpm.core.state import State
from xpm.types import Scalar

if TYPE_CHECKING:
    from xpm.broker.views import Views

Values = Sequence[Scalar]
_NONE: Mapping[str, Mapping[str, Scalar]] = {}


class Sieve:
    """Keeps those of the jobs that a filter keeps.

    Args:
        views: what is asked for tags and experiments, as far as the filter needs them.
        wanted: the filter.
    """

    def __init__(self, views: Views, wanted: Filter) -> None:
        self._views = views
        self._wanted = wanted
        names = set(wanted.names())
        self._now = views.now() if "seconds" in names else 0.0
        self._asks_tags = bool(names - set(FIELDS))
        self._asks_experiments = "experiment" in names
        self._experiments: dict[str, str] = {}
        self._seen: set[str] = set()

    def kept(self, jobs: Sequence[JobView]) -> list[JobView]:
        """Those of `jobs` that the filter keeps, in their order."""
        tags = self._views.tags(jobs) if self._asks_tags else repeat(_NONE)
        pairs = zip(jobs, tags, strict=False)
        return [job for job, its in pairs if self._wanted.keeps(partial(self._look, job, self._merged(its)))]

    def refuse_unknown(self, runs: Iterable[str]) -> None:
        """Refuses a filter by a tag that no job has, neither one that was looked at nor one of `runs`.

        Raises:
            UsageError: naming the tag, and those that there are.
        """
        missing = {name.removeprefix(TAG) for name in self._wanted.names() if name not in FIELDS} - self._seen
        for run in runs if missing else ():
            for _, tags in self._views.members(run):
                self._seen.update(tags)
            if missing <= self._seen:
                return
        refuse_unknown(self._wanted, self._seen)

    def _merged(self, tags: Mapping[str, Mapping[str, Scalar]]) -> dict[str, Values]:
        """The tags of a job: where its runs differ, all values of a name."""
        found: dict[str, Values] = {}
        for its in tags.values():
            for name, value in its.items():
                known = found.get(name, ())
                found[name] = known if value in known else (*known, value)
        self._seen.update(found)
        return found

    def _look(self, job: JobView, tags: Mapping[str, Values], name: str) -> Values:
        if name in FIELDS:
            return self._field(job, name)
        return tags.get(name) or tags.get(name.removeprefix(TAG), ())

    def _field(self, job: JobView, name: str) -> Values:
        if name == "task":
            return (job.task, last_name(job.task))
        if name == "experiment":
            return tuple(dict.fromkeys(map(self._experiment, job.runs)))
        if name == "seconds":
            until = self._now if job.state is State.RUNNING else job.ended
            return (until - job.started,) if job.started and until else ()
        if name in ("submitted", "started", "ended"):
            moment: float = getattr(job, name)
            return (time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(moment)),) if moment else ()
        value = job.place[0] if name == "host" else getattr(job, name)
        return () if value == "" else (value,)

    def _experiment(self, token: str) -> str:
        if token not in self._experiments:
            run = self._views.run(token)
            self._experiments[token] = run.experiment if run else ""
        return self._experiments[token]
