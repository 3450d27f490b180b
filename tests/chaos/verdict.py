"""What must be so when all is over, whatever has happened before."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import inf
from pathlib import Path
from typing import NamedTuple

import invariants
from figures import Watch
from grounds import Grounds
from ledger import Execution, Ledger, Rerun
from neighbour import NAMESPACE
from shapes import CAPACITIES, Node, values
from waiting import until

from xpm.core.state import State
from xpm.types import JobId, short
from xpm.workspace.directory import STALE
from xpm.workspace.results import RECORD, Record, read_record, unpack_record

END = 20.0
"""Seconds that the last processes of a pool get to end after it."""

AT_ONCE = 0.1
"""Seconds that may pass while one directory is put in another's place."""

SHOWN = 1000
"""RQ shows at least so many jobs of each state."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """All that is looked at."""

    grounds: Grounds
    nodes: Mapping[JobId, Node]
    ledger: Ledger
    records: Mapping[JobId, Record | None]
    watch: Watch


def records(grounds: Grounds, nodes: Mapping[JobId, Node]) -> dict[JobId, Record | None]:
    """The record of each job, as it lies in the workspace."""
    views = grounds.views.jobs(list(nodes))
    paths = {view.id: grounds.farm.workspace.jobpath(view.task, view.id) for view in views if view}
    return {id: read_record(paths[id]) if id in paths else None for id in nodes}


def complaints(evidence: Evidence) -> list[str]:
    """All that is not as it must be."""
    checks: list[Callable[[Evidence], Iterator[str]]] = [
        every_job_done, every_record_of_one_execution, every_rerun_accounted_for, no_record_set_aside, every_result_right,
        files_of_one_execution, nothing_after_done, nothing_left_in_the_broker, no_process_left,
        no_overlap_under_a_living_supervisor, no_use_beyond_capacity,
    ]  # fmt: skip
    return [f"{check.__name__}: {each}" for check in checks for each in check(evidence)]


def every_job_done(evidence: Evidence) -> Iterator[str]:
    found = evidence.grounds.views.jobs(list(evidence.nodes))
    for id, view in zip(evidence.nodes, found, strict=True):
        if view is None or view.state is not State.DONE:
            yield f"{evidence.nodes[id]} is {view and view.state}: {view and view.reason}"
        elif (record := evidence.records[id]) is None:
            yield f"{evidence.nodes[id]} is DONE without a record"
        elif record.fence != view.fence:
            yield f"{evidence.nodes[id]}: fence {record.fence} in its record, {view.fence} in the broker"


def every_record_of_one_execution(evidence: Evidence) -> Iterator[str]:
    """It is that of the last execution that began, which came to its end: so none began after it was published.

    What somebody has run again has several results, one after the other; each is judged so, until it was to run again.
    """
    for id, node in evidence.nodes.items():
        record, known = evidence.records[id], evidence.ledger.executions.get(node.name, [])
        if record is not None:
            yield from judge(node.name, record.fence, known, evidence.ledger.reruns.get(node.name, []))


def judge(name: str, fence: str, known: list[Execution], reruns: Sequence[Rerun] = ()) -> Iterator[str]:
    """Whether the record with this fence, and those that it replaced, fit the executions of a job."""
    fences = [*(each.fence for each in reruns), fence]
    if fences != sorted(fences):
        yield f"{name}: a rerun brought back an earlier record: {fences}"
    for each in known:
        if each.published:
            yield f"{name}: execution {each.fence} began when the record was there"
    bounds = [-1, *(each.place for each in reruns), inf]
    for number, each in enumerate(fences):
        begun = [one for one in known if bounds[number] < one.begin < bounds[number + 1]]
        kept = number > 0 and fences[number - 1] == each
        yield from _judge_result(name, each, known, [] if kept else begun)


def _judge_result(name: str, fence: str, known: list[Execution], begun: list[Execution]) -> Iterator[str]:
    """`begun` are the executions that began while the job was to get this result, or had it."""
    made = [each for each in known if each.fence == fence]
    if len(made) != 1:
        yield f"{name}: {len(made)} executions have the fence {fence} of its record"
    elif made[0].end is None:
        yield f"{name}: its record is that of an execution that did not come to its end"
    for each in begun:
        if each.fence > fence:
            yield f"{name}: execution {each.fence} began after that of the record, {fence}"


def every_rerun_accounted_for(evidence: Evidence) -> Iterator[str]:
    """By the events, each rerun replaced the result or kept it; by what was noted and lies there, just so."""
    for id, node in evidence.nodes.items():
        record, noted = evidence.records[id], evidence.ledger.reruns.get(node.name, [])
        reruns, kept = evidence.watch.reruns[short(id)], evidence.watch.kept[short(id)]
        if reruns > len(noted):
            yield f"{node.name}: {reruns} reruns, and {len(noted)} were asked for"
        results = {each.fence for each in noted} | ({record.fence} if record else set())
        unsure = evidence.watch.unsure[short(id)]
        if not 0 <= 1 + reruns - kept - len(results) <= unsure:
            yield (
                f"{node.name}: {len(results)} results, after {reruns} reruns of which {kept} gave none, "
                f"and {unsure} perhaps"
            )
        if record is not None:
            stale = evidence.grounds.farm.workspace.jobpath(record.task, id) / STALE
            found = {old.fence for folder in stale.glob("*") if (old := _stale_record(folder))}
            yield from (
                f"{node.name}: the result {each} is gone" for each in results - found - {record.fence}
            )


def no_record_set_aside(evidence: Evidence) -> Iterator[str]:
    for id, node in evidence.nodes.items():
        record = evidence.records[id]
        if record is not None:
            path = evidence.grounds.farm.workspace.jobpath(record.task, id)
            noted = evidence.ledger.reruns.get(node.name)
            yield from (f"{node.name}: {each}" for each in replaced(path, noted[0].fence if noted else None))


def replaced(path: Path, rerun: str | None = None) -> Iterator[str]:
    """Records that were there when a later execution took the directory: those that came later, in vain, are no fault.

    Where there was a rerun, `rerun` is the fence of the first result: that one, and what came after it, is set aside as
    it should be.

    By the kernel's clock: a record is linked at its last change, a directory is taken at its birth.
    """
    stale = sorted((path / STALE).glob("*"), key=lambda folder: int(folder.name))
    for folder, successor in pairwise([*stale, path]):
        found = folder / RECORD
        if rerun is not None and (record := _stale_record(folder)) and record.fence >= rerun:
            continue
        if found.exists() and found.stat().st_ctime < _birth(successor) - AT_ONCE:
            yield f"a record was replaced: {found}"


def _stale_record(folder: Path) -> Record | None:
    """That of a directory which isn't in the job's place any more."""
    found = folder / RECORD
    return unpack_record(found.read_bytes()) if found.exists() else None


def _birth(path: Path) -> float:
    """When the file system made it; 0 where it doesn't keep that."""
    told = subprocess.run(
        ["stat", "-c", "%.9W", str(path)], capture_output=True, text=True, check=True
    ).stdout
    return float(told) if told.strip() not in ("-", "") else 0.0


