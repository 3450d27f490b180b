"""The records that a job needs before it starts."""

from __future__ import annotations

from collections.abc import Sequence

from xpm.core.message import JobRef
from xpm.types import Fence, JobId
from xpm.workspace.paths import job_dir
from xpm.workspace.results import complete

PATIENCE = 1.0
NETWORK_PATIENCE = 90.0
"""Seconds in which a record must be seen: network file systems remember for a while what was not there."""


class Inputs:
    """The inputs of one claim whose records were not seen yet.

    Args:
        workspace: its path.
        jobs: the inputs.
        fences: what their records must carry at least, in the same order: a later one is that of a rerun, whose end the
            broker may not know yet. An empty fence accepts any.
    """

    def __init__(self, workspace: str, jobs: Sequence[JobRef], fences: Sequence[Fence]) -> None:
        self._workspace = workspace
        self._unseen = list(zip(jobs, fences, strict=True))
        self.trouble: OSError | None = None
        """Why the record of the missing input could not be read, if there may be one."""

    def missing(self) -> JobId | None:
        """The first input whose record is not seen, or is an earlier one; None when all are there."""
        while self._unseen:
            ref, fence = self._unseen[0]
            try:
                found, self.trouble = complete(job_dir(self._workspace, ref.task, ref.id)), None
            except OSError as error:
                found, self.trouble = None, error
            if found is None or found < fence:
                return ref.id
            del self._unseen[0]
        return None
