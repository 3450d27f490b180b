"""Settings: the only reader of the environment and of settings files.

They are read once, at the door of a script or a command, and passed down as values. From weak to
strong: the default, the user's file, the project's file, the script's arguments, the environment,
the command line; where each value came from is kept for `xpm doctor`.
"""

from __future__ import annotations

import os
import tempfile
import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import platformdirs

from xpm.core.spelling import nearest
from xpm.errors import SettingsError

PREFIX = "XPM_"
MARKER = Path(".xpm") / "workspace.toml"
"""What makes a directory a workspace."""

SCHEMES = ("redis://", "rediss://", "unix://", "redis+sentinel://")
"""The brokers that can be named."""

SET_BY_THE_ENGINE = frozenset({"XPM_JOB", "XPM_FENCE", "XPM_ATTEMPT"})
"""What a job finds in its environment; no settings."""


def own_job(environ: Mapping[str, str] = os.environ) -> tuple[str, str]:
    """The identifier and the fence of the job that this process is, or was started by; empty without one."""
    return environ.get("XPM_JOB", ""), environ.get("XPM_FENCE", "")


_YES = frozenset({"1", "true", "yes", "on"})
_NO = frozenset({"0", "false", "no", "off", ""})


class _Invalid(ValueError):
    """A value that a setting can't have; the text says what was expected."""


@dataclass(frozen=True, slots=True)
class _Raw:
    """A value as it was found: where it stands, and the directory that a relative path is meant from."""

    value: object
    source: str
    base: Path


def _boolean(raw: _Raw) -> bool:
    if isinstance(raw.value, bool):
        return raw.value
    text = str(raw.value).lower()
    if text not in _YES | _NO:
        raise _Invalid("yes or no")
    return text in _YES


def _seconds(raw: _Raw) -> float:
    try:
        seconds = float(raw.value) if isinstance(raw.value, int | float | str) else -1.0
    except ValueError:
        seconds = -1.0
    if isinstance(raw.value, bool) or not 0 < seconds < float("inf"):
        raise _Invalid("seconds, more than 0")
    return seconds


def _count(raw: _Raw) -> int:
    text = str(raw.value)
    if isinstance(raw.value, bool) or not text.isascii() or not text.isdigit():
        raise _Invalid("a whole number, 0 or more")
    return int(text)


def _text(raw: _Raw) -> str:
    if not isinstance(raw.value, str) or not raw.value.strip():
        raise _Invalid("a text")
    return raw.value.strip()


QUEUE_NAME = "expected letters, digits, '_', '-' and '.'"


def is_queue(name: object) -> bool:
    """Whether a queue can have this name: it becomes a part of keys in the broker."""
    return (
        isinstance(name, str)
        and name != ""
        and all(character.isascii() and (character.isalnum() or character in "_-.") for character in name)
    )


def _queue(raw: _Raw) -> str:
    text = _text(raw)
    if not is_queue(text):
        raise _Invalid(QUEUE_NAME.removeprefix("expected "))
    return text


def _broker(raw: _Raw) -> str:
    text = _text(raw)
    if not text.startswith(SCHEMES):
        raise _Invalid("one of " + ", ".join(f"{scheme}..." for scheme in SCHEMES))
    return text


def _path(raw: _Raw) -> Path:
    if not isinstance(raw.value, str | Path) or not str(raw.value):
        raise _Invalid("a path")
    return Path(os.path.abspath(raw.base / Path(raw.value).expanduser()))


def _about(read: Callable[[_Raw], Any], text: str) -> dict[str, Any]:
    return {"read": read, "text": text}


@dataclass(frozen=True, slots=True)
class Settings:
    """All settings of one script or command."""

    workspace: Path = field(
        default=Path("runs"), metadata=_about(_path, "the directory of jobs and results; see below")
    )
    broker: str | None = field(
        default=None,
        metadata=_about(_broker, "URL of a shared broker; without one, a server of the workspace"),
    )
    workers: int | None = field(
        default=None,
        metadata=_about(
            _count, "local workers; by default as many as usable CPUs, none with a shared broker"
        ),
    )
    lease: float = field(
        default=30.0, metadata=_about(_seconds, "seconds after which a silent worker has lost its job")
    )
    grace: float = field(
        default=30.0,
        metadata=_about(
            _seconds,
            "seconds that a running job gets to end: when its worker stops, at its time limit, when it is cancelled",
        ),
    )
    freeze_limit: float = field(
        default=3600.0,
        metadata=_about(
            _seconds, "seconds that a job stands still at most while its worker can't reach the broker"
        ),
    )
    brake: int = field(
        default=20,
        metadata=_about(
            _count, "failures of a task in a row, all alike, after which the rest of it is held; 0: never"
        ),
    )
    queue: str = field(default="default", metadata=_about(_queue, "the queue of jobs that name none"))
    snapshot: bool = field(
        default=True, metadata=_about(_boolean, "jobs run a copy of the code as it was at submission")
    )
    idle_stop: float = field(
        default=600.0,
        metadata=_about(_seconds, "seconds after which an unused server and its workers stop"),
    )
    detach: bool = field(default=False, metadata=_about(_boolean, "the script ends once all is submitted"))
    dry_run: bool = field(
        default=False, metadata=_about(_boolean, "say what the script would do and change nothing")
    )
    no_color: bool = field(default=False, metadata=_about(_boolean, "plain text on a terminal too"))
    quiet: bool = field(
        default=False, metadata=_about(_boolean, "no progress and no remarks: only results and errors")
    )
    verbose: bool = field(default=False, metadata=_about(_boolean, "the traceback of an error, too"))
    project: Path = Path()
    """The directory of the project: of pyproject.toml or .git, else the script's or the current one."""
    sources: Mapping[str, str] = field(default_factory=dict[str, str])
    """Where each value comes from, by the setting's name; a default is not in it."""

    def source(self, name: str) -> str:
        """Where the value of the setting `name` comes from."""
        return self.sources.get(name, "default")