def every_result_right(evidence: Evidence) -> Iterator[str]:
    right = values(list(evidence.nodes.values()))
    for id, node in evidence.nodes.items():
        record = evidence.records[id]
        if record is not None and record.result != right[node.name]:
            yield f"{node.name}: the result is {record.result}, not {right[node.name]}"


def files_of_one_execution(evidence: Evidence) -> Iterator[str]:
    """What lies beside a record was written by the execution that made it, and by no other."""
    for id, node in evidence.nodes.items():
        record = evidence.records[id]
        if record is None or node.how not in ("print", "files"):
            continue
        path = evidence.grounds.farm.workspace.jobpath(record.task, id)
        if node.how == "files":
            found, right = path / "part", record.fence * 1000
        else:
            found, right = path / "stdout.log", "".join(f"{record.fence} {k}\n" for k in range(100))
        if not found.exists() or found.read_text() != right:
            yield f"{node.name}: {found.name} is not that of the execution {record.fence}"


def nothing_after_done(evidence: Evidence) -> Iterator[str]:
    yield from evidence.watch.wrong


def nothing_left_in_the_broker(evidence: Evidence) -> Iterator[str]:
    """No lease, no token, no lock, no news that is still to be told, no key outside of the tables; RQ shows what is."""
    broker = evidence.grounds.direct
    for state in State:
        for page in range(0, SHOWN, 100):
            broker.repair(state, page)
    for slot in broker.slots():
        broker.refill(slot)
    graph = invariants.read(broker.client, broker.namespace)
    graph.neighbours = [NAMESPACE]
    # RQ's own: the stock dashboard's Compact moves its list there, and was cut off with the broker. Nothing refers to it.
    graph.foreign = {name for name in graph.foreign if not name.startswith("rq:queue:_compact:")}
    for name in ("leases", "todo", "progress"):
        if name in graph.keys:
            yield f"{name} is left: {graph.keys[name]}"
    for name in graph.keys:
        if name.startswith(("held:", "wants:", "open:")):
            yield f"{name} is left: {graph.keys[name]}"
    for name, fields in graph.stocks.items():
        if int(fields.get("u", 0)):
            yield f"{name} is in use by nobody: {fields}"
    for name in graph.foreign:
        if name.startswith(("rq:wip:", "rq:execution:")):
            yield f"{name} is left, and nothing runs"
    try:
        invariants.check(graph, invariants.read(broker.client, NAMESPACE))
        invariants.check_settled(graph)
        if len(graph.jobs) <= SHOWN:
            invariants.check_projection(broker.client, graph)
    except AssertionError as error:
        yield str(error)


