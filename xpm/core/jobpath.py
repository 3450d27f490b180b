"""Paths in a job's directory, as a description gives them: known before the job has run.

As another task's parameter such a path would be a text like any other: the job would not be waited for, and the
workspace's place would get into the identifier. So they are of a type of their own, and submission refuses them.
"""

from __future__ import annotations

from pathlib import Path
from posixpath import normpath
from typing import Any

from xpm.core.info import JobRef

ABOVE = "../../../../"
"""From the directory of a job, `jobs/<task>/<two digits>/<identifier>`, to its workspace."""


def within(folder: str, text: str) -> str:
    """The path `text` of a job in `folder`; without the steps upwards that lead to what jobs share."""
    return normpath(f"{folder}/{text}") if text.startswith(ABOVE) else f"{folder}/{text}"


class JobPath(type(Path())):
    """An ordinary path that remembers whose directory it is in; what is derived from it is of this type, too."""

    job: JobRef | None = None
    """None where a method of `Path` has made it from another."""

    def __truediv__(self, key: Any) -> JobPath:
        return in_directory(super().__truediv__(key), self.job)

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path, (str(self),))

    def __repr__(self) -> str:
        return repr(Path(self))


def in_directory(path: Path, job: JobRef | None) -> JobPath:
    """`path`, with the job in whose directory it is."""
    found = JobPath(path)
    found.job = job
    return found
