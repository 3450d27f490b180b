"""RQ's commands about a job, as a worker of ours or a stock worker's horse obeys them: all of them mean `kill`."""

from __future__ import annotations

import json
from typing import Any

from xpm_workers.serving import Serving


def obey(message: Any, serving: Serving) -> str:
    """Does what a message on a worker's channel says of its job, on any thread; returns the command's name."""
    payload = json.loads(message["data"])
    command, job = str(payload.get("command")), str(payload.get("job_id"))
    if command == "kill-horse":
        serving.stop_job()
    elif command == "stop-job":
        serving.stop_job(
            job, str(payload.get("fence", ""))
        )  # which the engine says, and RQ's tools don't know
    elif command == "stop-execution":
        serving.stop_job(job, str(payload.get("execution_id")))
    return command
