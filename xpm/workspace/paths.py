"""The names of the folders of jobs, and of files in those of runs."""

from __future__ import annotations

import hashlib
import re
from functools import lru_cache

MARKER = ".xpm/workspace.toml"
"""What makes a folder a workspace, relative to it."""

LOGS = ("stdout.log", "stderr.log")
"""What a job printed, in its folder; one that never ran has none."""

END = "end.json"
"""The file in a run's folder that says that all of its jobs are done."""

JOBS = "jobs.jsonl"
"""The file there with the jobs that the script has submitted, a line each."""

WHOLE = "whole"
"""The file there that says of how many of these lines the run has what the jobs had submitted in earlier runs."""

CHILDREN = "jobs-*.jsonl"
"""The files there that say what running jobs have submitted."""

_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")
_LONGEST = 120


@lru_cache(maxsize=1024)
def task_dir(task: str) -> str:
    """The folder of a task's jobs: its class name, safe as a file name everywhere.

    A name in which nothing had to be replaced stays as it is; any other gets six digits of its hash, so that
    two names that look alike do not share a folder.

    >>> task_dir("digits.models.Train")
    'digits.models.Train'
    >>> task_dir("examples/digits.py:Train")
    'examples-digits.Train-d84569'
    """
    script, colon, name = task.partition(".py:")
    plain = _UNSAFE.sub("-", f"{script}.{name}" if colon else task).lstrip(".-")
    if task and plain == task and len(task) <= _LONGEST:
        return task
    digest = hashlib.sha256(task.encode("utf-8", "surrogateescape")).hexdigest()
    return f"{plain[:_LONGEST]}-{digest[:6]}"


def job_dir(root: str, task: str, job: str) -> str:
    """The directory of one job, as text: what a job's process works with, where a `Path` would cost time."""
    return f"{root}/jobs/{task_dir(task)}/{job[:2]}/{job}"


def cache_dir(root: str, config: str, identifier: str) -> str:
    """The directory of what the configs of one class and identifier have computed once for all."""
    return f"{root}/cache/{task_dir(config)}/{identifier[:2]}/{identifier}"
