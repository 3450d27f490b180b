"""The attempts of a job that failed, one small file each."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

FOLDER = ".xpm/attempts"
LONGEST_TRACEBACK = 64 << 10
LONGEST_MESSAGE = 2000


@dataclass(frozen=True, slots=True)
class Failure:
    """How an execution failed.

    `kind` is `exception`, `import` (the task's code could not be loaded), `result` (what `execute` returned
    could not be kept), `exit` (the process left without returning), `signal`, `disk` (a full one, say, or a
    directory that was removed), `input` (an input's record did not appear), `moved` (a later execution has the
    directory), `oom` (the kernel killed it for want of memory), `timeout` (its time limit), `killed` (on request) or
    `lost`.
    """

    kind: str
    type: str = ""
    """The class of the exception, or the name of the signal."""
    message: str = ""
    traceback: str = ""
    where: str = ""
    """The innermost line of the user's own code, as `file:line in function`."""
    exit_code: int | None = None
    input: str = ""
    """The input that is missing, when `kind` is `input`."""

    @classmethod
    def of(cls, values: dict[str, Any]) -> Failure:
        """The failure in `values`; keys of a newer version are left out."""
        return cls(**{key: value for key, value in values.items() if key in cls.__slots__})


@dataclass(frozen=True, slots=True)
class Attempt:
    """One failed attempt."""

    n: int
    execution: int
    fence: str
    host: str
    worker: str
    started: float
    ended: float
    failure: Failure
    changed: Sequence[str] = ()
    """Files of the project that had changed since the job was submitted, when it ran no copy of it."""
    again: bool = False
    """Another attempt was to follow, by the job's policy."""


def write_attempt(jobdir: str | os.PathLike[str], attempt: Attempt) -> None:
    """Notes a failed attempt below `jobdir`; nothing noted earlier is replaced.

    Raises:
        OSError: it could not be written.
    """
    folder = os.path.join(jobdir, FOLDER)
    os.makedirs(folder, exist_ok=True)
    draft = os.path.join(folder, f".{os.urandom(4).hex()}.tmp")
    try:
        with open(draft, "x", encoding="utf-8", errors="surrogateescape") as file:
            json.dump(asdict(attempt), file, separators=(",", ":"))
        for name in (f"{attempt.n}.json", f"{attempt.n}-{attempt.execution}.json"):
            try:
                os.link(draft, os.path.join(folder, name))
            except FileExistsError:
                continue
            return
    finally:
        os.unlink(draft)


def failed_for_good(attempts: Sequence[Attempt]) -> bool:
    """Whether the last of the attempts ended its job; one that was lost, or that another was to follow, did not."""
    return bool(attempts) and attempts[-1].failure.kind != "lost" and not attempts[-1].again


def read_attempts(jobdir: str | os.PathLike[str]) -> list[Attempt]:
    """The attempts without a result of the job in `jobdir`, the first one first; damaged files are left out."""
    found = [attempt for attempt in _read(os.path.join(jobdir, FOLDER)) if attempt is not None]
    return sorted(found, key=lambda attempt: (attempt.n, attempt.execution))


def _read(folder: str) -> Iterator[Attempt | None]:
    try:
        names = os.listdir(folder)
    except (FileNotFoundError, NotADirectoryError):
        return
    for name in names:
        if name.endswith(".json"):
            yield _parse(os.path.join(folder, name))


def _parse(path: str) -> Attempt | None:
    try:
        with open(path, encoding="utf-8") as file:
            values: dict[str, Any] = json.load(file)
        values["failure"] = Failure.of(values["failure"])
        values["changed"] = tuple(values.get("changed", ()))
        return Attempt(**values)
    except (FileNotFoundError, ValueError, TypeError, KeyError):
        return None