def no_process_left(evidence: Evidence) -> Iterator[str]:
    try:
        until(lambda: not evidence.grounds.left(), END)
    except AssertionError:
        for process in evidence.grounds.left():
            told = process.environ()
            yield f"{process} is left, of job {told.get('XPM_JOB')}, in {told['CHAOS_POOL']}: {process.cmdline()}"


def no_overlap_under_a_living_supervisor(evidence: Evidence) -> Iterator[str]:
    yield from overlaps(evidence.ledger)


def overlaps(ledger: Ledger) -> Iterator[str]:
    """No line of an execution comes after the beginning of a later one, where a supervisor could see to that."""
    for name, known in ledger.executions.items():
        for place, each in enumerate(known):
            later = next((other.begin for other in known[place + 1 :] if other.fence > each.fence), None)
            if later is not None and each.last > later and not _excused(ledger, each):
                yield f"{name}: execution {each.fence} went on after a later one had begun"


def _excused(ledger: Ledger, each: Execution) -> bool:
    """Whether nobody could freeze the execution."""
    return each.pid in ledger.woken or any(
        pool == each.pool and first < each.last and last > each.begin for pool, first, last in ledger.helpless
    )


def no_use_beyond_capacity(evidence: Evidence) -> Iterator[str]:
    nodes = evidence.nodes.values()
    needs = {node.name: node.needs for node in nodes if node.needs}
    yield from overused(evidence.ledger, needs, {node.name: node.holds for node in nodes if node.holds})


class _Use(NamedTuple):
    """Lines between which an execution has something, at least."""

    first: int
    last: int
    amounts: dict[str, int]
    whose: str


def overused(ledger: Ledger, needs: Mapping[str, str], holds: Mapping[str, str]) -> Iterator[str]:
    """What is known to have run at one time, since it noted something later, never had more than there is.

    Args:
        ledger: what the jobs noted.
        needs: what jobs require, by their names.
        holds: what the code of jobs acquires.
    """
    running: list[_Use] = []
    for use in sorted(_uses(ledger, needs, holds), key=lambda use: use.first):
        running = [*(other for other in running if other.last > use.first), use]
        for resource in use.amounts:
            used = sum(other.amounts.get(resource, 0) for other in running)
            if used > CAPACITIES[resource]:
                yield f"{used} of {resource} were in use when {use.whose} began"


def _uses(ledger: Ledger, needs: Mapping[str, str], holds: Mapping[str, str]) -> Iterator[_Use]:
    for hold in ledger.holds:
        yield _Use(
            hold.first, hold.last, invariants.needs_of(hold.needs), f"{hold.name} of another workspace"
        )
    for name, known in ledger.executions.items():
        for each in known:
            whose = f"{each.node}, execution {each.fence},"
            if _excused(ledger, each):
                continue
            if name in needs:
                yield _Use(each.begin, each.last, invariants.needs_of(needs[name]), whose)
            if name in holds and each.took is not None:
                last = each.last if each.freed is None else each.freed
                yield _Use(each.took, last, invariants.needs_of(holds[name]), whose)
