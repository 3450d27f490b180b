"""Where descriptions and their values come from: the lines of people's own files."""

from __future__ import annotations

import sys
from pathlib import Path
from types import CodeType, FrameType
from typing import Any, NamedTuple

from xpm.core.fields import Role
from xpm.core.info import Description, Info, info_of
from xpm.core.schema import SCHEMA, Schema
from xpm.errors import ConfigError

At = tuple[CodeType, int]
"""A place in running code, as cheap to note as can be: what was executed, and how far."""

frame_above = sys._getframe  # pyright: ignore[reportPrivateUsage] - documented; inspect takes 10 ms to load
"""The frame so many calls up."""

_OURS = Path(__file__).parents[1]


class Provenance(NamedTuple):
    """Where a description, or the value of one of its parameters, comes from."""

    kind: str
    """`given` when it was made, `set` later, `default`, `constant`, `generated`; `unknown` of one that was copied or
    loaded."""
    file: Path | None
    """The file; None where there is none, as of a default."""
    line: int

    def __str__(self) -> str:
        return self.kind if self.file is None else f"{self.kind} at {_short(self.file)}:{self.line}"


def users_frame() -> FrameType:
    """The nearest frame above that is no code of xpm."""
    frame = frame_above(1)
    while frame.f_back is not None and Path(frame.f_code.co_filename).is_relative_to(_OURS):
        frame = frame.f_back
    return frame


def at(frame: FrameType) -> At:
    """The place that `frame` is at."""
    return frame.f_code, frame.f_lasti


def note_set(info: Info, parameter: str, place: At) -> None:
    """Notes where a parameter was set."""
    info.places = {**info.places, parameter: place}


def moved(info: Info, place: At) -> None:
    """Notes where a copy was made, of which `info` has what is known of the original."""
    if info.at is not None:
        info.places = {**dict.fromkeys(info.given, info.at), **info.places}
    info.at, info.given = place, ()


def provenance(config: Any, parameter: str | None = None) -> Provenance:
    """Where a description comes from, or the value of one of its parameters: the file and the line that gave it.

    Args:
        config: a description.
        parameter: one of its parameters; None means the description itself.

    Raises:
        ConfigError: it is no description, or has no such parameter.
    """
    if not isinstance(config, Description):
        raise ConfigError(f"provenance: expected a description, got {type(config).__name__}")
    info = info_of(config)
    made: At | None = None if info is None else info.at
    if parameter is None:
        return _provenance("given" if made else "unknown", made)
    schema: Schema = vars(type(config))[SCHEMA]
    declared = schema.fields.get(parameter)
    if declared is None:
        raise ConfigError(schema.unknown(parameter))
    if info is not None and parameter in info.places:
        return _provenance("set", info.places[parameter])
    if declared.role is Role.CONSTANT:
        return _provenance("constant", None)
    if declared.generator is not None:
        return _provenance("generated", None)
    if made is None or info is None:
        return _provenance("unknown", None)
    return _provenance("given", made) if parameter in info.given else _provenance("default", None)


def _provenance(kind: str, place: At | None) -> Provenance:
    found = None if place is None else _place(place)
    return Provenance(kind, *found) if found else Provenance(kind, None, 0)


def made_at(config: Any) -> str:
    """The end of a message about `config`: ` (lab/plan.py:12)`, the line that describes it; nothing if none does."""
    info = info_of(config)
    place: At | None = None if info is None else info.at
    found = None if place is None else _place(place)
    return "" if found is None else f" ({_short(found[0])}:{found[1]})"


def _place(place: At) -> tuple[Path, int] | None:
    """File and line; None of a place in xpm itself."""
    code, instruction = place
    file = Path(code.co_filename)
    if file.is_relative_to(_OURS):
        return None
    lines = (line for start, end, line in code.co_lines() if start <= instruction < end and line is not None)
    return file, next(lines, code.co_firstlineno)


def _short(file: Path) -> Path:
    """`file` as people call it: from the current directory, if it is below that."""
    try:
        return file.relative_to(Path.cwd())
    except (ValueError, OSError):  # it lies elsewhere; or the current directory is gone
        return file
