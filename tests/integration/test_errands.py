"""What a worker does for the code of its job: each question is answered."""

from __future__ import annotations

import socket
import threading
from pathlib import Path

import pytest
from servers import Server

from xpm.broker.broker import Broker, Claim, Entry
from xpm.errors import JobError, WorkspaceError
from xpm.types import JobId, Namespace
from xpm.workspace.layout import Workspace
from xpm.workspace.results import RECORD
from xpm_workers.asking import ask
from xpm_workers.errands import Errands

PARENT, CHILD = (JobId(f"{digit}" * 64) for digit in "ab")


def claimed(broker: Broker) -> Claim:
    broker.submit(broker.open("e", "r"), [Entry(PARENT, "T", "parent", b"")])
    broker.enrol("w", {})
    claim = broker.claim("w", 1, "default:1").claim
    assert claim is not None
    return claim


def test_a_file_system_that_fails_is_an_answer(server: Server, broker: Broker, tmp_path: Path) -> None:
    claim = claimed(broker)
    workspace = Workspace.open(tmp_path / "runs")
    # As little to be read as another user's record, or a broken disk's; for root, too.
    (workspace.jobpath("T", CHILD) / RECORD).mkdir(parents=True)
    client = server.client()
    errands = Errands(workspace.path, lambda: Broker(client, Namespace(broker.namespace)))
    lines = errands.serve(claim)
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    lines.take(theirs.detach())
    asked = {
        **{"id": CHILD, "task": "T", "label": "child", "payload": b"", "types": {}, "inputs": [], "tags": {}},
        **{"queue": None, "priority": None, "needs": [], "wishes": {}},
    }
    with ours, client:
        ours.settimeout(10)
        with pytest.raises(WorkspaceError, match="Is a directory"):
            ask(ours, ["submit", asked])
        lines.close()


def test_a_host_without_room_for_a_thread_is_the_job_s_error(
    broker: Broker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    lines = Errands(tmp_path, lambda: broker).serve(claimed(broker))
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", full)
        lines.take(theirs.detach())
    with ours:
        ours.settimeout(10)
        with pytest.raises(JobError, match="does not answer"):
            ask(ours, ["state", PARENT])
    lines.close()
