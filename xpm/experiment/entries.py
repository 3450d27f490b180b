"""What is sent to the broker of each task that a script submits."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import islice

from xpm.broker.broker import Entry
from xpm.core.message import PAYLOAD_VERSION
from xpm.core.requirement import Need, needs_text, refuse_excess
from xpm.core.session import SubmitOptions
from xpm.core.submission import Prepared
from xpm.core.wishes import wishes_of
from xpm.experiment.circumstances import Circumstances
from xpm.experiment.gathering import Gathering, Item
from xpm.experiment.grasp import declare
from xpm.experiment.link import Link
from xpm.experiment.tracking import Tracked
from xpm.workspace.results import Proof

PART = 100
"""Jobs that are noted and sent while the broker is busy with those before."""


class Entries:
    """Makes them for one run.

    Args:
        under: the experiment's circumstances.
        gathering: the chains that its tasks are parts of.
        link: the way to its broker.
        run: the run that they are noted in.
        types: gets the packed descriptions of the tasks' classes, by their key.
    """

    def __init__(
        self,
        under: Circumstances,
        gathering: Gathering,
        link: Link,
        run: Tracked,
        types: dict[str, bytes],
    ) -> None:
        self._under = under
        self._gathering = gathering
        self._link = link
        self._run = run
        self._types = types
        self._capacities: dict[str, int] = {}

    def noted(self, items: Iterable[tuple[Item, Proof | None]]) -> Iterator[Entry]:
        """Entries of tasks, and of the records that some have; each is in the run's folder before the broker hears of it."""
        entries = (self._entry(item, proof) for item, proof in items)
        while part := list(islice(entries, PART)):
            self._run.directory.add(part, self._types)
            yield from part

    def _entry(self, item: Item, proof: Proof | None) -> Entry:
        prepared, options = item
        for key in prepared.types:
            if key not in self._types:
                self._types[key] = prepared.types[key].pack()
        under = self._under
        return Entry(
            prepared.id,
            prepared.task,
            prepared.label,
            prepared.payload,
            tuple([ref.id for ref in prepared.dependencies]),
            prepared.tags,
            options.queue or under.settings.queue,
            PAYLOAD_VERSION,
            under.priority if options.priority is None else options.priority,
            *(("recorded", proof.fence, proof.code) if proof else ("no", "", "")),
            self._wishes(prepared, options),
        )

    def _wishes(self, prepared: Prepared, options: SubmitOptions) -> Mapping[str, str | int]:
        wishes = wishes_of(options, self._server_time, resumable=prepared.resumable)
        if rank := self._gathering.chains.rank(prepared.id):
            wishes = {**wishes, "ch": rank}
        if options.requires:
            wishes = {**wishes, "rs": self._needs(prepared.label, options.requires)}
        return wishes

    def _server_time(self, here: float) -> float:
        """What the server's clock shows when this host's shows `here`."""
        return here + self._run.ahead

    def _needs(self, label: str, needs: tuple[Need, ...]) -> str:
        """What a job needs, after the broker has been told of each token."""
        # What seems too much is asked about again: the capacity may have been raised since.
        fresh = [need for need in needs if need.amount > self._capacities.get(need.resource, -1)]
        if fresh:
            found = self._link.ask(lambda: declare(self._link.broker, fresh, self._under.voice))
            self._capacities |= found
            for need in fresh:
                self._run.directory.add_resource(need.resource, found[need.resource])
        refuse_excess(self._capacities, needs, label)
        return needs_text(needs)
