"""The jobs of an experimaestro workspace, described again by the classes of today.

What is read is `params.json` of version 3. All values of all parameters stand there, so nothing has to be guessed; what
the classes have become since is compared with it, and a job that they would not describe any more is refused.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple, cast

from xpm.core.fields import Role
from xpm.core.form import At
from xpm.core.info import JobRef, Submittable, own_info
from xpm.core.initial import set_initial
from xpm.core.jobpath import in_directory
from xpm.core.outputs import marker
from xpm.core.schema import Schema, schema_of
from xpm.core.submission import Prepared, prepare
from xpm.errors import XpmError

MARKER = ".__experimaestro__"
VERSION = 3


class Unusable(Exception):
    """An old job can't be described by the classes of today; the text says why."""


class OldJob(NamedTuple):
    """A job that was done in an experimaestro workspace."""

    path: Path
    """Its directory."""
    type: str
    """Its task's name there."""
    id: str
    """Its identifier there."""

    @property
    def name(self) -> str:
        """What its files are called."""
        return self.type.rpartition(".")[2]

    def ended(self) -> float:
        """When it was done, in Unix seconds."""
        return (self.path / f"{self.name}.done").stat().st_mtime

    def started(self) -> float:
        """When it began, as far as that was written down; else when it was done."""
        try:
            status: Any = json.loads((self.path / ".experimaestro" / "status.json").read_text("utf-8"))
            return min(datetime.fromisoformat(status["started_time"]).timestamp(), self.ended())
        except (OSError, ValueError, KeyError, TypeError):
            return self.ended()


def done_jobs(root: Path) -> Iterator[OldJob]:
    """The done jobs of the workspace `root`, in the order of their names."""
    for folder in sorted((root / "jobs").glob("*")):
        for path in sorted(folder.glob("*")):
            job = OldJob(path, folder.name, path.name)
            if (path / f"{job.name}.done").is_file():
                yield job


class _Filed:
    """The session of what is described here: knows directories, and takes nothing."""

    def __init__(self, place: Callable[[JobRef], Path]) -> None:
        self._place = place

    def jobpath(self, task: Any) -> Path:
        """The directory of a task's job."""
        ref = own_info(task).ref
        assert ref is not None, "prepared"
        return self._place(ref)


class Describing:
    """Describes old jobs.

    Args:
        root: the old workspace.
        find: loads classes and enums.
        script: gives the script of today for the path of the old one.
        place: gives the directory of a job of xpm.
    """

    def __init__(
        self,
        root: Path,
        find: Callable[[At], Any],
        script: Callable[[str], str],
        place: Callable[[JobRef], Path],
    ) -> None:
        self._root = root
        self._find = find
        self._script = script
        self._place = place
        self._session: Any = _Filed(place)
        self._tasks: dict[str, tuple[Any, Prepared]] = {}
        """The tasks described so far, by their old identifiers."""

    def prepared(self, job: OldJob) -> Prepared:
        """The old job as xpm knows it.

        Raises:
            Unusable: the classes of today would not describe it, or its description can't be read.
        """
        try:
            data: Any = json.loads((job.path / "params.json").read_text("utf-8"))
            objects: list[dict[str, Any]] = data["objects"]
            version = data["version"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise Unusable(f"its params.json can't be read: {error}") from None
        if version != VERSION:
            raise Unusable(f"its params.json is of version {version}; {VERSION} is read")
        made: dict[int, Any] = {}
        try:
            for each in objects:
                made[each["id"]] = self._object(each, made)
            last = objects[-1]
            if last["identifier"] != job.id:
                raise Unusable(f"its params.json is that of {last['identifier'][:8]}")
            return self._tasks[job.id][1]
        except (KeyError, IndexError, TypeError) as error:
            raise Unusable(f"its params.json is damaged: {error!r}") from None
        except XpmError as error:
            raise Unusable(str(error)) from None

    def _object(self, written: Mapping[str, Any], made: Mapping[int, Any]) -> Any:
        own = written.get("task") == written["id"]
        if own and written["identifier"] in self._tasks:
            return self._tasks[written["identifier"]][0]
        config = self._config(written, made)
        if own and isinstance(config, Submittable):
            if written.get("init-tasks"):
                set_initial(config, [made[each] for each in written["init-tasks"]])
            prepared = prepare(config)
            own_info(config).session = self._session
            self._tasks[written["identifier"]] = config, prepared
            return config
        if "task" in written:
            config = marker(made[written["task"]], "task_outputs")(config)
        return config

    def _config(self, written: Mapping[str, Any], made: Mapping[int, Any]) -> Any:
        script = self._script(written["file"]) if "file" in written else None
        cls = self._class(written, script)
        schema: Schema = schema_of(cls)
        fields: Mapping[str, Any] = written["fields"]
        values: dict[str, Any] = {}
        for name, stored in fields.items():
            declared = schema.fields.get(name)
            if declared is None:
                raise Unusable(schema.unknown(name))
            if declared.generator is not None:
                continue
            value = self._value(stored, made, script)
            if declared.role is not Role.CONSTANT:
                values[name] = value
            elif value != declared.default:
                raise Unusable(f"{schema.label}.{name}: was {value!r}, and is {declared.default!r} now")
        for name, declared in schema.fields.items():
            if name not in fields and declared.role is not Role.META and not declared.ignore_default:
                raise Unusable(f"{schema.label}.{name}: is a parameter now, and was none")
        return cls.C(**values)

    def _class(self, written: Mapping[str, Any], script: str | None) -> Any:
        module, name = written["module"], written["typename"]
        found = self._find(At(module, name.removeprefix(f"{module}."), script))
        if not isinstance(found, type) or not hasattr(found, "C"):
            raise Unusable(f"{name}: is no config class any more")
        return found

    def _value(self, stored: Any, made: Mapping[int, Any], script: str | None) -> Any:
        if isinstance(stored, list):
            return [self._value(each, made, script) for each in cast("list[Any]", stored)]
        if not isinstance(stored, dict):
            return stored
        fields = cast("dict[str, Any]", stored)
        match fields.get("type"):
            case "python":
                return made[fields["value"]]
            case "enum":
                where = At(
                    fields["module"], fields["enum"], script if fields["module"] == "__main__" else None
                )
                members = self._find(where).__members__
                if fields["value"] not in members:
                    raise Unusable(f"{where.module}.{where.qualname} has no {fields['value']} now")
                return members[fields["value"]]
            case "path" | "path.serialized":
                return self._path(fields)
            case "set":
                return {self._value(each, made, script) for each in fields["items"]}
            case _:
                return {key: self._value(each, made, script) for key, each in fields.items()}

    def _path(self, stored: Mapping[str, Any]) -> Path:
        """A path, which in a job's directory becomes that in the directory of the same job of xpm."""
        path = Path(stored["value"])
        if stored.get("base") != "workspace":
            return path
        if len(path.parts) > 3 and path.parts[0] == "jobs" and path.parts[2] in self._tasks:
            prepared = self._tasks[path.parts[2]][1]
            ref = JobRef(prepared.id, prepared.task)
            return in_directory(self._place(ref).joinpath(*path.parts[3:]), ref)
        return self._root / path
