"""The folder of a run: what was submitted, from which code, by whom.

`run.json` says how the run came about, `jobs.jsonl` has a line for each job, written before the broker hears of it, so
that a broker that lost its memory can be told again; `types.jsonl` has the classes that payloads name; `resources.jsonl`
has the tokens and locks that jobs require, with the capacities that the script gave; `end.json` is there when all jobs
were done; `whole` says of how many jobs the run has what these had submitted in earlier runs.
What running jobs submit stands in files of the same kinds, one for each worker that notes it: `jobs-<worker>.jsonl`.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from binascii import a2b_base64, b2a_base64
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, TextIO

from xpm import started
from xpm.broker.broker import Entry
from xpm.broker.connect import safe
from xpm.errors import WorkspaceError
from xpm.here import this_host, this_user
from xpm.types import JobId, Scalar
from xpm.workspace.lines import append
from xpm.workspace.paths import CHILDREN, END, JOBS, WHOLE

FORMAT = 1
TYPES = "types.jsonl"
RESOURCES = "resources.jsonl"
FACTS = "run.json"
DIFF = "code.diff"

_text = json.encoder.encode_basestring_ascii
_line = json.JSONEncoder(separators=(",", ":")).encode


@dataclass(frozen=True, slots=True)
class Origin:
    """How a run came about."""

    experiment: str
    run: str
    start: float
    code: str
    project: Path
    script: Path | None


class Child(NamedTuple):
    """A job that a running job has submitted."""

    parent: JobId
    entry: Entry
    at: float
    """When, in Unix seconds."""


class RunDirectory:
    """The folder of one run.

    Args:
        path: the folder.
        writer: who notes what jobs submit there; nobody else may be called so.
    """

    def __init__(self, path: Path, writer: str = "") -> None:
        self.path = path
        self._suffix = f"-{writer}" if writer else ""
        self._jobs: TextIO | None = None
        self._types: set[str] = set()
        self._noted = 0
        """Lines of jobs that were written."""

    @classmethod
    def create(cls, path: Path, origin: Origin) -> RunDirectory:
        """Makes the folder and notes where the run comes from.

        Raises:
            WorkspaceError: it can't be written.
        """
        made = cls(path)
        try:
            path.mkdir(parents=True)
            made._note(_facts(origin))
        except OSError as error:
            raise WorkspaceError(f"cannot note the run in {path}: {error.strerror or error}") from error
        return made

    def add_commit(self, origin: Origin) -> None:
        """Notes the commit of the project and what differs from it: git takes its time, so jobs go first.

        Raises:
            WorkspaceError: it can't be written.
        """
        commit = git(origin.project, "rev-parse", "HEAD")
        if commit is None:
            return
        diff = git(origin.project, "diff", "--binary", "HEAD")
        try:
            if diff:
                (self.path / DIFF).write_bytes(diff)
            facts = json.loads((self.path / FACTS).read_text("utf-8"))
            self._note({**facts, "commit": commit.decode().strip(), "diff": DIFF if diff else None})
        except OSError as error:
            raise WorkspaceError(
                f"cannot note the commit in {self.path}: {error.strerror or error}"
            ) from error

    def _note(self, facts: Mapping[str, Any]) -> None:
        draft = self.path / f".{FACTS}.tmp"
        draft.write_text(json.dumps(facts, indent=1) + "\n", "utf-8")
        draft.replace(self.path / FACTS)

    def add(self, entries: Sequence[Entry], types: Mapping[str, bytes]) -> None:
        """Notes jobs that are about to be submitted.

        Raises:
            WorkspaceError: they can't be written.
        """
        try:
            if fresh := types.keys() - self._types:
                self._add_types({key: types[key] for key in sorted(fresh)})
            if self._jobs is None:
                self._jobs = (self.path / JOBS).open("a", encoding="ascii")
            self._jobs.write("".join([_job_line(entry) for entry in entries]))
            self._jobs.flush()
            self._noted += len(entries)
        except OSError as error:
            raise WorkspaceError(f"cannot note jobs in {self.path}: {error.strerror or error}") from error

    def add_child(self, child: Child, types: Mapping[str, bytes]) -> None:
        """Notes a job that a running job is about to submit.

        Raises:
            WorkspaceError: it can't be written.
        """
        try:
            self._add_types(types)
            line = f'{{"parent":"{child.parent}","at":{child.at},{_job_line(child.entry)[1:]}'
            append(self._file(JOBS), line)
        except OSError as error:
            raise WorkspaceError(f"cannot note a job in {self.path}: {error.strerror or error}") from error

    def _add_types(self, types: Mapping[str, bytes]) -> None:
        lines = [f'{{"type":"{key}","packed":"{_base64(types[key])}"}}\n' for key in types]
        append(self._file(TYPES), "".join(lines))
        self._types |= types.keys()

    def _file(self, name: str) -> Path:
        return self.path / f"{Path(name).stem}{self._suffix}.jsonl"

    def _files(self, name: str) -> list[Path]:
        others = sorted(self.path.glob(CHILDREN))
        return [
            self.path / name,
            *(path.with_name(path.name.replace("jobs", Path(name).stem, 1)) for path in others),
        ]

    def add_whole(self) -> None:
        """Notes that the run has all that its jobs so far had submitted in earlier runs.

        Raises:
            WorkspaceError: it can't be written.
        """
        try:
            (self.path / WHOLE).write_text(f"{self._noted}\n", "ascii")
        except OSError as error:
            raise WorkspaceError(f"cannot note the run in {self.path}: {error.strerror or error}") from error

    def add_end(self, plan: str, codes: Mapping[str, int]) -> None:
        """Notes that all jobs of the run are done: the next run of the same plan then has nothing to ask.

        Raises:
            WorkspaceError: it can't be written.
        """
        try:
            draft = self.path / f".{END}.tmp"
            draft.write_text(
                json.dumps({"format": FORMAT, "plan": plan, "codes": dict(codes)}) + "\n", "utf-8"
            )
            draft.replace(self.path / END)
        except OSError as error:
            raise WorkspaceError(f"cannot note the end in {self.path}: {error.strerror or error}") from error

    def close(self) -> None:
        """Closes the files."""
        if self._jobs is not None:
            with suppress(OSError):  # it writes what could not be written before, which was told
                self._jobs.close()
            self._jobs = None

    @property
    def code(self) -> str:
        """The code of the run, as it was noted; empty when that was lost."""
        try:
            return str(json.loads((self.path / FACTS).read_text("utf-8")).get("code", ""))
        except (OSError, ValueError):
            return ""

    def jobs(self) -> dict[JobId, Mapping[str, Scalar]]:
        """The jobs of the run in the order of their submission, then what these have submitted, and their tags."""
        return {entry.id: entry.tags for entry in self.entries()}

    def entries(self) -> Iterator[Entry]:
        """The jobs of the run as they were submitted; a line that was cut off is left out."""
        yield from self.own()
        for child in self.children():
            yield child.entry

    def own(self) -> Iterator[Entry]:
        """Those that the script has submitted."""
        yield from map(_entry, _lines(self.path / JOBS))

    def children(self) -> list[Child]:
        """Those that running jobs have submitted, in the order of their submission, as they were submitted last."""
        found: dict[tuple[JobId, JobId], Child] = {}
        lines = [values for path in self._files(JOBS)[1:] for values in _lines(path)]
        for values in sorted(lines, key=lambda values: values["at"]):
            child = Child(JobId(values["parent"]), _entry(values), values["at"])
            first = found.setdefault((child.parent, child.entry.id), child)
            found[child.parent, child.entry.id] = child._replace(at=first.at)
        return list(found.values())

    def add_resource(self, resource: str, capacity: int) -> None:
        """Notes a token or lock that jobs require.

        Raises:
            WorkspaceError: it can't be written.
        """
        try:
            append(self._file(RESOURCES), f"{_line({'resource': resource, 'capacity': capacity})}\n")
        except OSError as error:
            raise WorkspaceError(f"cannot note a token in {self.path}: {error.strerror or error}") from error

    def resources(self) -> dict[str, int]:
        """The tokens and locks that jobs require, and the capacities that the script gave."""
        return {
            values["resource"]: values["capacity"]
            for path in self._files(RESOURCES)
            for values in _lines(path)
        }

    def types(self) -> dict[str, bytes]:
        """The packed descriptions of the classes that the payloads name."""
        return {
            values["type"]: a2b_base64(values["packed"])
            for path in self._files(TYPES)
            for values in _lines(path)
        }


def _entry(values: Mapping[str, Any]) -> Entry:
    return Entry(
        JobId(values["job"]),
        values["task"],
        values["label"],
        a2b_base64(values["payload"]),
        tuple(values["inputs"]),
        values["tags"],
        values["queue"],
        values["version"],
        values["priority"],
        wishes=values.get("wishes", {}),
    )


def _job_line(entry: Entry) -> str:
    tags = _line(entry.tags) if entry.tags else "{}"
    inputs = '["' + '","'.join(entry.inputs) + '"]' if entry.inputs else "[]"
    wishes = f',"wishes":{_wishes(entry.wishes)}' if entry.wishes else ""
    return (
        f'{{"job":"{entry.id}","task":{_text(entry.task)},"label":{_text(entry.label)},"tags":{tags},'
        f'"inputs":{inputs},"queue":"{entry.queue}","version":{entry.version},"priority":{entry.priority}{wishes},'
        f'"payload":"{_base64(entry.payload)}"}}\n'
    )


def _wishes(wishes: Mapping[str, str | int]) -> str:
    # By hand: most jobs have one, and an encoder takes as long for it as the rest of the line.
    parts = [f'"{name}":{_text(each) if isinstance(each, str) else each}' for name, each in wishes.items()]
    return "{" + ",".join(parts) + "}"


def _base64(data: bytes) -> str:
    return b2a_base64(data, newline=False).decode("ascii")


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    whole = 0
    try:
        with path.open(encoding="ascii") as file:
            for line in file:
                if line.endswith("}\n"):
                    yield json.loads(line)
                whole += 1
    except FileNotFoundError:
        return
    except ValueError as error:  # also of bytes that are no ASCII, before their line is counted
        raise WorkspaceError(
            f"{path}: damaged after line {whole} ({error}): a new run of the script does without it"
        ) from error


def _facts(origin: Origin) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "experiment": origin.experiment,
        "run": origin.run,
        "start": origin.start,
        "code": origin.code,
        "project": str(origin.project),
        "script": None if origin.script is None else str(origin.script),
        "command": [safe(word) for word in started.words()],
        "directory": os.getcwd(),
        "commit": None,
        "diff": None,
        "host": this_host(),
        "user": this_user(),
        "pid": os.getpid(),
        "system": platform.platform(),
        "python": platform.python_version(),
        "executable": sys.executable,
        "packages": _packages(),
    }


def _packages() -> dict[str, str]:
    """The installed packages by the names of their metadata's folders: reading each would cost a tenth of a second."""
    found: dict[str, str] = {}
    for folder in sys.path:
        try:
            names = os.listdir(folder or ".")
        except OSError:
            continue
        for name in names:
            if name.endswith(".dist-info"):
                package, _, version = name.removesuffix(".dist-info").partition("-")
                found.setdefault(package, version)
    return dict(sorted(found.items(), key=lambda pair: pair[0].lower()))


def git(project: Path, *arguments: str) -> bytes | None:
    """What git prints in the folder `project`; None if it fails, or there is none."""
    try:
        done = subprocess.run(
            ["git", "-C", str(project), *arguments],
            capture_output=True,
            check=False,
            stdin=subprocess.DEVNULL,
        )
    except OSError:
        return None
    return done.stdout if done.returncode == 0 else None