@dataclass(frozen=True, slots=True)
class Definition:
    """One setting, as the documentation shows it."""

    name: str
    variable: str
    default: Any
    text: str


def definitions() -> list[Definition]:
    """All settings, in the order of the documentation."""
    return [
        Definition(one.name, PREFIX + one.name.upper(), one.default, one.metadata["text"])
        for one in fields(Settings)
        if one.metadata
    ]


_READ: dict[str, Callable[[_Raw], Any]] = {
    one.name: one.metadata["read"] for one in fields(Settings) if one.metadata
}


@dataclass(frozen=True, slots=True)
class Places:
    """The directories of this user on this host that xpm may use outside of a workspace."""

    config: Path
    state: Path
    runtime: Path | None
    """For sockets; None where the system gives none to the user."""
    temporary: Path


def places() -> Places:
    """Where settings, servers' data and sockets of this user lie."""
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    return Places(
        config=platformdirs.user_config_path("xpm"),
        state=platformdirs.user_state_path("xpm"),
        runtime=Path(runtime) if runtime else None,
        temporary=Path(tempfile.gettempdir()),
    )


def load(
    *,
    command: Mapping[str, object] | None = None,
    arguments: Mapping[str, object] | None = None,
    script: Path | None = None,
    environ: Mapping[str, str] = os.environ,
) -> Settings:
    """Reads all sources and resolves the workspace; None as a value means not given.

    Args:
        command: What the command line's options say.
        arguments: What the script says, as in `experiment(..., workspace="runs")`.
        script: The script's file; its project's settings are read, else the current directory's.
        environ: The environment.

    Raises:
        SettingsError: A setting is unknown or has an impossible value.
    """
    here = Path.cwd()
    start = script.absolute().parent if script is not None else here
    project = _project(start)
    found: dict[str, _Raw] = {}
    for name, raw in _layers(command or {}, arguments or {}, start, project, here, environ):
        found[name] = raw
    values = {name: _value(name, raw) for name, raw in found.items()}
    sources = {name: raw.source for name, raw in found.items()}
    if "workspace" not in values:
        values["workspace"], sources["workspace"] = _default_workspace(start, project)
    return Settings(**values, project=project or start, sources=sources)


def _layers(
    command: Mapping[str, object],
    arguments: Mapping[str, object],
    start: Path,
    project: Path | None,
    here: Path,
    environ: Mapping[str, str],
) -> Iterator[tuple[str, _Raw]]:
    yield from _file(places().config / "settings.toml", ())
    if project is not None:
        yield from _file(project / "pyproject.toml", ("tool", "xpm"))
    yield from _mapping(arguments, "the script", start)
    yield from _environment(environ, here)
    yield from _mapping(command, "the command line", here)


def _file(path: Path, table: tuple[str, ...]) -> Iterator[tuple[str, _Raw]]:
    try:
        content: Any = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return
    except (OSError, ValueError) as error:
        raise SettingsError(f"{path}: cannot be read: {error}") from error
    for key in table:
        content = content.get(key, {})
    if not isinstance(content, dict):
        raise SettingsError(f"{path}: [{'.'.join(table)}] is not a table")
    yield from _mapping(content, str(path), path.parent)  # pyright: ignore[reportUnknownArgumentType]


def _mapping(given: Mapping[str, object], source: str, base: Path) -> Iterator[tuple[str, _Raw]]:
    for name, value in given.items():
        if name not in _READ:
            raise SettingsError(f"{source}: no setting {name!r}{_nearest(name)}")
        if value is not None:
            yield name, _Raw(value, source, base)


def _environment(environ: Mapping[str, str], base: Path) -> Iterator[tuple[str, _Raw]]:
    for variable, value in environ.items():
        if not variable.startswith(PREFIX) or variable in SET_BY_THE_ENGINE:
            continue
        name = variable.removeprefix(PREFIX).lower()
        if name not in _READ or variable != variable.upper():
            raise SettingsError(
                f"{variable}: no such setting{_nearest(name, lambda known: PREFIX + known.upper())}"
            )
        if value:
            yield name, _Raw(value, variable, base)


def _nearest(name: str, written: Callable[[str], str] = str) -> str:
    """The known name that is most like `name`, else all of them, as the source would write them."""
    return nearest(name, _READ, written) or f"; there are {', '.join(map(written, sorted(_READ)))}"


def _value(name: str, raw: _Raw) -> Any:
    try:
        return _READ[name](raw)
    except _Invalid as error:
        raise SettingsError(f"{raw.source}: {name}: expected {error}, got {raw.value!r}") from error


_SIGNS = ("pyproject.toml", ".git")
"""What a project's directory has, one of them."""


def _project(start: Path) -> Path | None:
    """The nearest directory upwards, `start` included, with a project's file."""
    for directory in (start, *start.parents):
        if any((directory / name).exists() for name in _SIGNS):
            return directory
    return None


def _default_workspace(start: Path, project: Path | None) -> tuple[Path, str]:
    for directory in (start, *start.parents):
        if (directory / MARKER).is_file():
            return directory, f"found from {start}"
    if project is not None:
        sign = next(name for name in _SIGNS if (project / name).exists())
        return project / "runs", f"beside {project / sign}"
    return start / "runs", f"in {start}"
