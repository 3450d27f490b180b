"""What a script has submitted, and what of it is done already: all that can be told without a broker."""

from __future__ import annotations

import hashlib
import importlib
import json
from collections.abc import Collection, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from xpm.core.chains import Chains
from xpm.core.requirement import Need
from xpm.core.session import SubmitOptions
from xpm.core.submission import Prepared
from xpm.experiment.presence import Presence
from xpm.types import JobId, Scalar
from xpm.workspace.layout import Workspace
from xpm.workspace.paths import CHILDREN, END, JOBS, WHOLE
from xpm.workspace.results import Proof

if TYPE_CHECKING:
    from xpm.workspace.rundir import Child

Item = tuple[Prepared, SubmitOptions]

PART = 1000
"""Tasks whose records are looked for at once."""


class Submitted(NamedTuple):
    """What a script remembers of a job that it submitted."""

    id: JobId
    task: str
    label: str
    tags: dict[str, Scalar]
    requires: tuple[Need, ...] = ()
    """What it needs of tokens and locks, of one that the script itself has submitted."""


class Done(NamedTuple):
    """A submitted task whose job has a complete record."""

    item: Item
    proof: Proof


@dataclass(frozen=True, slots=True)
class End:
    """The last run of an experiment, in which all was done."""

    plan: str
    """What it consisted of: see `plan_of`."""
    codes: Mapping[str, int]
    """How many of its jobs were made by which code."""


class Gathering:
    """The jobs of a script, those with a record apart: they are told to the broker last, or never."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._presence = Presence(workspace)
        self.jobs: dict[JobId, Submitted] = {}
        """All jobs, in the order of their submission; those that running jobs have submitted come later."""
        self.children: set[JobId] = set()
        """Those that only running jobs have submitted."""
        self.anew: set[JobId] = set()
        """Those that begin anew with this run: what they submit, if anything, is yet to come."""
        self.chains: Chains[JobId] = Chains()
        """Of the jobs without a record: what remains of each."""
        self.done: list[Done] = []
        """Those with a record that the broker wasn't told of yet."""

    def note(self, batch: Iterable[Item]) -> list[Item]:
        """Remembers a batch; returns what is new, or known with other tags, which are added."""
        jobs = self.jobs
        fresh: list[Item] = []
        for item in batch:
            prepared = item[0]
            tags = dict(prepared.tags)
            known = jobs.get(prepared.id)
            if prepared.id in self.children:
                self.children.discard(prepared.id)
            elif known is not None:
                tags = {**known.tags, **tags}
                if tags == known.tags:
                    continue
                item = (prepared._replace(tags=tags), item[1])
            jobs[prepared.id] = Submitted(prepared.id, prepared.task, prepared.label, tags, item[1].requires)
            fresh.append(item)
        return fresh

    def take(self, batch: Sequence[Item]) -> list[Item]:
        """Remembers a batch; returns what the broker must be told, the rest is in `done`."""
        missing: list[Item] = []
        for at in range(0, len(batch), PART):
            part = self.note(batch[at : at + PART])
            former = [item[0] for item in part if item[0].former]
            if former:  # few scripts have any
                importlib.import_module("xpm.experiment.adopting").adopt(former, self._workspace)
            missing += self._without_record(part)
        # As tuples, which the garbage collector soon leaves alone.
        self.chains.add((item[0].id, tuple([ref.id for ref in item[0].dependencies])) for item in missing)
        return missing

    def _without_record(self, items: list[Item]) -> list[Item]:
        has = self._presence.has
        present = [(item[0].task, item[0].id) for item in items if has(item[0].task, item[0].id)]
        if not present:
            return items
        proofs = self._presence.proofs(present)
        self.done += [Done(item, proofs[item[0].id]) for item in items if item[0].id in proofs]
        return [item for item in items if item[0].id not in proofs]

    def grow(self, children: Iterable[Child]) -> list[Child]:
        """Remembers what running jobs have submitted; returns what is new."""
        fresh: list[Child] = []
        for child in children:
            entry = child.entry
            if entry.id not in self.jobs:
                self.jobs[entry.id] = Submitted(entry.id, entry.task, entry.label, dict(entry.tags))
                self.children.add(entry.id)
                fresh.append(child)
        return fresh

    def inherited(self, children: Iterable[Child], besides: Collection[JobId] = ()) -> list[Child]:
        """Those of an earlier run's that jobs of this one have submitted, which do not run again; with their proofs.

        Also those that are known already: their parent may be another one's, or the script.

        Args:
            children: what jobs have submitted in that run.
            besides: jobs of this run whose own count from another.
        """
        found: list[Child] = []
        for child in children:
            parent = child.parent
            if parent in self.jobs and parent not in self.anew and parent not in besides:
                self.grow([child])
                entry = child.entry
                proof = self._presence.proofs([(entry.task, entry.id)]).get(entry.id)
                if proof is not None:
                    entry = entry._replace(known="recorded", fence=proof.fence, code=proof.code)
                found.append(child._replace(entry=entry))
        return found

    @property
    def heirs(self) -> Set[JobId]:
        """The jobs that do not begin anew: what they have submitted in an earlier run is theirs."""
        return self.jobs.keys() - self.anew

    @property
    def own(self) -> list[JobId]:
        """The jobs that the script itself has submitted."""
        return [job for job in self.jobs if job not in self.children]

    def gone(self, job: Submitted) -> bool:
        """Whether a job has no complete record now, whatever anybody believes."""
        return not self._presence.proofs([(job.task, job.id)])

    @property
    def plan(self) -> str:
        """What was submitted so far, in a word: see `plan_of`."""
        return plan_of(((job.id, job.tags) for job in self.jobs.values()), self.children)


def plan_of(jobs: Iterable[tuple[JobId, Mapping[str, Scalar]]], children: Collection[JobId] = ()) -> str:
    """A hash of jobs and their tags, in their order; of those that jobs have submitted, in that of their names."""
    told = [(job, sorted(tags.items()) if tags else ()) for job, tags in jobs]
    if children:
        own = [each for each in told if each[0] not in children]
        told = [*own, *sorted(each for each in told if each[0] in children)]
    text = repr(told)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def read_end(run: Path) -> End | None:
    """How the run in the folder `run` ended; None unless all of it was done."""
    try:
        values: dict[str, Any] = json.loads((run / END).read_text("utf-8"))
        return End(str(values["plan"]), {str(code): int(n) for code, n in values["codes"].items()})
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def has_grown(run: Path) -> bool:
    """Whether jobs of the run in the folder `run` have submitted others."""
    return next(run.glob(CHILDREN), None) is not None


_ID = slice(len('{"job":"'), len('{"job":"') + 64)
"""Where a job's identifier stands in its line."""


def own_jobs(run: Path) -> set[JobId]:
    """The jobs that the script of the run in the folder `run` has submitted, as far as the run has all that is theirs."""
    try:
        whole = int((run / WHOLE).read_text("ascii"))
        with (run / JOBS).open(encoding="ascii") as lines:
            return {JobId(line[_ID]) for line in islice(lines, whole)}
    except (OSError, ValueError):
        return set()


def runs(experiment: Path, besides: Path | None = None) -> list[Path]:
    """The folders of the runs in the folder of an experiment, `besides` left out; the newest first."""
    try:
        return sorted(
            (path for path in experiment.iterdir() if path.is_dir() and path != besides), reverse=True
        )
    except (FileNotFoundError, NotADirectoryError):
        return []
