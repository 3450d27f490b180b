"""The names of the folders of jobs, and of files in those of runs."""

from __future__ import annotations

from xpm.core.naming import task_dir

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


def job_dir(root: str, task: str, job: str) -> str:
    """The directory of one job, as text: what a job's process works with, where a `Path` would cost time."""
    return f"{root}/jobs/{task_dir(task)}/{job[:2]}/{job}"


def cache_dir(root: str, config: str, identifier: str) -> str:
    """The directory of what the configs of one class and identifier have computed once for all."""
    return f"{root}/cache/{task_dir(config)}/{identifier[:2]}/{identifier}"
