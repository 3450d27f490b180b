"""Results that other code than today's has made."""

from __future__ import annotations

from collections.abc import Mapping

from xpm.errors import WorkspaceError
from xpm.experiment.voice import jobs
from xpm.workspace.code import read_code
from xpm.workspace.layout import Workspace


def fingerprint_of(code: str, workspace: Workspace) -> str | None:
    """The fingerprint of the code with the id `code`; None when nobody knows it any more."""
    try:
        return read_code(workspace.path, code).fingerprint if code else None
    except WorkspaceError:
        return None


def made_by_others(codes: Mapping[str, int], today: str, workspace: Workspace) -> int:
    """How many of the jobs, counted by code id, were made by code of another fingerprint than `today`."""
    found = {code: fingerprint_of(code, workspace) for code in codes}
    return sum(n for code, n in codes.items() if found[code] not in (None, today))


def about_others(others: int, before: int) -> str:
    """What to say of `others` among the jobs that were done before."""
    verb = "was" if others == 1 else "were"
    return f"{others:,} of the {jobs(before)} done before {verb} made by other code than today's"
