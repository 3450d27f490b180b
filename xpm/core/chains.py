"""How long the chain is that a job is a part of: within an experiment, the longest goes first.

The length of the longest path through a job decides, then how far along that path it is. So a long chain begins before
short ones, as in list scheduling by critical path (Graham 1969), and of equal chains one is brought to its end before
the next is begun: first results come early, and few jobs are half-way. What remains of a chain, alone, would begin all
chains before it ends one.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from itertools import pairwise
from math import log2
from typing import Generic, TypeVar

Job = TypeVar("Job")

STEPS = 1024
"""What a rank can tell apart of each of the two lengths."""

EXACT = 512
"""Lengths up to here are told apart one by one, longer ones by 64 steps for each doubling."""


def step(length: int) -> int:
    """A length in `STEPS` steps."""
    if length <= EXACT:
        return length
    return min(STEPS - 1, EXACT + int(64 * log2(length / EXACT)))


class Chains(Generic[Job]):
    """The jobs of one script, inputs before what needs them."""

    def __init__(self) -> None:
        self._inputs: dict[Job, Sequence[Job]] = {}
        """Of jobs that have some, in the order of their submission."""
        self._depth: dict[Job, int] = {}
        self._told: dict[Job, int] = {}

    def add(self, jobs: Iterable[tuple[Job, Sequence[Job]]]) -> None:
        """Takes jobs that are about to be submitted together, each with its inputs."""
        together = dict(jobs)
        coming = [(job, inputs) for job, inputs in together.items() if inputs]
        if not coming:
            return
        depth = self._depth
        self._inputs.update(coming)
        for job, inputs in coming:
            most = 0
            for each in inputs:  # max() of a generator takes three times as long
                if (found := depth.get(each, 0)) > most:
                    most = found
            depth[job] = most + 1
        heights = _heights(coming)
        for job, inputs in together.items():
            if (inputs or job in heights) and job not in self._told:
                self._told[job] = _rank(depth.get(job, 0), heights.get(job, 0))

    def rank(self, job: Job) -> int:
        """The rank that a job is submitted with; the larger goes first. 0 for one that is alone."""
        return self._told.get(job, 0)

    def changes(self, jobs: Iterable[Job]) -> dict[Job, int]:
        """Jobs whose rank is another one now that all are there; none if they go in the same order anyway.

        Args:
            jobs: all jobs.
        """
        heights = _heights(list(self._inputs.items()))
        ranks = {job: _rank(self._depth.get(job, 0), heights.get(job, 0)) for job in jobs}
        orders: dict[int, int] = {}
        same = all(orders.setdefault(self.rank(job), rank) == rank for job, rank in ranks.items())
        finals = [orders[told] for told in sorted(orders)]
        if same and all(one < other for one, other in pairwise(finals)):
            return {}
        changed = {job: rank for job, rank in ranks.items() if rank != self.rank(job)}
        self._told.update(changed)
        return changed


@lru_cache(4096)  # few differ, and a script has a million jobs
def _rank(depth: int, height: int) -> int:
    return step(depth + height) * STEPS + step(depth)


def _heights(jobs: Sequence[tuple[Job, Sequence[Job]]]) -> dict[Job, int]:
    """How many jobs follow at most, one after the other, on each that has successors among these."""
    heights: dict[Job, int] = {}
    for job, inputs in reversed(jobs):
        above = heights.get(job, 0) + 1
        for each in inputs:
            if heights.get(each, 0) < above:
                heights[each] = above
    return heights
