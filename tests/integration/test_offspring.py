"""Submission from within a job carries its execution, and is refused when that has ended."""

from __future__ import annotations

from pathlib import Path

import pytest

from xpm.broker.broker import Broker, Entry, Execution
from xpm.broker.views import Views
from xpm.core.state import State
from xpm.errors import JobError
from xpm.types import JobId
from xpm.workspace.layout import Workspace
from xpm.workspace.results import Proof
from xpm_workers.offspring import Asked, Offspring, send

PARENT, CHILD = (JobId(f"{digit}" * 64) for digit in "ab")


def test_only_the_execution_that_holds_the_lease_may_submit(broker: Broker) -> None:
    run = broker.open("e", "r")
    broker.submit(run, [Entry(PARENT, "T", "parent", b"")])
    child = Entry(CHILD, "T", "child", b"", (PARENT,))
    broker.enrol("w", {})
    claim = broker.claim("w", 1, "default:1").claim
    assert claim is not None
    for job, number in (
        (PARENT, claim.execution + 1),
        (PARENT, claim.execution - 1),
        (CHILD, claim.execution),
    ):
        with pytest.raises(JobError):
            broker.submit(run, [child], by=Execution(job, number))
    by = Execution(PARENT, claim.execution)
    (outcome,) = broker.submit(run, [child], by=by)
    assert (outcome.state, outcome.action) == (State.WAITING, "new")
    (outcome,) = broker.submit(run, [child], by=by)
    assert (outcome.state, outcome.action) == (State.WAITING, "joined")
    reply = broker.finish("w", 2, "default:1", PARENT, claim.execution, claim.fence)
    assert reply.claim is not None and reply.claim.id == CHILD
    with pytest.raises(JobError):
        broker.submit(run, [child], by=by)


def test_a_child_that_is_done_while_it_is_submitted_does_not_run_again(broker: Broker) -> None:
    """Another has submitted it before, and a worker is done with it after its parent's has looked for a record."""
    run = broker.open("e", "r")
    child = Entry(CHILD, "T", "child", b"", priority=1)
    broker.submit(run, [child, Entry(PARENT, "T", "parent", b"")])
    broker.enrol("v", {})
    broker.enrol("w", {})
    other, parent = broker.claim("v", 1, "default:1").claim, broker.claim("w", 1, "default:1").claim
    assert other is not None and parent is not None

    found: list[Proof] = []

    def look() -> Proof | None:
        if found:
            return found[0]
        found.append(Proof(other.fence, "code"))
        assert broker.finish("v", 2, "", CHILD, other.execution, other.fence).outcome == "done"
        return None

    outcome = send(broker, run, child, {}, Execution(PARENT, parent.execution), look)
    assert (outcome.state, outcome.action) == (State.DONE, "reused")


@pytest.mark.parametrize("verb", ["cancel", "kill"])
def test_a_job_that_is_to_end_submits_nothing_more(broker: Broker, verb: str) -> None:
    run = broker.open("e", "r")
    broker.submit(run, [Entry(PARENT, "T", "parent", b"")])
    broker.enrol("w", {})
    claim = broker.claim("w", 1, "default:1").claim
    assert claim is not None
    broker.kill([PARENT], "ada") if verb == "kill" else broker.cancel(run.serial, [PARENT], "ada")
    with pytest.raises(JobError, match="asked for the end"):
        broker.submit(run, [Entry(CHILD, "T", "child", b"")], by=Execution(PARENT, claim.execution))


def test_what_a_job_submits_is_wanted_by_those_alone_who_want_the_job(broker: Broker, tmp_path: Path) -> None:
    """An experiment that was cancelled is not brought back by a job that goes on for another."""
    given_up, other = broker.open("given up", "r"), broker.open("other", "r")
    for run in (given_up, other):
        broker.submit(run, [Entry(PARENT, "T", "parent", b"")])
    broker.enrol("w", {})
    claim = broker.claim("w", 1, "default:1").claim
    assert claim is not None
    assert broker.cancel(given_up.serial, [PARENT]).kept == 1
    workspace = Workspace.open(tmp_path / "runs")
    asked = Asked(CHILD, "T", "child", b"", {}, (), {}, None, None, (), {})
    Offspring(workspace.path, "w").submit(broker, claim, asked)
    child = Views(broker).job(CHILD)
    assert child is not None and child.wanted == (other.serial,)
